"""What the filter language (`store.language`) means for one row of a dataset.

`metadata.augmented = true AND tokens < 1024 AND emoji <= 5`. Bare words are looked for in every turn.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from engine.datasets.emoji import count_emoji
from engine.datasets.rows import Row, all_turns, answer_text, prompt_text
from engine.errors import BadInput
from store.errors import QueryError
from store.language import EVERYTHING, And, Compare, Not, Or, Term, Word, comparisons, parse


def _text(row: Row) -> str:
    return "\n".join(turn.content for turn in all_turns(row))


def _said_by(role: str) -> Callable[[Row], str]:
    return lambda row: "\n".join(turn.content for turn in all_turns(row) if turn.role == role)


NUMBERS: dict[str, Callable[[Row], float]] = {
    "row": lambda row: row.index + 1,
    "turns": lambda row: len(all_turns(row)),
    "chars": lambda row: sum(len(turn.content) for turn in all_turns(row)),
    "words": lambda row: sum(len(turn.content.split()) for turn in all_turns(row)),
    "emoji": lambda row: count_emoji(answer_text(row)),
    "prompt.chars": lambda row: len(prompt_text(row)),
    "answer.chars": lambda row: len(answer_text(row)),
    "prompt.words": lambda row: len(prompt_text(row).split()),
    "answer.words": lambda row: len(answer_text(row).split()),
}
"""Fields that are numbers, beside `tokens`. Emoji are those of the answers."""

TEXTS: dict[str, Callable[[Row], str]] = {
    "split": lambda row: row.split,
    "system": _said_by("system"),
    "user": prompt_text,
    "assistant": answer_text,
    "text": _text,
}

SWITCHES: dict[str, Callable[[Row], bool | None]] = {
    "label": lambda row: row.label,
    "tools": lambda row: bool(row.tools) or any(turn.calls for turn in all_turns(row)),
}

METADATA = "metadata."
FIELDS = (*NUMBERS, "tokens", *TEXTS, *SWITCHES, "metadata.KEY")

FIELD_WORDS = {
    "row": "number of the row, from 1",
    "turns": "turns of the conversation",
    "chars": "characters of all turns",
    "words": "words of all turns",
    "tokens": "tokens of the row as the model reads it",
    "emoji": "emoji in the answers",
    "prompt.chars": "characters the user says",
    "answer.chars": "characters the assistant says",
    "prompt.words": "words the user says",
    "answer.words": "words the assistant says",
    "split": "train, validation or test",
    "system": "what the system turn says",
    "user": "what the user says",
    "assistant": "what the assistant says",
    "text": "what anybody says",
    "label": "verdict on the answer: true or false",
    "tools": "whether tools are offered or called",
    "metadata.KEY": "what else the file says of the row",
}
"""What each field is, for help and forms."""


@dataclass(frozen=True)
class RowFilter:
    """A filter that has been checked. Can be pickled."""

    text: str
    term: Term
    needs_tokens: bool

    def matches(self, row: Row, tokens: int | None = None) -> bool:
        """Whether the row is asked for; `tokens` is its length, where the filter needs it."""
        return _matches(self.term, row, tokens)


def compile_filter(text: str) -> RowFilter:
    """The filter `text` stands for. Raises `BadInput` for one that asks for nothing or for a field there is not."""
    try:
        term = parse(text)
    except QueryError as error:
        raise BadInput(str(error), fix="Split it into two filters, one after the other.") from error
    if term == EVERYTHING:
        raise BadInput("The filter is empty.", fix="For example: tokens < 1024 AND metadata.augmented = true")
    for word in _words(term):
        if word in ("and", "or", "not"):
            raise BadInput(f"{word} is looked for as a word.", fix=f"Write {word.upper()} to join conditions.")
    needs_tokens = False
    for comparison in comparisons(term):
        _check(comparison)
        needs_tokens |= comparison.key.lower() == "tokens"
    return RowFilter(text, term, needs_tokens)


def _words(term: Term) -> Iterator[str]:
    match term:
        case Word(text):
            yield text
        case Not(inner):
            yield from _words(inner)
        case And(terms) | Or(terms):
            for one in terms:
                yield from _words(one)
        case Compare():
            return


def _check(term: Compare) -> None:
    key = term.key.lower()
    written = f"{term.key} {term.operator} {term.value}".strip()
    if not term.value and not term.quoted:
        raise BadInput(f"{term.key} {term.operator} what?", fix=f"Give a value, for example {_example(key)}.")
    if key == "tokens" or key in NUMBERS:
        if _number(term.value) is None:
            raise BadInput(f"{term.key} is a number, not {term.value!r}.", fix=f"For example {_example(key)}.")
        if term.operator in ("~", "!~"):
            raise BadInput(f"{written}: a number contains nothing.", fix=f"For example {_example(key)}.")
    elif key in TEXTS:
        if term.operator in ("<", "<=", ">", ">="):
            raise BadInput(f"{written}: {key} is text, which has no order.", fix=f"For example {_example(key)}.")
    elif key in SWITCHES:
        if _truth(term.value) is None or term.operator not in (":", "=", "!="):
            raise BadInput(f"{written}: {key} is true or false.", fix=f"For example {_example(key)}.")
    elif not (key.startswith(METADATA) and len(key) > len(METADATA)):
        raise BadInput(
            f"Rows have no field {term.key!r}.",
            why=f"Fields: {', '.join(FIELDS)}.",
            fix=f'What a file says of a row is metadata.{term.key}; to find the words, quote them: "{written}".',
        )


def _example(key: str) -> str:
    if key == "tokens" or key in NUMBERS:
        return f"{key} < 100"
    if key in SWITCHES or key.startswith(METADATA):
        return f"{key} = true"
    return "split = train" if key == "split" else f'{key} ~ "thank you"'


def _matches(term: Term, row: Row, tokens: int | None) -> bool:
    match term:
        case Word(text):
            wanted = text.casefold()
            return any(wanted in turn.content.casefold() for turn in all_turns(row))
        case Compare():
            return _compared(term, row, tokens)
        case Not(inner):
            return not _matches(inner, row, tokens)
        case And(terms):
            return all(_matches(one, row, tokens) for one in terms)
        case Or(terms):
            return any(_matches(one, row, tokens) for one in terms)


def _compared(term: Compare, row: Row, tokens: int | None) -> bool:
    key = term.key.lower()
    if key == "tokens":
        if tokens is None:
            raise ValueError("this filter needs the row's tokens")
        return _holds(tokens, term)
    if key in NUMBERS:
        return _holds(NUMBERS[key](row), term)
    if key in SWITCHES:
        return _holds(SWITCHES[key](row), term)
    if key in TEXTS:
        operator = "~" if term.operator == ":" and key != "split" else term.operator
        return _holds(TEXTS[key](row), Compare(key, operator, term.value, quoted=True))
    return _holds(_metadata(row.metadata, term.key[len(METADATA) :]), term)


def _metadata(metadata: dict[str, Any], path: str) -> Any:
    """The value at a path: keys joined by dots, a key with dots in it found too."""
    if path in metadata:
        return metadata[path]
    key, dot, rest = path.partition(".")
    while dot:
        inner = metadata.get(key)
        if isinstance(inner, dict):
            return _metadata(inner, rest)
        more, dot, rest = rest.partition(".")
        key = f"{key}.{more}"
    return None


def _holds(value: Any, term: Compare) -> bool:
    """Whether `value` stands to the term's value as its operator says. What cannot be compared does not."""
    match term.operator:
        case "~":
            return _contains(value, term.value)
        case "!~":
            return not _contains(value, term.value)
        case ":" | "=":
            return _equals(value, term)
        case "!=":
            return not _equals(value, term)
    left, right = _number(value), _number(term.value)
    if left is None or right is None:
        if not isinstance(value, str) or term.value == "":
            return False
        return _ordered(term.operator, value, term.value)  # dates and the like
    return _ordered(term.operator, left, right)


def _ordered(operator: str, left: Any, right: Any) -> bool:
    return bool(
        {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator],
    )


def _equals(value: Any, term: Compare) -> bool:
    if not term.quoted:
        if term.value.lower() in ("null", "none"):
            return value is None
        truth = _truth(term.value)
        if truth is not None and (isinstance(value, bool) or _truth(value) is not None):
            return truth is (value if isinstance(value, bool) else _truth(value))
        number = _number(term.value)
        if number is not None and not isinstance(value, bool) and (own := _number(value)) is not None:
            return own == number
    if isinstance(value, list):
        return any(_equals(item, term) for item in value)
    return isinstance(value, str) and value == term.value


def _contains(value: Any, text: str) -> bool:
    if isinstance(value, list):
        return any(_contains(item, text) for item in value)
    if value is None or isinstance(value, (bool, dict)):
        return False
    return text.casefold() in str(value).casefold()


_NUMERIC = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _number(value: Any) -> float | None:
    """A number, also one that is written as text, as all are in a CSV file."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:  # hundreds of digits
            return inf if value > 0 else -inf
    if isinstance(value, str) and len(value) < 40 and _NUMERIC.fullmatch(value.strip()):
        return float(value)
    return None


def _truth(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
