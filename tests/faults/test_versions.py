"""Row 24: the store was written by a newer or an older finetui."""

import multiprocessing
import os
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.home import Home
from store import StoreError, migrations, open_store
from store.connection import Database
from store.migrations import STEPS, Step, prepare
from tests.cli.conftest import Cli, cli
from tests.tui.conftest import MakeApp, make_app

if TYPE_CHECKING:
    import sqlite_utils

__all__ = ["cli", "make_app"]

FORK = multiprocessing.get_context("fork")


def store_of(path: Path, version: int) -> None:
    """A store with the schema of an earlier version, a run in it."""
    database = Database(path)
    prepare(database, STEPS[:version])
    with database.transaction() as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        recipe = {"recipe": "'{\"lora_r\": 8}'"} if "recipe" in columns else {}
        values = {name: f"'{name}'" for name in ("id", "name", "model", "method", "dataset", "dataset_id", "dir")}
        values |= {"created": "1.0", "status": "'succeeded'"} | recipe
        connection.execute(f"INSERT INTO runs ({', '.join(values)}) VALUES ({', '.join(values.values())})")
        if not recipe:
            connection.execute("INSERT INTO recipes VALUES (1, '{\"lora_r\": 8}')")
        connection.execute("INSERT INTO tags VALUES (1, 'kept')")
    database.close()


def schema(path: Path) -> list[tuple[str, str, object]]:
    """Tables with their columns, indexes and triggers: what an upgraded store has to have in common with a new one."""
    found: list[tuple[str, str, object]] = []
    connection = sqlite3.connect(path)
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall():
        columns = connection.execute(f"PRAGMA table_info([{name}])").fetchall() if kind == "table" else None
        found.append((kind, name, columns))
    connection.close()
    return found


def pragma(path: Path, name: str) -> int:
    connection = sqlite3.connect(path)
    value = int(connection.execute(f"PRAGMA {name}").fetchone()[0])
    connection.close()
    return value


async def test_row_24_a_store_of_a_newer_finetui_is_refused_in_words_and_not_touched(
    home: Home, cli: Cli, make_app: MakeApp
) -> None:
    open_store(home.ensure().db).close()
    connection = sqlite3.connect(home.db)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = home.db.read_bytes()
    for words in (("runs", "ls"), ("store", "check"), ("store", "rebuild"), ("store", "backup", str(home.root / "x"))):
        refused = cli(*words)
        assert refused.status != 0
        assert "newer finetui" in refused.stderr and "Upgrade finetui" in refused.stderr
    assert not (home.root / "x").exists()
    async with make_app(ready=False) as driver:
        await driver.sees("finetui cannot start", "newer finetui", "Upgrade finetui")
    assert home.db.read_bytes() == before


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_row_24_every_older_store_is_copied_and_migrated(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.db"
    store_of(path, version)
    open_store(tmp_path / "new.db").close()
    mask = os.umask(0)
    try:
        store = open_store(path)
    finally:
        os.umask(mask)
    [run] = store.runs.list()
    assert (run.id, run.tags, run.recipe, store.check()) == ("id", ("kept",), {"lora_r": 8}, [])
    store.close()
    assert schema(path) == schema(tmp_path / "new.db")
    copy = tmp_path / f"old-v{version}-backup.db"
    assert pragma(copy, "user_version") == version
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.glob(".*")) == [], "nothing half done is left"


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(place: str) -> None:
    """Let this process be killed when a migration gets there: in one of its functions, or in the copy before."""
    if place.startswith("after "):
        number = int(place.removeprefix("after "))
        steps: list[Step] = [*STEPS]
        last = steps[number - 1]

        def step(db: "sqlite_utils.Database") -> None:
            last(db)
            die()

        step.__name__ = last.__name__
        steps[number - 1] = step
        migrations.STEPS = tuple(steps)
    elif place == "copied":
        Path.replace = die  # type: ignore[assignment, method-assign]


