"""CSV and TSV: a header, then a row a record; quoted cells may hold delimiters and line ends.

Cells are text, an empty one is null. Cells of the columns `JSON_COLUMNS` that hold JSON, or a Python literal as pandas
writes lists, are that value.
"""

import ast
import csv
import io
import json
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from engine.datasets.rows import RowError
from engine.datasets.sources.json_rows import Item
from engine.datasets.sources.opening import HEAD_BYTES, Stream, empty, lines, opened, too_long, unusable
from engine.datasets.sources.raw import Unreadable, not_utf8, parse_json

MAX_CELL_CHARS = 16 << 20
"""A longer cell is its row's problem. It also stops a quotation mark that is never closed."""

DELIMITERS = ",;\t|"
JSON_COLUMNS = {"messages", "conversations", "chosen", "rejected", "tools", "metadata", "label"}

_SAMPLED_RECORDS = 50
_LONGEST_LITERAL = 1 << 20


def table_rows(path: Path, delimiter: str | None = None) -> Iterator[Item]:
    """The rows of a table. The delimiter, where none is given, is the one that parts the first records most evenly.

    Raises `BadInput` for a header that does not name each column once. A blank name is allowed over a column that has
    nothing to say: one that is empty, or the row numbers that pandas writes first.
    """
    csv.field_size_limit(MAX_CELL_CHARS)  # of the whole process; the default is 128 KB
    with opened(path) as stream:
        text = stream.head.decode("utf-8-sig", "replace")
        delimiter = delimiter or find_delimiter(text, whole=len(stream.head) < HEAD_BYTES)
        first = next((line for line in text.splitlines() if line.strip()), "")
        feed = _Feed(stream)
        reader = csv.reader(feed, delimiter=delimiter, strict=True, skipinitialspace=_is_spaced(first, delimiter))
        records = _records(reader, feed)
        line, header = next(records, (1, []))
        names = _header(path, line, header)
        line = 0
        for line, cells in records:
            yield line, cells if isinstance(cells, Unreadable) else _row(names, cells), stream.at()
        if not line:
            raise empty(path, "holds no rows.", "There is nothing below its header.")


def find_delimiter(head: str, *, whole: bool) -> str:
    """The delimiter of a table that starts with `head`; a comma where there is only one column."""
    sample = list(io.StringIO(head))[: None if whole else -1] or [head]
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        try:
            records = [cells for cells in islice(csv.reader(sample, delimiter=delimiter), _SAMPLED_RECORDS) if cells]
        except csv.Error:
            continue
        widths = [len(cells) for cells in records]
        if widths and widths[0] > 1:
            score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best


class _Feed:
    """The file's lines as text for `csv.reader`, and what was wrong with those of the record it is at."""

    def __init__(self, stream: Stream) -> None:
        self.line = 0
        self.problem = ""
        self._start = 1
        self._quotes = 0
        self._lines = lines(stream)

    def begin(self) -> int:
        """A new record begins; returns its line."""
        self._start, self.problem, self._quotes = self.line + 1, "", 0
        return self._start

    def skip_record(self) -> None:
        """Leave out the rest of a record that was given up within a quoted cell."""
        while self._quotes % 2 and next(self, None) is not None:
            pass

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        self.line, data = next(self._lines)
        if data is None:
            self.problem = self.problem or too_long()
            return "\n"
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f" of line {self.line}" if self.line != self._start else ""
            self.problem = self.problem or f"{not_utf8(error)[:-1]}{where})"
            text = data.decode("utf-8", "replace")
        if "\0" in text:
            self.problem = self.problem or "has a NUL character"
        self._quotes += text.count('"')
        return text


def _records(reader: Any, feed: _Feed) -> Iterator[tuple[int, list[str] | Unreadable]]:
    while True:
        line = feed.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = feed.problem or _explained(str(error))
            if "field limit" in str(error):
                feed.skip_record()
            yield line, Unreadable(problem)
            continue
        if feed.problem:
            yield line, Unreadable(feed.problem)
        elif cells:
            yield line, cells


def _explained(error: str) -> str:
    if "field limit" in error:
        return f"has a cell of more than {MAX_CELL_CHARS >> 20} million characters"
    if "unexpected end" in error:
        return "has a quotation mark that is never closed"
    if "expected after" in error:
        return (
            'has a quoted cell that goes on after its closing quotation mark (write a quotation mark within it as "")'
        )
    if "new-line" in error:
        return "has a carriage return outside quotation marks (save the file with line ends LF or CRLF)"
    return f"is not CSV ({error})"


def _header(path: Path, line: int, cells: list[str] | Unreadable) -> list[str]:
    if isinstance(cells, Unreadable):
        raise unusable(path, f"has a header that cannot be read: line {line} {cells.problem}.", fix="Mend that line.")
    names = [cell.strip() for cell in cells]
    if not any(names):
        raise unusable(path, "has no column names.", why=f"Its first record, line {line}, is empty.")
    twice = next((name for index, name in enumerate(names) if name and name in names[:index]), None)
    if twice is not None:
        places = " and ".join(str(index + 1) for index, name in enumerate(names) if name == twice)
        raise unusable(
            path,
            f"has more than one column {twice[:80]!r}.",
            why=f"Line {line} names columns {places} so.",
            fix="Give each column a name of its own in the header.",
        )
    return names


def _row(names: list[str], cells: list[str]) -> dict[str, Any] | Unreadable:
    if len(cells) != len(names):
        had = f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"
        return Unreadable(f"has {had}, and the header names {len(names)} columns")
    row: dict[str, Any] = {}
    for index, (name, cell) in enumerate(zip(names, cells, strict=True)):
        if name:
            row[name] = _json_value(name, cell) if name in JSON_COLUMNS else cell or None
        elif cell and (index or not cell.isdecimal()):
            return Unreadable("has no name in the header", f"column {index + 1}")
    return row


def _json_value(name: str, cell: str) -> Any:
    text = cell.strip()
    if name == "label" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text[:1] not in ("[", "{"):
        return cell or None
    try:
        return parse_json(text.encode("utf-8", "surrogatepass"))
    except RowError:
        pass
    if len(text) <= _LONGEST_LITERAL:
        try:
            with warnings.catch_warnings(action="ignore"):  # of odd escapes
                return json.loads(json.dumps(ast.literal_eval(text)))  # what JSON has no word for stays text
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            pass
    return cell


def _is_spaced(header: str, delimiter: str) -> bool:
    """Whether a space follows each delimiter of the header, as in `a, b, c`: then it is no part of the cells."""
    return delimiter in header and header.count(delimiter) == header.count(f"{delimiter} ")
