"""A home with a line of runs in it: so many at work, the others waiting, each with a supervisor of its own."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.load_worker import ENOUGH
from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.identity import read_process
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir
from store import Store, open_store
from tests.engine.models_made import make_model, prepare_tokenizer

SAMPLES = Path(__file__).parent.parent / "samples"
RECIPE = {"dataset": "support", "max_length": 256, "per_device_train_batch_size": 1}
"""Wants little memory, so that eight fit beside each other on a small machine."""

PATIENCE_S = 60.0
CONFIG = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
"""Of the starter's size: the planner says how much memory a run wants, and the line is kept by that."""


def make_home(root: Path, at_work: int) -> Home:
    """A home in which so many runs may be at work on the processor, with a dataset and a model that need no torch."""
    home = Home(root).ensure()
    (home.root / "settings.toml").write_text(f"[queue]\ncpu_runs = {at_work}\n", encoding="utf-8")
    make_model(home.starter, config=CONFIG)
    prepare_tokenizer(home, "starter")
    store = open_store(home.db)
    DatasetLibrary(home, store).import_file(SAMPLES / "support.jsonl", name="support")
    store.close()
    return home


class Line:
    """The runs of a home: those that were launched first are at work, the others wait in this order."""

    def __init__(self, home: Home, rate: float) -> None:
        self.home = home
        self.live: list[str] = []
        self.queued: list[str] = []
        self._rate = rate

    def launch(self, live: int, queued: int, events: int) -> None:
        """Launch runs that go on until they are told, and behind them runs of so many events. Waits for each."""
        store = open_store(self.home.db)
        try:
            self.live += self._launch(store, "live", live, 0)
            wait_for(lambda: all(self._is_at_work(run) for run in self.live))
            self.queued += self._launch(store, "queued", queued, events)
        finally:
            store.close()

    def _launch(self, store: Store, name: str, count: int, events: int) -> list[str]:
        options = ["--rate", str(self._rate), "--events", str(events)]
        manager = RunManager(self.home, store, worker=["python", "-m", "benchmarks.load_worker", *options])
        runs = [manager.launch(make_recipe(RECIPE), name=f"{name}-{n:03d}").id for n in range(count)]
        wait_for(lambda: all(self.dir(run).process.exists() and manager.queue.has_come(run) for run in runs[-1:]))
        manager.close()
        return runs

    def _is_at_work(self, run: str) -> bool:
        record = read_process(self.dir(run).process)
        return record is not None and record.worker is not None

    def dir(self, run: str) -> RunDir:
        return RunDir(self.home.runs / run)

    def end(self, run: str) -> None:
        """Tell a live run that it has written enough."""
        (self.dir(run).path / ENOUGH).touch()

    def over(self, run: str) -> bool:
        return self.dir(run).exit.exists()

    @contextlib.contextmanager
    def put_away(self) -> Iterator[None]:
        """On leaving, kill whatever is still at work on a run."""
        try:
            yield
        finally:
            for run in (*self.queued, *self.live):
                found = read_process(self.dir(run).process)
                for one in found.alive() if found else ():
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(one.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Raises `TimeoutError` when `condition` does not become true in time."""
    give_up = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"it did not happen within {patience_s:g} s")
        time.sleep(0.05)
