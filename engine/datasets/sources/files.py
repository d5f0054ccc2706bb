"""Which files a source means: one file, those of a folder, or those that a pattern fits."""

import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from engine.datasets.sources.formats import STRUCTURED, SUFFIXES, suffix_of
from engine.datasets.sources.opening import FORMATS, checked_status, shown, unreadable_file
from engine.errors import BadInput

MAX_FILES = 10_000
MAX_ENTRIES = 200_000
"""How much of a folder is looked at: `import /` is a slip of the finger."""

IGNORED = {
    "changelog",
    "citation",
    "code_of_conduct",
    "contributing",
    "copying",
    "croissant",
    "dataset_dict",
    "dataset_info",
    "dataset_infos",
    "licence",
    "license",
    "notice",
    "readme",
    "requirements",
    "state",
}
"""Names, without suffixes, of files that come with data and are none."""

_IGNORED_FOLDERS = {"__macosx", "__pycache__"}
_HIDDEN, _OUTSIDE, _OTHER, _SPECIAL = "hidden", "links out of the folder", "no data", "pipes, devices and sockets"
_BESIDE = "texts beside data"


@dataclass
class Found:
    """The files of a source, in order of their names, and how many were left out, by reason."""

    root: Path
    """The folder that names are relative to."""
    files: list[Path]
    left_out: Counter[str] = field(default_factory=Counter)
    many: bool = False
    """Whether a folder or a pattern was given, even if it has one file alone."""


def find_files(source: Path | str) -> Found:
    """The data files of `source`. Raises `BadInput` where there is none."""
    text = os.fspath(source)
    if not text.strip():
        raise BadInput("No file is named.", why=FORMATS, fix="Name a file, a folder or a pattern such as data/*.jsonl.")
    path = _expanded(text)
    if glob.has_magic(text) and "\0" not in text and not os.path.lexists(path):
        return _matched(path)
    status = checked_status(path)
    if not stat.S_ISDIR(status.st_mode):
        return Found(path.parent, [path])
    found = Found(path, [], many=True)
    _take(found, _walk(path, found.left_out))
    if not found.files:
        raise _none(f"{shown(path)} is a folder without data.", found)
    return found


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of somebody who is not there
        return Path(text)


def _matched(pattern: Path) -> Found:
    fixed = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    found = Found(Path(*fixed), [], many=True)
    try:
        names = list(islice(found.root.glob(str(Path(*pattern.parts[len(fixed) :]))), MAX_ENTRIES + 1))
    except (OSError, ValueError, NotImplementedError, RecursionError) as error:
        fix = "Try one such as data/*.jsonl or data/**/*.csv."
        raise BadInput(f"{shown(pattern)} is no pattern that can be searched.", why=str(error), fix=fix) from error
    _check_entries(pattern, len(names))
    _take(found, (name for name in names if not name.is_dir()), named=True)
    if not found.files:
        raise _none(f"No data file fits {shown(pattern)}.", found)
    return found


def _walk(root: Path, left_out: Counter[str]) -> Iterator[Path]:
    """All files below `root`; folders that are hidden or links are not entered."""

    def refuse(error: OSError) -> None:
        raise unreadable_file(Path(error.filename or root), error) from error

    entries = 0
    for folder, folders, names in os.walk(root, onerror=refuse):
        entries += len(folders) + len(names)
        _check_entries(root, entries)
        for name in list(folders):
            link = (Path(folder) / name).is_symlink()
            if link or name.startswith(".") or name.lower() in _IGNORED_FOLDERS:
                folders.remove(name)
                left_out[_OUTSIDE if link else _HIDDEN] += 1
        yield from (Path(folder) / name for name in names)


def _take(found: Found, paths: Iterable[Path], *, named: bool = False) -> None:
    """Sort out what can be read; with `named` any suffix will do, since a pattern asked for it."""
    inside = places_inside(found.root)
    seen: set[Path] = set()
    for path in sorted(paths):
        reason = _reason_against(path, found.root, inside, named=named)
        real = path.resolve()
        if reason:
            found.left_out[reason] += 1
        elif real not in seen:
            seen.add(real)
            found.files.append(path)
    if len(found.files) > MAX_FILES:
        raise _too_many(found.root, f"{len(found.files):,} data files")
    if not named and any(suffix_of(path) in STRUCTURED for path in found.files):
        kept = [path for path in found.files if suffix_of(path) in STRUCTURED]
        if beside := len(found.files) - len(kept):
            found.left_out[_BESIDE] = beside
        found.files = kept


def places_inside(root: Path) -> tuple[Path, ...]:
    """Folders that a link may lead into: the source's own; of the hub's cache also where it keeps the files."""
    real = root.resolve()
    return (real, real.parent.parent / "blobs") if real.parent.name == "snapshots" else (real,)


def _reason_against(path: Path, root: Path, inside: tuple[Path, ...], *, named: bool) -> str | None:
    if any(part.startswith(".") for part in path.relative_to(root).parts):
        return _HIDDEN
    if (not named and suffix_of(path) not in SUFFIXES) or path.name.split(".")[0].lower() in IGNORED:
        return _OTHER
    real = path.resolve()
    if path.is_symlink() and not any(real.is_relative_to(folder) for folder in inside):
        return _OUTSIDE
    try:
        return None if stat.S_ISREG(real.stat().st_mode) else _SPECIAL
    except OSError:
        return _OUTSIDE if path.is_symlink() else None  # it went away: opening it will say so


def _check_entries(path: Path, entries: int) -> None:
    if entries > MAX_ENTRIES:
        raise _too_many(path, f"more than {MAX_ENTRIES:,} files and folders")


def _too_many(path: Path, what: str) -> BadInput:
    fix = "Name the folder that holds the data, or fewer files by a pattern."
    return BadInput(f"{shown(path)} holds {what}.", why="That is more than one dataset.", fix=fix)


def _none(what: str, found: Found) -> BadInput:
    why = f"Left out: {', '.join(f'{count} {reason}' for reason, count in found.left_out.items())}. "
    fix = "Name a file, a folder with data, or a pattern such as data/*.jsonl."
    if found.left_out[_OUTSIDE]:
        fix = "Copy the files that the links lead to into the folder, or name them one by one."
    return BadInput(what, why=f"{why if found.left_out else ''}{FORMATS}", fix=fix)
