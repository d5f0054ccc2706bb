"""Row 7: the event log is cut at any byte, or a bit of it is flipped."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from store import Store, open_store
from store.records import NewRun, Status
from tests.engine.test_ingest import write

Points = dict[str, dict[int, float]]

EVENTS: list[tuple[float, int, str, dict[str, Any]]] = [
    (1.0, 1, "state", {"status": "training", "from_step": 0}),
    (2.0, 1, "plan", {"total_steps": 4}),
    (3.0, 1, "metrics", {"step": 1, "eta_s": 9.5, "values": {"train/loss": 3.5, "gpu0/power_w": 80}}),
    (4.0, 1, "metrics", {"step": 2, "values": {"train/loss": 2.5}}),
    (5.0, 1, "evaluation", {"step": 2, "values": {"eval/loss": 2.25}, "best": True}),
    (6.0, 1, "sample", {"step": 2, "samples": [{"prompt": "Hé", "text": 'a "b" \\ 🙂', "tokens": 3}]}),
    (7.0, 1, "metrics", {"step": 3, "values": {"train/loss": 1.5}}),
    (8.0, 1, "end", {"status": "succeeded", "reason": "done"}),
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The log of a whole run."""
    rundir = RunDir(tmp_path_factory.mktemp("whole"))
    write(rundir, EVENTS)
    return rundir.events.read_bytes()


class Ingested:
    """Logs taken in, each as a run of its own in one store."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(folder / "finetui.db")
        self._folder = folder
        self._made = 0

    def take(self, data: bytes) -> tuple[str, RunDir]:
        self._made += 1
        run_id = f"r{self._made}"
        rundir = RunDir(self._folder / run_id)
        rundir.path.mkdir()
        rundir.events.write_bytes(data)
        self.store.runs.add(NewRun(run_id, run_id, "starter", "lora", "d", "d1", 0.0, {}, str(rundir.path)))
        ingest_run(self.store, run_id, rundir)
        return run_id, rundir

    def points(self, run_id: str) -> Points:
        found = {}
        for name in self.store.metrics.names(run_id):
            series = self.store.metrics.series(run_id, name)
            assert series is not None
            found[name] = dict(zip(series.steps, series.values, strict=True))
        return found

    def warnings(self, run_id: str) -> int:
        run = self.store.runs.get(run_id)
        assert run is not None
        return run.warnings


@pytest.fixture
def ingested(tmp_path: Path) -> Iterator[Ingested]:
    made = Ingested(tmp_path)
    yield made
    assert made.store.check() == []
    made.store.close()


def said_by(lines: list[bytes]) -> Points:
    """The points of whole lines."""
    found: Points = {}
    for line in lines:
        event = json.loads(line)
        if event["kind"] in ("metrics", "evaluation", "system"):
            for name, value in event["values"].items():
                found.setdefault(name, {})[event["step"]] = float(value)
    return found


def contains(found: Points, some: Points) -> bool:
    return all(found.get(name, {}).get(step) == value for name, rows in some.items() for step, value in rows.items())


def test_row_7_cut_at_any_byte_what_is_before_is_kept_and_the_rest_follows(ingested: Ingested, log: bytes) -> None:
    whole = said_by(log.splitlines())
    with ingested.store.transaction():  # one for all, which is faster
        for cut in range(len(log)):
            run_id, rundir = ingested.take(log[:cut])
            assert ingested.points(run_id) == said_by(log[:cut].split(b"\n")[:-1])
            assert ingested.warnings(run_id) == 0, "a line that is not finished is no damage"
            if cut % 7 == 0:
                with rundir.events.open("ab") as file:
                    file.write(log[cut:])
                ingest_run(ingested.store, run_id, rundir)
                assert ingested.points(run_id) == whole


def test_row_7_a_log_that_was_cut_and_goes_on_shows_the_damage(ingested: Ingested, log: bytes) -> None:
    with ingested.store.transaction():
        for cut in range(0, len(log), 5):
            run_id, rundir = ingested.take(log[:cut])
            writer = EventWriter(rundir.events, 2)
            writer.write("metrics", step=9, values={"train/loss": 0.5})
            writer.close()
            ingest_run(ingested.store, run_id, rundir)
            lines = log[:cut].split(b"\n")
            torn = lines.pop()
            expected = said_by(lines)
            found = ingested.points(run_id)
            assert contains(found, expected)
            assert found["train/loss"][9] == 0.5
            try:
                json.loads(torn or b"{}")
                whole = True  # only the end of the line was missing
            except ValueError:
                whole = False
            problems = ingested.store.runs.problems(run_id)
            assert [offset for offset, _ in problems] == ([] if whole else [cut - len(torn)])
            assert ingested.warnings(run_id) == len(problems)


@pytest.mark.parametrize("seed", range(2))
def test_row_7_a_flipped_bit_costs_no_more_than_its_line(ingested: Ingested, log: bytes, seed: int) -> None:
    chance = random.Random(seed)
    with ingested.store.transaction():
        for _ in range(500):
            at, bit = chance.randrange(len(log)), chance.randrange(8)
            flipped = log[:at] + bytes([log[at] ^ 1 << bit]) + log[at + 1 :]
            run_id, _rundir = ingested.take(flipped)
            found = ingested.points(run_id)
            # A flipped end of a line joins it with the next one.
            start = log.rfind(b"\n", 0, at) + 1
            end = log.find(b"\n", at + (log[at] == 10))
            assert contains(found, said_by(log[:start].splitlines())), "what is before the damage"
            damaged = [line for line in flipped[start : end + 1].split(b"\n") if line.strip()]
            for line in damaged:
                try:
                    json.loads(line)
                except ValueError:
                    offset = flipped.index(line, start)
                    assert offset in dict(ingested.store.runs.problems(run_id))
                    assert ingested.warnings(run_id) > 0, "the damage is shown on the run"
                    assert contains(found, said_by(log[end + 1 :].splitlines())), "what is after it"


def test_row_7_noise_in_place_of_a_log_is_damage_and_nothing_else(ingested: Ingested, log: bytes) -> None:
    noise = random.Random(3).randbytes(20_000)
    run_id, _ = ingested.take(log + noise + b"\n" + log.splitlines(keepends=True)[6].replace(b'"step":3', b'"step":7'))
    assert contains(ingested.points(run_id), said_by(log.splitlines()))
    assert ingested.points(run_id)["train/loss"][7] == 1.5
    assert ingested.warnings(run_id) > 0
    run = ingested.store.runs.get(run_id)
    assert run is not None
    assert run.status in set(Status)
