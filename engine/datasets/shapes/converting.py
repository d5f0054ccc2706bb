"""Rows of every shape in the one form that is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.datasets.rows import RowError, Turn, json_kind
from engine.datasets.shapes.names import SPLITS
from engine.datasets.shapes.plan import Plan, looks_like, plan_for
from engine.datasets.shapes.preference import answer_turns, divide, label_of
from engine.datasets.shapes.text import parsed, shown, text_of
from engine.datasets.shapes.tools import are_tools, tools_of
from engine.datasets.shapes.transcript import is_transcript, turns_in
from engine.datasets.shapes.turns import are_messages, are_parts, check_conversation, turns_of


@dataclass(slots=True)
class Conversation:
    """A row in the one form that is kept. `ignored` names fields of its turns that have no place there.

    `split` is the split that the row itself names.
    """

    messages: tuple[Turn, ...]
    metadata: dict[str, Any]
    chosen: tuple[Turn, ...] = ()
    rejected: tuple[Turn, ...] = ()
    label: bool | None = None
    tools: str = ""
    split: str | None = None
    ignored: frozenset[str] = frozenset()


class Converter:
    """Converts the rows of one source by one plan; rows of that shape that name their columns otherwise, too."""

    def __init__(self, plan: Plan, system: str | None = None) -> None:
        """`system` is said first where a row has no system turn."""
        self.plan = plan
        self._system = [Turn("system", system)] if system else []
        self._others: dict[frozenset[str], _Reading | None] = {}
        self._reading = _Reading(plan)

    def convert(self, row: Mapping[str, Any]) -> Conversation:
        """Raises `RowError` for a row that cannot be used."""
        reading = self._reading
        if self.plan.dotted:
            row = lifted(row, self.plan.dotted)
        for column in reading.needed:
            if column not in row:
                reading = self._other(row)
                break
        found = Conversation((), {})
        used = set(reading.used)
        turns = reading.read(reading, row, found, used)
        columns = reading.plan.columns
        may_want_system = self._system or (reading.system and reading.system in row)
        if may_want_system and reading.plan.shape != "text":
            turns = self._with_system(turns, reading.system, row, used)
        found.messages = tuple(turns)
        tools = reading.tools
        if tools and tools in row and ("tools" in columns or are_tools(row[tools])):
            used.add(tools)
            found.tools = tools_of(row[tools], tools)
        if (split := reading.plan.split) and split in row:
            used.add(split)
            found.split = _split(row[split], split)
        found.metadata = {} if len(row) == len(used) and row.keys() == used else metadata_of(row, used)
        return found

    def _other(self, row: Mapping[str, Any]) -> "_Reading":
        """How to read a row that lacks the plan's columns: by others, where it is of the same shape by them."""
        keys = frozenset(row)
        shape, sample = self.plan.shape, self.plan.sample
        other = None if self.plan.mapped else looks_like(row, sample)
        if keys not in self._others:
            plan = None if self.plan.mapped else plan_for(keys, sample, shape)
            fits = other in (None, shape) or {other, shape} == {"messages", "sharegpt"}
            self._others[keys] = _Reading(plan) if plan is not None and fits else None
        found = self._others[keys]
        if found is None or not all(column in row for column in found.needed):
            lacking = [column for column in self._reading.needed if column not in row]
            wholly = len(lacking) == len(self._reading.needed)
            hint = f"; the row looks like {other}" if wholly and other and other != shape else ""
            raise RowError(" and ".join(lacking), f"is missing{hint}")
        return found

    def _with_system(self, turns: list[Turn], column: str | None, row: Mapping[str, Any], used: set[str]) -> list[Turn]:
        """The turns with the row's system prompt before them, else with everybody's."""
        if any(turn.role == "system" for turn in turns):
            return turns
        if column and column in row:
            used.add(column)
            own = row[column]
            if own and not (isinstance(own, str) and own.isspace()):
                return [Turn("system", text_of(own, column)), *turns]
        return self._system + turns


def convert(row: Mapping[str, Any], plan: Plan, system: str | None = None) -> Conversation:
    """One row. Raises `RowError`."""
    return Converter(plan, system).convert(row)


