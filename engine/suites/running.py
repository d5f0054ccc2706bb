"""Suite runs: made, asked, gone on with."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.inference.pool import Pane, Sampling, ServerPool
from engine.runs.launcher import clean_name, new_run_id
from engine.suites.asking import Answering, Asking, SuiteProgress
from engine.suites.folder import SuiteDir
from engine.suites.kept import suite_of
from engine.suites.reading import Suite
from engine.suites.seating import panes_of
from store import Store
from store.talk_records import SuiteRun

BATCH = 16
"""Answers that are written together."""
TELL_S = 0.5
"""How often what is being done is written down."""


def run_suite(
    store: Store,
    pool: Answering,
    suite: Suite,
    panes: Sequence[Pane],
    models: Sequence[str],
    sampling: Sampling,
    *,
    batch: int = BATCH,
    on_progress: Callable[[SuiteProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    name: str = "",
    system: str = "",
) -> SuiteRun:
    """Ask every prompt of `suite` of each of `models`, whose `panes` answer. Answers are in the store as they come.

    Returns the suite run, `ended` unless `stop` said so before. Raises `FinetuiError` where a model cannot be asked;
    `go_on` asks what is missing then.
    """
    run = new_suite_run(store, suite, models, sampling, name=name, system=system)
    return go_on(store, pool, suite, panes, run, batch=batch, on_progress=on_progress, stop=stop)


def new_suite_run(
    store: Store,
    suite: Suite,
    models: Sequence[str],
    sampling: Sampling,
    *,
    name: str = "",
    system: str = "",
    endpoints: Mapping[str, Pane] | None = None,
) -> SuiteRun:
    """A suite run of which nothing has been asked. A name that is taken gets `-2`, `-3`… Raises `BadInput`.

    `endpoints` has what answers for the models that are not on this machine; keys themselves are not kept.
    """
    if not models:
        raise BadInput("No model is to be asked.", fix="Name a run with --run, or a base model with --base.")
    wanted = clean_name(name) if name.strip() else suite.name
    taken = {run.name for run in store.suites.list(10_000)}
    candidate, number = wanted, 1
    while candidate in taken:
        number += 1
        candidate = f"{wanted}-{number}"
    settings: dict[str, Any] = asdict(sampling) | {"stop": list(sampling.stop), "system": system}
    if endpoints:
        far = {model: {"url": pane.url, "key_env": pane.key_env} for model, pane in endpoints.items()}
        settings["endpoints"] = far
    run = SuiteRun(
        f"t{new_run_id()[1:]}", suite.id, candidate, time.time(), tuple(models), settings, len(suite.prompts)
    )
    store.suites.add(run)
    return run


def go_on(
    store: Store,
    pool: Answering,
    suite: Suite,
    panes: Sequence[Pane],
    run: SuiteRun,
    *,
    batch: int = BATCH,
    on_progress: Callable[[SuiteProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> SuiteRun:
    """Ask what is missing of a suite run, and again what ended in an error. Returns and raises as `run_suite`."""
    if len(panes) != len(run.models):
        raise ValueError(f"{len(panes)} panes, {len(run.models)} models")
    store.suites.set_ended(run.id, None)
    asking = Asking(
        store,
        pool,
        suite.first(run.prompts),
        panes,
        run,
        sampling_of(run),
        batch=batch,
        on_progress=on_progress or (lambda _: None),
    )
    if not asking.run(stop or (lambda: False)):
        return replace(run, ended=None)
    ended = time.time()
    store.suites.set_ended(run.id, ended)
    return replace(run, ended=ended)


def sampling_of(run: SuiteRun) -> Sampling:
    """How the answers of a suite run are written."""
    known = {field.name for field in fields(Sampling)}
    settings = {name: value for name, value in run.sampling.items() if name in known}
    return Sampling(**settings | {"stop": tuple(settings.get("stop") or ())})


def find_suite_run(store: Store, text: str) -> SuiteRun:
    """The suite run of that id, name or start of an id. Raises `NotFound`, and `BadInput` where it could be several."""
    found = store.suites.find(text.strip())
    if len(found) == 1:
        return found[0]
    if found:
        some = "\n".join(f"  {run.id}  {run.name}" for run in found[:5])
        raise BadInput(f"{text!r} could be {len(found)} suite runs.", why=some, fix="Give the id of one of them.")
    raise NotFound(f"There is no suite run {text!r}.", fix="`finetui suites ls` lists them all.")


def drive(
    home: Home,
    store: Store,
    library: DatasetLibrary,
    run: SuiteRun,
    *,
    claim: int | None = None,
    batch: int = BATCH,
    on_progress: Callable[[str, SuiteProgress | None], None] | None = None,
    make_pool: Callable[[Home, Callable[[str], None]], ServerPool] = ServerPool,
) -> SuiteRun:
    """`go_on` as the one process that may, with model servers of its own; what it does can be read in its folder.

    `claim` is what `SuiteDir.begun` gave whoever started this process. `on_progress` hears what is waited for, in
    words, and how far it is. Returns and raises as `go_on`; `BadInput` where another process is at it.
    """
    folder = SuiteDir.of(home, run.id)
    with folder.begun() if claim is None else nullcontext(claim):
        told = _Telling(folder, on_progress)
        failed: FinetuiError | None = None
        try:
            told.words("starting")
            suite = suite_of(library, run)
            panes = panes_of(store, home, run.models, run.sampling.get("endpoints"))
            pool = make_pool(home, told.words)
            try:
                return go_on(
                    store, pool, suite, panes, run, batch=batch, on_progress=told.progress, stop=folder.stop.exists
                )
            finally:
                asyncio.run(pool.close())
        except Exception as error:
            failed = error if isinstance(error, FinetuiError) else FinetuiError(str(error) or type(error).__name__)
            raise
        finally:
            folder.finish(failed)


class _Telling:
    """Writes down what is being done, twice a second at most, and tells who listens."""

    def __init__(self, folder: SuiteDir, on_progress: Callable[[str, SuiteProgress | None], None] | None) -> None:
        self._folder = folder
        self._on_progress = on_progress
        self._words = ""
        self._at: SuiteProgress | None = None
        self._written = 0.0

    def words(self, line: str) -> None:
        self._words = line
        self._tell(now=True)

    def progress(self, at: SuiteProgress) -> None:
        began = at.eta_s is not None and (self._at is None or self._at.eta_s is None)
        self._words = "asking" if at.eta_s is not None else self._words
        self._at = at
        self._tell(now=began or at.done == at.total)

    def _tell(self, *, now: bool) -> None:
        if self._on_progress is not None:
            self._on_progress(self._words, self._at)
        if now or time.monotonic() - self._written > TELL_S:
            self._written = time.monotonic()
            at = self._at
            self._folder.say(doing=self._words, **(asdict(at) if at is not None else {}))
