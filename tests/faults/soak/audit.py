"""What must hold whenever anything was killed, and what must hold in the end."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.home import Home
from engine.runs.identity import read_process
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir, checkpoint_name, checkpoint_step
from engine.worker.checkpoints import latest_whole
from store import Store
from tests.engine.runs_at_work import is_locked
from tests.faults.soak.worker import loss, weights

MARK = "FINETUI_SOAK"
"""An environment variable that every process of a soak inherits: by it none of them is overlooked."""


@dataclass
class Testimony:
    """What the workers of one run say they have written, read as it grows."""

    losses: list[tuple[int, int]] = field(default_factory=list)
    """Attempt and step, in the order in which they were written."""
    saved: set[int] = field(default_factory=set)
    """Steps whose checkpoint is committed and was not to be deleted."""
    published: bool = False
    checkpoints: int = 0
    wrong: list[str] = field(default_factory=list)
    offset: int = 0

    def take(self, words: list[str]) -> None:
        match words:
            case ["loss", attempt, step]:
                self.losses.append((int(attempt), int(step)))
            case ["saved", step]:
                self.saved.add(int(step))
                self.checkpoints += 1
            case ["dropped", step]:
                self.saved.discard(int(step))
            case ["published"]:
                self.published = True
            case ["from", step, *damaged]:
                if int(step) < max(self.saved, default=0):
                    self.wrong.append(f"it went on from step {step}, but {max(self.saved)} was committed")
                if damaged:
                    self.wrong.append(f"committed checkpoints were damaged: {damaged}")


class Audit:
    """Compares what the witnesses say with what is there."""

    def __init__(self, home: Home, store: Store, witness: Path) -> None:
        self._home = home
        self._store = store
        self._witness = witness
        self.testimonies: dict[str, Testimony] = {}
        self._events: dict[str, tuple[int, set[tuple[int, int, float]]]] = {}

    def look(self) -> list[str]:
        """What is wrong now: the store unsound, an event or a checkpoint missing. Nothing, as it should be."""
        wrong = [f"the store: {problem}" for problem in self._store.check()]
        for file in sorted(self._witness.iterdir()):
            wrong += [f"{file.name}: {problem}" for problem in self._look_at(file)]
        return wrong

    def _look_at(self, file: Path) -> Iterator[str]:
        told = self.testimonies.setdefault(file.name, Testimony())
        run = RunDir(self._home.runs / file.name)
        with file.open("rb") as lines:
            lines.seek(told.offset)
            new = lines.read()
        whole = new[: new.rfind(b"\n") + 1]
        told.offset += len(whole)
        before = len(told.losses)
        kept = told.saved.copy()
        for line in whole.decode().splitlines():
            told.take(line.split())
        yield from told.wrong
        told.wrong.clear()

        written = self._written(run)
        for attempt, step in told.losses[before:]:
            if (attempt, step, loss(attempt, step)) not in written:
                yield f"the loss of step {step} in attempt {attempt} is not in the log"
        there = {checkpoint_step(folder) for folder in run.committed_checkpoints()}
        # What was deleted since the witness was read is told there by now.
        for step in sorted((told.saved | kept) - there - self._dropped_since(file, told.offset)):
            if step in told.saved:
                yield f"the committed checkpoint of step {step} is gone"

    def _dropped_since(self, file: Path, offset: int) -> set[int]:
        lines = file.read_bytes()[offset:].decode().splitlines()
        return {int(words[1]) for words in map(str.split, lines) if len(words) == 2 and words[0] == "dropped"}

    def _written(self, run: RunDir) -> set[tuple[int, int, float]]:
        """Attempt, step and loss of all that stands in the log."""
        offset, found = self._events.get(run.path.name, (0, set()))
        chunk = read_events(run.events, offset)
        for event in chunk.events:
            if event["kind"] == "metrics":
                found.add((event["attempt"], event["step"], event["values"]["train/loss"]))
        self._events[run.path.name] = (chunk.offset, found)
        return found

    # in the end, when every run has been brought to its end and nobody is at work

    def conclude(self, steps: int) -> list[str]:
        """What is wrong after all: curves, checkpoints and adapters, locks and processes left behind."""
        wrong = self.look()
        for run_id, told in self.testimonies.items():
            if self._store.runs.get(run_id) is not None:
                wrong += [f"{run_id}: {problem}" for problem in self._conclude(run_id, told, steps)]
        wrong += [f"the lock {path} is held" for path in self.locked()]
        wrong += [f"process {pid} is left: {command}" for pid, command in marked().items()]
        return wrong

    def _conclude(self, run_id: str, told: Testimony, steps: int) -> Iterator[str]:
        run = RunDir(self._home.runs / run_id)
        curve = dict.fromkeys(range(1, steps + 1), 0)
        for attempt, step in told.losses:
            curve[step] = max(attempt, curve[step])
        series = self._store.metrics.series(run_id, "train/loss")
        shown = dict(zip(series.steps, series.values, strict=True)) if series else {}
        # What a killed worker wrote last may have been written without a word to the witness, but never differently.
        for step, attempt in curve.items():
            if shown.get(step) not in [loss(later, step) for later in range(attempt, attempt + 50)]:
                yield f"step {step} shows {shown.get(step)}, not what attempt {attempt} wrote"
        if sorted(shown) != [*range(1, steps + 1)]:
            yield f"the curve has steps {sorted(shown)}"
        last, damaged = latest_whole(run)
        if last is None or damaged or checkpoint_step(last) != steps:
            yield f"its last whole checkpoint is {last}; damaged are {damaged}"
        adapter = run.adapter / "adapter_model.safetensors"
        if not adapter.is_file():
            yield "its adapter is gone"
        elif not told.published or adapter.read_bytes() != weights(steps):
            yield "its adapter is not that of its last step"
        for step in told.saved:
            saved = run.checkpoints / checkpoint_name(step) / "adapter_model.safetensors"
            if saved.read_bytes() != weights(step):
                yield f"the checkpoint of step {step} has other weights than were saved"
        process = read_process(run.process)
        if process is not None and process.alive():
            yield f"its processes still live: {process.alive()}"

    def locked(self) -> list[Path]:
        """Files of devices, of the line and of runs that some process has locked."""
        leases = self._home.root / "leases"
        files = [
            *leases.glob("held/*/*"),
            *leases.glob("waiting/*"),
            leases / "mutex",
            *self._home.runs.glob("*/.lock"),
        ]
        return [file for file in files if file.exists() and is_locked(file)]


def marked() -> dict[int, str]:
    """The processes of this soak, by their pids, without this one."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if command:  # a zombie has none: it is dead, and its parent is about to be told
                    found[int(folder.name)] = command.strip()
    return found
