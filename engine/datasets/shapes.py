"""The shapes that a row of a dataset comes in, and how each becomes one conversation."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.datasets.rows import RowError, Turn
from engine.datasets.source import json_kind
from engine.errors import BadInput

COLUMNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "messages": (("messages",),),
    "sharegpt": (("conversations",), ("conversation",)),
    "alpaca": (("instruction", "output"), ("instruction", "response")),
    "prompt-response": (
        ("prompt", "response"),
        ("prompt", "completion"),
        ("question", "answer"),
        ("question", "response"),
        ("query", "response"),
        ("user", "assistant"),
    ),
    "input-output": (("input", "output"),),
}
"""The columns each shape needs, in the order in which shapes are tried; several ways to name them."""

_LATER = {
    "preference": "preference pairs (chosen and rejected answers)",
    "text": "plain text without turns",
}

SHAPES = ("auto", *COLUMNS, *_LATER)
"""What `--shape` takes."""

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "ipython": "tool",
}
"""Role names in the wild, and the turn each is. A call of a tool is text that the assistant says."""

_TURN_KEYS = frozenset({"role", "from", "content", "value", "tool_calls"})
_CONTEXT = ("input", "context")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A row in the one form that is kept. `ignored` names fields of its turns that have no place there."""

    messages: tuple[Turn, ...]
    metadata: dict[str, Any]
    ignored: frozenset[str] = frozenset()


def columns_of(row: Mapping[str, Any], shape: str) -> tuple[str, ...] | None:
    """The columns of `row` that make it a row of `shape`, or `None` where it is none."""
    return next((names for names in COLUMNS[shape] if all(name in row for name in names)), None)


def shape_of(row: Mapping[str, Any]) -> str | None:
    """The shape of one row, or `None`."""
    if "chosen" in row and "rejected" in row:
        return "preference"
    found = next((shape for shape in COLUMNS if columns_of(row, shape)), None)
    return found or ("text" if "text" in row else None)


def choose_shape(rows: Sequence[Mapping[str, Any]], asked: str, source: str) -> str:
    """The shape most of the first `rows` have, or `asked` where it is one of them. Raises `BadInput`."""
    if asked not in SHAPES:
        raise BadInput(f"There is no shape {asked!r}.", fix=f"The shapes are {', '.join(SHAPES)}.")
    counts = Counter(shape for row in rows if (shape := shape_of(row)))
    likely = counts.most_common(1)[0][0] if counts else None
    shape = likely if asked == "auto" else asked
    keys = list(dict.fromkeys(key for row in rows for key in row))[:12]
    if shape in _LATER:
        raise BadInput(
            f"{source} holds {_LATER[shape]}, which finetui cannot import yet.",
            why=f"Its rows have {', '.join(keys)}.",
            fix="Import a file of conversations: one prompt and one answer, or one list of messages, a row.",
        )
    if shape is None:
        raise BadInput(
            f"The rows of {source} have no shape that finetui knows.",
            why=f"They have {', '.join(keys) or 'no fields'}.\n{_needs()}",
            fix="Rename the fields, for example to prompt and response.",
        )
    if not any(columns_of(row, shape) for row in rows):
        hint = f"They look like {likely}: leave out --shape." if likely else "Rename the fields."
        raise BadInput(
            f"The rows of {source} lack what the shape {shape} needs: {_missing(rows[0], shape)}.",
            why=f"They have {', '.join(keys) or 'no fields'}.",
            fix=hint,
        )
    return shape


def describe_mapping(row: Mapping[str, Any], shape: str) -> dict[str, str]:
    """Which column becomes what, for a person to check before the import: `{"user": "instruction + input"}`."""
    names = columns_of(row, shape) or COLUMNS[shape][0]
    context = _context_column(row, names) if shape == "alpaca" else None
    if len(names) == 1:
        mapping = {"turns": names[0]}
    else:
        mapping = {"user": f"{names[0]} + {context}" if context else names[0], "assistant": names[1]}
    if _has_system(row):
        mapping["system"] = "system"
    used = {*names, context, *(["system"] if _has_system(row) else []), *(["history"] if shape == "alpaca" else [])}
    rest = [key for key in row if key not in used]
    return mapping | ({"metadata": ", ".join(rest)} if rest else {})


def convert(row: Mapping[str, Any], shape: str, system: str | None = None) -> Conversation:
    """`row` as a conversation; `system` is said first where the row has no system turn. Raises `RowError`."""
    names = columns_of(row, shape)
    if names is None:
        other = shape_of(row)
        raise RowError(_missing(row, shape), "is missing" + (f"; the row looks like {other}" if other else ""))
    used = set(names)
    ignored: set[str] = set()
    turns = _turns(row[names[0]], names[0], ignored) if len(names) == 1 else _pair(row, names, shape, used, ignored)
    if not any(turn.role == "system" for turn in turns):
        if _has_system(row):
            used.add("system")
            turns.insert(0, Turn("system", _text(row["system"], "system")))
        elif system:
            turns.insert(0, Turn("system", system))
    _check_turns(turns, names[0])
    return Conversation(tuple(turns), _metadata(row, used), frozenset(ignored))


