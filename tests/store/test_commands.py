"""`finetui store check`, `rebuild` and `backup` where things are damaged, killed half way, or at work meanwhile."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.home import Home
from store import Store, open_store
from store.records import Run
from tests.cli.conftest import Cli, MakeRun, cli, home, make_run
from tests.engine.runs_at_work import wait_for
from tests.store.builders import add_points, line, new_run
from tests.store.test_votes import vote

__all__ = ["cli", "home", "make_run"]

WRITER = """
import pathlib, sys
from store import open_store
from tests.store.builders import add_points
store = open_store(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
step = 0
while True:
    step += 1
    add_points(store, "r1", {"a": [(step, float(step), 1.0)], "b": [(step, float(step), 1.0)]})
"""

REBUILD_AND_DIE = """
import os, signal, sys
from engine.runs.manager import RunManager
from tui.cli import main
rebuild, left = RunManager._rebuild_run, [int(sys.argv.pop(1))]
def one(self, rundir):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return rebuild(self, rundir)
RunManager._rebuild_run = one
sys.exit(main())
"""


def known(home: Home) -> list[tuple[Run, object]]:
    """What the store has of the runs, with their loss."""
    store = open_store(home.db)
    found = [(run, store.metrics.series(run.id, "train/loss")) for run in store.runs.list()]
    assert store.check() == []
    store.close()
    return sorted(found, key=lambda one: one[0].id)


def spoilt(home: Home, how: str) -> None:
    store = open_store(home.ensure().db)
    store.runs.add(new_run("r1"))
    add_points(store, "r1", {"train/loss": line(1500)})
    store.close()
    size = home.db.stat().st_size
    with home.db.open("r+b") as file:
        if how == "cut":
            file.truncate(size // 2 + 100)
        elif how == "a hole":
            file.seek(8192 * 3)
            file.write(b"\0" * (size - 8192 * 6))
        elif how == "its head":
            file.write(b"\0" * 100)


@pytest.mark.parametrize("how", ["cut", "a hole", "its head"])
@pytest.mark.parametrize("words", [("check",), ("backup", "copy.db"), ("rebuild",)], ids=lambda words: words[0])
def test_a_spoilt_store_is_said_in_words(
    home: Home, cli: Cli, how: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spoilt(home, how)
    told = cli("store", *words)
    if words[0] == "check":
        assert told.status != 0
    if told.status:
        assert "store" in told.stderr and ("damaged" in told.stderr or "is not a finetui store" in told.stderr)
        assert "rebuild" in told.stderr or "choose another home" in told.stderr
    assert not list(tmp_path.glob(".copy*")), "nothing half done is left"


def test_an_empty_file_is_a_new_store_that_a_rebuild_fills(home: Home, cli: Cli, make_run: MakeRun) -> None:
    make_run("r0aaa", "first")
    assert cli("store", "rebuild").status == 0
    before = known(home)
    for file in home.root.glob("finetui.db*"):
        file.unlink()
    home.db.touch(0o600)
    assert cli("store", "check").status == 0
    assert known(home) == []
    assert cli("store", "rebuild").status == 0
    assert [(run.id, run.name, run.status, run.step, loss) for run, loss in known(home)] == [
        (run.id, run.name, run.status, run.step, loss) for run, loss in before
    ]


def test_a_backup_made_while_another_process_writes_is_whole(tmp_path: Path, store: Store) -> None:
    store.runs.add(new_run("r1"))
    command = [sys.executable, "-c", WRITER, str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        seen = 0
        mask = os.umask(0)
        try:
            for number in range(4):
                wait_for(lambda: (found := store.metrics.series("r1", "a")) and len(found.steps) > seen)  # noqa: B023
                target = tmp_path / f"copy{number}.db"
                store.backup(target)
                copy = open_store(target)
                first, second = copy.metrics.series("r1", "a"), copy.metrics.series("r1", "b")
                assert first is not None and second is not None
                assert first.steps == second.steps == [*range(1, len(first.steps) + 1)]
                assert len(first.steps) > seen
                seen = len(first.steps)
                assert copy.check() == []
                copy.close()
                assert stat.S_IMODE(target.stat().st_mode) == 0o600
        finally:
            os.umask(mask)
            assert writer.poll() is None
            writer.kill()
    assert store.check() == []


def test_a_backup_killed_half_way_leaves_nothing_that_looks_like_one(tmp_path: Path, store: Store) -> None:
    store.runs.add(new_run("r1"))
    code = (
        "import os, pathlib, signal, sys; from store import open_store\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "open_store(pathlib.Path(sys.argv[1])).backup(pathlib.Path(sys.argv[2]))"
    )
    target = tmp_path / "copy.db"
    done = subprocess.run([sys.executable, "-c", code, str(store.path), str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    store.backup(target)
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]


def test_a_rebuild_killed_in_the_middle_is_done_again(home: Home, cli: Cli, make_run: MakeRun) -> None:
    for number in range(4):
        make_run(f"r{number}aaa", f"run {number}", tags=["made"])
    assert cli("store", "rebuild").status == 0
    assert cli("runs", "note", "run 1", "kept").status == 0
    assert cli("runs", "tag", "run 2", "mine").status == 0
    before = known(home)
    for after in (0, 2):
        done = subprocess.run(
            [sys.executable, "-c", REBUILD_AND_DIE, str(after), "store", "rebuild"], capture_output=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert len(known(home)) == 4, "no run is gone meanwhile"
    assert cli("store", "rebuild").status == 0
    assert known(home) == before, "notes and tags, too"


def test_votes_notes_tags_and_chats_stay_when_the_rest_is_rebuilt(home: Home, cli: Cli, make_run: MakeRun) -> None:
    make_run("r0aaa", "first")
    assert cli("store", "rebuild").status == 0
    assert cli("runs", "note", "first", "a note").status == 0
    assert cli("runs", "tag", "first", "mine").status == 0
    store = open_store(home.db)
    store.votes.add(vote(left="run:r0aaa"))
    votes = store.votes.list()
    store.close()
    connection = sqlite3.connect(home.db)
    connection.execute("INSERT INTO chats VALUES (7, 'c1', 'Old', 1.0, 2.0, '[]', '', '{}', 'old', 0, '')")
    connection.commit()
    connection.close()
    assert cli("store", "rebuild").status == 0
    shown = cli("runs", "show", "first", "--json").json
    assert (shown["notes"], shown["tags"]) == ("a note", ["mine"])
    store = open_store(home.db)
    assert [chat.id for chat in store.chats.list()] == ["c1"]
    assert store.votes.list() == votes != []
    store.close()


def test_folders_that_are_no_runs_hold_up_no_rebuild(home: Home, cli: Cli, make_run: MakeRun, tmp_path: Path) -> None:
    good = make_run("r0aaa", "first")
    for name, inputs in (
        ("r1list", "[]"),
        ("r2torn", '{"id": "r2torn", "na'),
        ("r3empty", "{}"),
        ("r4text", '{"id": 7, "name": [], "created": "yesterday", "tags": 3}'),
        ("r5deep", "[" * 100_000),
        ("r6nan", '{"id": "r6nan", "name": "x", "created": NaN, "tags": []}'),
    ):
        (home.runs / name).mkdir()
        (home.runs / name / "inputs.json").write_text(inputs, encoding="utf-8")
        shutil.copy(good.recipe, home.runs / name / "recipe.toml")
    (home.runs / "r7empty").mkdir()
    (home.runs / "a file").write_text("notes", encoding="utf-8")
    (home.runs / "r8loop").symlink_to(home.runs / "r8loop")
    (home.runs / "r9away").symlink_to(tmp_path / "nowhere")
    (home.runs / "r10lost").mkdir()
    (home.runs / "r10lost" / "inputs.json").mkdir()
    told = cli("store", "rebuild", "--json")
    assert told.status == 0, told.stderr
    found = [run.id for run, _ in known(home)]
    assert "r0aaa" in found and set(found) <= {"r0aaa", "r6nan"}


def test_a_copy_of_a_runs_folder_is_not_taken_for_the_run(home: Home, cli: Cli, make_run: MakeRun) -> None:
    """Somebody keeps a copy beside it: it has the run's id in it, and fewer events."""
    run = make_run("r0aaa", "first")
    copy = home.runs / "r0aaa-copy"
    shutil.copytree(run.path, copy)
    lines = run.events.read_bytes().splitlines(keepends=True)
    (copy / "events.jsonl").write_bytes(b"".join(lines[:4]))
    inputs = json.loads(run.inputs.read_text(encoding="utf-8"))
    assert inputs["id"] == "r0aaa"
    assert cli("store", "rebuild").status == 0
    [(found, _)] = [one for one in known(home) if one[0].id == "r0aaa"]
    assert (found.status, found.step, found.dir) == ("succeeded", 3, str(run.path))
