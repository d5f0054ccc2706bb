"""The queue: real supervisors that wait for a device, and what one can do to their order."""

import random
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs import manager as managing
from engine.runs import queue
from engine.runs.allot import CPU, Holder, Request, Room, allot, starts
from engine.runs.leases import Ticket, mutex, read_holders, read_line, read_order
from engine.runs.manager import RunManager
from engine.runs.queue import cpu_runs, planned_s
from engine.runs.rundir import RunDir, read_json, write_json
from store import Store, open_store
from store.records import Run, Status
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import events, gone, import_support, kill, put_away, reached, record, stand_in, wait_for
from tests.engine.test_manager import ended, folder, look, recipe
from tests.engine.test_supervisor import make_run, supervise

Launch = Callable[..., Run]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    made = Home(tmp_path / "home").ensure()
    make_starter(made)
    with put_away(made.runs):
        yield made


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.db)
    import_support(home, opened)
    yield opened
    opened.close()


@pytest.fixture
def manager(home: Home, store: Store) -> Iterator[RunManager]:
    """Its runs stay at step 1 until their folder has a file `go`, or they are stopped."""
    made = RunManager(home, store, worker=stand_in("--hold-at", "1", "--steps", "2"))
    yield made
    made.close()


@pytest.fixture
def launch(home: Home, manager: RunManager) -> Launch:
    """Launches a run; the first is at work, the others wait, once it returns."""

    def start(name: str, *, priority: int = 0) -> Run:
        run = manager.launch(recipe(), name=name, priority=priority)
        if len(list(home.runs.iterdir())) == 1:
            reached(folder(home, run), 1)
        else:
            wait_for(lambda: run.id in waiting(home))
        return run

    return start


def waiting(home: Home) -> list[str]:
    """Ids of the runs that wait, the next to start first."""
    return [request.run for request in read_line(home.root / "leases")]


def at_work(home: Home) -> list[str]:
    return [holder.run for holder in read_holders(home.root / "leases").get("cpu", [])]


def names(manager: RunManager, store: Store) -> list[str]:
    found = [store.runs.get(entry.run) for entry in manager.queue.waiting()]
    return [run.name for run in found if run]


# races between processes


def test_six_supervisors_for_two_slots(home: Home) -> None:
    place = home.root
    fill = [Ticket(place / "leases", Request(name, ("cpu",), slots=2)).try_take() for name in ("a", "b")]
    runs = {f"r{number}": make_run(place, f"r{number}", slots=2, priority=number) for number in range(6)}
    processes = [supervise(run, "--hold-at", "1", "--steps", "1") for run in runs.values()]
    wait_for(lambda: len(waiting(home)) == 6)
    assert waiting(home) == ["r5", "r4", "r3", "r2", "r1", "r0"]
    for lease in fill:
        assert lease is not None
        lease.release()
    for pair in (["r4", "r5"], ["r2", "r3"], ["r0", "r1"]):
        for name in pair:
            reached(runs[name], 1)
        assert sorted(at_work(home)) == pair
        for name in pair:
            (runs[name].path / "go").touch()
    assert [process.wait(20) for process in processes] == [0] * 6
    spans = [(events(run, "plan")[0]["t"], events(run, "end")[0]["t"]) for run in runs.values()]
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) == 2
    assert read_order(place / "leases") == {}


def test_a_holder_that_is_killed_frees_the_device(
    home: Home, store: Store, manager: RunManager, launch: Launch
) -> None:
    first, second = launch("first"), launch("second")
    for process in record(folder(home, first)).alive():
        kill(process.pid)
    reached(folder(home, second), 1)
    assert at_work(home) == [second.id]
    assert look(manager, store, first).status is Status.LOST


# what a person does


def test_what_waits_says_for_what(home: Home, store: Store, manager: RunManager, launch: Launch) -> None:
    first, second, third = launch("first"), launch("second"), launch("third", priority=2)
    manager.refresh()
    entries = manager.queue.waiting()
    assert [(entry.run, entry.place, entry.priority) for entry in entries] == [(third.id, 1, 2), (second.id, 2, 0)]
    assert [(one.device, one.holders, one.ahead) for one in entries[0].obstacles] == [("cpu", (first.id,), "")]
    assert [(one.holders, one.ahead) for one in entries[1].obstacles] == [((first.id,), third.id)]
    assert manager.queue.devices() == {first.id: ("cpu",)}


