"""New versions of datasets: made in a folder beside the others, complete before they appear, never changed after."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.datasets import parquet
from engine.datasets.figures import dataset_id, figures
from engine.datasets.rows import Row, kind_of
from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs.claim import is_taken
from engine.runs.rundir import read_json, write_json
from store import Store
from store.records import Dataset

DATA = "data.parquet"
CARD = "card.json"
_ABANDONED_S = 24 * 3600

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Made:
    """What an operation came to: the version, and the rows before and after.

    `new` is false where these very rows were a version already: that one is `dataset`.
    """

    dataset: Dataset
    before: int
    after: int
    new: bool


class Versions:
    """Makes the dataset versions of one home. Safe to share between threads and processes."""

    def __init__(self, home: Home, store: Store) -> None:
        self._home = home
        self._store = store

    def derive(
        self,
        parent: Dataset,
        rows: Iterable[Row],
        operation: dict[str, Any],
        *,
        name: str | None = None,
        shape: str | None = None,
        parents: Sequence[Dataset] = (),
        progress: Progress | None = None,
    ) -> Made:
        """A version with `rows` as they are, each in its split. Raises `BadInput` where there is none."""
        with self.workspace() as folder:
            with parquet.RowWriter(folder / DATA) as writer:
                for count, row in enumerate(rows, 1):
                    writer.write_row(row)
                    if progress and not count % parquet.GROUP_ROWS:
                        progress(min(0.99, count / max(1, parent.rows)))
            return self._finish(folder, parent, operation, name, shape, parents, progress)

    def derive_selection(
        self,
        parent: Dataset,
        rows: Sequence[int] | None,
        operation: dict[str, Any],
        *,
        name: str | None = None,
        splits: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> Made:
        """A version with the parent's rows at `rows` (ascending, from 0; `None` for all), copied without decoding them.

        `splits` are their new splits, in that order; without, each stays in its own.
        """
        with self.workspace() as folder:
            parquet.rewrite(Path(parent.dir) / DATA, folder / DATA, rows=rows, splits=splits, progress=progress)
            return self._finish(folder, parent, operation, name, None, (), progress)

    def _finish(
        self,
        folder: Path,
        parent: Dataset,
        operation: dict[str, Any],
        name: str | None,
        shape: str | None,
        parents: Sequence[Dataset],
        progress: Progress | None,
    ) -> Made:
        name = name or parent.name
        found = figures(folder / DATA)
        if not found["rows"]:
            raise BadInput(
                "No row would be left, so no version was made.",
                why=f"{parent.name} v{parent.version} has {parent.rows:,} rows, and none of them would stay.",
                fix="Ask for less to be taken away.",
            )
        before = sum(one.rows for one in parents) or parent.rows
        origin = read_json(Path(parent.dir) / CARD)
        source = origin.get("source") if isinstance(origin, dict) else None
        shape = shape or parent.shape
        card = {
            "id": dataset_id(folder / DATA, name),
            "name": name,
            "shape": shape,
            "kind": kind_of(shape),
            "source": source or {"file": parent.source},
            **found,
            "operation": {**operation, "before": before, "after": found["rows"]},
            "parents": [{"id": one.id, "name": one.name, "version": one.version} for one in (parents or (parent,))],
            "problems": [],
            "warnings": [],
        }
        dataset, new = self.keep(card, folder)
        if progress:
            progress(1.0)
        return Made(dataset, before, dataset.rows, new)

    def keep(self, card: dict[str, Any], folder: Path) -> tuple[Dataset, bool]:
        """Move the finished `folder` to its place and enter it; false beside a dataset that already is the same."""
        with self.one_at_a_time():
            target = self._home.datasets / str(card["id"])
            known = self._store.datasets.get(str(card["id"]))
            if known and (target / CARD).exists():
                return known, False
            version = known.version if known else self._store.datasets.next_version(str(card["name"]))
            card = card | {"version": version, "created": time.time(), "finetui": _own_version()}
            with (folder / DATA).open("rb") as file:
                os.fsync(file.fileno())
            write_json(folder / CARD, card)
            if target.exists():  # left by an import that was killed before it was entered
                shutil.rmtree(target)
            folder.replace(target)
            dataset = record(card, target)
            if known is None:
                try:
                    self._store.datasets.add(dataset)
                except BaseException:
                    shutil.rmtree(target, ignore_errors=True)
                    raise
            return known or dataset, True

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """An empty folder beside the datasets, gone at the end whatever happens."""
        home = self._home.ensure()
        for left in home.datasets.glob(".import-*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _ABANDONED_S and not is_taken(left):
                    shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=".import-", dir=home.datasets))
        in_use = os.open(folder, os.O_RDONLY)  # locked, so that nobody takes it for abandoned, whatever the clock says
        with suppress(OSError):
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield folder
        except OSError as error:
            raise FinetuiError(
                f"The dataset cannot be written to {home.datasets}.",
                why=f"The system says: {error.strerror or error}.",
                fix="Free space there, or choose another home with --home DIR.",
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(in_use)

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Two imports must not take the same version number, nor the same folder; nor may one be removed meanwhile."""
        descriptor = os.open(self._home.datasets / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def record(card: dict[str, Any], folder: Path) -> Dataset:
    """What the store keeps of a version, from its card."""
    parents = card.get("parents") or []
    return Dataset(
        id=card["id"],
        name=card["name"],
        version=card["version"],
        shape=card["shape"],
        rows=card["rows"],
        splits=card["splits"],
        tokens=None,
        parent=parents[0]["id"] if parents else None,
        source=card["source"]["file"],
        created=card["created"],
        dir=str(folder),
        warnings=tuple(card["warnings"]),
    )


def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("finetui")
    except PackageNotFoundError:
        return "unknown"
