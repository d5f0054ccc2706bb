"""What a half-typed path could become: folders, and files that look like data."""

import os
from dataclasses import dataclass
from pathlib import Path

from tui.format import fmt_bytes

_PLAIN_ENDINGS = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".txt")
DATA_ENDINGS = (*_PLAIN_ENDINGS, *(f"{ending}.gz" for ending in _PLAIN_ENDINGS))
HUB = "hub:"
"""How a name on the hub begins."""
MOST = 200
MOST_READ = 5_000


@dataclass(frozen=True)
class Candidate:
    """A path to complete to. `text` is what is put into the input.

    A folder's ends with a slash while one looks into it, and with `/.` where all its files are meant.
    """

    text: str
    label: str
    detail: str

    @property
    def is_folder(self) -> bool:
        return self.text.endswith("/")

    @property
    def is_all(self) -> bool:
        """Whether it stands for all files of a folder."""
        return self.text == "." or self.text.endswith("/.")


def entries_like(text: str, cwd: Path | None = None) -> tuple[str, list[os.DirEntry[str]]]:
    """What `text` says before the last name, and the entries of that folder whose names begin like it.

    Hidden ones only where a dot is typed. Reads a folder; of one that is not there, or not ours to read, nothing.
    """
    head, slash, part = text.rpartition("/")
    folder = os.path.expanduser(f"{head}{slash}") or "."  # noqa: PTH111 - `~nobody` stays as it is
    try:
        with os.scandir((cwd or Path.cwd()) / folder) as entries:
            found = [entry for entry, _ in zip(entries, range(MOST_READ), strict=False)]
    except (OSError, ValueError):
        return f"{head}{slash}", []
    return f"{head}{slash}", [
        entry
        for entry in found
        if entry.name.lower().startswith(part.lower()) and (part.startswith(".") or not entry.name.startswith("."))
    ]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def size_words(entry: os.DirEntry[str]) -> str:
    """How large a file is; nothing for a link that leads nowhere."""
    try:
        return fmt_bytes(entry.stat().st_size)
    except OSError:
        return ""


def candidates(text: str, samples: Path, cwd: Path | None = None) -> list[Candidate]:
    """Completions of `text`, data files first; with nothing typed also finetui's own sample files. Reads folders."""
    if text.startswith(HUB):
        return []
    head, entries = entries_like(text, cwd)
    whole_folder = not text.rpartition("/")[2]
    found = _data_first(head, entries, whole_folder=whole_folder)
    if text:
        return found
    files = [one for one in found if not one.is_folder]
    return files + _samples(samples) + [one for one in found if one.is_folder]


def is_pattern(text: str) -> bool:
    """Whether a typed path stands for all files that fit it: `data/*.jsonl`."""
    return any(one in text for one in "*?[") and not Path(text).expanduser().exists()


def folders_like(text: str) -> list[str]:
    """The folders that a half-typed path could go on with, each with a slash at its end. Reads a folder."""
    head, slash, part = text.rpartition("/")
    folder = Path(f"{head}{slash}" or ".").expanduser()
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_READ), strict=False) if entry.is_dir()]
    except OSError:  # no such folder, or not ours to read
        return []
    names = [name for name in names if part and name.startswith(part)]
    return [f"{head}{slash}{name}/" for name in sorted(names)]


def common_start(found: list[Candidate], text: str) -> str:
    """As much as all candidates agree on, never less than `text`."""
    names = [one.text for one in found if one.text.startswith(text) and not one.is_all]
    shared = text
    for characters in zip(*(name[len(text) :] for name in names), strict=False):
        if len(set(characters)) > 1:
            break
        shared += characters[0]
    return shared


def _data_first(head: str, entries: list[os.DirEntry[str]], *, whole_folder: bool) -> list[Candidate]:
    """Files that look like data, then all of them as one where the folder is meant, then folders."""
    files: list[Candidate] = []
    folders: list[Candidate] = []
    for entry in entries:
        if is_folder(entry):
            folders.append(Candidate(f"{head}{entry.name}/", f"{entry.name}/", ""))
        elif entry.name.lower().endswith(DATA_ENDINGS):
            files.append(Candidate(f"{head}{entry.name}", entry.name, size_words(entry)))
    files.sort(key=lambda one: one.label.lower())
    folders.sort(key=lambda one: one.label.lower())
    together = _together(head, len(files)) if whole_folder and len(files) > 1 else []
    return files[: MOST - 1] + together + folders[: max(0, MOST - len(files))]


def _together(head: str, count: int) -> list[Candidate]:
    """All files of a folder as one dataset."""
    return [Candidate(f"{head}.", f"all {count:,} files here", "as one dataset")]


def _samples(folder: Path) -> list[Candidate]:
    words = {"support.jsonl": "a support desk's answers", "emoji.jsonl": "answers in few words and emoji"}
    return [
        Candidate(str(folder / name), name, f"sample of finetui: {about}")
        for name, about in words.items()
        if (folder / name).is_file()
    ]
