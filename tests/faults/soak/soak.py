"""The soak itself: what is done to a home, who is killed when, and what is looked at after each kill."""

import math
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.home import Home
from engine.runs.identity import Identity, read_process, send_signal
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir
from store import Store, StoreError, open_store
from store.records import Run, Status
from tests.faults.soak.actor import COPY
from tests.faults.soak.audit import MARK, Audit, marked
from tests.faults.soak.fleet import Actor, App

ACTORS = 4
LIVE = 5
"""So many runs are under way or waiting at a time."""
DEVICES = 3
"""So many of them are at work."""
LONGEST_WAIT_S = 0.4
SOONEST, LATEST = -3.5, -0.7
"""Powers of ten: from 0.3 ms to 0.2 s."""
TERMINAL_S = 5.0
"""A run whose worker was killed shows how it ended within this."""
KEYS = (b"j", b"k", b"\r", b"\x1b", b"1", b"2", b"4", b"6", b"/", b"\t", b"?")

WEIGHTS = {
    "worker": 12,
    "supervisor": 6,
    "supervisor and worker": 4,
    "launch": 3,
    "resume": 3,
    "stop": 2,
    "note": 2,
    "ingest": 4,
    "rebuild": 1,
    "backup": 1,
    "app": 2,
}
"""Who is killed, or in the middle of what, and how often that is tried."""


@dataclass
class Report:
    """What came of it."""

    seed: int
    steps: int
    kills: Counter[str] = field(default_factory=Counter)
    """Processes killed, by what they were, or by what was under way in them at that moment."""
    runs: int = 0
    attempts: int = 0
    losses: int = 0
    """Logged losses that a worker had seen written."""
    checkpoints: int = 0
    """Checkpoints that a worker had seen committed."""
    looks: int = 0
    slowest_end_s: float = 0.0
    """The longest that a run whose worker was killed went on being shown as live."""
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    """All that was wrong. Nothing, as it should be."""

    @property
    def total(self) -> int:
        return self.kills.total()