def test_moving_while_waiting(home: Home, store: Store, manager: RunManager, launch: Launch) -> None:
    first = launch("first")
    runs = {name: launch(name) for name in ("a", "b", "c")}
    assert names(manager, store) == ["a", "b", "c"]
    manager.queue.move(runs["c"].id, 1)
    assert names(manager, store) == ["c", "a", "b"]
    manager.queue.move(runs["c"].id, 99)
    assert names(manager, store) == ["a", "b", "c"]
    manager.queue.set_priority(runs["b"].id, 3)
    assert names(manager, store) == ["b", "a", "c"]
    manager.queue.move(runs["c"].id, 1)
    assert names(manager, store) == ["c", "b", "a"], "before one of a higher priority, too"
    assert [entry.priority for entry in manager.queue.waiting()] == [3, 3, 0]
    manager.queue.move(runs["b"].id, 3)
    assert names(manager, store) == ["c", "a", "b"]
    (folder(home, first).path / "go").touch()
    reached(folder(home, runs["c"]), 1)
    assert waiting(home) == [runs["a"].id, runs["b"].id]
    late = launch("late")
    assert waiting(home)[-1] == late.id, "who comes later is behind those that were moved"
    manager.stop(runs["a"].id)
    assert ended(manager, store, runs["a"]).reason == "stopped while waiting for cpu"
    assert names(manager, store) == ["b", "late"]


def test_run_now(home: Home, store: Store, manager: RunManager, launch: Launch) -> None:
    first, second, urgent = launch("first"), launch("second"), launch("urgent")
    manager.queue.run_now(urgent.id)
    reached(folder(home, urgent), 1)
    assert set(at_work(home)) == {first.id, urgent.id}
    assert waiting(home) == [second.id]
    with pytest.raises(BadInput, match="urgent does not wait") as refused:
        manager.queue.set_priority(urgent.id, 1)
    assert "queue ls" in refused.value.fix
    manager.refresh()
    for run in (first, urgent):
        with pytest.raises(BadInput, match="it is training"):
            manager.queue.move(run.id, 1)
    with pytest.raises(BadInput, match="There is no run"):
        manager.queue.run_now("nobody")


