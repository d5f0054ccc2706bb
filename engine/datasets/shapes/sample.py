"""The first rows of a source: which columns there are, and what their values look like."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.datasets.shapes import names
from engine.datasets.shapes.preference import verdict_of
from engine.datasets.shapes.text import parsed
from engine.datasets.shapes.tools import are_tools
from engine.datasets.shapes.transcript import is_transcript

_EXAMPLE_CHARS = 200
_INNER_COLUMNS = 20


@dataclass(frozen=True)
class ColumnInfo:
    """A column of the source: an example of its values as text, and the share of rows looked at that have one."""

    name: str
    example: str
    filled: float


class Sample:
    """Facts of the sampled rows; columns are asked for by the name that finetui knows, whatever its case and spaces."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows
        self.columns: dict[str, list[Any]] = {}
        """The values of each column that are not null."""
        for row in rows:
            for name, value in row.items():
                values = self.columns.setdefault(name, [])
                if value is not None:
                    values.append(value)
        self._known = {name: name for name in self.columns if name in names.KNOWN}
        for name in self.columns:
            known = names.BY_NORMAL.get(names.normal(name))
            if known:
                self._known.setdefault(known, name)
        self.label = self._first(names.LABELS, lambda value: verdict_of(value) is not None)
        self.tools = self._first(names.TOOLS, are_tools)
        self.system = self._first(names.SYSTEMS, lambda value: isinstance(value, (str, list)))
        split = self._first(("split",), lambda value: isinstance(value, str) and value.strip().lower() in names.SPLITS)
        self.split = split if split and len(self.columns[split]) == len(rows) else None
        self.good_turns = [name for name in names.TURNS if (column := self.known(name)) and self._holds_turns(column)]
        self.transcripts = self._first(("text",), is_transcript)
        """A column `text` in which every row is a transcript."""

    def known(self, name: str) -> str | None:
        """The column that is called `name`, give or take case and spaces."""
        return self._known.get(name)

    def holds_strings(self, column: str) -> bool:
        """Whether most values are lists of texts."""
        values = self.columns[column]
        lists = [value for value in values if isinstance(value, list) and value and all(map(_is_str, value))]
        return bool(values) and len(lists) * 2 > len(values)

    def holds_pairs(self, column: str) -> bool:
        """Whether the values are lists of pairs: what was said before, as question and answer."""
        values = self.columns[column]
        return all(isinstance(value, list) and all(isinstance(item, list) for item in value) for value in values)

    def holds_messages(self, column: str) -> bool:
        """Whether most values are lists of objects with a role and a content, whatever the column is called."""
        values = self.columns[column]
        good = [value for value in values if isinstance(value, list) and value and all(map(_is_message, value))]
        return bool(values) and len(good) * 2 > len(values)

    def is_answered(self, column: str) -> bool:
        """Whether a column's conversations mostly end with the assistant's answer."""
        values = [value[-1] for value in self.columns.get(column, []) if isinstance(value, list) and value]
        roles = [value.get("role", value.get("from")) for value in values if isinstance(value, dict)]
        answers = [role for role in roles if isinstance(role, str) and names.ROLES.get(role.lower()) == "assistant"]
        return len(answers) * 2 > len(values)

    def texts(self, column: str) -> list[str]:
        return [value for value in self.columns[column] if isinstance(value, str)]

    def infos(self) -> list[ColumnInfo]:
        """Every column, those within objects too, as `message.text`."""
        found = [self._info(name, values) for name, values in self.columns.items()]
        return found + [self._info(name, values) for name, values in self.inner().items()]

    def inner(self) -> dict[str, list[Any]]:
        """The values within columns that hold objects, by dotted name."""
        inner: dict[str, list[Any]] = {}
        for name, values in self.columns.items():
            for value in values if name != "metadata" else ():
                for key, part in value.items() if isinstance(value, dict) else ():
                    dotted = f"{name}.{key}"
                    if (
                        part is not None
                        and dotted not in self.columns
                        and (dotted in inner or len(inner) < _INNER_COLUMNS)
                    ):
                        inner.setdefault(dotted, []).append(part)
        return inner

    def _info(self, name: str, values: Sequence[Any]) -> ColumnInfo:
        example = next((value for value in values if value not in ("", [], {})), "")
        text = example if isinstance(example, str) else repr(example)
        return ColumnInfo(name, text[:_EXAMPLE_CHARS], round(len(values) / max(1, len(self.rows)), 3))

    def _first(self, wanted: Sequence[str], fits: Callable[[Any], bool]) -> str | None:
        """The first of the known columns `wanted` in which every value fits."""
        for name in wanted:
            column = self.known(name)
            if column and (values := self.columns[column]) and all(map(fits, values)):
                return column
        return None

    def _holds_turns(self, column: str) -> bool:
        values = self.columns[column]
        if column == "turns" or names.normal(column) in map(names.normal, names.EARLIER):
            return self.holds_messages(column)
        return any(isinstance(value, list) or is_transcript(value) or _is_json_list(value) for value in values)


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


def _is_json_list(value: Any) -> bool:
    return isinstance(value, str) and isinstance(parsed(value), list)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and ("role" in value or "from" in value) and not _CONTENTS.isdisjoint(value)


_CONTENTS = frozenset({"content", "value", "tool_calls", "function_call", "text"})
