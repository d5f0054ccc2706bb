"""The filter language, read: `status:running emoji -tag:old`, `metadata.augmented = true AND tokens < 1024`.

    query := or ;  or := and ("OR" and)* ;  and := not+ ("AND" is allowed between) ;  not := ("NOT" | "-") not | atom
    atom  := word | "quoted words" | key:value | key operator value | ( or )

A value may be quoted, and so may a key: `"my metric".min < 1`. A key may end in a step: `eval/loss@100`. Half-typed
input (an open quote, a trailing NOT) is read as if it had been finished: filters are typed live. What a key means is
for those to say who ask: `store.query` and `store.run_language` for the store's tables, the datasets for rows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from store.errors import QueryError

MOST_TERMS = 100
OPERATORS = ("==", "!=", "<=", ">=", "!~", "=", "<", ">", "~")
"""`~` is "contains"; `==` is read as `=`."""

TOKEN = re.compile(
    rf"""\s*(?:
        (?P<paren>[()])
      | (?P<minus>-)(?=[^\s)])
      | (?: (?P<key>[A-Za-z_][\w./-]*?(?:@\d+)?) | "(?P<quoted_key>[^"]+)"(?P<suffix>(?:\.\w+)?(?:@\d+)?) )
        (?: (?P<colon>:) | \s*(?P<operator>{"|".join(map(re.escape, OPERATORS))})\s* )
        (?: "(?P<quoted_value>[^"]*)"? | (?P<value>(?(colon)|(?!(?:AND|OR|NOT)\b))[^\s()]*) )
      | "(?P<quoted>[^"]*)"?
      | (?P<word>[^\s()"]+)
    )""",
    re.VERBOSE,
)
"""One match for each word, comparison, parenthesis or sign, spaces before it included."""


@dataclass(frozen=True)
class Word:
    """Text to look for anywhere."""

    text: str


@dataclass(frozen=True)
class Compare:
    """A key beside a value. `operator` is `:` or one of `OPERATORS`; `value` is empty while it is not typed yet."""

    key: str
    operator: str
    value: str
    quoted: bool = False


@dataclass(frozen=True)
class Not:
    term: "Term"


@dataclass(frozen=True)
class And:
    """All of the terms; without terms, everything."""

    terms: "tuple[Term, ...]"


@dataclass(frozen=True)
class Or:
    terms: "tuple[Term, ...]"


Term = Word | Compare | Not | And | Or

EVERYTHING = And(())


def parse(query: str) -> Term:
    """What `query` asks for. Raises `QueryError` for one with more than `MOST_TERMS` terms."""
    return _Parser(query).parse()


def comparisons(term: Term) -> Iterator[Compare]:
    """All comparisons in a term, in the order in which they are written."""
    match term:
        case Compare():
            yield term
        case Not(inner):
            yield from comparisons(inner)
        case And(terms) | Or(terms):
            for one in terms:
                yield from comparisons(one)
        case Word():
            return


class _Parser:
    def __init__(self, query: str) -> None:
        self._tokens = _tokens(query)
        self._at = 0
        if len(self._tokens) > MOST_TERMS:
            raise QueryError(f"The filter has more than {MOST_TERMS} terms.", "", "Shorten it.")

    def parse(self) -> Term:
        terms = []
        while self._at < len(self._tokens):
            terms.append(self._or())
            self._at += 1  # a closing parenthesis that nothing opened
        return _all(terms)

    def _or(self) -> Term:
        terms = [self._and()]
        while self._take("OR"):
            terms.append(self._and())
        # `a OR` is still being typed: it asks for `a`.
        terms = [term for term in terms if term != EVERYTHING] or terms[:1]
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _and(self) -> Term:
        terms = []
        while self._at < len(self._tokens) and self._tokens[self._at] not in ("OR", ")"):
            if not self._take("AND"):
                terms.append(self._not())
        return _all(terms)

    def _not(self) -> Term:
        if not self._take("NOT"):
            return self._atom()
        term = self._not()
        if isinstance(term, Not):
            return term.term
        return term if term == EVERYTHING else Not(term)

    def _atom(self) -> Term:
        if self._at >= len(self._tokens) or self._tokens[self._at] in ("OR", "AND", ")"):
            return EVERYTHING
        token = self._tokens[self._at]
        self._at += 1
        if isinstance(token, str):  # an opening parenthesis
            term = self._or()
            self._take(")")
            return term
        return token

    def _take(self, kind: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == kind:
            self._at += 1
            return True
        return False


def _all(terms: list[Term]) -> Term:
    terms = [term for term in terms if term != EVERYTHING]
    return terms[0] if len(terms) == 1 else And(tuple(terms))


def _tokens(query: str) -> list[str | Word | Compare]:
    """Terms, and the names of what joins them: parentheses, AND, OR, NOT."""
    tokens: list[str | Word | Compare] = []
    # no NUL, and no halves of characters, such as the shell makes of bytes that are no text
    for match in TOKEN.finditer(query.replace("\0", "").encode("utf-8", "replace").decode()):
        if match["paren"]:
            tokens.append(match["paren"])
        elif match["minus"]:
            tokens.append("NOT")
        elif match["colon"] or match["operator"]:
            key = match["key"] or f"{match['quoted_key']}{match['suffix']}"
            operator = "=" if match["operator"] == "==" else match["operator"] or ":"
            quoted = match["quoted_value"]
            tokens.append(
                Compare(key, operator, (match["value"] if quoted is None else quoted) or "", quoted is not None)
            )
        elif match["word"] in ("AND", "OR", "NOT"):
            tokens.append(match["word"])
        elif (text := match["word"] or match["quoted"]) and text != "-":
            tokens.append(Word(text))
    return tokens
