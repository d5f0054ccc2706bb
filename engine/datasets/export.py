"""Writing a dataset's rows to a file that any other tool reads, and that imports as the same rows.

A row is `messages`, or `text`, or (of prompts without answers) `prompt`; beside them `chosen` and `rejected`, `label`,
`tools`, `split` and `metadata` where there are any. Calls of tools are as OpenAI writes them.
"""

import csv
import errno
import gzip
import io
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from engine.datasets.rows import Row, Turn, all_turns
from engine.errors import BadInput, Cancelled, FinetuiError
from engine.private import share
from store.records import Dataset

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary

ENDINGS = (".jsonl", ".json", ".csv", ".parquet")
"""What the end of a file's name may say; `.gz` may follow all but `.parquet`."""

_CHUNK = 1_000

Progress = Callable[[float], None]


def export_dataset(
    library: "DatasetLibrary",
    dataset: Dataset,
    target: Path,
    *,
    split: str | None = None,
    overwrite: bool = True,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> int:
    """Write the rows, those of `split` where one is given, and return how many. The file's ending says the format.

    The file appears whole or not at all. Raises `BadInput` for a target or split that cannot be, `FinetuiError` where
    the system refuses, `Cancelled`.
    """
    ending = _ending(target)
    _check_target(target, overwrite=overwrite)
    total = dataset.splits.get(split, 0) if split else dataset.rows
    if not total:
        raise BadInput(
            f"{dataset.name} v{dataset.version} has no rows of a split {split!r}.",
            fix=f"It has {', '.join(dataset.splits)}.",
        )
    export = _Export(library, dataset, split, total, progress or (lambda _share: None), cancelled or (lambda: False))
    with _appearing(target) as path:
        if ending == ".parquet":
            _write_parquet(path, export)
        else:
            write = {".jsonl": _write_lines, ".json": _write_array, ".csv": _write_table}[ending]
            with path.open("wb") as file:
                if target.name.lower().endswith(".gz"):
                    with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                        write(cast(IO[bytes], packed), export)
                else:
                    write(file, export)
                file.flush()
                os.fsync(file.fileno())
    export.progress(1.0)
    return total


def exported(row: Row) -> dict[str, Any]:
    """One row as it is written."""
    turns = row.messages
    document: dict[str, Any]
    if turns and turns[0].role == "text":
        document = {"text": "\n".join(turn.content for turn in turns)}
    elif not row.chosen and not any(turn.role == "assistant" for turn in turns[-1:]):
        document = {"prompt": _messages(turns)}
    else:
        document = {"messages": _messages(turns)}
    if row.chosen or row.rejected:
        document |= {"chosen": _messages(row.chosen), "rejected": _messages(row.rejected)}
    if row.label is not None:
        document["label"] = row.label
    if row.tools:
        document["tools"] = json.loads(row.tools)
    document["split"] = row.split
    if row.metadata:
        document["metadata"] = row.metadata
    return document


@dataclass
class _Export:
    library: "DatasetLibrary"
    dataset: Dataset
    split: str | None
    total: int
    progress: Progress
    cancelled: Callable[[], bool]

    def rows(self, start: float = 0.0, end: float = 1.0) -> Iterator[Row]:
        """The rows in order; `progress` hears from `start` to `end` meanwhile."""
        done = 0
        for row in self.library.iterate(self.dataset.id):
            if self.split and row.split != self.split:
                continue
            yield row
            done += 1
            if not done % _CHUNK:
                if self.cancelled():
                    raise Cancelled
                self.progress(start + (end - start) * done / self.total)


def _write_lines(file: IO[bytes], export: _Export) -> None:
    for row in export.rows():
        file.write(_json(exported(row)) + b"\n")


def _write_array(file: IO[bytes], export: _Export) -> None:
    before = b"[\n"
    for row in export.rows():
        file.write(before + _json(exported(row)))
        before = b",\n"
    file.write(b"\n]\n")


def _write_table(file: IO[bytes], export: _Export) -> None:
    """A row is a record, so it has to be a prompt and its answer, or a text."""
    used: set[str] = set()
    for row in export.rows(0.0, 0.5):
        used.update(_record(row, export.dataset))
    columns = [name for name in _RECORD if name in used]
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in export.rows(0.5, 1.0):
        record = _record(row, export.dataset)
        writer.writerow([record.get(name, "") for name in columns])
    text.detach()  # closing the file is not its business


_RECORD = ("system", "prompt", "response", "text", "label", "tools", "split", "metadata")


def _record(row: Row, dataset: Dataset) -> dict[str, str]:
    """A row as cells. Raises `BadInput` for one that has more turns than a record can hold."""
    turns = list(row.messages)
    record: dict[str, str] = {}
    if turns and turns[0].role == "system":
        record["system"] = turns.pop(0).content
    fields = {("user", "assistant"): ("prompt", "response"), ("user",): ("prompt",), ("text",): ("text",)}
    names = fields.get(tuple(turn.role for turn in turns))
    if names is None or row.chosen or any(turn.calls for turn in turns):
        what = "a preference pair" if row.chosen else "more than one prompt and one answer"
        raise BadInput(
            f"{dataset.name} v{dataset.version} does not fit into a table: row {row.index + 1} is {what}.",
            fix="Write it as .jsonl, .json or .parquet.",
        )
    record |= dict(zip(names, (turn.content for turn in turns), strict=True))
    if row.label is not None:
        record["label"] = "true" if row.label else "false"
    if row.tools:
        record["tools"] = row.tools
    record["split"] = row.split
    if row.metadata:
        record["metadata"] = _json(row.metadata).decode()
    return record


def _write_parquet(path: Path, export: _Export) -> None:
    """`tools` and `metadata` are JSON: a column has one type, and theirs differ from row to row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with_calls = False
    used: set[str] = set()
    for row in export.rows(0.0, 0.3):
        used.update(exported(row))
        with_calls = with_calls or any(turn.calls for turn in all_turns(row))
    message: list[tuple[str, Any]] = [("role", pa.string()), ("content", pa.string())]
    if with_calls:
        function = pa.struct([("name", pa.string()), ("arguments", pa.string())])
        message.append(("tool_calls", pa.list_(pa.struct([("type", pa.string()), ("function", function)]))))
    turns, text = pa.list_(pa.struct(message)), pa.string()
    kinds = {"messages": turns, "prompt": turns, "chosen": turns, "rejected": turns, "text": text, "label": pa.bool_()}
    kinds |= {"tools": text, "split": text, "metadata": text}
    schema = pa.schema([(name, kind) for name, kind in kinds.items() if name in used])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _chunks(export.rows(0.3, 1.0)):
            documents = [_flat(exported(row)) for row in rows]
            writer.write_table(pa.Table.from_pylist(documents, schema=schema))


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    for name in ("tools", "metadata"):
        if name in document:
            document[name] = json.dumps(document[name])
    return document


def _messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [
        {"role": turn.role, "content": turn.content} | ({"tool_calls": _calls(turn.calls)} if turn.calls else {})
        for turn in turns
    ]


def _calls(calls: str) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": call["name"], "arguments": _arguments(call["arguments"])}}
        for call in json.loads(calls)
    ]


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(document: dict[str, Any]) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a character in metadata: as an escape it is JSON
        return json.dumps(document).encode()


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _ending(target: Path) -> str:
    name = target.name.lower()
    plain = name.removesuffix(".gz")
    for ending in ENDINGS:
        if plain.endswith(ending) and (plain == name or ending != ".parquet"):
            return ending
    raise BadInput(
        f"{str(target)!r} does not say what to write.",
        fix=f"End the name in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}; .gz may follow all but the last.",
    )


def _check_target(target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        raise BadInput(f"{target} is a folder.", fix="Name a file in it.")
    if not target.parent.is_dir():
        raise BadInput(f"There is no folder {target.parent}.", fix="Make it first, or choose another.")
    if not overwrite and os.path.lexists(target):
        raise BadInput(f"{target} exists.", why="Nothing is overwritten unasked.", fix="Choose another name.")


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A file beside `target` that takes its place at the end, and is gone if there is none."""
    path = target.with_name(f".export-{secrets.token_hex(6)}.part")
    try:
        yield path
        share(path)
        path.replace(target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise FinetuiError(
            f"{target} cannot be written.",
            why="The disk is full." if full else f"The system says: {error.strerror or error}.",
            fix=f"Free space at {target.parent}, or choose another folder." if full else "Choose another folder.",
        ) from error
    finally:
        path.unlink(missing_ok=True)
