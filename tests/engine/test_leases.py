"""Leases and the line for them, between real processes."""

import os
import subprocess
import sys
from pathlib import Path

from engine.runs.leases import Ticket, try_lock
from tests.engine.runs_at_work import PROJECT, wait_for

HOLDER = """
import sys, time
from pathlib import Path
from engine.runs.leases import Ticket
ticket = Ticket(Path(sys.argv[1]), ["gpu0"], "other")
if sys.argv[2] == "take":
    ticket.try_take()
    ticket.drop()
print("ready", flush=True)
time.sleep(60)
"""


def other_process(folder: Path, what: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), what], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_a_lease_is_for_one_and_comes_free_when_its_process_is_killed(tmp_path: Path) -> None:
    holder = other_process(tmp_path, "take")
    ticket = Ticket(tmp_path, ["gpu0"], "me")
    try:
        assert ticket.try_take() is None
    finally:
        end(holder)
    lease = ticket.try_take()
    assert lease is not None
    assert lease.device == "gpu0"
    assert try_lock(tmp_path / "gpu0.lock") is None
    lease.release()
    ticket.drop()


def test_the_next_free_candidate_is_taken(tmp_path: Path) -> None:
    first = Ticket(tmp_path, ["gpu0", "gpu1"], "a")
    one = first.try_take()
    first.drop()
    second = Ticket(tmp_path, ["gpu0", "gpu1"], "b")
    two = second.try_take()
    second.drop()
    assert one is not None and two is not None
    assert (one.device, two.device) == ("gpu0", "gpu1")
    one.release()
    two.release()


def test_who_waits_longer_goes_first(tmp_path: Path) -> None:
    first = Ticket(tmp_path, ["cpu"], "b")
    second = Ticket(tmp_path, ["cpu"], "a")
    elsewhere = Ticket(tmp_path, ["gpu0"], "c")
    assert second.try_take() is None, "the device is free, but somebody came earlier"
    free = elsewhere.try_take()
    assert free is not None, "nobody earlier waits for that one"
    lease = first.try_take()
    assert lease is not None
    first.drop()
    lease.release()
    last = second.try_take()
    assert last is not None
    for held in (free, last):
        held.release()
    second.drop()
    elsewhere.drop()
    assert not list((tmp_path / "waiting").iterdir())


def test_the_place_of_a_process_that_died_is_passed_over(tmp_path: Path) -> None:
    holder = other_process(tmp_path, "wait")
    ticket = Ticket(tmp_path, ["gpu0"], "me")
    try:
        assert ticket.try_take() is None
    finally:
        end(holder)
    lease = ticket.try_take()
    assert lease is not None
    lease.release()
    ticket.drop()
    assert not list((tmp_path / "waiting").iterdir())


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
