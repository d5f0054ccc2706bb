"""Runs that were found become runs of this home.

Each appears whole or not at all, under an id that follows from what it is: imported again, it is the same run.
"""

import hashlib
import os
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import FinetuiError
from engine.history.config import dataset_of, flattened, method_of, model_of
from engine.history.copied import ID, IMPORTED, copy_run
from engine.history.items import Damage, FoundRun, Reader
from engine.history.mlflow import read_mlflow, read_mlruns
from engine.history.tensorboard import read_tensorboard
from engine.history.trackio import read_trackio
from engine.history.trainer import read_trainer
from engine.history.wandb import read_wandb
from engine.history.writing import HistoryWriter
from engine.home import Home
from engine.insight.diagnosis import FindingKeeper
from engine.runs.claim import take
from engine.runs.entry import new_run
from engine.runs.fields import text
from engine.runs.ingest import ingest_run
from engine.runs.launcher import LONGEST_NAME, clean_name, unique_name
from engine.runs.rundir import RunDir, read_json, write_json
from store import Store

FORMAT = 1
"""Raised whenever this finetui takes over more than the one before: what it imported is then read again."""
READING = 0.6
"""Share of the time that is spent on the files; the rest goes into the store."""
LOOK_S = 0.2
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_MOST_TAGS = 50

Progress = Callable[[str, float], None]
"""Hears what is being imported, and how much of all is done, 0 to 1. Raises `Cancelled` once it was given up."""


@dataclass(frozen=True)
class Imported:
    """What became of a run that was found."""

    id: str
    """Empty where nothing came of it."""
    name: str
    source: str
    outcome: str
    """`imported`, `updated`, `unchanged` or `failed`."""
    points: int = 0
    problems: tuple[str, ...] = ()
    """What could not be read, or why nothing came of it."""
    skipped: dict[str, int] = field(default_factory=dict)
    """What there is no place for here, and how much of it there was: images, histograms, texts."""


@dataclass(frozen=True)
class Outcome:
    runs: list[Imported]

    def count(self, outcome: str) -> int:
        return sum(run.outcome == outcome for run in self.runs)

    @property
    def ids(self) -> list[str]:
        """Of all runs that are here now."""
        return [run.id for run in self.runs if run.id]


def import_history(
    home: Home,
    store: Store,
    runs: Sequence[FoundRun],
    *,
    name: str | None = None,
    tags: Sequence[str] = (),
    progress: Progress = lambda _what, _share: None,
) -> Outcome:
    """Import runs, one after the other; those that were imported before are brought up to date.

    `name` is for a single run, `tags` are for all. Given up in between, those that are done stay. Raises `BadInput` for
    a name or a tag that cannot be, `FinetuiError` where the home cannot be written to, `StoreError`.
    """
    home.ensure()
    name = clean_name(name) if name else None
    tags = [clean_name(tag, "tag") for tag in dict.fromkeys(tags)]
    done: list[Imported] = []
    for count, run in enumerate(runs):

        def told(share: float, run: FoundRun = run, count: int = count) -> None:
            progress(run.name, (count + share) / len(runs))

        told(0.0)
        try:
            with _alone(home, told):
                done.append(_import(home, store, run, name, tags, told))
        except OSError as error:
            raise FinetuiError(
                f"{run.name} cannot be imported into {home.runs}.",
                why=f"The system says: {error.strerror or error}.",
                fix=f"{len(done)} of {len(runs)} runs are done. Free space or unlock the folder, then import again.",
            ) from error
    return Outcome(done)


@contextmanager
def _alone(home: Home, told: Callable[[float], None]) -> Iterator[None]:
    """As the one process that imports into this home. Another is waited for, unless `told` gives up meanwhile."""
    while (claim := take(home.root / "import.lock", LOOK_S)) is None:
        told(0.0)
    try:
        yield
    finally:
        os.close(claim)


def run_id_of(run: FoundRun) -> str:
    """The id that a run has here: always the same. A copied run keeps its own."""
    if run.source == "finetui" and ID.fullmatch(run.key):
        return run.key
    value = int.from_bytes(hashlib.sha256(run.source_id.encode("utf-8", "replace")).digest()[:8], "big") >> 9
    return "r" + "".join(_LETTERS[value >> shift & 31] for shift in range(50, -1, -5))


def state_of(home: Home, run: FoundRun) -> str:
    """What an import would do with a run: it is `new`, has `more` than was imported, or is `here` already."""
    rundir = RunDir(home.runs / run_id_of(run))
    inputs = read_json(rundir.inputs)
    if not isinstance(inputs, dict):
        return "new"
    return "here" if _is_here(rundir, inputs, run) else "more"


def _is_here(rundir: RunDir, inputs: dict[str, Any], run: FoundRun) -> bool:
    """Whether a folder holds what was found: imported as it is now, or not imported at all but this home's own."""
    own = "source_id" not in inputs or run.path == rundir.path.resolve()
    return own or inputs.get("source_stamp") == _stamp(run)


def _stamp(run: FoundRun) -> str:
    if run.stamp.startswith(IMPORTED):
        return run.stamp.removeprefix(IMPORTED)
    return hashlib.sha256(f"{FORMAT}|{run.stamp}".encode()).hexdigest()[:20]


