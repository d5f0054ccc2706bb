"""Other users of the machine: nothing in the home is for them, however careless its owner's umask is.

The same is asked of a home with a trained model in it, in `tests/acceptance/test_demo.py`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.home import Home
from engine.private import PRIVATE, USERS, share, users_umask
from engine.serving.running import listen_unix
from store import Store
from tests.engine.test_manager import Managers, ended, home, managers, recipe, store
from tests.security.modes import open_to_others
from tui.cli import main

__all__ = ["home", "managers", "store"]


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user who lets everybody read and write what they make."""
    monkeypatch.setenv(USERS, "000")
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def full(careless: None, home: Home, store: Store, managers: Managers, tmp_path: Path) -> Home:
    """A home in which commands have left what they leave, a run included; what fixtures made is closed by hand."""
    for path in home.root.rglob("*"):
        path.chmod(path.stat().st_mode & ~PRIVATE)
    told(home, "presets", "ls")  # the first call of a process makes everything after it private
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n{"prompt": "c", "response": "d"}\n')
    told(home, "datasets", "import", str(tmp_path / "rows.jsonl"), "--name", "rows")
    told(home, "store", "backup", str(home.root / "copy.db"))
    manager = managers("--steps", "2")
    run = ended(manager, store, manager.launch(recipe(), name="one"))
    told(home, "runs", "tag", run.id, "kept")
    told(home, "queue", "ls")
    told(home, "runs", "compare", run.id, "--html", str(tmp_path / "report.html"))
    listen_unix(home.sockets / "s").close()
    return home


def told(home: Home, *words: str) -> None:
    assert main(["--home", str(home.root), *words]) == 0


def test_nothing_that_finetui_makes_in_its_home_is_open_to_others(full: Home, tmp_path: Path) -> None:
    assert open_to_others(full.root) == [], "by their own modes, not only because the folder above is closed"
    names = {path.name for path in full.root.rglob("*")}
    assert {"finetui.db", "data.parquet", "events.jsonl", "log.txt", "order.json", "COMMITTED", "copy.db"} <= names


def test_what_a_user_asks_for_elsewhere_is_as_the_user_makes_files(full: Home, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    report = tmp_path / "second.html"
    told(full, "runs", "compare", "one", "--html", str(report))
    assert report.stat().st_mode & 0o777 == 0o666
    rows = tmp_path / "out.jsonl"
    told(full, "datasets", "export", "rows", str(rows))
    assert rows.stat().st_mode & 0o777 == 0o666


def test_a_place_that_is_closed_stays_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USERS, "027")
    assert users_umask() == 0o027
    for folder, mode, left in (("closed", 0o700, 0o600), ("open", 0o755, 0o640)):
        (tmp_path / folder).mkdir(mode=mode)
        file = tmp_path / folder / "file"
        file.touch(0o600)
        share(file)
        assert file.stat().st_mode & 0o777 == left
    tree = tmp_path / "open" / "tree"
    tree.mkdir(0o700)
    (tree / "program").touch(0o700)
    (tree / "away").symlink_to(tmp_path / "closed" / "file")
    share(tree)
    assert tree.stat().st_mode & 0o777 == (tree / "program").stat().st_mode & 0o777 == 0o750
    assert not (tmp_path / "closed" / "file").stat().st_mode & PRIVATE
