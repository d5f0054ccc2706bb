"""The filter language over the store's tables, as SQL. User text only ever reaches SQLite as a parameter."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from store.errors import QueryError
from store.language import And, Compare, Not, Or, Term, Word, parse
from store.records import TERMINAL, Status

Clause = tuple[str, list[Any]]
"""An SQL condition and its parameters."""


@dataclass(frozen=True)
class Language:
    """What can be asked of one table: bare words, and keys with the condition that a value makes."""

    word: Callable[[str], Clause]
    keys: Mapping[str, Callable[[str], Clause]]


def compile(query: str, language: "Language | None" = None) -> Clause:
    """The condition that `query` stands for, over runs (as `r`) unless another language is given.

    Raises `QueryError` for an unknown key, with the keys that there are.
    """
    return _clause(parse(query), language or RUNS)


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
        "sweep": lambda text: (
            "r.sweep <> '' AND (r.sweep = ? OR r.sweep IN (SELECT s.id FROM sweeps s WHERE lower(s.name) = lower(?)))",
            [text, text],
        ),
    },
)

DATASETS = Language(
    word=contains("d.search"),
    keys={
        "name": _any_case("d.name"),
        "shape": _any_case("d.shape"),
        "grade": lambda text: ("lower(d.grade) = lower(?)", [text]),
    },
)

CHATS = Language(
    word=lambda text: (
        "(instr(c.search, ?) > 0 OR EXISTS (SELECT 1 FROM messages m WHERE m.chat = c.key AND instr(m.search, ?) > 0))",
        [text.casefold()] * 2,
    ),
    keys={"title": _any_case("c.title")},
)


_ALL = "1"


def _clause(term: Term, language: Language) -> Clause:
    match term:
        case Word(text):
            return language.word(text)
        case Compare():
            return _comparison(term, language)
        case Not(inner):
            sql, parameters = _clause(inner, language)
            return (sql, parameters) if sql == _ALL else (f"NOT ({sql})", parameters)
        case And(terms):
            return _join("AND", (_clause(one, language) for one in terms))
        case Or(terms):
            return _join("OR", (_clause(one, language) for one in terms))


def _comparison(term: Compare, language: Language) -> Clause:
    make = language.keys.get(term.key.lower())
    written = f"{term.key}{term.operator}{term.value}"
    if make is None:
        raise QueryError(
            f"The filter has no key {term.key!r}.",
            f"Keys: {', '.join(language.keys)}.",
            f'To look for the text itself, quote it: "{written}".',
        )
    if not term.value:
        return _ALL, []
    sql, parameters = make(term.value)
    if term.operator in (":", "=", "~"):
        return sql, parameters
    if term.operator in ("!=", "!~"):
        return f"NOT ({sql})", parameters
    raise QueryError(
        f"{term.key} has no order, so {written} asks for nothing.", "", f"Write {term.key.lower()}:{term.value}."
    )


def _join(operator: str, found: Iterable[Clause]) -> Clause:
    clauses = [clause for clause in found if clause[0] != _ALL]
    if not clauses:
        return _ALL, []
    if len(clauses) == 1:
        return clauses[0]
    sql = f" {operator} ".join(sql for sql, _ in clauses)
    return f"({sql})", [parameter for _, parameters in clauses for parameter in parameters]