PLACES = ["copied", *(f"after {number}" for number in (5, 8, 10, 12))]


def _migrate(path: Path, place: str) -> None:
    killed_at(place)
    database = Database(path)
    prepare(database, migrations.STEPS)


@pytest.mark.parametrize("place", PLACES)
def test_row_24_kill_9_in_a_migration_leaves_the_old_store_whole(tmp_path: Path, place: str) -> None:
    path = tmp_path / "finetui.db"
    store_of(path, 4)
    before = schema(path)
    child = FORK.Process(target=_migrate, args=(path, place))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert (pragma(path, "user_version"), schema(path)) == (4, before)
    store = open_store(path)
    assert [run.tags for run in store.runs.list()] == [("kept",)]
    assert store.check() == []
    store.close()
    assert pragma(tmp_path / "finetui-v4-backup.db", "user_version") == 4


@pytest.mark.parametrize("share", [0.15, 0.5, 0.85])
def test_row_24_kill_9_at_any_moment_of_a_migration_leaves_the_old_or_the_new(tmp_path: Path, share: float) -> None:
    """Not in a place that was chosen: SQLite is killed after so many of its own instructions."""
    path = tmp_path / "finetui.db"
    store_of(path, 4)
    child = FORK.Process(target=_migrate_until, args=(path, int(share * _instructions(tmp_path))))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert pragma(path, "user_version") in (4, len(STEPS))
    store = open_store(path)
    assert [run.tags for run in store.runs.list()] == [("kept",)]
    assert store.check() == []
    store.close()


def _instructions(folder: Path) -> int:
    """How many instructions of SQLite's machine the migration takes, in tens."""
    store_of(folder / "counted.db", 4)
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    database = Database(folder / "counted.db")
    database.connection().set_progress_handler(count, 10)
    prepare(database)
    database.close()
    return counted


def _migrate_until(path: Path, limit: int) -> None:
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        if counted >= limit:
            die()
        return 0

    database = Database(path)
    database.connection().set_progress_handler(count, 10)
    prepare(database)


def _open_at_once(path: Path, ready: "threading.Barrier") -> None:
    ready.wait()
    open_store(path).close()


def test_row_24_processes_that_migrate_at_once_keep_the_copy_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    store_of(path, 4)
    ready = FORK.Barrier(4)
    children = [FORK.Process(target=_open_at_once, args=(path, ready)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert pragma(path, "user_version") == len(STEPS)
    assert pragma(tmp_path / "finetui-v4-backup.db", "user_version") == 4


def test_row_24_who_comes_while_another_migrates_copies_nothing_over_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, at the worst moment: the other one is done between the look at the version and the lock."""
    path = tmp_path / "finetui.db"
    store_of(path, 4)
    switch: Callable[[sqlite3.Connection], None] = migrations._use_write_ahead_log

    def meanwhile(connection: sqlite3.Connection) -> None:
        monkeypatch.setattr(migrations, "_use_write_ahead_log", switch)
        other = Database(path)
        with other.explained():
            _apply_elsewhere(other, STEPS)
        switch(connection)

    monkeypatch.setattr(migrations, "_use_write_ahead_log", meanwhile)
    open_store(path).close()
    assert pragma(tmp_path / "finetui-v4-backup.db", "user_version") == 4
    assert [file.name for file in tmp_path.glob("*backup*")] == ["finetui-v4-backup.db"]


def _apply_elsewhere(database: Database, steps: Sequence[Step]) -> None:
    database._turn.take = lambda patience_s: True  # type: ignore[method-assign]  # a finetui without turns
    migrations._apply(database, steps)
    database.close()


def test_row_24_no_room_for_the_copy_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "finetui.db"
    store_of(path, 4)
    (tmp_path / "finetui-v4-backup.db").mkdir()  # nothing can be put there
    with pytest.raises(StoreError, match="cannot be copied") as refused:
        open_store(path)
    assert "Free some space" in refused.value.fix
    assert pragma(path, "user_version") == 4
