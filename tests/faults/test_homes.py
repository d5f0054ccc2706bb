"""Row 27: the home is on a file system that is read-only, or shared over a network.

Read-only is real: a file system mounted so where mounting is allowed; elsewhere folders without the right to write, for
a process without root's privileges. A network file system is not at hand in a test: the table of mounts, in which
finetui looks, is replaced by one that has it, and so is the answer of `flock` where there are no locks.
"""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.home import Home
from engine.insight.checks import storing
from engine.runs.manager import RunManager
from store import StoreError, open_store
from tests.cli.conftest import Cli, MakeRun, cli, make_run
from tests.tui.conftest import MakeApp, make_app

__all__ = ["cli", "make_app", "make_run"]

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


class ReadOnly:
    """A home with a store, on a file system that is read-only now, or in folders that cannot be written."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._mounted = False
        self._user: int | None = None

    def close_up(self) -> None:
        place = str(self.home.root)
        if os.geteuid() == 0:
            bound = subprocess.run(["mount", "--bind", place, place], capture_output=True, check=False)
            if bound.returncode == 0:
                self._mounted = True
                shut = subprocess.run(["mount", "-o", "remount,bind,ro", place], capture_output=True, check=False)
                if shut.returncode == 0:
                    return
                self.open_again()
            self._user = NOBODY
        for folder in (self.home.root, *(path for path in self.home.root.rglob("*") if path.is_dir())):
            folder.chmod(0o555)

    def open_again(self) -> None:
        if self._mounted:
            subprocess.run(["umount", str(self.home.root)], check=True)
            self._mounted = False
        else:
            for folder in (self.home.root, *(path for path in self.home.root.rglob("*") if path.is_dir())):
                folder.chmod(0o700)

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A command in a process of its own, without privileges where those would let it write."""
        drop = f"import os; os.setgroups([]); os.setgid({self._user}); os.setuid({self._user}); " if self._user else ""
        return subprocess.run(
            [sys.executable, "-c", f"import sys; from tui.cli import main; {drop}sys.exit(main())", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"FINETUI_HOME": str(self.home.root)},
            timeout=60,
            check=False,
        )


@pytest.fixture
def read_only(home: Home) -> Iterator[ReadOnly]:
    open_store(home.db).close()
    made = ReadOnly(home)
    made.close_up()
    yield made
    made.open_again()


def test_row_27_a_read_only_home_is_said_in_words(read_only: ReadOnly) -> None:
    told = read_only.ask("runs", "ls")
    assert told.returncode != 0
    assert f"finetui cannot write to its home, {read_only.home.root}." in told.stderr
    assert "The system says: " in told.stderr and "--home" in told.stderr
    assert "Traceback" not in told.stderr
    checked = read_only.ask("doctor", "--json")
    assert '"name": "home", "ok": false' in " ".join(checked.stdout.split())


def test_row_27_a_home_that_becomes_read_only_under_the_store_is_said_and_nothing_is_lost(home: Home) -> None:
    store = open_store(home.db)
    store.close()
    made = ReadOnly(home)
    made.close_up()
    try:
        if made._mounted:
            with pytest.raises(StoreError, match="cannot be written") as refused:
                open_store(home.db)
            assert "--home" in refused.value.fix
    finally:
        made.open_again()
    store = open_store(home.db)
    assert store.check() == []
    store.close()


