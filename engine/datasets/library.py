"""The datasets of a home: import, look up, read rows, make versions, remove."""

import difflib
import re
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets.reader import RowReader
from engine.datasets.rows import Row
from engine.datasets.versions import CARD, DATA, Made, Versions, record
from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.runs.rundir import read_json, write_json
from store import Store
from store.records import Dataset

if TYPE_CHECKING:
    from engine.datasets.importing import ImportPreview

# `list` is also a method's name below.
Rows = list[Row]
Datasets = list[Dataset]
Hashes = list[bytes]

REPORT = "report.json"
TOKENS = "tokens.json"
_READERS_OPEN = 8
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class SearchStep:
    """A part of a search: the rows found in it, and how many of all rows have been looked at by now."""

    hits: Rows
    searched: int
    total: int


class DatasetLibrary:
    """All dataset versions of one home. Safe to share between threads."""

    def __init__(self, home: Home, store: Store) -> None:
        self.home = home
        self._store = store
        self._versions = Versions(home, store)
        self._readers: OrderedDict[str, RowReader] = OrderedDict()
        self._lock = threading.Lock()

    # making and removing

    def preview(
        self, source: Path | str, shape: str = "auto", *, mapping: Mapping[str, str] | None = None
    ) -> "ImportPreview":
        """What an import of `source` would find. Raises `BadInput`."""
        from engine.datasets.importing import preview_source

        return preview_source(source, shape, mapping)

    def import_file(
        self,
        source: Path | str,
        *,
        name: str | None = None,
        shape: str = "auto",
        mapping: Mapping[str, str] | None = None,
        system: str | None = None,
        where: str = "",
        validation: float = 0.1,
        seed: int = 42,
        skip_bad: bool = False,
        origin: str = "",
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Dataset:
        """Import a file, a folder, a pattern or `hub:NAME[:split]` as a new version of the dataset `name`.

        By default it is called like its source. The same rows under the same name are the same dataset: that one is
        returned. `mapping` says which column is what, `where` which rows to take, `system` is said first in rows
        without a system turn. `validation` is the share of rows kept back where the source names no splits itself.
        `origin` is what the card names as the source, where `source` was fetched from there. `progress` hears shares
        from 0 to 1.

        Raises `BadInput`; `BadRows` where rows cannot be used and `skip_bad` is not set; `Cancelled`. Then nothing is
        imported.
        """
        # here, not at the top: an app that opens imports nothing yet
        from engine.datasets.hub import fetch_hub, is_hub_name, parse_hub_name
        from engine.datasets.importing import convert_source
        from engine.datasets.sources import open_source

        name = _checked_name(name) if name is not None else None
        if not 0 <= validation < 1:
            raise BadInput(f"A validation share of {validation:g} cannot be kept back.", fix="Give 0 up to 0.9.")
        if not 0 <= seed <= _LARGEST_SEED:
            raise BadInput(f"{seed} is no seed.", fix=f"Give 0 to {_LARGEST_SEED}.")
        if system is not None and (not system.strip() or "\0" in system):
            raise BadInput("The system prompt is empty.", fix="Give a text, or leave it out.")
        heard = progress or (lambda _share: None)
        with self._versions.workspace() as folder:
            on_hub = is_hub_name(source)
            if on_hub:
                opened = open_source(fetch_hub(str(source), folder / "hub", lambda at: heard(0.5 * at), cancelled))
            else:
                opened = open_source(source)
            card = convert_source(
                opened,
                folder,
                name=name or (parse_hub_name(str(source)).title if on_hub else opened.name),
                asked=shape,
                mapping=mapping,
                system=system,
                where=where,
                validation=validation,
                seed=seed,
                skip_bad=skip_bad,
                progress=(lambda at: heard(0.5 + 0.5 * at)) if on_hub else heard,
                cancelled=cancelled,
            )
            if on_hub:
                shutil.rmtree(folder / "hub")
                origin = origin or str(source)
            if origin:
                card["source"] = {**card["source"], "file": origin}
            return self._versions.keep(card, folder)[0]

    def derive(
        self,
        parent: Dataset,
        rows: Iterable[Row],
        operation: dict[str, Any],
        *,
        name: str | None = None,
        shape: str | None = None,
        parents: Sequence[Dataset] = (),
        progress: Callable[[float], None] | None = None,
    ) -> Made:
        """A version with `rows` as they are, each in its split: the next of the parent's name, or the first of `name`.

        `operation` says how it was made and goes into the card: `kind`, and what belongs to it. `parents` are all that
        it was made from, where there are several. Raises `BadInput` where no row is left.
        """
        name = _checked_name(name) if name is not None else None
        return self._versions.derive(
            parent, rows, operation, name=name, shape=shape, parents=parents, progress=progress
        )

    def derive_selection(
        self,
        parent: Dataset,
        rows: Sequence[int] | None,
        operation: dict[str, Any],
        *,
        name: str | None = None,
        splits: Sequence[str] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Made:
        """As `derive`, of the parent's rows at `rows` (ascending, from 0; `None`: all), copied without decoding them.

        `splits` are their new splits, in that order; without, each stays in its own.
        """
        name = _checked_name(name) if name is not None else None
        return self._versions.derive_selection(parent, rows, operation, name=name, splits=splits, progress=progress)

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
        doomed = self.home.datasets / f".import-removed-{dataset_id}-{secrets.token_hex(3)}"
        with self._versions.one_at_a_time():  # the same rows may be imported again just now, and have the same id
            self._store.datasets.delete(dataset_id)
            with suppress(OSError):
                Path(dataset.dir).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def rebuild(self) -> int:
        """Enter datasets that are on disk but not in the store, oldest first; returns how many.

        A card that is not its folder's own is left out: by its id a folder is read, and removed one day.
        """
        with self._versions.one_at_a_time():
            found = [(path.parent.name, read_json(path)) for path in self.home.datasets.glob("d*/card.json")]
            cards = [card for name, card in found if isinstance(card, dict) and card.get("id") == name]
            new = [card for card in cards if self._store.datasets.get(card["id"]) is None]
            for card in sorted(new, key=lambda card: float(card["created"])):
                self._store.datasets.add(record(card, self.home.datasets / card["id"]))
                if report := read_json(self.home.datasets / card["id"] / REPORT):
                    self._store.datasets.learnt(card["id"], grade=report.get("grade"))
        return len(new)

    # reading

    def list(self, query: str = "") -> Datasets:
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

    def path(self, dataset_id: str) -> Path:
        """The version's data file."""
        return Path(self._known(dataset_id).dir) / DATA

    def take(self, dataset_id: str, indices: Iterable[int]) -> Rows:
        """The rows at `indices`, in their order. Raises `IndexError` for one that is not there."""
        return self._reader(dataset_id).take(indices)

    def iterate(self, dataset_id: str) -> Iterator[Row]:
        """All rows in order, read as they are taken."""
        reader = self._reader(dataset_id)
        for group in range(reader.groups):
            yield from reader.group_rows(group)

    def hashes(self, dataset_id: str) -> Hashes:
        """The content hash of every row: equal for rows with the same turns."""
        return self._reader(dataset_id).hashes()

    def search(self, dataset_id: str, text: str) -> Iterator[SearchStep]:
        """All rows with `text` in a turn, whatever the case, as they are found."""
        reader = self._reader(dataset_id)
        for hits, searched in reader.matching(text):
            yield SearchStep(reader.take(hits), searched, reader.total)

    def lineage(self, dataset_id: str) -> Datasets:
        """This version, then what it was made from, up to the import; of several parents the first."""
        found = [self._known(dataset_id)]
        while (parent := found[-1].parent) and (known := self._store.datasets.get(parent)) and known not in found:
            found.append(known)
        return found

    def children(self, dataset_id: str) -> Datasets:
        """Versions that were made from this one, newest first."""
        return self._store.datasets.children(self._known(dataset_id).id)

    def card(self, dataset_id: str) -> dict[str, Any]:
        """Where the dataset comes from and what it holds.

        Keys: id, name, version, shape, mapping, source {file, sha256, bytes}, rows, splits {name: rows},
        split {validation, seed}, system, roles {role: turns}, turns and chars a row {mean, max}, left_out,
        problems [{row, field, problem}], warnings, created, finetui.
        """
        dataset = self._known(dataset_id)
        card = read_json(Path(dataset.dir) / CARD)
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

    # what is found out about a version

    def report(self, dataset_id: str) -> dict[str, Any] | None:
        """The report that was kept last, or `None`."""
        found = read_json(Path(self._known(dataset_id).dir) / REPORT)
        return found if isinstance(found, dict) else None

    def save_report(self, dataset_id: str, report: dict[str, Any]) -> None:
        """Keep a report, which has a `grade`, beside the version; it is no part of it."""
        dataset = self._known(dataset_id)
        write_json(Path(dataset.dir) / REPORT, report)
        self._store.datasets.learnt(dataset.id, grade=str(report["grade"]))

    def tokens(self, dataset_id: str) -> dict[str, dict[str, Any]]:
        """Token figures that were kept, by the tokenizer's key."""
        found = read_json(Path(self._known(dataset_id).dir) / TOKENS)
        return found if isinstance(found, dict) else {}

    def save_tokens(self, dataset_id: str, key: str, figures: dict[str, Any]) -> None:
        """Keep token figures, which have a `total`, beside the version."""
        dataset = self._known(dataset_id)
        write_json(Path(dataset.dir) / TOKENS, self.tokens(dataset.id) | {key: figures})
        self._store.datasets.learnt(dataset.id, tokens=int(figures["total"]))

    # inside

    def _known(self, dataset_id: str) -> Dataset:
        return self._store.datasets.get(dataset_id) or self.resolve(dataset_id)

    def _reader(self, dataset_id: str) -> RowReader:
        dataset = self._known(dataset_id)
        with self._lock:
            reader = self._readers.get(dataset.id)
            if reader is None:
                reader = self._readers[dataset.id] = RowReader(Path(dataset.dir) / DATA)
                if len(self._readers) > _READERS_OPEN:
                    self._readers.popitem(last=False)
            self._readers.move_to_end(dataset.id)
            return reader


def _checked_name(name: str) -> str:
    name = name.strip()
    if not re.fullmatch(r"\w[\w .-]{0,79}", name) or re.search(r" v\d+$", name):
        raise BadInput(
            f"A dataset cannot be called {name!r}.",
            fix="Take letters, digits, spaces, dots, - and _, at most 80, without a version at the end.",
        )
    return name
