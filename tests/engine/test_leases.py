"""Leases and the line for them, between real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.runs import device_memory, leases
from engine.runs.allot import Request
from engine.runs.device_memory import Memory
from engine.runs.leases import Lease, Ticket, mutex, read_holders, read_line, read_order, try_lock, write_order
from engine.runs.rundir import write_json
from tests.engine.runs_at_work import PROJECT, wait_for

HOLDER = """
import sys, time
from pathlib import Path
from engine.runs.allot import Request
from engine.runs.leases import Ticket
ticket = Ticket(Path(sys.argv[1]), Request("other", ("gpu0",), bytes=int(sys.argv[3]), place=-1.0))
if sys.argv[2] == "take":
    assert ticket.try_take()
print("ready", flush=True)
time.sleep(60)
"""
GIB = 1 << 30
NVIDIA_SMI = """\
#!/bin/sh
case "$1" in
--query-gpu=*) cat {folder}/cards ;;
--query-compute-apps=*) cat {folder}/processes ;;
esac
echo "$1" >> {folder}/asked
"""


@contextmanager
def other_process(folder: Path, what: str, amount: int = 0) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds gpu0 (`take`) or waits for it (`wait`) until it is killed on leaving."""
    command = [sys.executable, "-c", HOLDER, str(folder), what, str(amount)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


class Line:
    """Runs of this process that queue for devices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tickets: dict[str, Ticket] = {}
        self.leases: dict[str, Lease] = {}

    def queue(self, run: str, devices: Sequence[str] = ("gpu0",), **asked: Any) -> None:
        request = Request(run, tuple(devices), place=float(len(self.tickets)), **asked)
        self.tickets[run] = Ticket(self.folder, request)

    def take(self, run: str) -> tuple[str, ...]:
        """The devices that a queued run gets now."""
        lease = self.tickets[run].try_take()
        if lease is None:
            return ()
        self.leases[run] = lease
        return lease.devices

    def start(self, run: str, devices: Sequence[str] = ("gpu0",), **asked: Any) -> tuple[str, ...]:
        self.queue(run, devices, **asked)
        return self.take(run)

    def end(self, run: str) -> None:
        self.leases.pop(run).release()

    def holders(self) -> dict[str, list[str]]:
        held = read_holders(self.folder)
        return {device: [one.run for one in ones] for device, ones in held.items() if ones}


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path / "leases")
    yield made
    for ticket in made.tickets.values():
        ticket.drop()
    for lease in made.leases.values():
        lease.release()


class Cards:
    """What the machine's `nvidia-smi` says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def say(self, *cards: tuple[float, float], processes: Sequence[tuple[int, int, float]] = ()) -> None:
        """`cards`: GiB in use and free. `processes`: card, pid, GiB."""
        lines = [
            f"{index}, GPU-{index}, {used * 1024:.0f}, {free * 1024:.0f}" for index, (used, free) in enumerate(cards)
        ]
        (self._folder / "cards").write_text("\n".join(lines) + "\n")
        rows = [f"GPU-{index}, {pid}, {amount * 1024:.0f}" for index, pid, amount in processes]
        (self._folder / "processes").write_text("\n".join(rows) + "\n")

    def fail(self) -> None:
        (self._folder / "cards").write_text("NVIDIA-SMI has failed because it couldn't communicate with the driver\n")

    @property
    def asked(self) -> int:
        return len((self._folder / "asked").read_text().splitlines())


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cards:
    """A stand-in for the machine's GPUs; every answer counts at once."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(NVIDIA_SMI.format(folder=folder))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(device_memory, "FRESH_S", 0.0)
    return Cards(folder)


# one device, one run


def test_a_lease_is_for_one_and_comes_free_when_its_process_is_killed(line: Line) -> None:
    with other_process(line.folder, "take"):
        assert line.start("me") == ()
        assert line.holders() == {"gpu0": ["other"]}
    assert line.take("me") == ("gpu0",)
    assert line.holders() == {"gpu0": ["me"]}
    line.end("me")
    assert line.holders() == {}


def test_the_next_free_candidate_is_taken(line: Line) -> None:
    both = ["gpu0", "gpu1"]
    assert line.start("a", both) == ("gpu0",)
    assert line.start("b", both) == ("gpu1",)
    assert line.start("c", both) == ()


def test_who_waits_longer_goes_first(line: Line) -> None:
    line.queue("b", ["cpu"])
    line.queue("a", ["cpu"])
    assert line.take("a") == (), "the device is free, but somebody came earlier"
    assert line.start("c", ["gpu0"]) == ("gpu0",), "nobody earlier waits for that one"
    assert line.take("b") == ("cpu",)
    line.end("b")
    assert line.take("a") == ("cpu",)
    assert not list((line.folder / "waiting").iterdir())


def test_the_place_of_a_process_that_died_is_passed_over(line: Line) -> None:
    with other_process(line.folder, "wait"):
        assert line.start("me") == ()
    assert line.take("me") == ("gpu0",)
    assert not list((line.folder / "waiting").iterdir())


def test_children_do_not_inherit_a_lock_unless_told_to(tmp_path: Path) -> None:
    fd = try_lock(tmp_path / "a.lock")
    assert fd is not None
    told = try_lock(tmp_path / "b.lock")
    assert told is not None
    with subprocess.Popen(["sleep", "60"], pass_fds=[told]) as child:
        os.close(fd)
        os.close(told)
        free = try_lock(tmp_path / "a.lock")
        assert free is not None
        os.close(free)
        assert try_lock(tmp_path / "b.lock") is None
        child.kill()
    wait_for(lambda: try_lock(tmp_path / "b.lock") is not None)


def test_a_lease_lives_as_long_as_a_child_that_was_given_it(line: Line) -> None:
    line.start("me")
    with subprocess.Popen(["sleep", "60"], pass_fds=line.leases["me"].fds) as child:
        line.end("me")
        assert line.start("next") == ()
        child.kill()
    assert line.take("next") == ("gpu0",)


# several runs on one device, by memory


def test_runs_share_a_device_while_their_promises_fit(line: Line, cards: Cards) -> None:
    cards.say((0, 80))
    assert line.start("a", bytes=30 * GIB) == ("gpu0",)
    assert line.start("b", bytes=40 * GIB) == ("gpu0",)
    assert line.start("c", bytes=11 * GIB) == (), "nothing is allocated yet, but it is promised"
    line.end("a")
    assert line.take("c") == ("gpu0",)
    assert line.holders() == {"gpu0": ["b", "c"]}


def test_a_run_whose_need_is_unknown_has_the_device_alone(line: Line, cards: Cards) -> None:
    cards.say((0, 80))
    assert line.start("unknown") == ("gpu0",)
    assert line.start("small", bytes=GIB) == ()
    line.end("unknown")
    assert line.take("small") == ("gpu0",)
    assert line.start("again unknown") == ()


def test_what_others_use_counts_and_what_a_run_uses_over_its_promise(line: Line, cards: Cards) -> None:
    environment = os.environ | {"FINETUI_RUN_DIR": "/home/runs/mine"}
    with (
        subprocess.Popen(["sleep", "60"]) as stranger,
        subprocess.Popen(["sleep", "60"], env=environment) as worker,
    ):
        processes = [(0, stranger.pid, 20.0), (0, worker.pid, 10.0)]
        cards.say((30, 50), processes=processes)
        assert line.start("mine", bytes=30 * GIB) == ("gpu0",)
        assert line.start("beside", bytes=31 * GIB) == (), "80 - 20 of a stranger - 30 that are promised"
        line.tickets.pop("beside").drop()
        assert line.start("fits", bytes=30 * GIB) == ("gpu0",)
        line.end("fits")
        cards.say((60, 20), processes=[processes[0], (0, worker.pid, 40.0)])
        assert line.start("too late", bytes=21 * GIB) == (), "it uses 40, whatever it was promised"
        assert line.start("small", bytes=20 * GIB) == (), "one before it waits"
        line.tickets.pop("too late").drop()
        assert line.take("small") == ("gpu0",)
        stranger.kill()
        worker.kill()


def test_processes_that_cannot_be_seen_are_taken_for_the_holders(line: Line, cards: Cards) -> None:
    unseen = (0, 2**22 + 1, 30.0)  # no process can have that pid: as in a container
    cards.say((0, 80))
    line.start("a", bytes=30 * GIB)
    cards.say((30, 50), processes=[unseen])
    assert line.start("b", bytes=50 * GIB) == ("gpu0",)
    line.end("b")
    cards.say((45, 35), processes=[(0, 2**22 + 1, 45.0)])
    assert line.start("c", bytes=36 * GIB) == (), "15 more than the holder was promised are somebody's"


def test_a_run_waits_for_memory_that_others_use_without_holding_up_smaller_ones(line: Line, cards: Cards) -> None:
    cards.say((50, 30))
    assert line.start("large", bytes=40 * GIB) == ()
    assert line.start("small", bytes=20 * GIB) == ("gpu0",)
    cards.say((0, 80))
    assert line.take("large") == ("gpu0",)


def test_where_nvidia_smi_fails_a_device_is_for_one(line: Line, cards: Cards) -> None:
    cards.fail()
    assert line.start("a", bytes=GIB) == ("gpu0",)
    assert line.start("b", bytes=GIB) == ()


def test_a_card_that_tells_nothing_is_for_one(line: Line, cards: Cards) -> None:
    (cards._folder / "cards").write_text("0, GPU-0, [N/A], [N/A]\n")
    assert line.start("a", bytes=GIB) == ("gpu0",)
    assert line.start("b", bytes=GIB) == ()


def test_more_than_the_device_has_is_all_of_it(line: Line, cards: Cards) -> None:
    cards.say((0, 80))
    assert line.start("a", bytes=GIB) == ("gpu0",)
    assert line.start("huge", bytes=90 * GIB) == ()
    line.end("a")
    assert line.take("huge") == ("gpu0",)
    assert line.start("b", bytes=GIB) == ()


def test_nvidia_smi_is_asked_once_a_second_for_all(line: Line, cards: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_memory, "FRESH_S", 60.0)
    cards.say((0, 80))
    for number in range(5):
        line.start(f"r{number}", bytes=30 * GIB)
    assert cards.asked == 2, "the cards, and their processes"
    assert line.holders() == {"gpu0": ["r0", "r1"]}


# the processor


def test_the_processor_takes_as_many_runs_as_it_is_told(line: Line) -> None:
    assert line.start("a", ["cpu"], slots=2) == ("cpu",)
    assert line.start("b", ["cpu"], slots=2) == ("cpu",)
    assert line.start("c", ["cpu"], slots=2) == ()
    line.end("a")
    assert line.take("c") == ("cpu",)


def test_the_memory_of_the_machine_counts_where_the_processor_is_shared(line: Line) -> None:
    assert line.start("a", ["cpu"], slots=3, bytes=1 << 50) == ("cpu",), "alone it may always try"
    assert line.start("b", ["cpu"], slots=3, bytes=1 << 20) == ()
    line.end("a")
    assert line.take("b") == ("cpu",)
    assert line.start("c", ["cpu"], slots=3, bytes=1 << 20) == ("cpu",)


def test_while_all_places_are_taken_nobody_looks_at_every_process(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []

    def looks(folder: Path, requests: Sequence[Request]) -> dict[str, Memory]:
        looked.append(folder)
        return device_memory.measure(folder, requests)

    monkeypatch.setattr(leases, "measure", looks)
    assert line.start("a", ["cpu"], slots=2, bytes=1 << 20) == ("cpu",)
    assert line.start("b", ["cpu"], slots=2, bytes=1 << 20) == ("cpu",)
    looked.clear()
    assert line.start("c", ["cpu"], slots=2, bytes=1 << 20) == ()
    assert not looked
    line.end("b")
    assert line.start("large", ["cpu"], slots=2, bytes=1 << 50, priority=1) == (), "its memory counts as before"
    write_order(line.folder, {"c": {"now": True}})
    assert line.take("c") == ("cpu",)
    assert line.start("d", ["cpu"], slots=2, bytes=1 << 50, now=True) == ("cpu",), "it is not to wait"
    assert len(looked) == 3


def test_while_all_places_are_taken_those_behind_look_less_often(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert line.start("at work", ["cpu"], slots=1) == ("cpu",)
    names = ["a", "b", "c"]
    for run in names:
        line.queue(run, ["cpu"], slots=1)

    def due_after(looks: int) -> list[str]:
        assert [line.take(run) for run in names] == [(), (), ()]
        now[0] += leases.LOOK_S * looks
        return [run for run in names if line.tickets[run].is_due()]

    assert [due_after(1), due_after(2), due_after(3)] == [["a"], ["a", "b"], ["a", "b", "c"]]
    line.tickets["a"].drop()
    with mutex(line.folder):
        write_order(line.folder, read_order(line.folder) | {"c": {"priority": 1}})
    names = ["b", "c"]
    assert line.take("b") == line.take("c") == ()
    now[0] += leases.LOOK_S
    assert [run for run in names if line.tickets[run].is_due()] == ["c"]


# several devices for one run


def test_a_run_gets_all_its_devices_or_none(line: Line) -> None:
    both = ["gpu0", "gpu1"]
    assert line.start("one", ["gpu0"]) == ("gpu0",)
    assert line.start("two", both, wanted=2) == ()
    assert line.start("behind", ["gpu1"]) == (), "gpu1 is promised to the one that waits for both"
    line.end("one")
    assert line.take("two") == ("gpu0", "gpu1")
    assert line.holders() == {"gpu0": ["two"], "gpu1": ["two"]}
    line.end("two")
    assert line.take("behind") == ("gpu1",)


def test_two_runs_that_want_the_same_devices_in_another_order_do_not_block_each_other(line: Line) -> None:
    line.queue("a", ["gpu0", "gpu1"], wanted=2)
    line.queue("b", ["gpu1", "gpu0"], wanted=2)
    assert line.take("b") == ()
    assert line.take("a") == ("gpu0", "gpu1")
    line.end("a")
    assert line.take("b") == ("gpu1", "gpu0")


# the order


def test_priorities_come_before_places(line: Line) -> None:
    line.start("at work")
    line.queue("low", priority=-1)
    line.queue("usual")
    line.queue("high", priority=2)
    assert [request.run for request in read_line(line.folder)] == ["high", "usual", "low"]
    line.end("at work")
    assert line.take("usual") == ()
    assert line.take("high") == ("gpu0",)


def test_a_small_run_does_not_starve_a_large_one(line: Line, cards: Cards) -> None:
    cards.say((0, 80), (0, 24))
    both = ["gpu0", "gpu1"]
    line.start("a", bytes=30 * GIB)
    line.start("b", bytes=30 * GIB)
    assert line.start("large", both, bytes=60 * GIB) == (), "gpu1 is too small for it"
    assert line.start("small", ["gpu0"], bytes=GIB) == (), "gpu0 is promised"
    assert line.start("elsewhere", both, bytes=GIB) == ("gpu1",), "gpu1 is not"
    line.end("a")
    assert line.take("small") == ()
    line.end("b")
    assert line.take("small") == ("gpu0",), "room is left beside the large one, which takes its part first"
    assert line.take("large") == ("gpu0",)


def test_one_that_waits_for_any_device_leaves_the_others_to_those_behind(line: Line, cards: Cards) -> None:
    cards.say((0, 80), (0, 80))
    both = ["gpu0", "gpu1"]
    line.start("a", ["gpu0"], bytes=50 * GIB)
    line.start("b", ["gpu1"], bytes=40 * GIB)
    assert line.start("large", both, bytes=70 * GIB) == ()
    assert line.start("small", both, bytes=20 * GIB) == ("gpu0",), "gpu1 is nearer to being free"


def test_run_now_starts_beside_others(line: Line) -> None:
    line.start("at work")
    line.queue("first")
    line.queue("urgent")
    with mutex(line.folder):
        order = read_order(line.folder)
        write_order(line.folder, order | {"urgent": order["urgent"] | {"now": True}})
    assert line.take("first") == ()
    assert line.take("urgent") == ("gpu0",)
    assert line.holders() == {"gpu0": ["at work", "urgent"]}
    line.end("at work")
    assert line.take("first") == ()
    assert set(read_order(line.folder)) == {"first"}


def test_a_place_is_kept_when_the_one_who_waits_is_started_again(line: Line) -> None:
    line.start("at work")
    line.queue("first")
    with other_process(line.folder, "wait"), mutex(line.folder):
        order = read_order(line.folder)
        write_order(line.folder, order | {"other": order["other"] | {"priority": 1}})
    assert [request.run for request in read_line(line.folder)] == ["first"]
    line.queue("other")
    assert [request.run for request in read_line(line.folder)] == ["other", "first"]


def test_a_damaged_order_is_none(line: Line) -> None:
    line.start("at work")
    line.queue("first")
    for damage in ("{", "[]", '{"first": 1}', '{"first": {"priority": "high", "place": null}}'):
        (line.folder / "order.json").write_text(damage)
        assert [request.run for request in read_line(line.folder)] == ["first"]
    line.end("at work")
    assert line.take("first") == ("gpu0",)


def test_who_is_far_behind_looks_less_often_unless_it_is_moved(line: Line) -> None:
    line.start("at work")
    line.start("first")
    line.start("second")
    ticket = line.tickets["second"]
    ticket.try_take()
    assert not ticket.is_due()
    with mutex(line.folder):
        write_order(line.folder, read_order(line.folder) | {"first": {"priority": 1}})
    assert not ticket.is_due()
    with mutex(line.folder):
        write_order(line.folder, read_order(line.folder) | {"second": {"priority": 2}})
    assert ticket.is_due()


def test_the_lock_of_the_folder_is_not_waited_for_for_ever(line: Line) -> None:
    line.queue("me")
    with mutex(line.folder), pytest.raises(TimeoutError), mutex(line.folder, 0.05):
        pass
    write_json(line.folder / "memory.json", {"gpu0": {"from": "elsewhere"}})
    assert line.take("me") == ("gpu0",)