class _Reading:
    """A plan with what follows from it, worked out once for all rows."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.columns = plan.columns
        self.needed = tuple(plan.needed)
        self.used = frozenset(self.needed)
        self.system = plan.columns.get("system") or plan.late.get("system")
        self.tools = plan.columns.get("tools") or plan.late.get("tools")
        self.read = _READERS.get(plan.shape, _read_conversation)


def _read_conversation(reading: _Reading, row: Mapping[str, Any], found: Conversation, used: set[str]) -> list[Turn]:
    columns = reading.columns
    if column := columns.get("messages"):
        ignored: set[str] = set()
        turns = turns_of(row[column], column, ignored)
        if ignored:
            found.ignored = frozenset(ignored)
        check_conversation(turns, column)
        return turns
    return _read_pair(reading, row, found, used)


def _read_pair(reading: _Reading, row: Mapping[str, Any], found: Conversation, used: set[str]) -> list[Turn]:
    columns = reading.columns
    prompt, answer = columns["prompt"], columns["response"]
    asked, said = row[prompt], row[answer]
    if are_messages(said):
        ignored: set[str] = set()
        turns = _asked(reading, row, used, ignored) + turns_of(said, answer, ignored)
        found.ignored = frozenset(ignored)
        check_conversation(turns, answer)
        return turns
    if isinstance(asked, str) and is_transcript_prompt(asked):
        return [*turns_in(asked, prompt), Turn("assistant", text_of(said, answer))]
    return [*_asked(reading, row, used, set()), Turn("assistant", text_of(said, answer))]


def _read_kto(reading: _Reading, row: Mapping[str, Any], found: Conversation, used: set[str]) -> list[Turn]:
    column = reading.columns["label"]
    found.label = label_of(row[column], column)
    return _read_conversation(reading, row, found, used)


def _read_text(reading: _Reading, row: Mapping[str, Any], found: Conversation, used: set[str]) -> list[Turn]:
    column = reading.columns["text"]
    return [Turn("text", text_of(row[column], column))]


def _read_prompts(reading: _Reading, row: Mapping[str, Any], found: Conversation, used: set[str]) -> list[Turn]:
    ignored: set[str] = set()
    column = reading.columns.get("messages")
    if column:
        turns = turns_of(row[column], column, ignored)
    else:
        column = reading.columns["prompt"]
        turns = _asked(reading, row, used, ignored)
    if not turns or turns[-1].role not in ("user", "tool"):
        if any(turn.role == "user" for turn in turns):
            raise RowError(column, f"ends with the {turns[-1].role}'s words; a prompt ends with the user's")
        raise RowError(column, "has no user turn, so nothing is asked")
    found.ignored = frozenset(ignored)
    return turns


def _read_preference(reading: _Reading, row: Mapping[str, Any], found: Conversation, used: set[str]) -> list[Turn]:
    columns = reading.columns
    fields = (columns["chosen"], columns["rejected"])
    ignored: set[str] = set()
    better, worse = (answer_turns(row[field], field, ignored) for field in fields)
    prefix, chosen, rejected = divide(better, worse, fields)
    found.chosen, found.rejected, found.ignored = tuple(chosen), tuple(rejected), frozenset(ignored)
    source = columns.get("messages") or columns.get("prompt")
    if source is None or row.get(source) is None:
        if not any(turn.role == "user" for turn in prefix):
            raise RowError(source or fields[0], "has no prompt that the answers could be answers to")
        used.update([source] if source else [])
        return prefix
    used.add(source)
    asked = _preference_prompt(reading, row, source, used, ignored)
    found.ignored = frozenset(ignored)
    if any(turn.role == "user" for turn in prefix):
        # The answers tell the whole conversation; a prompt that is none of it is not lost.
        if not all(turn in prefix or turn in chosen or turn.role == "system" for turn in asked):
            used.discard(source)
        elif asked[0].role == "system" and prefix[0].role != "system":
            return [asked[0], *prefix]
        return prefix
    if asked and asked[-1].role == "assistant" and asked[-1] == chosen[-1]:
        asked.pop()
    if not any(turn.role == "user" for turn in asked):
        raise RowError(source, "has no user turn that the answers could be answers to")
    if asked[-1].role == "assistant":
        raise RowError(source, "ends with an assistant turn, and the answers come after a user's")
    return prefix + asked


def _preference_prompt(
    reading: _Reading, row: Mapping[str, Any], source: str, used: set[str], ignored: set[str]
) -> list[Turn]:
    value = row[source]
    if "messages" in reading.columns:
        return turns_of(value, source, ignored)
    if isinstance(value, str) and is_transcript_prompt(value):
        return turns_in(value, source)
    return _asked(reading, row, used, ignored)


def _asked(reading: _Reading, row: Mapping[str, Any], used: set[str], ignored: set[str]) -> list[Turn]:
    """What is asked: what was said before, then the prompt with its context."""
    columns = reading.columns
    prompt = columns["prompt"]
    value = row[prompt]
    turns: list[Turn] = []
    if (column := reading.plan.history) and column in row:
        used.add(column)
        turns = _earlier(row[column], column, ignored)
    if are_messages(value):
        return turns + turns_of(value, prompt, ignored)
    if reading.plan.shape == "prompts" and isinstance(value, list) and value and not are_parts(value):
        return turns + [Turn("user", text_of(item, f"{prompt}[{index}]")) for index, item in enumerate(value)]
    context = ""
    if (column := columns.get("context")) and column in row:
        used.add(column)
        context = text_of(row[column], column, empty=True) if row[column] is not None else ""
    has_context = bool(context) and not context.isspace()
    question = "" if value is None and has_context else text_of(value, prompt, empty=has_context)
    if has_context:
        question = f"{question}\n\n{context}" if question and not question.isspace() else context
    turns.append(Turn("user", question))
    return turns


def _earlier(value: Any, field: str, ignored: set[str]) -> list[Turn]:
    """Earlier question and answer pairs, or turns."""
    turns: list[Turn] = []
    if value is None or value == []:
        return turns
    if are_messages(value):
        return turns_of(value, field, ignored)
    if not isinstance(value, list):
        raise RowError(field, f"is {json_kind(value)}, not a list of pairs")
    for index, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError(f"{field}[{index}]", "is not a pair of question and answer")
        turns.append(Turn("user", text_of(pair[0], f"{field}[{index}][0]")))
        turns.append(Turn("assistant", text_of(pair[1], f"{field}[{index}][1]")))
    return turns


_READERS: dict[str, Callable[[_Reading, Mapping[str, Any], Conversation, set[str]], list[Turn]]] = {
    "kto": _read_kto,
    "text": _read_text,
    "prompts": _read_prompts,
    "preference": _read_preference,
}


def metadata_of(row: Mapping[str, Any], used: set[str]) -> dict[str, Any]:
    """What is left of the row; the fields of its own `metadata` object move up where none of them is taken."""
    rest = {key: value for key, value in row.items() if key not in used and not (key == "metadata" and value is None)}
    inner = rest.get("metadata")
    if isinstance(inner, str):  # a table's cell can only hold text
        inner = parsed(inner)
    if isinstance(inner, dict) and not (inner.keys() & (rest.keys() - {"metadata"})):
        del rest["metadata"]
        return rest | inner
    return rest


def lifted(row: Mapping[str, Any], dotted: tuple[str, ...]) -> dict[str, Any]:
    """The row with the values at dotted columns (`message.text`) taken out of their objects, as columns."""
    flat = dict(row)
    for column in dotted:
        first, *path = column.split(".")
        *path, last = path
        holder: Any = flat
        for key in (first, *path):
            inner = holder.get(key)
            if not isinstance(inner, dict):
                break
            holder[key] = inner = dict(inner)
            holder = inner
        else:
            if last in holder:
                flat[column] = holder.pop(last)
                if holder == {} and not path:
                    del flat[first]
    return flat


def _split(value: Any, field: str) -> str:
    found = SPLITS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise RowError(field, f"is {shown(value)}; the rows before it say train, validation or test")
    return found


def is_transcript_prompt(text: str) -> bool:
    """Whether a prompt is a transcript; its last answer may still be to be given."""
    return text.lstrip()[:6] in ("Human:", "User: ") and is_transcript(text)
