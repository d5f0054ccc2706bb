"""Keys over columns of a table: texts, numbers, moments, and lists of words with a condition each."""

from collections.abc import Callable, Mapping
from math import inf, isnan

from store import quantities
from store.errors import QueryError
from store.language import Compare
from store.query import ALL, Asked, Clause, Key, close_to, join, negated, written


def search(column: str) -> Callable[[str], Clause]:
    """Whether the casefolded `column` contains the text."""
    return lambda text: (f"instr({column}, ?) > 0", [text.casefold()])


def folded(column: str, text: str) -> str:
    """The column as it is compared with a text in any case. SQLite's own `lower` is fast but knows ASCII alone."""
    return f"lower({column})" if text.isascii() else f"casefold({column})"


def contains(column: str, text: str) -> Clause:
    return f"instr({folded(column, text)}, ?) > 0", [text.casefold()]


def equals(column: str, text: str) -> Clause:
    return f"{folded(column, text)} = ?", [text.casefold()]


def text(
    column: str,
    about: str,
    example: str,
    *,
    whole: bool = False,
    wrap: str = "{}",
    spelt: Mapping[str, str] | None = None,
) -> Key:
    """A key over a text, in any case: `~` looks for a part of it, `=` for all, `:` for either as `whole` says.

    `wrap` is the SQL around the condition; `spelt` maps what people write to what is stored.
    """

    def make(term: Compare, asked: Asked) -> Clause:
        value = (spelt or {}).get(term.value.lower(), term.value)
        exact = term.operator in ("=", "!=") or (whole and term.operator == ":")
        sql, parameters = (equals if exact else contains)(column, value)
        clause = wrap.format(sql), parameters
        return negated(clause) if term.operator in ("!=", "!~") else clause

    return Key(make, about, example)


def words(about: str, example: str, meanings: Mapping[str, str], conditions: Mapping[str, Clause]) -> Key:
    """A key with a closed list of values, each with its condition; the beginning of some stands for each of them."""

    def make(term: Compare, asked: Asked) -> Clause:
        wanted = term.value.lower().replace("_", "-")
        matching = [wanted] if wanted in conditions else [word for word in conditions if word.startswith(wanted)]
        if not matching:
            meant = close_to(wanted, list(conditions))
            question = f"Did you mean {term.key}:{meant[0]}? " if meant else ""
            raise QueryError(
                f"There is no {term.key.lower()} {term.value!r}.", "", f"{question}Values: {', '.join(meanings)}."
            )
        clause = join("OR", (conditions[word] for word in matching))
        return negated(clause) if term.operator in ("!=", "!~") else clause

    return Key(make, about, example, meanings)


def figure(column: str, about: str, example: str, read: quantities.Reader = quantities.number) -> Key:
    """A key over a number, or over an expression that makes one."""
    return Key(lambda term, asked: compared((column, []), term, read, example), about, example, ordered=True)


def compared(
    column: Clause, term: Compare, read: quantities.Reader, example: str, *, nan_is_null: bool = False
) -> Clause:
    """How a number stands to the one that is asked for. `:` takes a range as well: `100..200`, both ends included.

    `nan_is_null` where NULL can only mean NaN, as SQLite holds it.
    """
    sql, parameters = column
    operator = "=" if term.operator == ":" else term.operator
    if operator in ("~", "!~"):
        raise QueryError(f"{written(term)}: a number contains nothing.", "", f"For example {example}.")
    if term.operator == ":" and ".." in term.value:
        low, _, high = term.value.partition("..")
        ends = (Compare(term.key, ">=", low), Compare(term.key, "<=", high))
        return join("AND", (compared(column, end, read, example) for end in ends if end.value))
    value = _number(term, read, example)
    if value is None:
        return ALL, []
    if isnan(value):
        if operator not in ("=", "!="):
            raise QueryError(f"{written(term)}: nan is neither more nor less.", "", f"Write {term.key}=nan.")
        clause: Clause = (f"{sql} IS NULL", parameters) if nan_is_null else ("0", [])
    else:
        clause = f"ifnull({sql} {'=' if operator == '!=' else operator} ?, 0)", [*parameters, value]
    return negated(clause) if operator == "!=" else clause


def _number(term: Compare, read: quantities.Reader, example: str) -> float | None:
    """`None` while nothing is typed that could be a number or not."""
    if term.value in ("", "-", "+", ".", "-."):
        return None
    value = read(term.value)
    if value is None:
        swapped = term.operator == "=" and term.value[0] in "<>"
        fix = f"Write {term.key}{term.value[0]}={term.value[1:]}." if swapped else f"For example {example}."
        raise QueryError(f"{written(term)}: {term.value!r} is not understood as a number.", "", fix)
    return value


def moment(column: str, about: str, example: str) -> Key:
    """A key over a time: an age (`>7d`: longer ago than that), or a stretch of the calendar (`2026-11`, `today`)."""

    def make(term: Compare, asked: Asked) -> Clause:
        operator = "=" if term.operator == ":" else term.operator
        if operator in ("~", "!~"):
            raise QueryError(f"{written(term)}: a time contains nothing.", "", f"For example {example}.")
        if operator in ("=", "!=") and term.value.lower() == "never":
            return f"{column} IS {'NOT ' * (operator == '!=')}NULL", []
        ago = quantities.age(term.value)
        if ago is not None:
            since = [asked.now - ago]
            if operator in (">", ">="):
                return f"ifnull({column} < ?, 0)", since
            clause: Clause = f"ifnull({column} >= ?, 0)", since
            return negated(clause) if operator == "!=" else clause
        first, after = _stretch(term, asked.now, example)
        match operator:
            case "<":
                return f"ifnull({column} < ?, 0)", [first]
            case "<=":
                return f"ifnull({column} < ?, 0)", [after]
            case ">":
                return f"ifnull({column} >= ?, 0)", [after]
            case ">=":
                return f"ifnull({column} >= ?, 0)", [first]
        clause = f"ifnull({column} >= ? AND {column} < ?, 0)", [first, after]
        return negated(clause) if operator == "!=" else clause

    return Key(make, about, example, ordered=True)


def _stretch(term: Compare, now: float, example: str) -> tuple[float, float]:
    """From its first moment to the first after it; `2026-11..2026-12` reaches from one to the end of the other."""
    first, dots, last = term.value.partition("..")
    ends = [quantities.period(end, now) if end else (-inf, inf) for end in ((first, last) if dots else (first,))]
    found = [end for end in ends if end is not None]
    if len(found) < len(ends):
        raise QueryError(
            f"{written(term)}: {term.value!r} is no time.",
            "Times: an age (30m, 2h, 7d, 1w), a date (2026, 2026-11, 2026-11-01, 2026-11-01T14:30), "
            f"{', '.join(quantities.day_words(now))}, never.",
            f"For example {example}.",
        )
    return found[0][0], found[-1][1]