def test_a_locked_queue_is_said(
    home: Home, store: Store, manager: RunManager, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch("first")
    second = launch("second")
    monkeypatch.setattr(queue, "LOCKED_S", 0.05)
    with mutex(home.root / "leases"), pytest.raises(FinetuiError, match="cannot be changed now"):
        manager.queue.move(second.id, 1)


# a restart of the machine


def restart_machine(home: Home, *runs: Run) -> None:
    """Leave the folders of these runs as a restart of the machine does."""
    for run in runs:
        rundir = folder(home, run)
        value = read_json(rundir.process)
        assert value is not None
        for role in ("supervisor", "worker"):
            if value[role]:
                kill(value[role]["pid"])
        wait_for(partial(gone, rundir))
        write_json(rundir.process, value | {"boot_id": "the one before"})


def test_after_a_restart_of_the_machine_the_queue_is_as_it_was(
    home: Home, store: Store, manager: RunManager, launch: Launch
) -> None:
    live, second, third = launch("live"), launch("second"), launch("third")
    manager.queue.move(third.id, 1)
    manager.refresh()
    restart_machine(home, third, second, live)
    assert waiting(home) == [] == at_work(home)
    manager.refresh()
    lost = store.runs.get(live.id)
    assert lost is not None
    assert (lost.status, lost.reason) == (Status.LOST, "the process is gone (machine restarted)")
    reached(folder(home, third), 1)
    wait_for(lambda: waiting(home) == [second.id])
    assert look(manager, store, second).status is Status.QUEUED
    assert record(folder(home, third)).attempt == 1
    manager.resume(live.id)
    wait_for(lambda: waiting(home) == [second.id, live.id])
    for run in (third, second, live):
        (folder(home, run).path / "go").touch()
        assert ended(manager, store, run).status is Status.SUCCEEDED


def test_a_queued_run_that_cannot_be_started_again_is_lost(
    home: Home, store: Store, manager: RunManager, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch("live")
    second = launch("second")
    manager.refresh()
    restart_machine(home, second)
    started: list[Path] = []

    def dies(rundir: RunDir, attempt: int, worker: object, claim: int) -> "subprocess.Popen[bytes]":
        started.append(rundir.path)
        return subprocess.Popen(["false"])

    monkeypatch.setattr(managing, "start_supervisor", dies)
    assert ended(manager, store, second).status is Status.LOST
    assert started == [folder(home, second).path]


# what can be told without a process


def test_when_those_that_wait_start() -> None:
    held = {"gpu0": [Holder("a", 50)], "gpu1": [Holder("b", 0)]}
    rooms = {"gpu0": Room(80, 0), "gpu1": Room(80, 0)}
    line = [
        Request("large", ("gpu0", "gpu1"), bytes=60),
        Request("small", ("gpu0",), bytes=20),
        Request("last", ("gpu0",), bytes=40),
        Request("unsure", ("gpu1",), bytes=70),
    ]
    lasts = {"a": 100.0, "b": None, "large": 30.0, "small": 500.0, "last": 10.0}
    assert starts(line, held, rooms, lasts) == {"large": 100.0, "small": 100.0, "last": 130.0}


def test_a_long_line_is_told_its_times_without_going_through_all_of_it() -> None:
    chance = random.Random(7)
    gpus = [f"gpu{number}" for number in range(3)]
    for _ in range(60):
        rooms = {gpu: Room(80, chance.choice((0, 30))) for gpu in gpus if chance.random() < 0.9}
        held = {gpu: [Holder(f"at {gpu}", chance.choice((0, 20, 50)))] for gpu in gpus if chance.random() < 0.7}
        line = sorted(
            (
                Request(
                    f"r{number}",
                    tuple(chance.sample(gpus, chance.randint(1, 3))) if number % 4 else (CPU,),
                    wanted=chance.choice((1, 1, 2)),
                    bytes=chance.choice((0, 10, 40, 90)),
                    slots=2,
                    priority=chance.choice((0, 0, 1)),
                    place=float(number),
                    now=chance.random() < 0.1,
                )
                for number in range(12)
            ),
            key=lambda request: request.rank,
        )
        lasts = {
            name: chance.choice((10.0, 20.0, 70.0)) for name in [*(f"at {g}" for g in gpus), *(r.run for r in line)]
        }
        assert starts(line, held, rooms, lasts) == started_one_by_one(line, held, rooms, lasts)


def started_one_by_one(
    line: list[Request], held: dict[str, list[Holder]], rooms: dict[str, Room], lasts: dict[str, float]
) -> dict[str, float]:
    """When runs start, if at each moment everybody in the line asks."""
    found: dict[str, float] = {}
    ends = {one.run: lasts[one.run] for ones in held.values() for one in ones}
    now = 0.0
    while True:
        at_work = {device: [one for one in ones if ends[one.run] > now] for device, ones in held.items()}
        waiting = [request for request in line if request.run not in found]
        for request, got in zip(waiting, allot(waiting, at_work, rooms).values(), strict=True):
            if got.devices:
                found[request.run] = now
                ends[request.run] = now + lasts[request.run]
            for device in got.devices:
                held = {**held, device: [*held.get(device, ()), Holder(request.run, request.bytes)]}
        later = [end for end in ends.values() if end > now]
        if not later:
            return found
        now = min(later)


def test_the_planned_time_of_a_run() -> None:
    assert planned_s({"plan": {"time_s": 12}}) == 12.0
    for unknown in (None, {}, {"plan": None}, {"plan": {"time_s": None}}):
        assert planned_s(unknown) is None


def test_runs_at_a_time_on_the_processor(home: Home, manager: RunManager, store: Store) -> None:
    settings = home.root / "settings.toml"
    assert cpu_runs(home) == 1
    settings.write_text("[queue]\ncpu_runs = 2\n")
    runs = [manager.launch(recipe(), name=name) for name in ("a", "b", "c")]
    everyone = {run.id for run in runs}
    wait_for(lambda: len(at_work(home)) == 2 and len(waiting(home)) == 1)
    assert {*waiting(home), *at_work(home)} == everyone
    for wrong in ("queue = 1", "[queue]\ncpu_runs = 0", "[queue]\ncpu_runs = true", '[queue]\ncpu_runs = "two"'):
        settings.write_text(wrong)
        with pytest.raises(BadInput, match="under \\[queue\\]"):
            cpu_runs(home)
    settings.write_text("[queue")
    assert cpu_runs(home) == 1