@pytest.fixture
def networked(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home is on NFS, as far as the table of mounts says. Returns a folder that is on a local disk."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/h {home.root.resolve()} nfs4 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(storing.check_file_system, "__defaults__", (mounts,))
    local = tmp_path / "local"
    local.mkdir(mode=0o700)
    return local


def use(home: Home, store: Path) -> None:
    (home.root / "settings.toml").write_text(f'store = "{store}"\n[queue]\ncpu_runs = 1\n', encoding="utf-8")


async def test_row_27_over_a_network_the_store_is_told_to_move(
    home: Home, networked: Path, make_app: MakeApp, cli: Cli
) -> None:
    async with make_app(notifications=True) as driver:
        await driver.sees("a network file system", "settings.toml")
    told = cli("store", "check")
    assert told.status == 0
    assert "nfs4" in told.stdout and "store = " in told.stdout
    use(home, networked / "alice.db")
    checked = cli("store", "check", "--json").json
    assert [one["name"] for one in checked["cautions"] if one["name"] != "sqlite"] == []
    assert not storing.check_file_system(Home(home.root.parent / "home")).fix


def test_row_27_the_store_moves_and_the_runs_stay(home: Home, networked: Path, cli: Cli, make_run: MakeRun) -> None:
    make_run("r0aaa", "first", tags=["kept"])
    assert cli("store", "rebuild").status == 0
    assert cli("runs", "note", "first", "a note").status == 0
    place = networked / "alice.db"
    assert cli("store", "backup", str(place)).status == 0
    use(home, place)
    assert cli("store", "path").stdout.strip() == str(place)
    shown = cli("runs", "show", "first", "--json").json
    assert (shown["notes"], shown["tags"]) == ("a note", ["kept"])
    assert shown["dir"] == str(home.runs / "r0aaa")
    before = home.root.joinpath("finetui.db").stat().st_mtime_ns
    assert cli("runs", "note", "first", "another").status == 0
    assert home.root.joinpath("finetui.db").stat().st_mtime_ns == before, "the old one is left alone"
    assert {path.name for path in networked.iterdir()} >= {"alice.db", "alice.db-writer"}
    (home.root / "settings.toml").chmod(0o600)
    assert storing.check_permissions(home).ok
    place.chmod(0o644)
    assert storing.check_permissions(home).fix == f"chmod go-rwx {place}"


def test_row_27_machines_that_share_a_home_each_take_events_into_their_own_store(
    home: Home, networked: Path, make_run: MakeRun, cli: Cli
) -> None:
    use(home, networked / "one.db")
    one = open_store(home.db)
    first = RunManager(home, one)
    make_run("r0aaa", "first")
    assert first.rebuild() == 1
    use(home, networked / "two.db")
    two = open_store(home.db)
    second = RunManager(home, two)
    assert second.rebuild() == 1, "the other one's lock is not in the way"
    assert [run.name for run in (*one.runs.list(), *two.runs.list())] == ["first", "first"]
    for thing in (first, second, one, two):
        thing.close()


@pytest.mark.parametrize("value", ["3", '""', '"finetui.db"', '"a\\u0000b"', "[]"])
def test_row_27_a_place_that_is_none_is_refused(home: Home, cli: Cli, value: str) -> None:
    (home.root / "settings.toml").write_text(f"store = {value}\n", encoding="utf-8")
    with pytest.raises(BadInput, match="something else than a place for the store"):
        _ = home.db
    told = cli("runs", "ls")
    assert told.status == 2 and "whole path" in told.stderr


def test_row_27_a_store_in_a_folder_that_cannot_be_made_is_said(home: Home, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    use(home, tmp_path / "file" / "alice.db")
    told = cli("runs", "ls")
    assert told.status != 0 and "cannot be written" in told.stderr


async def test_row_27_where_there_are_no_locks_it_is_said_and_work_goes_on(
    home: Home, make_app: MakeApp, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def refuse(file: int, operation: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().name.endswith("-writer"):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", refuse)
    async with make_app(notifications=True) as driver:
        await driver.sees("cannot be kept apart")
    assert "No locks available" in cli("store", "check").stdout


def test_row_27_the_bound_home_is_gone_afterwards(home: Home) -> None:
    """Nothing of these tests stays mounted."""
    made = ReadOnly(home)
    made.close_up()
    made.open_again()
    (home.root / "written").touch()
    shutil.rmtree(home.root)
    assert not home.root.exists()
