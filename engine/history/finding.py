"""Which runs a path holds. What a file is, its content says; its name only says where to look.

Links are not followed below the path that was given, and only plain files are opened: what lies in a folder of somebody
else's cannot lead out of it.
"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.errors import BadInput
from engine.history import databases
from engine.history.copied import find_copied, is_run_folder
from engine.history.event_records import begins_like_events
from engine.history.items import Damage, FoundRun
from engine.history.mlflow import find_mlflow, find_mlruns, is_mlflow, is_mlruns_run
from engine.history.tensorboard import PART_OF, find_tensorboard, is_event_file
from engine.history.trackio import find_trackio, is_trackio
from engine.history.trainer import STATE, find_trainer, newest_state
from engine.history.wandb import find_wandb, is_wandb

KINDS = (
    "a run folder of finetui, a Trainer's output or checkpoint folder or its trainer_state.json, TensorBoard event "
    "files, .wandb files, a Trackio or MLflow database, a folder mlruns, or a folder with any of these in it"
)
DATABASES = (".db", ".sqlite", ".sqlite3")
_PASSED_OVER = frozenset({"node_modules", "site-packages", "__pycache__"})
_DEEPEST = 24
MOST_FOLDERS = 200_000

Looked = Callable[[int], None]
"""Hears how many folders were looked at. Raises `Cancelled` once the search was given up."""


@dataclass
class Findings:
    """The runs that a path holds, and what could not be looked at, in words."""

    runs: list[FoundRun] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_history(path: Path, looked: Looked = lambda _count: None) -> Findings:
    """The runs in `path`, oldest first. Raises `BadInput` where there is no such path, or nothing that is known."""
    path = Path(path).expanduser()
    try:
        path = path.resolve(strict=True)
        is_folder = path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"There is no file or folder {path}.", fix="Check the path for typing errors.") from error
    search = _Search(path if is_folder else path.parent, looked)
    if is_folder:
        search.folder(path)
    else:
        search.named_file(path)
    findings = search.findings()
    if not findings.runs:
        why = " ".join(findings.problems[:3]) or ("No history of runs was found in it." if is_folder else "")
        raise BadInput(f"{path} holds nothing to import.", why=why, fix=f"What can be imported is {KINDS}.")
    return findings


class _Search:
    def __init__(self, root: Path, looked: Looked) -> None:
        self._root = root
        self._looked = looked
        self._folders = 0
        self._runs: dict[str, FoundRun] = {}
        self._problems: list[str] = []

    def findings(self) -> Findings:
        runs = sorted(self._runs.values(), key=lambda run: (run.created or 0.0, run.name))
        return Findings(runs, self._problems)

    def named_file(self, path: Path) -> None:
        """A file that somebody named: its content alone counts."""
        if not _is_plain(path):
            raise BadInput(f"{path} is no plain file.", fix=f"What can be imported is {KINDS}.")
        try:
            with path.open("rb") as file:
                head = file.read(64)
        except OSError as error:
            raise BadInput(f"{path} cannot be read.", why=f"The system says: {error.strerror or error}.") from error
        if head.startswith(databases.MAGIC):
            self._database(path, named=True)
        elif is_wandb(path, head):
            self._guard(path, lambda: self._add(find_wandb(path, *_mark([path]))))
        elif path.name == "events.jsonl" and is_run_folder(path.parent):
            self._guard(path, lambda: self._add(find_copied(path.parent)))
        elif is_event_file(path) or begins_like_events(head):
            self._guard(
                path, lambda: self._add(find_tensorboard(path.parent, [path], path.parent.name, *_mark([path])))
            )
        elif path.name == STATE or b"log_history" in _ends(path):
            self._guard(path, lambda: self._add(find_trainer(path, *_mark([path]))))

    def folder(self, path: Path, depth: int = 0) -> None:
        """A folder and those in it."""
        self._folders += 1
        self._looked(self._folders)
        if depth > _DEEPEST or self._folders > MOST_FOLDERS:
            self._problems.append(f"{path} was not looked into: it lies too deep, or there are too many folders.")
            return
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
                files = [Path(entry.path) for entry in found if entry.is_file(follow_symlinks=False)]
                folders = [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            self._problems.append(f"{path} cannot be read: {error.strerror or error}.")
            return
        if is_run_folder(path):
            self._guard(path, lambda: self._add(find_copied(path)))
            return
        if path.joinpath("meta.yaml") in files and is_mlruns_run(path):
            self._guard(path, lambda: self._add(find_mlruns(path, *_mark(_below(path)))))
            return
        folders = [one for one in folders if one.name not in _PASSED_OVER and not one.name.startswith(".")]
        folders = self._trainer(path, folders, files)
        folders = self._events(path, folders, files)
        is_home = path.joinpath("finetui.db") in files
        for file in files:
            if file.suffix == ".wandb" and is_wandb(file, _head(file)):
                self._guard(file, lambda file=file: self._add(find_wandb(file, *_mark([file]))))  # type: ignore[misc]
            elif file.suffix in DATABASES and not is_home and _head(file).startswith(databases.MAGIC):
                self._database(file, named=False)
        for one in folders:
            if not is_home or one.name == "runs":
                self.folder(one, depth + 1)

    def _trainer(self, path: Path, folders: list[Path], files: list[Path]) -> list[Path]:
        """The Trainer's run in a folder; returns the folders that are not part of it."""
        parts = [one for one in folders if one.name.startswith("checkpoint-") or one.name == "runs"]
        if not parts and path.joinpath(STATE) not in files:
            return folders
        found: list[Path] = []
        self._guard(path, lambda: found.extend(filter(None, [newest_state(path)])))
        if not found:
            return folders

        def add() -> None:
            events = [file for file in _below(path / "runs") if is_event_file(file)]
            reported = find_tensorboard(path / "runs", events, "", 0, "") if events else None
            self._add(find_trainer(found[0], *_mark([found[0], *events]), reported))

        self._guard(path, add)
        return [one for one in folders if one not in parts]

    def _events(self, path: Path, folders: list[Path], files: list[Path]) -> list[Path]:
        """The run of a folder's event files; returns the folders that are not part of it."""
        parts = {
            one: [file for file in _plain(one) if is_event_file(file)] for one in folders if PART_OF.fullmatch(one.name)
        }
        parts = {one: events for one, events in parts.items() if events}
        own = [file for file in files if is_event_file(file)]
        if not own and not {"train", "validation"} <= {one.name for one in parts}:
            return folders
        events = [*own, *(file for inside in parts.values() for file in inside)]
        name = path.name if path == self._root else path.relative_to(self._root).as_posix()
        self._guard(path, lambda: self._add(find_tensorboard(path, events, name, *_mark(events))))
        return [one for one in folders if one not in parts]

    def _database(self, path: Path, *, named: bool) -> None:
        try:
            with databases.opened(path) as connection:
                if is_trackio(connection):
                    found: Iterator[FoundRun | Damage] = find_trackio(path, connection)
                elif is_mlflow(connection):
                    found = find_mlflow(path, connection)
                else:
                    if named:
                        self._problems.append("It is a database, but neither Trackio's nor MLflow's.")
                    return
                for one in found:
                    if isinstance(one, Damage):
                        self._problems.append(one.message)
                    else:
                        self._add(one)
        except sqlite3.Error as error:
            self._problems.append(f"{path} cannot be read: {error}.")

    def _guard(self, path: Path, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError as error:
            self._problems.append(f"{path} cannot be read: {error.strerror or error}.")

    def _add(self, run: FoundRun | None) -> None:
        if run is None:
            return
        known = self._runs.get(run.source_id)
        if known is None:
            self._runs[run.source_id] = run
        elif known.path.suffix == run.path.suffix == ".wandb" and run.path != known.path:
            # The same run, started again: W&B made a file for each start.
            first, second = sorted((known, run), key=lambda one: one.created or 0.0)
            self._runs[run.source_id] = replace(
                first,
                files=(*first.files, *second.files),
                size=first.size + second.size,
                stamp=f"{first.stamp};{second.stamp}",
            )


def _mark(files: list[Path]) -> tuple[int, str]:
    """Bytes of all files, and a text that changes whenever one of them does. Raises `OSError`."""
    stats = [path.stat() for path in files]
    return sum(one.st_size for one in stats), ";".join(f"{one.st_size}:{one.st_mtime_ns}" for one in stats)


def _below(folder: Path) -> list[Path]:
    """Plain files in a folder and in those within it, links left out."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        found += [path for name in sorted(names) if _is_plain(path := Path(place, name))]
    return found


def _plain(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _is_plain(path))
    except OSError:
        return []


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError:
        return b""


def _ends(path: Path) -> bytes:
    """The first and the last of a file."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            file.seek(max(len(head), path.stat().st_size - 4096))
            return head + file.read(4096)
    except OSError:
        return b""
