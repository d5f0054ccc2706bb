"""The filter language: `status:running emoji -tag:old`, as SQL.

    query := or ;  or := and ("OR" and)* ;  and := not+ ("AND" is allowed between) ;  not := ("NOT" | "-") not | atom
    atom  := word | "quoted words" | key:value | key:"quoted value" | ( or )

Half-typed input (an open quote, a trailing NOT) is read as if it had been finished: filters are typed live. User text
only ever reaches SQLite as a parameter.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from store.errors import QueryError
from store.records import TERMINAL, Status

Clause = tuple[str, list[Any]]
"""An SQL condition and its parameters."""

MOST_TERMS = 100

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<paren>[()])
      | (?P<minus>-)(?=[^\s)])
      | (?P<key>[A-Za-z_][\w.]*):(?:"(?P<quoted_value>[^"]*)"?|(?P<value>[^\s()]*))
      | "(?P<quoted>[^"]*)"?
      | (?P<word>[^\s()"]+)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Language:
    """What can be asked of one table: bare words, and keys with the condition that a value makes."""

    word: Callable[[str], Clause]
    keys: Mapping[str, Callable[[str], Clause]]


def compile(query: str, language: "Language | None" = None) -> Clause:
    """The condition that `query` stands for, over runs (as `r`) unless another language is given.

    Raises `QueryError` for an unknown key, with the keys that there are.
    """
    return _Parser(query, language or RUNS).parse()


def contains(column: str) -> Callable[[str], Clause]:
    """Whether the casefolded `column` contains the text."""
    return lambda text: (f"instr({column}, ?) > 0", [text.casefold()])


def searchable(*texts: str) -> str:
    """What goes into a `search` column: a word cannot match across two of the texts."""
    return "\n".join(texts).casefold()


def _any_case(column: str) -> Callable[[str], Clause]:
    return lambda text: (f"instr(lower({column}), lower(?)) > 0", [text])


def _status(text: str) -> Clause:
    wanted = text.casefold()
    if wanted in ("running", "live", "active"):
        live = [status.value for status in Status if status not in TERMINAL]
        return f"r.status IN ({', '.join('?' * len(live))})", list(live)
    if wanted == "done":
        wanted = Status.SUCCEEDED.value
    matching = [status.value for status in Status if status.value.startswith(wanted)]
    if not matching:
        raise QueryError(f"There is no status {text!r}.", "", f"Statuses: running (any live one), {', '.join(Status)}.")
    return f"r.status IN ({', '.join('?' * len(matching))})", list(matching)


def _tag(text: str) -> Clause:
    return "EXISTS (SELECT 1 FROM tags t WHERE t.run = r.key AND lower(t.tag) = lower(?))", [text]


RUNS = Language(
    word=contains("r.search"),
    keys={
        "status": _status,
        "model": _any_case("r.model"),
        "method": lambda text: ("lower(r.method) = lower(?)", [text]),
        "dataset": lambda text: ("(instr(lower(r.dataset), lower(?)) > 0 OR r.dataset_id = ?)", [text, text]),
        "tag": _tag,
        "name": _any_case("r.name"),
        "id": lambda text: ("substr(r.id, 1, length(?)) = ?", [text, text]),
    },
)

DATASETS = Language(word=contains("d.search"), keys={"name": _any_case("d.name"), "shape": _any_case("d.shape")})

CHATS = Language(
    word=lambda text: (
        "(instr(c.search, ?) > 0 OR EXISTS (SELECT 1 FROM messages m WHERE m.chat = c.key AND instr(m.search, ?) > 0))",
        [text.casefold()] * 2,
    ),
    keys={"title": _any_case("c.title")},
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    key: str = ""


class _Parser:
    def __init__(self, query: str, language: Language) -> None:
        self._language = language
        self._tokens = _tokens(query)
        self._at = 0
        if len(self._tokens) > MOST_TERMS:
            raise QueryError(f"The filter has more than {MOST_TERMS} terms.", "", "Shorten it.")

    def parse(self) -> Clause:
        clauses = []
        while self._at < len(self._tokens):
            clauses.append(self._or())
            self._at += 1  # a closing parenthesis that nothing opened
        return _join("AND", clauses)

    def _or(self) -> Clause:
        clauses = [self._and()]
        while self._take("OR"):
            clauses.append(self._and())
        # `a OR` is still being typed: it asks for `a`.
        return _join("OR", [clause for clause in clauses if clause[0] != _ALL] or clauses[:1])

    def _and(self) -> Clause:
        clauses = []
        while self._at < len(self._tokens) and self._tokens[self._at].kind not in ("OR", ")"):
            if not self._take("AND"):
                clauses.append(self._not())
        return _join("AND", clauses)

    def _not(self) -> Clause:
        if not self._take("NOT"):
            return self._atom()
        sql, parameters = self._not()
        return (sql, parameters) if sql == _ALL else (f"NOT ({sql})", parameters)

    def _atom(self) -> Clause:
        if self._at >= len(self._tokens) or self._tokens[self._at].kind in ("OR", "AND", ")"):
            return _ALL, []
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "(":
            clause = self._or()
            self._take(")")
            return clause
        if token.kind == "word":
            return self._language.word(token.text)
        make = self._language.keys.get(token.key)
        if make is None:
            raise QueryError(
                f"The filter has no key {token.key!r}.",
                f"Keys: {', '.join(self._language.keys)}.",
                f'To look for the text itself, quote it: "{token.key}:{token.text}".',
            )
        return make(token.text) if token.text else (_ALL, [])

    def _take(self, kind: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at].kind == kind:
            self._at += 1
            return True
        return False


_ALL = "1"


def _join(operator: str, clauses: list[Clause]) -> Clause:
    clauses = [clause for clause in clauses if clause[0] != _ALL]
    if not clauses:
        return _ALL, []
    if len(clauses) == 1:
        return clauses[0]
    sql = f" {operator} ".join(sql for sql, _ in clauses)
    return f"({sql})", [parameter for _, parameters in clauses for parameter in parameters]


def _tokens(query: str) -> list[_Token]:
    tokens = []
    for match in _TOKEN.finditer(query.replace("\0", "")):
        if match["paren"]:
            tokens.append(_Token(match["paren"], ""))
        elif match["minus"]:
            tokens.append(_Token("NOT", ""))
        elif match["key"]:
            quoted = match["quoted_value"]
            tokens.append(_Token("key", match["value"] if quoted is None else quoted, match["key"].lower()))
        elif match["word"] in ("AND", "OR", "NOT"):
            tokens.append(_Token(match["word"], ""))
        elif (text := match["word"] or match["quoted"]) and text != "-":
            tokens.append(_Token("word", text))
    return tokens
