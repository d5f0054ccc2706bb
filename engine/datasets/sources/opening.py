"""Opening a file of unknown content: packed or not, with a byte order mark or not. Never what blocks or has no end."""

import codecs
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import BadInput

MAX_LINE_BYTES = 64 << 20
"""Longer lines, and longer blocks of text, are not read: the row is a problem, and memory stays bounded."""

FORMATS = "finetui reads JSONL, JSON, CSV, TSV, Parquet and plain text, each also gzipped, in UTF-8."

HEAD_BYTES = 1 << 16
_GZIP = b"\x1f\x8b"
_NOT_FILES = {
    stat.S_IFIFO: "is a pipe, not a file.",
    stat.S_IFCHR: "is a device, not a file.",
    stat.S_IFBLK: "is a device, not a file.",
    stat.S_IFSOCK: "is a socket, not a file.",
    stat.S_IFDIR: "is a folder.",
}


class EmptyFile(BadInput):
    """A file without rows. Among several files that is no fault."""


@dataclass(frozen=True)
class Stream:
    """An open file. `file` gives its unpacked content, a byte order mark skipped."""

    file: BinaryIO
    raw: BinaryIO
    size: int
    """Bytes on disk."""
    head: bytes
    """The first 64 KB of the content, with its byte order mark."""
    zipped: bool

    def at(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self.raw.tell() / max(1, self.size))


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """Open `path` for reading. Raises `BadInput` where it is missing, no file, unreadable or damaged."""
    try:
        status = checked_status(path)
        if not stat.S_ISREG(status.st_mode):
            kind = _NOT_FILES.get(stat.S_IFMT(status.st_mode), "is not a file.")
            raise unusable(path, kind, fix="Write its content to a file and import that.")
        with path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP
            raw.seek(0)
            file = cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw), HEAD_BYTES)) if zipped else raw
            head = file.read(HEAD_BYTES)
            file.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
            yield Stream(file, raw, status.st_size, head, zipped)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise unusable(
            path, "is damaged: it cannot be unpacked to its end.", why=str(error), fix="Download or pack it again."
        ) from error
    except OSError as error:
        raise unreadable_file(path, error) from error


def checked_status(path: Path) -> os.stat_result:
    """The file's status. Raises `BadInput` for a path that cannot exist or does not."""
    if "\0" in str(path):
        raise BadInput(
            f"There is no file {str(path)[:200]!r}.", why="Its name has a NUL character.", fix="Check the path."
        )
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        why = "It is a link, and what it leads to is gone." if path.is_symlink() else ""
        fix = "Check the path; it is relative to the folder you are in."
        raise unusable(path, "does not exist.", why=why, fix=fix) from error
    except OSError as error:
        raise unreadable_file(path, error) from error


def lines(stream: Stream) -> Iterator[tuple[int, bytes | None]]:
    """The lines with their ends, numbered from 1; `None` for one that is longer than `MAX_LINE_BYTES`."""
    limit = MAX_LINE_BYTES
    readline = stream.file.readline
    line = 0
    while data := readline(limit):
        line += 1
        if len(data) < limit or data.endswith(b"\n"):
            yield line, data
            continue
        del data
        while (rest := readline(limit)) and not rest.endswith(b"\n"):
            pass
        yield line, None


def too_long() -> str:
    """What is wrong with a line that `lines` left out."""
    return f"is longer than {MAX_LINE_BYTES >> 20} MB"


def shown(path: Path | str) -> str:
    """A path for a message: bytes that are no text replaced, the middle of an endless one left out."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return text if len(text) <= 300 else f"{text[:100]}…{text[-150:]}"


def unusable(path: Path, what: str, *, why: str = "", fix: str = "") -> BadInput:
    """The error for a file that cannot be imported."""
    return BadInput(
        f"{shown(path)} {what}", why=why or FORMATS, fix=fix or "Give a file with one row for each example."
    )


def empty(path: Path, what: str = "is empty.", why: str = "") -> EmptyFile:
    """The error for a file without rows."""
    return EmptyFile(f"{shown(path)} {what}", why=why or FORMATS, fix="Give a file with one row for each example.")


def unreadable_file(path: Path, error: OSError) -> BadInput:
    """The error for a file that the system does not let us read."""
    why = f"The system says: {error.strerror or error}."
    return unusable(path, "cannot be read.", why=why, fix="Check its name and its permissions.")
