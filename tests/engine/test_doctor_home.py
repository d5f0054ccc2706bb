"""The home as the doctor sees it: who may read it, what lies on it, what was left over."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engine.home import Home
from engine.insight.checks import leftovers, room, storing, surroundings
from engine.runs.allot import Request
from engine.runs.identity import boot_id, host, identity_of
from engine.runs.leases import Ticket, try_lock
from engine.runs.rundir import RunDir, write_json
from store import open_store


@pytest.fixture
def home(home: Home) -> Home:
    return home.ensure()


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that looks like one of finetui's by its command line, and is there until the test ends."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(module: str, *words: str) -> "subprocess.Popen[bytes]":
        program = "import sys; sys.stdin.read()"
        process = subprocess.Popen([sys.executable, "-c", program, module, *words], stdin=subprocess.PIPE)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def ended_pid() -> int:
    """The pid of a process that has gone."""
    process = subprocess.Popen(["true"])
    process.wait(10)
    return process.pid


def test_only_the_owner_may_look(home: Home) -> None:
    open_store(home.db).close()
    (home.root / "serve-token").touch(0o600)
    assert storing.check_permissions(home).ok
    home.root.chmod(0o755)
    seen = storing.check_permissions(home)
    assert not seen.ok and "0755" in seen.found
    subprocess.run(seen.fix.split(), check=True)
    assert storing.check_permissions(home).ok
    (home.root / "settings.toml").touch(0o600)
    for name in ("serve-token", home.db.name, "settings.toml"):
        (home.root / name).chmod(0o644)
        seen = storing.check_permissions(home)
        assert not seen.ok and name in seen.found and seen.fix == f"chmod go-rwx {home.root / name}"
        subprocess.run(seen.fix.split(), check=True)
        assert storing.check_permissions(home).ok


def test_a_home_of_somebody_else_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    check = storing.check_permissions(home)
    assert not check.ok and "another user owns" in check.found


@pytest.mark.parametrize(
    ("version", "ok"),
    [
        *(((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 0), False), ((3, 50, 6), False)),
        *(((3, 50, 7), True), ((3, 51, 0), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 53, 0), True)),
    ],
)
def test_the_known_fault_of_sqlite_is_told(version: tuple[int, ...], ok: bool) -> None:
    check = storing.check_sqlite(version)
    assert (check.ok, bool(check.fix)) == (ok, not ok)


def test_network_file_systems_are_told(home: Home, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nserver:/h {tmp_path.resolve()} nfs4 rw 0 0\n/dev/b {tmp_path}x xfs rw 0 0\n"
    )
    over = storing.check_file_system(home, mounts)
    assert not over.ok and "nfs4" in over.found and "--home" in over.fix
    assert "ext4 at /" in storing.check_file_system(Home(Path("/elsewhere")), mounts).found
    assert storing.check_file_system(home, tmp_path / "none").ok
    assert storing.check_file_system(home).ok


def test_the_hub_cache_is_found_as_the_libraries_find_it() -> None:
    assert room.hub_cache({"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}) == Path("/c")
    assert room.hub_cache({"HF_HOME": "/h"}) == Path("/h/hub")
    assert room.hub_cache({"XDG_CACHE_HOME": "/x"}) == Path("/x/huggingface/hub")
    assert room.hub_cache({}) == Path.home() / ".cache" / "huggingface" / "hub"
    assert "GB free" in room.check_cache({"HF_HOME": "/not/there/yet"}).found


def test_memory_counts_what_a_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = namedtuple("memory", "total available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(64e9, 50e9))
    monkeypatch.setattr(room, "container_memory", lambda: (0, 0))
    assert room.check_memory().found == "50.0 GB free of 64.0 GB"
    monkeypatch.setattr(room, "container_memory", lambda: (int(8e9), int(7e9)))
    check = room.check_memory()
    assert not check.ok and "1.0 GB free of 8.0 GB that this container may use" in check.found and check.fix


def test_several_gpus_need_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not room.check_shared_memory(2, tmp_path / "none").ok
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=64 << 20, free=0))
    assert room.check_shared_memory(1, tmp_path).ok
    assert "--shm-size" in room.check_shared_memory(2, tmp_path).fix


def test_limits_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_NOFILE: (256, 8192), resource.RLIMIT_FSIZE: (resource.RLIM_INFINITY,) * 2}
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[which])
    assert room.check_limits().fix == "ulimit -n 4096"
    limits[resource.RLIMIT_NOFILE] = (256, 512)
    assert "limits.conf" in room.check_limits().fix
    limits[resource.RLIMIT_NOFILE] = (4096, 8192)
    assert room.check_limits().ok
    limits[resource.RLIMIT_FSIZE] = (10**9, 10**9)
    assert "files of at most 1.0 GB" in room.check_limits().found and not room.check_limits().ok


def test_a_clock_that_is_wrong_is_told(home: Home) -> None:
    now = time.time()
    open_store(home.db).close()
    assert surroundings.check_clock(home, now).found
    assert "long past" in surroundings.check_clock(home, 1e9).found
    os.utime(home.db, (now + 3 * 86400, now + 3 * 86400))
    behind = surroundings.check_clock(home, now)
    assert not behind.ok and "3 days behind" in behind.found and "timedatectl" in behind.fix


def test_whether_a_time_server_sets_the_clock_is_asked(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "timedatectl"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for answer, ok in (("yes", True), ("no", False), ("what?", True)):
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
        assert surroundings.check_clock(home, time.time()).ok is ok


def test_nothing_is_left_over_in_a_fresh_home(home: Home) -> None:
    assert leftovers.check_processes(home).found == "0 processes at work, none left over"
    assert leftovers.check_leases(home).found == "no device is held"


def make_run(home: Home, name: str, worker: int, supervisor: int | None, *, ended: bool = False) -> RunDir:
    run = RunDir(home.runs / name)
    run.path.mkdir()
    identities = {"worker": identity_of(worker), "supervisor": identity_of(supervisor) if supervisor else None}
    gone = {"pid": ended_pid(), "create_time": 1}
    record = {kind: one.to_json() if one else gone for kind, one in identities.items()}
    write_json(run.process, {"host": host(), "boot_id": boot_id(), "attempt": 1} | record)
    if ended:
        write_json(run.exit, {"attempt": 1, "code": 0})
    return run


def test_workers_that_nobody_watches_are_named(home: Home, start: Start) -> None:
    good = start("engine.worker.train", str(home.runs / "r1good"))
    make_run(home, "r1good", good.pid, os.getpid())
    assert leftovers.check_processes(home).found == "1 process at work, none left over"
    alone = start("engine.worker.train", str(home.runs / "r2alone"))
    make_run(home, "r2alone", alone.pid, None)
    over = start("engine.worker.train", str(home.runs / "r3over"))
    make_run(home, "r3over", over.pid, os.getpid(), ended=True)
    gone = start("engine.runs.supervisor", str(home.runs / "r4gone"))
    start("engine.worker.train", "/another/home/runs/r5")
    check = leftovers.check_processes(home)
    assert not check.ok
    assert "run r2alone without its supervisor" in check.found
    assert "run r3over, which has ended" in check.found
    assert "run r4gone, whose folder is gone" in check.found and "r1good" not in check.found
    assert set(check.fix.split()) == {"kill", str(alone.pid), str(over.pid), str(gone.pid)}


def test_servers_and_sockets_without_an_app_are_named(home: Home, start: Start) -> None:
    live = home.sockets / f"k-{os.getpid()}.sock"
    stale = home.sockets / f"k-{ended_pid()}.sock"
    start("engine.worker.serve", "--socket", str(live), "--parent-pid", str(os.getpid()))
    left = start("engine.worker.serve", "--socket", str(stale), "--parent-pid", str(ended_pid()))
    live.touch()
    stale.touch()
    check = leftovers.check_processes(home)
    assert (
        check.found == f"a model server whose app has gone (process {left.pid}); 1 socket of models whose app has gone"
    )
    assert check.fix == f"kill {left.pid}; rm {stale}"


def test_leases_of_runs_that_have_ended_are_leaks(home: Home) -> None:
    folder = home.root / "leases"
    run = RunDir(home.runs / "r1")
    run.path.mkdir()
    ticket = Ticket(folder, Request("r1", ("cpu",)))
    lease = ticket.try_take()
    assert lease is not None
    try:
        held = leftovers.check_leases(home)
        assert held.ok and held.found == "1 lease on cpu"
        write_json(run.exit, {"attempt": 1, "code": 0})
        leaked = leftovers.check_leases(home)
        assert not leaked.ok and "cpu by r1, which has ended" in leaked.found and "fuser" in leaked.fix
    finally:
        lease.release()
    assert leftovers.check_leases(home).ok


def test_a_lock_of_the_leases_that_is_kept_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_MUTEX_S", 0.05)
    folder = home.root / "leases"
    folder.mkdir()
    lock = try_lock(folder / "mutex")
    assert lock is not None
    try:
        check = leftovers.check_leases(home)
        assert not check.ok and "fuser" in check.fix
    finally:
        os.close(lock)
    assert leftovers.check_leases(home).ok