class Soak:
    """One soak in a home of its own, which is made ready by whoever calls: a dataset `support`, a starter model."""

    def __init__(
        self, home: Home, seed: int, *, steps: int = 150, delay_s: float = 0.03, say: Callable[[str], None]
    ) -> None:
        os.environ[MARK] = secrets.token_hex(8)
        self._home = home
        self._random = random.Random(seed)
        self._say = say
        self._witness = home.root.parent / "witness"
        self._witness.mkdir(exist_ok=True)
        self._complaints = home.root.parent / "complaints.txt"
        worker = Path(__file__).with_name("worker.py")
        self._worker = ["python", str(worker), "--steps", str(steps), "--delay", str(delay_s)]
        self._worker += ["--witness", str(self._witness)]
        self._store: Store = open_store(home.db)
        self._audit = Audit(home, self._store, self._witness)
        self._actors: list[Actor] = []
        self._app: App | None = None
        self._names = 0
        self._notes: dict[str, list[str]] = {}
        """Of each run the note that it has: the one that was answered last, or one after it that never was."""
        self._promised: set[str] = set()
        """Runs whose launch was answered."""
        self.report = Report(seed, steps)

    def run(self, kills: int, minutes: float) -> Report:
        """Kill so often, or for so long; then bring every run to its end and look at all of it once more."""
        (self._home.root / "settings.toml").write_text(f"[queue]\ncpu_runs = {DEVICES}\n", encoding="utf-8")
        began = time.monotonic()
        try:
            self._actors = [self._new_actor() for _ in range(ACTORS)]
            while self.report.total < kills and time.monotonic() - began < minutes * 60 and not self.report.lost:
                self._kill_something()
                self._look()
            self._bring_to_an_end()
        finally:
            for actor in self._actors:
                actor.kill()
            if self._app is not None:
                self._app.kill(signal.SIGKILL)
        self._conclude()
        for pid in marked():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._store.close()
        self.report.seconds = time.monotonic() - began
        return self.report

    # killing

    def _kill_something(self) -> None:
        kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        live = [run for run in self._runs() if run.status.live]
        while len(live) < LIVE and kind != "resume":  # to which the runs are left that have ended
            live.append(self._go_on())
        wait_s = self._random.uniform(0, LONGEST_WAIT_S)
        match kind:
            case "worker" | "supervisor" | "supervisor and worker":
                time.sleep(wait_s)
                self._kill_processes(kind)
            case "app":
                self._kill_app()
            case _:
                self._kill_actor(kind, self._moment())

    def _moment(self) -> float:
        """When to kill who was asked for something, in seconds: a note takes one thousandth, a launch a hundred."""
        return math.pow(10, self._random.uniform(SOONEST, LATEST))

    def _kill_processes(self, kind: str) -> None:
        """Kill what is at work on one of the runs, if anything is."""
        able = []
        for run in self._runs():
            record = read_process(RunDir(self._home.runs / run.id).process) if run.status.live else None
            if record is not None and record.worker is not None:
                able.append((run, record))
        if not able:
            return
        run, record = self._random.choice(able)
        victims = {"worker": [record.worker], "supervisor": [record.supervisor]}.get(
            kind, [record.supervisor, record.worker]
        )
        struck = [self._strike(victim, kind) for victim in victims if victim is not None]
        if any(struck) and kind != "supervisor":
            self._wait_for_the_end(run)

    def _strike(self, victim: Identity, kind: str) -> bool:
        if not send_signal(victim, signal.SIGKILL):
            return False
        self.report.kills[kind] += 1
        return True

    def _wait_for_the_end(self, run: Run) -> None:
        began = time.monotonic()
        patience_s = 6 * TERMINAL_S
        while (
            (found := self._store.runs.get(run.id)) is not None and found.status.live and found.attempt == run.attempt
        ):
            if time.monotonic() - began > patience_s:
                self.report.lost.append(f"{run.id}: killed, and still shown as {found.status} after {patience_s:g} s")
                return
            time.sleep(0.01)
        self.report.slowest_end_s = max(self.report.slowest_end_s, time.monotonic() - began)

    def _kill_actor(self, doing: str, wait_s: float) -> None:
        """Kill a process in the middle of what it was asked to do.

        One that has answered already, or of which nothing could be asked, was back at taking in: it counts as that.
        """
        place = self._random.randrange(len(self._actors))
        actor = self._actors[place]
        wish = self._wish(doing)
        if wish:
            actor.ask(**wish)
        time.sleep(wait_s)
        answer = actor.kill()
        self.report.kills[doing if wish and not answer else "ingest"] += 1
        self._note(wish, answer)
        self._actors[place] = self._new_actor()

    def _kill_app(self) -> None:
        if self._app is not None:
            self._app.kill(self._random.choice([signal.SIGKILL, signal.SIGHUP]))
            self.report.kills["app"] += 1
        self._app = App(self._home)

    def _wish(self, doing: str) -> dict[str, Any]:
        runs = self._runs()
        live = [run.id for run in runs if run.status.live]
        over = [run.id for run in runs if not run.status.live and run.status is not Status.SUCCEEDED]
        match doing:
            case "launch":
                return self._launch_wish()
            case "stop" if live:
                return {"do": self._random.choice(["stop", "kill"]), "run": self._random.choice(live)}
            case "resume" if over:
                return {"do": "resume", "run": self._random.choice(over)}
            case "note" if runs:
                return {"do": "note", "run": self._random.choice(runs).id, "text": f"note {self._random.random()}"}
            case "rebuild" | "backup":
                return {"do": doing}
        return {}

    def _launch_wish(self) -> dict[str, Any]:
        self._names += 1
        return {"do": "launch", "name": f"soak-{self._names}"}

    def _note(self, wish: dict[str, Any], answer: dict[str, Any]) -> None:
        """What was answered must hold from now on."""
        if "run" in answer:
            self._promised.add(answer["run"])
        if wish.get("do") == "note" and "done" in answer:
            self._notes[wish["run"]] = [wish["text"]]
        elif wish.get("do") == "note" and not answer:
            self._notes.setdefault(wish["run"], [""]).append(wish["text"])

    # living

    def _go_on(self) -> Run:
        """Launch a run, or resume one that has ended too early. Returns it."""
        if self._app is not None:
            self._app.press(self._random.choice(KEYS))
        over = [run for run in self._runs() if not run.status.live and run.status is not Status.SUCCEEDED]
        wish = {"do": "resume", "run": over[0].id} if over else self._launch_wish()
        answer = self._ask(wish)
        run = self._store.runs.get(answer.get("run") or wish.get("run", ""))
        assert run is not None, answer
        return run

    def _ask(self, wish: dict[str, Any]) -> dict[str, Any]:
        actor = self._random.choice(self._actors)
        actor.ask(**wish)
        answer = actor.answer()
        if not answer:
            self.report.lost.append(f"no answer to {wish}")
        self._note(wish, answer)
        return answer

    def _new_actor(self) -> Actor:
        return Actor(self._home, self._worker, self._complaints)

    def _runs(self) -> list[Run]:
        return self._store.runs.list(limit=100_000)

    # looking

    def _look(self) -> None:
        self.report.lost += self._audit.look()
        self.report.looks += 1
        there = {run.id: run for run in self._runs()}
        self.report.lost += [f"{run}: launched, and not in the store" for run in self._promised - there.keys()]
        for run, notes in self._notes.items():
            if run in there and there[run].notes not in notes:
                self.report.lost.append(f"{run}: its note is {there[run].notes!r}, not {' or '.join(map(repr, notes))}")
        if self.report.total and self.report.total % 50 == 0:
            self._say(f"{self.report.total} kills, {len(there)} runs, lost: {self.report.lost or 'nothing'}")

    def _bring_to_an_end(self) -> None:
        """Resume what is not done until all of it is."""
        give_up = time.monotonic() + 300
        while unfinished := [run for run in self._runs() if run.status is not Status.SUCCEEDED]:
            if time.monotonic() > give_up or self.report.lost:
                self.report.lost += [f"{run.id}: {run.status} ({run.reason}) in the end" for run in unfinished]
                return
            for run in unfinished:
                if not run.status.live:
                    self._ask({"do": "resume", "run": run.id})
            time.sleep(0.1)

    def _conclude(self) -> None:
        give_up = time.monotonic() + 30
        while (self._audit.locked() or marked()) and time.monotonic() < give_up:
            time.sleep(0.1)  # what is at its end is given time to go
        self.report.lost += self._audit.conclude(self.report.steps)
        self._make_anew()
        self._open_the_copy()
        runs = self._runs()
        self.report.runs = len(runs)
        self.report.attempts = sum(run.attempt for run in runs)
        told = self._audit.testimonies.values()
        self.report.losses = sum(len(one.losses) for one in told)
        self.report.checkpoints = sum(one.checkpoints for one in told)

    def _make_anew(self) -> None:
        """Read all folders into an empty store, and compare what it says of each run with what ours says."""
        anew = open_store(self._home.root.parent / f"anew-{self.report.looks}.db")
        manager = RunManager(self._home, anew)
        manager.rebuild()
        manager.close()
        if _said_of_runs(anew) != _said_of_runs(self._store):
            self.report.lost.append("the store made anew from the folders is another one")
        anew.close()

    def _open_the_copy(self) -> None:
        """The copy that was made last, where there is one, is whole: it appears at once or not at all."""
        file = self._home.root / COPY
        if not file.exists():
            return
        try:
            copy = open_store(file)
            problems = copy.check()
            copy.close()
        except StoreError as error:
            problems = [str(error)]
        self.report.lost += [f"the copy of the store: {problem}" for problem in problems]


def _said_of_runs(store: Store) -> dict[str, tuple[object, ...]]:
    """Of each run its name, how far it came and its loss curve."""
    said: dict[str, tuple[object, ...]] = {}
    for run in store.runs.list(limit=100_000):
        series = store.metrics.series(run.id, "train/loss")
        curve = (series.steps, series.values) if series else None
        said[run.id] = (run.name, run.status, run.step, run.attempt, curve)
    return said
