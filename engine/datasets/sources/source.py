"""A source to import: its files in order, and their rows one after the other."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.datasets.sources.files import find_files
from engine.datasets.sources.formats import SUFFIXES, detect_format
from engine.datasets.sources.json_rows import Item, document_rows, jsonl_rows
from engine.datasets.sources.opening import EmptyFile, empty, shown, unreadable_file
from engine.datasets.sources.parquet_rows import parquet_rows
from engine.datasets.sources.raw import RawRow
from engine.datasets.sources.splits import split_of
from engine.datasets.sources.table_rows import table_rows
from engine.datasets.sources.text_rows import block_rows, whole_row
from engine.errors import BadInput

LISTED_FILES = 1_000
"""How many names a card lists."""

_LONGEST_NAME = 80


@dataclass(frozen=True)
class DataFile:
    """One file of a source."""

    path: Path
    name: str
    """Relative to the source's folder, fit for a message."""
    format: str
    split: str | None
    size: int
    """Bytes on disk."""
    whole: bool
    """Whether a text is one row, rather than a row a block."""

    def rows(self) -> Iterator[Item]:
        match self.format:
            case "jsonl":
                return jsonl_rows(self.path)
            case "json":
                return document_rows(self.path)
            case "csv":
                return table_rows(self.path)
            case "tsv":
                return table_rows(self.path, "\t")
            case "parquet":
                return parquet_rows(self.path)
        return whole_row(self.path) if self.whole else block_rows(self.path)


@dataclass(frozen=True)
class Source:
    """What is imported. `name` is what its dataset is called unless the user says otherwise."""

    path: Path
    """As it was given."""
    name: str
    parts: tuple[DataFile, ...]
    left_out: Counter[str]
    """How many files of the folder were left out, by reason."""

    @property
    def files(self) -> list[Path]:
        return [part.path for part in self.parts]

    @property
    def format(self) -> str:
        """`jsonl`, `json`, `csv`, `tsv`, `parquet`, `text`, or `mixed` where the files differ."""
        formats = {part.format for part in self.parts}
        return formats.pop() if len(formats) == 1 else "mixed"

    @property
    def size(self) -> int:
        """Bytes on disk of all files."""
        return sum(part.size for part in self.parts)

    @property
    def splits(self) -> list[str]:
        """The splits that the files' names give, each once."""
        return list(dict.fromkeys(part.split for part in self.parts if part.split))

    @property
    def warnings(self) -> list[str]:
        """What was left out without being asked for."""
        if not self.left_out:
            return []
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        return [f"files of the folder that were not read: {reasons}"]

    def rows(self) -> Iterator[RawRow]:
        """The rows of all files in order. Raises `BadInput` where a file is damaged, or none of them has a row."""
        several = len(self.parts) > 1
        total = max(1, self.size)
        before = number = 0
        for part in self.parts:
            split, file = part.split, part.name if several else ""
            start, share = before / total, part.size / total
            try:
                for line, data, at in part.rows():
                    number += 1
                    yield RawRow(number, line, data, start + at * share, split, file)
            except EmptyFile:
                if not several:
                    raise
            before += part.size
        if not number:
            raise empty(self.path, "holds no rows.")

    def card(self) -> dict[str, Any]:
        """Where the data comes from: `file`, `files`, `sha256`, `bytes`, and `left_out` where that is not nothing.

        Of several files `sha256` is that of lines `HASH  NAME`, as sha256sum writes them.
        """
        hashes = [_sha256(part.path) for part in self.parts]
        listing = "".join(f"{found}  {part.name}\n" for found, part in zip(hashes, self.parts, strict=True))
        card: dict[str, Any] = {
            "file": self.parts[0].name if len(self.parts) == 1 else shown(self.path.name or self.path),
            "files": [part.name for part in self.parts[:LISTED_FILES]],
            "sha256": hashes[0] if len(hashes) == 1 else hashlib.sha256(listing.encode()).hexdigest(),
            "bytes": self.size,
        }
        return card | ({"left_out": dict(self.left_out)} if self.left_out else {})


def open_source(source: Path | str) -> Source:
    """A file, the data files of a folder (with those of its folders), or those that a pattern fits.

    In a folder hidden files, links that lead out of it, files that are no data by their name, and READMEs and the like
    are left out and counted; so are texts beside other data, and files without rows. Splits follow from names such as
    `train.jsonl` or `data/test-00000-of-00001.parquet` where there are several files or the name is just a split's.

    A text of several is one row; one alone, or one named like a split, is a row for each block between blank lines, or
    for each line where it has no blank ones. Raises `BadInput` for what cannot be read; the message names the file.
    """
    if str(source).startswith("hub:"):
        raise BadInput(f"{shown(source)} is on the hub.", fix="Fetch it first; a folder of its files can be imported.")
    found = find_files(source)
    several = len(found.files) > 1
    parts = []
    for path in found.files:
        try:
            parts.append(_part(path, found.root, several=several))
        except EmptyFile:
            if not several:
                raise
            found.left_out["empty"] += 1
    if not parts:
        raise empty(Path(source), "holds no rows.", "All of its files are empty.")
    return Source(Path(source), _name(Path(source), parts, found.root, many=found.many), tuple(parts), found.left_out)


def _part(path: Path, root: Path, *, several: bool) -> DataFile:
    name = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    form = detect_format(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable_file(path, error) from error
    named = split_of(Path(name.name), exactly=True)  # `train.txt` is a whole dataset, `training day.txt` one text
    split = split_of(name, exactly=not several or form == "text")
    return DataFile(path, shown(name), form, split, size, whole=several and not named)


def _name(source: Path, parts: list[DataFile], root: Path, *, many: bool) -> str:
    if not many:
        return _clean(re.sub(_SUFFIXES, "", parts[0].path.name, flags=re.IGNORECASE))
    return _clean(root.resolve().name)


def _clean(name: str) -> str:
    """As `DatasetLibrary` allows names: letters, digits, dots, - and _."""
    kept = re.sub(r"[^\w.-]+", "-", shown(name)).strip("-.")[:_LONGEST_NAME]
    return kept if re.match(r"\w", kept) else "dataset"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{shown(path)} went away while it was read.", why=str(error)) from error


_SUFFIXES = rf"({'|'.join(re.escape(suffix) for suffix in sorted([*SUFFIXES, '.gz']))})+$"