def _pair(row: Mapping[str, Any], names: tuple[str, ...], shape: str, used: set[str], ignored: set[str]) -> list[Turn]:
    prompt, answer = names
    if isinstance(row[prompt], list) and isinstance(row[answer], list):  # both sides are lists of messages
        return _turns(row[prompt], prompt, ignored) + _turns(row[answer], answer, ignored)
    turns: list[Turn] = []
    context = ""
    if shape == "alpaca":
        used.add("history")
        turns = _history(row.get("history"))
        if column := _context_column(row, names):
            used.add(column)
            context = _text(row[column], column, empty=True) if row[column] is not None else ""
    question = _text(row[prompt], prompt, empty=bool(context.strip()))
    asked = "\n\n".join(part for part in (question, context) if part.strip())
    return [*turns, Turn("user", asked), Turn("assistant", _text(row[answer], answer))]


def _history(value: Any) -> list[Turn]:
    """Earlier question and answer pairs of an alpaca row."""
    turns: list[Turn] = []
    if value is None:
        return turns
    if not isinstance(value, list):
        raise RowError("history", f"is {json_kind(value)}, not a list of pairs")
    for index, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError(f"history[{index}]", "is not a pair of question and answer")
        turns.append(Turn("user", _text(pair[0], f"history[{index}][0]")))
        turns.append(Turn("assistant", _text(pair[1], f"history[{index}][1]")))
    return turns


def _turns(value: Any, field: str, ignored: set[str]) -> list[Turn]:
    if not isinstance(value, list):
        raise RowError(field, f"is {json_kind(value)}, not a list of turns")
    if not value:
        raise RowError(field, "is empty")
    turns = []
    for index, item in enumerate(value):
        turn = _turn(item, f"{field}[{index}]")
        ignored.update(key for key in item if key not in _TURN_KEYS)
        if turn.content.strip() or turn.role != "system":  # an empty system turn says that there is none
            turns.append(turn)
    return turns


def _turn(item: Any, place: str) -> Turn:
    if not isinstance(item, dict):
        raise RowError(place, f"is {json_kind(item)}, not a turn with role and content")
    role_key = "role" if "role" in item else "from"
    content_key = "content" if "content" in item else "value"
    if item.get(role_key) is None:
        raise RowError(f"{place}.{role_key}" if role_key in item else place, "has no role")
    name = item[role_key]
    role = ROLES.get(name.strip().lower()) if isinstance(name, str) else None
    if role is None:
        raise RowError(f"{place}.{role_key}", f"is {_shown(name)}; known roles are system, user, assistant and tool")
    calls = item.get("tool_calls")
    if content_key not in item and not calls:
        raise RowError(place, "has no content")
    field = f"{place}.{content_key}"
    if not calls:
        return Turn(role, _text(item[content_key], field, empty=role == "system"))
    said = _text(item[content_key], field, empty=True) if item.get(content_key) is not None else ""
    return Turn(role, "\n".join(part for part in (said, *_calls(calls, f"{place}.tool_calls")) if part.strip()))


def _calls(value: Any, field: str) -> list[str]:
    """Calls of tools as text, one JSON object a line."""
    if not isinstance(value, list) or not all(isinstance(call, dict) for call in value):
        raise RowError(field, "is not a list of calls")
    calls = [call["function"] if isinstance(call.get("function"), dict) else call for call in value]
    return [_text(json.dumps(call, ensure_ascii=False), field) for call in calls]


def _text(value: Any, field: str, *, empty: bool = False) -> str:
    """`value` as text, parts joined. Raises `RowError` for what is not text, cannot be stored, or says nothing."""
    if isinstance(value, list):
        value = "".join(_part(part, f"{field}[{index}]") for index, part in enumerate(value))
    if not isinstance(value, str):
        raise RowError(field, f"is {json_kind(value)}, not text")
    if not empty and not value.strip():
        raise RowError(field, "is only white space" if value else "is empty")
    if "\0" in value:
        raise RowError(field, "has a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RowError(field, f"has half a character (\\u{ord(value[error.start]):04x})") from error
    return value


def _part(part: Any, field: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("type", "text") == "text":
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else None
    raise RowError(field, f"is {_shown(kind)}, and only text can be learnt" if kind else "is not a part with text")


def _check_turns(turns: Sequence[Turn], field: str) -> None:
    if not any(turn.role == "assistant" for turn in turns):
        raise RowError(field, "has no assistant turn, so there is nothing to learn")
    if turns[-1].role != "assistant":
        raise RowError(field, f"ends with a {turns[-1].role} turn; the last turn must be the assistant's")


def _metadata(row: Mapping[str, Any], used: set[str]) -> dict[str, Any]:
    """What is left of the row; the fields of its own `metadata` object move up where none of them is taken."""
    rest = {key: value for key, value in row.items() if key not in used and not (key == "metadata" and value is None)}
    inner = rest.get("metadata")
    if isinstance(inner, dict) and not (inner.keys() & (rest.keys() - {"metadata"})):
        del rest["metadata"]
        return rest | inner
    return rest


def _has_system(row: Mapping[str, Any]) -> bool:
    value = row.get("system")
    return isinstance(value, str) and bool(value.strip())


def _context_column(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in _CONTEXT if name in row and name not in names), None)


def _missing(row: Mapping[str, Any], shape: str) -> str:
    """The columns that `row` lacks to be of `shape`, by the way of naming them that it is nearest to."""
    lacking = [[name for name in names if name not in row] for names in COLUMNS[shape]]
    nearest = min(lacking, key=len)
    return " and ".join(nearest)


def _needs() -> str:
    shapes = ", ".join(f"{shape} ({' and '.join(names[0])})" for shape, names in COLUMNS.items())
    return f"Known shapes: {shapes}."


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
