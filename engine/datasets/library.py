"""The datasets of a home: import, look up, read rows, remove."""

import difflib
import fcntl
import os
import re
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.datasets.importing import ImportPreview, convert_file, preview_file
from engine.datasets.parquet import RowReader
from engine.datasets.rows import Row
from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.runs.rundir import read_json, write_json
from store import Store
from store.records import Dataset

Rows = list[Row]

_READERS_OPEN = 8
_ABANDONED_S = 24 * 3600
_LARGEST_SEED = 2**32 - 1


class DatasetLibrary:
    """All dataset versions of one home. Safe to share between threads."""

    def __init__(self, home: Home, store: Store) -> None:
        self._home = home
        self._store = store
        self._readers: OrderedDict[str, RowReader] = OrderedDict()
        self._lock = threading.Lock()

    # making and removing

    def preview(self, source: Path, shape: str = "auto") -> ImportPreview:
        """What an import of `source` would find. Raises `BadInput`."""
        return preview_file(Path(source), shape)

    def import_file(
        self,
        source: Path,
        *,
        name: str | None = None,
        shape: str = "auto",
        system: str | None = None,
        validation: float = 0.1,
        seed: int = 42,
        skip_bad: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Dataset:
        """Import `source` as a new version of the dataset `name` (by default called like the file).

        The same rows under the same name are the same dataset: that one is returned. `validation` is the share of rows
        kept back, `system` is said first in rows without a system turn, `progress` hears shares from 0 to 1.
        Raises `BadInput`; `BadRows` where rows cannot be used and `skip_bad` is not set. Then nothing is imported.
        """
        source = Path(source)
        name = _checked_name(name) if name is not None else _default_name(source)
        if not 0 <= validation < 1:
            raise BadInput(f"A validation share of {validation:g} cannot be kept back.", fix="Give 0 up to 0.9.")
        if not 0 <= seed <= _LARGEST_SEED:
            raise BadInput(f"{seed} is no seed.", fix=f"Give 0 to {_LARGEST_SEED}.")
        if system is not None and (not system.strip() or "\0" in system):
            raise BadInput("The system prompt is empty.", fix="Give a text, or leave it out.")
        with self._workspace() as folder:
            card = convert_file(
                source,
                folder,
                name=name,
                asked=shape,
                system=system,
                validation=validation,
                seed=seed,
                skip_bad=skip_bad,
                progress=progress or (lambda _share: None),
            )
            with self._one_at_a_time():
                return self._keep(card, folder)

    def remove(self, dataset_id: str) -> None:
        """Remove a dataset version. Raises `BadInput` where runs were trained on it."""
        dataset = self._known(dataset_id)
        runs = self._store.datasets.runs_using(dataset_id)
        if runs:
            shown = ", ".join(runs[:5]) + (f" and {len(runs) - 5} more" if len(runs) > 5 else "")
            raise BadInput(
                f"{dataset.name} v{dataset.version} is the data of {len(runs)} runs, so it stays.",
                why=f"Runs: {shown}.",
                fix="Remove those runs first.",
            )
        with self._lock:
            reader = self._readers.pop(dataset_id, None)
        if reader:
            reader.close()
        self._store.datasets.delete(dataset_id)
        shutil.rmtree(dataset.dir, ignore_errors=True)

    def rebuild(self) -> int:
        """Enter datasets that are on disk but not in the store, oldest first; returns how many."""
        cards = [card for path in self._home.datasets.glob("d*/card.json") if (card := read_json(path))]
        new = [card for card in cards if self._store.datasets.get(card["id"]) is None]
        for card in sorted(new, key=lambda card: float(card["created"])):
            self._store.datasets.add(_record(card, self._home.datasets / card["id"]))
        return len(new)

    # reading

    def list(self, query: str = "") -> list[Dataset]:
        return self._store.datasets.list(query)

    def resolve(self, text: str) -> Dataset:
        """The dataset of that id, name (its newest version), `name@version` or id prefix.

        Raises `NotFound` with names that are near, `BadInput` where `text` fits several.
        """
        text = text.strip()
        found = self._store.datasets.find(text) if text else []
        if not found:
            names = list(dict.fromkeys(dataset.name for dataset in self.list()))
            near = difflib.get_close_matches(text, names, n=3, cutoff=0.5)
            raise NotFound(
                f"There is no dataset {text!r}." if text else "No dataset is named.",
                why=f"Near it: {', '.join(near)}." if near else "",
                fix="`finetui datasets ls` lists them; `finetui datasets import FILE` makes one.",
            )
        if len({dataset.name for dataset in found}) > 1:
            shown = ", ".join(f"{dataset.id} ({dataset.name} v{dataset.version})" for dataset in found[:5])
            raise BadInput(f"{text!r} fits {len(found)} datasets.", why=shown, fix="Give more of the id, or the name.")
        return found[0]

    def rows(self, dataset_id: str, *, split: str | None = None, offset: int = 0, limit: int = 100) -> Rows:
        """At most `limit` rows from `offset` on, both counted within `split` where one is given."""
        return self._reader(dataset_id).rows(split, offset, limit)

    def count(self, dataset_id: str, split: str | None = None) -> int:
        dataset = self._known(dataset_id)
        return dataset.splits.get(split, 0) if split else dataset.rows

    def search(self, dataset_id: str, text: str, limit: int = 100, *, split: str | None = None) -> Rows:
        """The first `limit` rows with `text` in a turn, whatever the case."""
        return self._reader(dataset_id).search(text, split, limit)

    def card(self, dataset_id: str) -> dict[str, Any]:
        """Where the dataset comes from and what it holds.

        Keys: id, name, version, shape, mapping, source {file, sha256, bytes}, rows, splits {name: rows},
        split {validation, seed}, system, roles {role: turns}, turns and chars a row {mean, max}, left_out,
        problems [{row, field, problem}], warnings, created, finetui.
        """
        dataset = self._known(dataset_id)
        card = read_json(Path(dataset.dir) / "card.json")
        if not isinstance(card, dict):
            raise FinetuiError(
                f"The card of {dataset.name} v{dataset.version} is missing or damaged.",
                why=f"It belongs at {Path(dataset.dir) / 'card.json'}.",
                fix="Remove the dataset and import its source again.",
            )
        return card

    def close(self) -> None:
        """Close the files that are open for reading."""
        with self._lock:
            readers = [*self._readers.values()]
            self._readers.clear()
        for reader in readers:
            reader.close()

    # inside

    def _keep(self, card: dict[str, Any], folder: Path) -> Dataset:
        """Move the finished `folder` to its place and enter it, or return the dataset that already is the same."""
        target = self._home.datasets / str(card["id"])
        known = self._store.datasets.get(str(card["id"]))
        if known and (target / "card.json").exists():
            return known
        version = known.version if known else self._store.datasets.next_version(str(card["name"]))
        card |= {"version": version, "created": time.time(), "finetui": _own_version()}
        with (folder / "data.parquet").open("rb") as file:
            os.fsync(file.fileno())
        write_json(folder / "card.json", card)
        if target.exists():  # left by an import that was killed before it was entered
            shutil.rmtree(target)
        folder.replace(target)
        dataset = _record(card, target)
        if known is None:
            try:
                self._store.datasets.add(dataset)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
        return known or dataset

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        """An empty folder beside the datasets, gone at the end whatever happens."""
        home = self._home.ensure()
        for left in home.datasets.glob(".import-*"):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=".import-", dir=home.datasets))
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

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Two imports must not take the same version number, nor the same folder."""
        descriptor = os.open(self._home.datasets / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _known(self, dataset_id: str) -> Dataset:
        return self._store.datasets.get(dataset_id) or self.resolve(dataset_id)

    def _reader(self, dataset_id: str) -> RowReader:
        dataset = self._known(dataset_id)
        with self._lock:
            reader = self._readers.get(dataset.id)
            if reader is None:
                reader = self._readers[dataset.id] = RowReader(Path(dataset.dir) / "data.parquet")
                if len(self._readers) > _READERS_OPEN:
                    self._readers.popitem(last=False)
            self._readers.move_to_end(dataset.id)
            return reader


def _record(card: dict[str, Any], folder: Path) -> Dataset:
    return Dataset(
        id=card["id"],
        name=card["name"],
        version=card["version"],
        shape=card["shape"],
        rows=card["rows"],
        splits=card["splits"],
        tokens=None,
        parent=None,
        source=card["source"]["file"],
        created=card["created"],
        dir=str(folder),
        warnings=tuple(card["warnings"]),
    )


def _default_name(source: Path) -> str:
    stem = re.sub(r"(\.(jsonl|json|ndjson|gz))+$", "", source.name, flags=re.IGNORECASE)
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:80] or "dataset"


def _checked_name(name: str) -> str:
    name = name.strip()
    if not re.fullmatch(r"\w[\w .-]{0,79}", name) or re.search(r" v\d+$", name):
        raise BadInput(
            f"A dataset cannot be called {name!r}.",
            fix="Take letters, digits, spaces, dots, - and _, at most 80, without a version at the end.",
        )
    return name


def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("finetui")
    except PackageNotFoundError:
        return "unknown"
