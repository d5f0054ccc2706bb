"""The filter language over the store's tables, as SQL. User text only ever reaches SQLite as a parameter."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from store.errors import QueryError
from store.language import And, Compare, Not, Or, Term, Word, parse

Clause = tuple[str, list[Any]]
"""An SQL condition, never NULL (what is not known is false, so that NOT finds it), and its parameters."""


@dataclass(frozen=True)
class Names:
    """What the store's runs call things: completes names that are typed in part or in another case."""

    metrics: Collection[str] = ()
    settings: Collection[str] = ()
    figures: Collection[str] = ()
    """What was measured in evaluations."""


@dataclass(frozen=True)
class Asked:
    """What a key has to know beside its comparison."""

    now: float
    names: Callable[[], Names]


@dataclass(frozen=True)
class Key:
    """What can be asked by one name. `make` gets a comparison that has a value."""

    make: Callable[[Compare, Asked], Clause]
    about: str
    """What it is, in words."""
    example: str
    values: Mapping[str, str] | None = None
    """All values that there are with what each means, where the list is closed."""
    ordered: bool = False
    """Whether `<` and `>` can be asked."""


@dataclass(frozen=True)
class Language:
    """What can be asked of one table: bare words, keys, and other keys that follow a rule."""

    word: Callable[[str], Clause]
    keys: Mapping[str, Key]
    aliases: Mapping[str, str]
    other: Callable[[Compare, Asked], Clause | None]
    """The condition of a comparison whose key is not among `keys`; `None` where there is no such key."""
    more: str = ""
    """What other keys there are, in words."""


MOST_NESTING = 20
"""Parentheses in one another that SQLite reads, whatever is in them: its parser gives up at some thirty."""

_PARENTHESES = re.compile(r"[()]")


def compile(
    query: str | Term, language: Language, *, names: Callable[[], Names] = Names, now: float | None = None
) -> Clause:
    """The condition that `query` stands for in the language of a table.

    `names` is only asked for a key that needs them; ages count from `now`, unix seconds. Raises `QueryError` for what
    is not understood, with what there is.
    """
    term = parse(query) if isinstance(query, str) else query
    moment = time.time() if now is None else now
    sql, parameters = _clause(term, language, cache(names), moment)
    if _nesting(sql) > MOST_NESTING:
        raise QueryError("The filter has too many parentheses in one another.", "", "Ask for less at once.")
    return sql, parameters


def _nesting(sql: str) -> int:
    """How many parentheses are open at once."""
    deepest = depth = 0
    for sign in _PARENTHESES.findall(sql):
        depth += 1 if sign == "(" else -1
        deepest = max(deepest, depth)
    return deepest


def _clause(term: Term, language: Language, names: Callable[[], Names], now: float) -> Clause:
    match term:
        case Word(text):
            return language.word(text)
        case Compare():
            return _comparison(term, language, names, now)
        case Not(inner):
            sql, parameters = _clause(inner, language, names, now)
            return (sql, parameters) if sql == ALL else (f"NOT ({sql})", parameters)
        case And(terms):
            return join("AND", (_clause(one, language, names, now) for one in terms))
        case Or(terms):
            return join("OR", (_clause(one, language, names, now) for one in terms))


def _comparison(term: Compare, language: Language, names: Callable[[], Names], now: float) -> Clause:
    known = key_of(language, term.key)
    if known is not None:
        term = _loosened(term, known)
        if not term.value and not term.quoted:
            return ALL, []
        if not known.ordered and term.operator in _ORDERS:
            raise QueryError(
                f"{term.key} has no order, so {written(term)} asks for nothing.", "", f"For example {known.example}."
            )
        return known.make(term, Asked(now, names))
    clause = language.other(term, Asked(now, names))
    if clause is None:
        raise unknown_key(term, language, names())
    return clause


ALL = "1"
_ORDERS = ("<", "<=", ">", ">=")


def key_of(language: Language, name: str) -> Key | None:
    """The key of that name, in any case, or of another name that it goes by."""
    lowered = name.lower()
    return language.keys.get(language.aliases.get(lowered, lowered))


def _loosened(term: Compare, key: Key) -> Compare:
    """`step:>100` means `step>100`."""
    if term.operator == ":" and key.ordered and not term.quoted:
        for operator in ("<=", ">=", "<", ">", "="):
            if term.value.startswith(operator):
                return Compare(term.key, operator, term.value[len(operator) :])
    return term


def unknown_key(term: Compare, language: Language, names: Names) -> QueryError:
    """The error of a key that there is not: what is likely to be meant, and what there is."""
    there = [*language.keys, *names.metrics, *(f"cfg.{name}" for name in names.settings)]
    there += [f"eval.{name}" for name in names.figures]
    meant = close_to(term.key, there)
    question = f"Did you mean {_either(meant)}? " if meant else ""
    return QueryError(
        f"The filter has no key {term.key!r}.",
        f"Keys: {', '.join(language.keys)}{f'; {language.more}' if language.more else ''}.",
        f'{question}To look for the text itself, quote it: "{written(term)}".',
    )


def close_to(name: str, there: Collection[str]) -> list[str]:
    """Those that somebody may have meant by `name`, at most three: one with that last part, or one like it."""
    from difflib import get_close_matches  # for mistakes only: the way to the first screen does without

    lowered = name.lower()
    ends = [one for one in there if one.lower().replace(".", "/").split("/")[-1] == lowered]
    by_case = {one.lower(): one for one in there}
    return list(dict.fromkeys([*ends, *(by_case[one] for one in get_close_matches(lowered, by_case, 3, 0.72))]))[:3]


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def written(term: Compare) -> str:
    """The comparison as it is typed."""
    return f"{term.key}{term.operator}{term.value}"


def join(operator: str, found: Iterable[Clause]) -> Clause:
    clauses = [clause for clause in found if clause[0] != ALL]
    if not clauses:
        return ALL, []
    if len(clauses) == 1:
        return clauses[0]
    sql = f" {operator} ".join(sql for sql, _ in clauses)
    return f"({sql})", [parameter for _, parameters in clauses for parameter in parameters]


def negated(clause: Clause) -> Clause:
    return f"NOT ({clause[0]})", clause[1]


def searchable(*texts: str) -> str:
    """What goes into a `search` column: a word cannot match across two of the texts."""
    return "\n".join(texts).casefold()
