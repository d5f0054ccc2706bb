"""Which column of a row becomes which field, for rows of one shape."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.datasets.shapes import names
from engine.datasets.shapes.sample import Sample

Columns = dict[str, str]

NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "messages": (("messages",),),
    "sharegpt": (("messages",),),
    "alpaca": (("prompt", "response"),),
    "prompt-response": (("prompt", "response"),),
    "input-output": (("prompt", "response"),),
    "text": (("text",),),
    "preference": (("chosen", "rejected"),),
    "kto": (("messages", "label"), ("prompt", "response", "label")),
    "prompts": (("prompt",), ("messages",)),
}
"""The fields without which a row is none of the shape; several ways."""

USUAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "messages": (("messages",),),
    "sharegpt": (("conversations",), ("conversation",)),
    "alpaca": names.ALPACA,
    "prompt-response": names.PROMPT_RESPONSE,
    "input-output": names.INPUT_OUTPUT,
    "text": (("text",),),
    "preference": (("chosen", "rejected"),),
    "kto": (("prompt", "completion", "label"), ("messages", "label")),
    "prompts": (("prompt",),),
}
"""The columns that rows of a shape usually have, to say what is missing."""


@dataclass(frozen=True)
class Plan:
    """How rows of one shape are read. `columns` is field → column; `history` and `split` are columns beside them."""

    shape: str
    columns: Columns
    history: str | None = None
    split: str | None = None
    mapped: bool = False
    """Whether a person named columns, or they were guessed: then a row that names them otherwise cannot be read."""
    dotted: tuple[str, ...] = ()
    """Columns within objects."""
    late: Columns = field(default_factory=dict)
    """Columns that may come after the first rows."""
    sample: Sample = field(default_factory=lambda: Sample([]), repr=False, compare=False)

    @property
    def needed(self) -> list[str]:
        """The columns without which a row cannot be read."""
        fields = next(fields for fields in NEEDS[self.shape] if all(name in self.columns for name in fields))
        return [self.columns[name] for name in fields]


def plan_for(keys: Collection[str], sample: Sample, asked: str = "auto") -> Plan | None:
    """The plan for a row with these columns, or `None`; with the shape that is `asked` for, where one is."""
    row = _Keys(keys, sample)
    for shape, find in _WAYS if asked == "auto" else _WAYS_OF[asked]:
        columns = find(row)
        if columns is not None:
            return complete(shape, columns, sample, keys)
    return None


def complete(shape: str, columns: Columns, sample: Sample, keys: Collection[str], *, mapped: bool = False) -> Plan:
    """The plan with what may stand beside the columns that a shape needs: system, tools, what was said before."""
    columns = dict(columns)
    taken = set(columns.values())
    split = sample.split if sample.split not in taken else None
    history = None
    if shape != "text":
        for name, column in (("system", sample.system), ("tools", sample.tools)):
            if column and column in keys and column not in taken:
                columns.setdefault(name, column)
    if "prompt" in columns:
        history = _history(shape, sample, keys, taken)
    dotted = tuple(column for column in columns.values() if "." in column and column not in sample.columns)
    late = {name: name for name in ("system", "tools") if shape != "text" and sample.known(name) is None}
    late = {name: column for name, column in late.items() if name not in columns}
    return Plan(shape, columns, history, split, mapped, dotted, late, sample)


class _Keys:
    """The columns of a row by the names that are known."""

    def __init__(self, keys: Collection[str], sample: Sample) -> None:
        self.keys = keys
        self.sample = sample

    def find(self, name: str) -> str | None:
        column = name if name in self.keys else self.sample.known(name)
        return column if column in self.keys else None

    def first(self, wanted: Collection[str]) -> str | None:
        return next((column for name in wanted if (column := self.find(name))), None)


def _preference(row: _Keys) -> Columns | None:
    chosen, rejected = row.find("chosen"), row.find("rejected")
    if not chosen or not rejected:
        return None
    answers = {"chosen": chosen, "rejected": rejected}
    turns = next((column for name in row.sample.good_turns if (column := row.find(name))), None)
    prompt = row.first(names.ASKED)
    # Beside a prompt, turns may be what was said before, or the whole conversation with its answer.
    if turns and (not prompt or not row.sample.is_answered(turns) or row.sample.holds_messages(chosen)):
        return {"messages": turns} | answers
    if not prompt:
        return answers
    return _with_context({"prompt": prompt}, row) | answers


def _kto(row: _Keys) -> Columns | None:
    label = row.sample.label
    if not label or label not in row.keys:
        return None
    columns = _turns(row) or _alpaca(row) or _prompt_response(row) or _input_output(row)
    return columns and {**columns, "label": label}


def _asked_kto(row: _Keys) -> Columns | None:
    label = row.first(names.LABELS)
    columns = _turns(row) or _alpaca(row) or _prompt_response(row) or _input_output(row)
    return {**columns, "label": label} if columns and label else None


def _turns(row: _Keys) -> Columns | None:
    """A column of conversations, unless it is what was said before a prompt."""
    for name in row.sample.good_turns:
        if name not in names.EARLIER and (column := row.find(name)):
            return {"messages": column}
    return None


def _messages(row: _Keys) -> Columns | None:
    found = _turns(row)
    return found if found and _shape_of_column(found["messages"]) == "messages" else None


def _sharegpt(row: _Keys) -> Columns | None:
    return None if _messages(row) else _turns(row)


def _alpaca(row: _Keys) -> Columns | None:
    found = _pair(row, names.ALPACA)
    return found and _with_context(found, row)


def _prompt_response(row: _Keys) -> Columns | None:
    return _pair(row, names.PROMPT_RESPONSE)


def _input_output(row: _Keys) -> Columns | None:
    return _pair(row, names.INPUT_OUTPUT)


def _earlier(row: _Keys) -> Columns | None:
    column = next((column for name in row.sample.good_turns if (column := row.find(name))), None)
    return {"messages": column} if column else None


def _unnamed_turns(row: _Keys) -> Columns | None:
    """A column of messages under a name of its own."""
    sample = row.sample
    unknown = [name for name in row.keys if names.normal(name) not in names.BY_NORMAL and name in sample.columns]
    found = [name for name in unknown if sample.holds_messages(name)]
    return {"messages": found[0]} if len(found) == 1 else None


def _transcripts(row: _Keys) -> Columns | None:
    column = row.find("text")
    return {"messages": column} if column and column == row.sample.transcripts else None


def _text(row: _Keys) -> Columns | None:
    column = row.find("text")
    return {"text": column} if column else None


def _prompts(row: _Keys) -> Columns | None:
    for name in names.PROMPTS:
        column = row.find(name)
        if column and (name != "turns" or (column in row.sample.columns and row.sample.holds_strings(column))):
            return _with_context({"prompt": column}, row) if name == "instruction" else {"prompt": column}
    return None


def _asked_prompts(row: _Keys) -> Columns | None:
    return _prompts(row) or _any_turns(row)


def _any_turns(row: _Keys) -> Columns | None:
    """A column of conversations by its name, whatever is in it."""
    column = row.first(names.TURNS)
    return _turns(row) or _earlier(row) or ({"messages": column} if column else None)


def _named_turns(shape: str, row: _Keys) -> Columns | None:
    column = row.first(("messages",) if shape == "messages" else ("conversations", "conversation"))
    return {"messages": column} if column else None


_WAYS = (
    ("preference", _preference),
    ("kto", _kto),
    ("messages", _messages),
    ("sharegpt", _sharegpt),
    ("alpaca", _alpaca),
    ("prompt-response", _prompt_response),
    ("input-output", _input_output),
    ("messages", _earlier),
    ("messages", _unnamed_turns),
    ("messages", _transcripts),
    ("text", _text),
    ("prompts", _prompts),
    ("messages", lambda row: _named_turns("messages", row)),
    ("sharegpt", lambda row: _named_turns("sharegpt", row)),
)
"""Shapes in the order in which they are tried, and how the columns of each are found."""

_WAYS_OF = {
    "messages": (("messages", _any_turns), ("messages", _unnamed_turns), ("messages", _transcripts)),
    "sharegpt": (("sharegpt", _any_turns), ("sharegpt", _unnamed_turns), ("sharegpt", _transcripts)),
    "alpaca": (("alpaca", _alpaca),),
    "prompt-response": (("prompt-response", _prompt_response),),
    "input-output": (("input-output", _input_output),),
    "text": (("text", _text),),
    "preference": (("preference", _preference),),
    "kto": (("kto", _asked_kto),),
    "prompts": (("prompts", _asked_prompts),),
}
"""The same where a person names the shape."""


def _pair(row: _Keys, pairs: tuple[tuple[str, str], ...]) -> Columns | None:
    for prompt, response in pairs:
        if (one := row.find(prompt)) and (other := row.find(response)):
            return {"prompt": one, "response": other}
    return None


def _with_context(columns: Columns, row: _Keys) -> Columns:
    if names.BY_NORMAL.get(names.normal(columns["prompt"])) != "instruction":
        return columns
    context = row.first([name for name in names.CONTEXTS if row.find(name) not in columns.values()])
    return {**columns, "context": context} if context else columns


def _history(shape: str, sample: Sample, keys: Collection[str], taken: Collection[str]) -> str | None:
    for name in names.EARLIER:
        column = name if name in keys else sample.known(name)
        if column and column in keys and column not in taken:
            known = column in sample.columns
            if (shape == "alpaca" and name == "history") or (
                known and (sample.holds_pairs(column) or sample.holds_messages(column))
            ):
                return column
    return None


def _shape_of_column(column: str) -> str:
    return names.TURNS.get(names.BY_NORMAL.get(names.normal(column), ""), "messages")


def missing(keys: Collection[str], shape: str) -> str:
    """The columns that a row lacks to be of `shape`, by the way of naming them that it is nearest to."""
    lacking = [[name for name in usual if name not in keys] for usual in USUAL[shape]]
    return " and ".join(sorted(lacking, key=len)[0])


def looks_like(row: Mapping[str, Any], sample: Sample) -> str | None:
    """The shape of one row among others, or `None`."""
    found = plan_for(row.keys(), sample)
    return found.shape if found else None
