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


def candidates(text: str, samples: Path, cwd: Path | None = None) -> list[Candidate]:
    """Completions of `text`, data files first; with nothing typed also finetui's own sample files. Reads folders."""
    if text.startswith(HUB):
        return []
    typed = Path(text).expanduser()
    folder = typed if text.endswith("/") or not text else typed.parent
    part = "" if text.endswith("/") or not text else typed.name
    head = text[: len(text) - len(part)] if text else ""
    found = _in_folder((cwd or Path.cwd()) / folder, head, part.lower())
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


def _in_folder(folder: Path, head: str, part: str) -> list[Candidate]:
    files: list[Candidate] = []
    folders: list[Candidate] = []
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_READ:
                    break
                name = entry.name
                if not name.lower().startswith(part) or (name.startswith(".") and not part.startswith(".")):
                    continue
                if entry.is_dir():
                    folders.append(Candidate(f"{head}{name}/", f"{name}/", ""))
                elif name.lower().endswith(DATA_ENDINGS):
                    files.append(Candidate(f"{head}{name}", name, fmt_bytes(entry.stat().st_size)))
    except OSError:  # no such folder, or not ours to read: nothing to complete
        return []
    files.sort(key=lambda one: one.label.lower())
    folders.sort(key=lambda one: one.label.lower())
    together = [] if part or len(files) < 2 else _together(head, len(files))
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