def _import(
    home: Home, store: Store, run: FoundRun, name: str | None, tags: list[str], told: Callable[[float], None]
) -> Imported:
    run_id = run_id_of(run)
    rundir = RunDir(home.runs / run_id)
    before = read_json(rundir.inputs)
    before = before if isinstance(before, dict) else None
    if before is not None and _is_here(rundir, before, run):
        known = store.runs.get(run_id)
        if known is None:
            _register(store, rundir, before, [], told)
        for tag in tags:
            store.runs.add_tag(run_id, tag)
        return Imported(run_id, known.name if known else before["name"], run.source, "unchanged")
    draft = RunDir(home.runs / f".import-{run_id}")
    shutil.rmtree(draft.path, ignore_errors=True)
    draft.path.mkdir(mode=0o700, parents=True)
    try:
        taken = _copy(run, draft) if run.path.joinpath("inputs.json").is_file() else _read(run, draft, told)
        inputs, result = taken
        if inputs is None:
            return replace(result, outcome="failed")
        old_name = (before or {}).get("name")
        wanted = name or old_name or unique_name(store, as_name(inputs.pop("name"), run))
        inputs |= {
            "id": run_id,
            "name": wanted,
            "source": run.source,
            "source_id": text(run.source_id),
            "source_path": text(run.path),
            "source_stamp": _stamp(run),
        }
        inputs["tags"] = [*dict.fromkeys([*(as_name(tag, None) for tag in inputs["tags"][:_MOST_TAGS]), *tags])]
        write_json(draft.inputs, inputs)
        if before is None:
            draft.path.rename(rundir.path)
        else:
            _put_in_place(draft, rundir)
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    _register(store, rundir, inputs, tags, told)
    FindingKeeper(store).look(run_id)
    told(1.0)
    return replace(result, id=run_id, name=wanted, outcome="updated" if before else "imported")


def _read(run: FoundRun, draft: RunDir, told: Callable[[float], None]) -> tuple[dict[str, Any] | None, Imported]:
    """Write the events of a run of others; returns its inputs, `None` where there was nothing to read."""
    fallback = run.created if run.created is not None else _modified(run.files[-1])
    writer = HistoryWriter(draft.path, fallback)
    size = max(1, run.size)

    def at(read: int) -> None:
        told(READING * min(1.0, read / size))

    items = _reader(run)(run, at)
    try:
        while True:
            try:
                item = next(items)
            except StopIteration:
                break
            except FinetuiError:
                raise
            except Exception as error:  # whatever a stranger's file may hold: what was read before it counts
                writer.take(Damage(f"{run.path.name} cannot be read any further: {type(error).__name__}: {error}"))
                break
            writer.take(item)
        began, _ = writer.finish()
    finally:
        writer.close()
    skipped = dict(sorted(writer.skipped.items()))
    result = Imported("", run.name, run.source, "imported", writer.points, tuple(writer.damage), skipped)
    config = flattened(writer.config)
    if not writer.points and (writer.damage or not config):
        why = writer.damage or ["there are no figures in it"]
        return None, replace(result, problems=tuple(why))
    facts = writer.facts
    inputs = {
        "name": facts.name or run.name,
        "created": run.created if run.created is not None else began,
        "model": {"name": model_of(config), "kind": "imported"},
        "dataset": {"id": "", "name": dataset_of(config), "version": None},
        "method": method_of(config),
        "config": config,
        "notes": text(facts.notes),
        "tags": list(facts.tags),
        "imported": {"at": time.time(), "points": writer.points, "problems": writer.damage, "skipped": skipped},
    }
    return inputs, result


def _copy(run: FoundRun, draft: RunDir) -> tuple[dict[str, Any] | None, Imported]:
    inputs = copy_run(run, draft)
    inputs["name"] = run.name
    inputs["created"] = run.created if run.created is not None else _modified(run.files[0])
    inputs["config"] = flattened(inputs["config"])
    return inputs, Imported("", run.name, run.source, "imported")


def _reader(run: FoundRun) -> Reader:
    if run.source == "mlflow" and run.path.is_dir():
        return read_mlruns
    readers: dict[str, Reader] = {
        "wandb": read_wandb,
        "tensorboard": read_tensorboard,
        "trainer": read_trainer,
        "trackio": read_trackio,
        "mlflow": read_mlflow,
    }
    return readers[run.source]


def _put_in_place(draft: RunDir, rundir: RunDir) -> None:
    """Replace an earlier import, what says that it is done last."""
    for made, there in ((draft.events, rundir.events), (draft.log, rundir.log), (draft.inputs, rundir.inputs)):
        if made.exists():
            made.replace(there)


def _register(
    store: Store, rundir: RunDir, inputs: dict[str, Any], tags: list[str], told: Callable[[float], None]
) -> None:
    """Put the run into the store, or anew; what people said of it there stays."""
    new = new_run(rundir, inputs)
    known = store.runs.get(new.id)
    if known is not None and (known.recipe, known.model, known.method, known.dataset) != (
        new.recipe,
        new.model,
        new.method,
        new.dataset,
    ):
        store.runs.delete(new.id)
        store.runs.add(replace(new, name=known.name, tags=known.tags))
        store.runs.set_note(new.id, known.notes)
    elif known is not None:
        store.runs.reset(new.id)
    else:
        store.runs.add(new)
        if inputs.get("notes"):
            store.runs.set_note(new.id, inputs["notes"])
    for tag in tags:
        store.runs.add_tag(new.id, tag)
    size = max(1, rundir.events.stat().st_size)
    ingest_run(store, new.id, rundir, progress=lambda read: told(READING + (1 - READING) * min(1.0, read / size)))


def as_name(wanted: str, run: FoundRun | None) -> str:
    """`wanted` as a name can be; the end of what is too long, where a path says most."""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text(wanted))
    name = " ".join(kept.split())
    if len(name) > LONGEST_NAME:
        name = f"…{name[-LONGEST_NAME + 1 :]}"
    return name or (f"{run.source} run" if run else "tag")


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
