"""Which files are meant by folders, files and patterns, and which of them are no notes."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from engine.errors import BadInput, Cancelled
from engine.knowledge.reading import SUFFIXES
from engine.text import clean_line, shorten

MOST_FILES = 20_000
MOST_LISTED = 2_000
"""Skipped files that are named; of more, the number is known."""
_LEFT_OUT = {"node_modules", "__pycache__", "venv", "site-packages"}


@dataclass(frozen=True)
class Skipped:
    """A file that was not read. `why` completes “it …”."""

    path: str
    why: str


@dataclass
class Found:
    """Files to read, and how to tell which known ones should have been among them."""

    files: list[Path] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)
    """Folders that were looked through and patterns, absolute."""

    def covers(self, path: str) -> bool:
        """Whether a file of this path would have been found if it were still there."""
        return any(
            re.fullmatch(_as_expression(root), path)
            if glob.has_magic(root)
            else path.startswith(f"{root.rstrip('/')}/")
            for root in self.roots
        )


def _as_expression(pattern: str) -> str:
    """A pattern as a regular expression: `**/` stands for any folders, `*` and `?` for letters of a name."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\])", pattern)
    return "".join(
        words.get(part) or (f"[{'^' if part[1] == '!' else ''}{part[1:-1].lstrip('!')}]" if at % 2 else re.escape(part))
        for at, part in enumerate(parts)
    )


def find_files(paths: Iterable[str | Path], stop: Callable[[], bool] | None = None) -> Found:
    """The files that `paths` mean, each once, in order. Raises `BadInput` for a path that leads nowhere, `Cancelled`.

    Folders are looked through to the bottom, without hidden files and folders and without links.
    """
    found = Found()
    seen: set[Path] = set()
    for path in paths:
        for file in _meant(str(path), found, stop):
            if file not in seen:
                seen.add(file)
                found.files.append(file)
            if len(found.files) > MOST_FILES:
                raise BadInput(
                    f"There are more than {MOST_FILES:,} files.",
                    why=f"They are under {shorten(clean_line(str(path)), 200)}.",
                    fix="Name the folders with the notes, or a pattern such as 'docs/**/*.md'.",
                )
    return found


def _meant(text: str, found: Found, stop: Callable[[], bool] | None) -> Iterable[Path]:
    shown = shorten(clean_line(text), 200)
    if not text.strip() or "\0" in text:
        raise BadInput(f"{text[:200]!r} is no path.", fix="Name a folder, a file, or a pattern such as 'docs/**/*.md'.")
    path = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - links stay, and so does ~nobody
    try:
        if path.is_dir():
            found.roots.append(str(path))
            return _in_folder(path, found, stop)
        if path.exists():
            return [path]
    except OSError as error:
        raise BadInput(f"{shown} cannot be read.", why=f"The system says: {error.strerror or error}.") from error
    if glob.has_magic(text):
        found.roots.append(str(path))
        files = _like(path, found, stop)
        if not files:
            raise BadInput(f"No file fits {shown}.", fix="Check the pattern; ** stands for any folders between.")
        return files
    gone = "It is a link, and what it leads to is gone." if path.is_symlink() else ""
    raise BadInput(f"{shown} does not exist.", why=gone, fix="Check the path; it is relative to the folder you are in.")


def _in_folder(folder: Path, found: Found, stop: Callable[[], bool] | None) -> list[Path]:
    """The files below a folder whose names are those of notes."""
    files = []
    for path in _below(folder, found, stop):
        if path.suffix.lower() in SUFFIXES:
            files.append(path)
        else:
            _skip(found, path, f"is no kind of note ({clean_line(path.suffix)[:20]}); name it to read it as text")
        if len(files) > MOST_FILES:
            break
    return files


def _like(pattern: Path, found: Found, stop: Callable[[], bool] | None) -> list[Path]:
    """The files that fit a pattern. The standard library's would follow links, round in circles."""
    fixed = list(takewhile(lambda part: not glob.has_magic(part), pattern.parts))
    rest = pattern.parts[len(fixed) :]
    expression = re.compile(_as_expression(str(pattern)), re.DOTALL)
    files = []
    for path in _below(Path(*fixed), found, stop, depth=None if "**" in rest else len(rest)):
        if expression.fullmatch(str(path)):
            files.append(path)
        if len(files) > MOST_FILES:
            break
    return files


def _below(folder: Path, found: Found, stop: Callable[[], bool] | None, depth: int | None = None) -> Iterator[Path]:
    """The files below a folder, `depth` levels down, without hidden ones and links."""

    def refused(error: OSError) -> None:
        _skip(found, Path(error.filename or folder), f"cannot be read: {error.strerror or error}")

    for place, folders, names in os.walk(folder, onerror=refused):
        _look_at(stop)
        deeper = depth is None or len(Path(place).parts) - len(folder.parts) < depth - 1
        kept = []
        for name in sorted(folders) if deeper else ():
            if Path(place, name).is_symlink():
                _skip(found, Path(place, name), "is a link")
            elif not name.startswith(".") and name not in _LEFT_OUT:
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            path = Path(place, name)
            if name.startswith("."):
                continue
            if path.is_symlink():
                _skip(found, path, "is a link")
            else:
                yield path


def _skip(found: Found, path: Path, why: str) -> None:
    if len(found.skipped) < MOST_LISTED:
        found.skipped.append(Skipped(str(path), why))


def _look_at(stop: Callable[[], bool] | None) -> None:
    if stop is not None and stop():
        raise Cancelled("Stopped; nothing was read.")
