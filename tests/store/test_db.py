"""Opening, refusing, migrating, copying and checking the store's file."""

import multiprocessing
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from store import Store, StoreError, open_store
from store.connection import Database
from store.migrations import STEPS, prepare
from tests.store.builders import add_points, line, new_run, the

if TYPE_CHECKING:
    import sqlite_utils


def pragma(path: Path, name: str) -> object:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_store_is_private_and_logs_ahead(tmp_path: Path) -> None:
    path = tmp_path / "new" / "finetui.db"
    with open_store(path).transaction() as connection:
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (10_000,)
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "user_version") == len(STEPS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_store_and_its_copies_are_private_before_anything_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, list[int]] = {}
    connect = sqlite3.connect

    def look_first(path: Path, **options: Any) -> sqlite3.Connection:
        found.setdefault(Path(path).name, []).append(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0)
        connection: sqlite3.Connection = connect(path, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", look_first)
    before = os.umask(0)
    try:
        opened = open_store(tmp_path / "finetui.db")
        opened.backup(tmp_path / "copy.db")
        opened.close()
    finally:
        os.umask(before)
    assert found.keys() == {"finetui.db", ".copy.db.part"}
    assert {mode for modes in found.values() for mode in modes} == {0o600}


def test_what_was_stored_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    first = open_store(path)
    first.runs.add(new_run("r1", "Ünïcode 🙂"))
    first.close()
    second = open_store(path)
    assert the(second.runs.get("r1")).name == "Ünïcode 🙂"
    second.close()


def test_opening_a_current_store_imports_no_sqlite_utils(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    open_store(path).close()
    code = (
        "import sys, pathlib, store; store.open_store(pathlib.Path(sys.argv[1])).runs.list(); "
        "print([name for name in sys.modules if name.startswith(('sqlite_utils', 'pandas', 'torch', 'pydantic'))])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    path.write_text("my notes " * 1000)
    with pytest.raises(StoreError, match="is not a finetui store") as caught:
        open_store(path)
    assert caught.value.fix
    assert path.read_text() == "my notes " * 1000


def test_a_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")
    with pytest.raises(StoreError, match="is not a finetui store"):
        open_store(path)
    with sqlite3.connect(path) as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["bookmarks"]


def test_a_store_of_a_newer_finetui_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    open_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer finetui") as caught:
        open_store(path)
    assert "99" in caught.value.why
    assert "Upgrade" in caught.value.fix
    assert pragma(path, "user_version") == 99


def test_a_folder_and_a_path_through_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "finetui.db").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        open_store(tmp_path / "finetui.db")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        open_store(tmp_path / "file" / "finetui.db")


def _open_without_privileges(path: Path, answers: "multiprocessing.SimpleQueue[str]") -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        open_store(path).close()
        answers.put("opened")
    except StoreError as error:
        answers.put(str(error))


@pytest.mark.parametrize("existing", [False, True])
def test_a_read_only_folder_is_said(existing: bool) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        if existing:
            open_store(folder / "finetui.db").close()
            (folder / "finetui.db").chmod(0o644)
        folder.chmod(0o555)
        context = multiprocessing.get_context("fork")
        answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
        child = context.Process(target=_open_without_privileges, args=(folder / "finetui.db", answers))
        child.start()
        child.join(20)
        answer = answers.get()
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
    assert "cannot be written" in answer
    assert "--home" in answer


def test_an_older_store_is_copied_then_migrated(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    old = open_store(path)
    old.runs.add(new_run("r1"))
    old.close()

    def add_stars(db: "sqlite_utils.Database") -> None:
        db.execute("ALTER TABLE runs ADD COLUMN stars INTEGER NOT NULL DEFAULT 3")

    newer = Database(path)
    prepare(newer, (*STEPS, add_stars))
    assert newer.one("SELECT id, stars FROM runs") == ("r1", 3)
    newer.close()
    assert pragma(path, "user_version") == len(STEPS) + 1
    copy = open_store(tmp_path / f"finetui-v{len(STEPS)}-backup.db")
    assert the(copy.runs.get("r1")).id == "r1"
    copy.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    open_store(path).close()

    def break_off(db: "sqlite_utils.Database") -> None:
        db.execute("CREATE TABLE half (a)")
        db.execute("SELECT * FROM nowhere")

    with pytest.raises(sqlite3.OperationalError):
        prepare(Database(path), (*STEPS, break_off))
    assert pragma(path, "user_version") == len(STEPS)
    again = open_store(path)
    assert again.check() == []
    with again.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    again.close()


def _open_and_add(path: Path, number: int, ready: "threading.Barrier") -> None:
    ready.wait()
    store = open_store(path)
    store.runs.add(new_run(f"r{number}"))
    store.close()


def test_processes_that_make_the_same_store_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(4)
    path = tmp_path / "finetui.db"
    children = [context.Process(target=_open_and_add, args=(path, number, ready)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0, 0]
    store = open_store(path)
    assert store.runs.count() == 4
    assert store.check() == []
    store.close()


def test_check_finds_damage(tmp_path: Path, store: Store) -> None:
    store.runs.add(new_run("r1"))
    add_points(store, "r1", {"train/loss": line(3000)})
    assert store.check() == []
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root, page_size = (
            connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'points'").fetchone()[0],
            connection.execute("PRAGMA page_size").fetchone()[0],
        )
    with store.path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xff" * page_size)
    damaged = open_store(store.path)
    try:
        problems = damaged.check()
    except StoreError as error:
        problems = [error.what]
    assert problems
    with pytest.raises(StoreError, match="damaged"):
        damaged.metrics.series("r1", "train/loss")
    damaged.close()


def test_a_backup_is_whole_and_made_while_others_write(tmp_path: Path, store: Store) -> None:
    store.runs.add(new_run("r1"))
    add_points(store, "r1", {"train/loss": line(100)})
    target = tmp_path / "copy.db"
    store.backup(target)
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == ["copy.db"]
    copy = open_store(target)
    assert copy.metrics.series("r1", "train/loss") == store.metrics.series("r1", "train/loss")
    assert copy.check() == []
    copy.close()
    with pytest.raises(StoreError, match="cannot be a backup"):
        store.backup(store.path)
    with pytest.raises(StoreError, match="cannot be written"):
        store.backup(tmp_path / "nowhere" / "copy.db")


def test_data_version_changes_when_anybody_writes(store: Store) -> None:
    before = store.data_version()
    assert store.data_version() == before
    other = open_store(store.path)
    other.runs.add(new_run("r1"))
    after = store.data_version()
    assert after != before
    store.runs.rename("r1", "again")
    assert store.data_version() != after
    other.close()


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(StoreError), store.transaction():
        store.runs.add(new_run("r1"))
        store.runs.add(new_run("r1"))
    assert store.runs.get("r1") is None
    with store.transaction():
        store.runs.add(new_run("r1"))
        store.runs.add_tag("r1", "a")
    assert the(store.runs.get("r1")).tags == ("a",)


def test_a_closed_store_says_so_in_every_thread(store: Store) -> None:
    opened, closed = threading.Event(), threading.Event()
    said: list[str] = []

    def other() -> None:
        store.runs.count()
        opened.set()
        closed.wait(20)
        try:
            store.runs.count()
        except StoreError as error:
            said.append(error.what)

    thread = threading.Thread(target=other)
    thread.start()
    assert opened.wait(20)
    store.close()
    store.close()
    closed.set()
    thread.join(20)
    assert said == [f"The store {store.path} is closed."]
    with pytest.raises(StoreError, match="closed"):
        store.data_version()
