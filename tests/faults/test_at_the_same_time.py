"""Two who make, change, remove or rebuild the same thing at the same time, each in the moment that hurts most."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.versions import DATA, Versions
from engine.errors import BadInput, Cancelled, NotFound
from engine.history import find_history, import_history
from engine.home import Home
from engine.inference import process
from engine.inference.panes import Pane
from engine.inference.process import ServerProcess
from engine.registry import keeping
from engine.registry.folder import NameDir
from engine.registry.registering import register
from engine.runs.claim import claimed
from engine.runs.follow import follow
from engine.runs.ingest import ingest_run
from engine.runs.manager import RunManager
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from store import Store, StoreError
from store.findings import FindingStore
from store.records import FindingRow, Status
from store.runs import RunStore
from tests.engine.test_manager import Managers, ended, folder, recipe
from tests.engine.test_registry import finished
from tests.store.builders import new_run
from tests.tui.sample_runs import SampleRuns
from tui.cli.command import Session

FOUND = FindingRow("r1", "overfitting", "warning", 30, 1.0, None, {"title": "It overfits"})


def once(
    patch: pytest.MonkeyPatch, where: Any, name: str, happens: Callable[[], object], *, after: bool = False
) -> None:
    """Let something happen the first time that `name` is called, before or after it does what it does."""
    found, happened = getattr(where, name), False

    def called(*arguments: Any, **named: Any) -> Any:
        nonlocal happened
        first, happened = not happened, True
        if first and not after:
            happens()
        answer = found(*arguments, **named)
        if first and after:
            happens()
        return answer

    patch.setattr(where, name, called)


def test_row_23_a_launch_while_the_store_is_rebuilt(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = managers("--steps", "3"), managers("--steps", "3")
    once(monkeypatch, RunStore, "add", other.rebuild)
    run = one.launch(recipe())
    assert store.runs.count() == 1 and run.status.live, "nobody took it for lost"
    assert ended(other, store, run).status is Status.SUCCEEDED


def test_row_23_a_run_that_is_resumed_is_not_removed(home: Home, store: Store, managers: Managers) -> None:
    one = managers("--steps", "3")
    run = one.launch(recipe())
    ended(one, store, run)
    with claimed(folder(home, run).lock, "it is at work"), pytest.raises(BadInput, match="resumed a moment ago"):
        one.remove(run.id)
    assert folder(home, run).recipe.exists() and store.runs.get(run.id)
    one.remove(run.id)
    assert not folder(home, run).path.exists() and store.runs.get(run.id) is None


def test_row_23_rows_that_are_imported_again_while_they_are_removed(
    home: Home, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 3)
    library = DatasetLibrary(home, store)
    dataset = library.import_file(file)
    once(monkeypatch, shutil, "rmtree", lambda: library.import_file(file))
    library.remove(dataset.id)
    [again] = [one for one in library.list() if one.name == "rows"]
    assert again.id == dataset.id and (Path(again.dir) / DATA).exists()
    library.close()


def test_row_23_a_folder_in_use_is_not_abandoned_however_old_it_looks(home: Home, store: Store) -> None:
    versions = Versions(home, store)
    with versions.workspace() as used:
        os.utime(used, (1.0, 1.0))
        left = home.datasets / ".import-left"
        left.mkdir()
        os.utime(left, (1.0, 1.0))
        with versions.workspace():
            assert used.exists() and not left.exists()


def test_row_23_of_two_imports_of_the_same_runs_one_waits(home: Home, store: Store, tmp_path: Path) -> None:
    metrics = tmp_path / "mlruns" / "0" / "run1" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "loss").write_text("".join(f"{1763712391000 + step} {step} {step}\n" for step in range(500)))
    (metrics.parent / "meta.yaml").write_text("run_id: run1\nrun_name: run 1\nstatus: 3\n")
    runs = find_history(tmp_path / "mlruns").runs
    outcomes: list[str] = []
    waiting = threading.Event()

    def take(name: str, share: float) -> None:
        waiting.set()

    def imports() -> None:
        outcomes.extend(one.outcome for one in import_history(home, store, runs, progress=take).runs)

    def give_up(name: str, share: float) -> None:
        raise Cancelled

    both = [threading.Thread(target=imports) for _ in range(2)]
    with claimed(home.root / "import.lock", "it is at work"):
        for one in both:
            one.start()
        assert waiting.wait(20)
        with pytest.raises(Cancelled):
            import_history(home, store, runs, progress=give_up)
        time.sleep(0.3)
        assert outcomes == []
    for one in both:
        one.join(60)
    assert sorted(outcomes) == ["imported", "unchanged"]
    [run] = store.runs.list()
    series = store.metrics.series(run.id, "train/loss")
    assert (run.status, len(series.steps) if series else 0) == (Status.SUCCEEDED, 500)


def test_row_23_a_finding_that_is_dismissed_while_others_are_found_stays_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.runs.add(new_run("r1"))
    store.findings.replace("r1", [FOUND])
    once(monkeypatch, FindingStore, "of", lambda: store.findings.dismiss("r1", FOUND.code), after=True)
    store.findings.replace("r1", [replace(FOUND, step=40)])
    [found] = store.findings.of("r1")
    assert found.step == 40 and found.dismissed is not None


def test_row_23_a_log_that_another_takes_in_meanwhile_is_not_read_from_the_beginning(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rundir = RunDir(home.runs / "r1")
    rundir.path.mkdir(parents=True)
    store.runs.add(new_run("r1", dir=str(rundir.path)))
    writer = EventWriter(rundir.events, 1)
    writer.write("metrics", step=1, values={"train/loss": 1.0})
    ingest_run(store, "r1", rundir)
    store.findings.replace("r1", [FOUND])

    def another() -> None:
        writer.write("metrics", step=2, values={"train/loss": 0.5})
        ingest_run(store, "r1", rundir)

    once(monkeypatch, RunStore, "ingest_offset", another)
    ingest_run(store, "r1", rundir)
    writer.close()
    series = store.metrics.series("r1", "train/loss")
    assert series is not None and series.steps == [1, 2]
    assert store.findings.of("r1"), "what a reset forgets is still there"


def test_row_23_a_version_that_is_removed_while_it_is_checked_is_not_promoted(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = SampleRuns(home, store)
    for run_id in ("r1aaa", "r2bbb"):
        register(home, store, finished(runs, run_id, run_id.encode()), "helper")
    before = NameDir.of(home, "helper").read()
    once(monkeypatch, keeping, "checked", lambda: keeping.remove(home, store, "helper", 1), after=True)
    with pytest.raises(NotFound):
        keeping.promote(home, store, "helper", 1)
    assert NameDir.of(home, "helper").read() == before
    runs.close()


def test_row_23_two_servers_of_a_model_in_one_process_do_not_share_a_socket(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "find_spec", lambda _: True)
    monkeypatch.setattr(ServerProcess, "_command", lambda *_: ["sleep", "60"])
    pane = Pane("base", "/models/mine", None, False, None, None)
    chat, judge = ServerProcess(home, pane, 9.0), ServerProcess(home, pane, 9.0)
    chat.socket.touch()
    judge.stop()
    assert chat.socket.exists(), "the one that ends takes its own away"
    chat.stop()
    assert [*home.sockets.glob("*.sock")] == []


def test_row_23_a_command_that_looked_once_lets_others_take_events_in(
    home: Home, store: Store, managers: Managers
) -> None:
    serves = Session(home, as_json=True)
    assert serves.current().runs.count() == 0, "and goes on for days"
    manager = managers("--steps", "3")
    run = manager.launch(recipe())
    assert follow(manager, store, run.id, lambda _: None).status is Status.SUCCEEDED
    serves.close()


def test_row_6_who_waits_for_a_run_waits_for_the_store_too(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = managers("--steps", "3")
    run = manager.launch(recipe())
    troubles: list[StoreError] = []

    def locked() -> None:
        raise StoreError("The store is busy.")

    once(monkeypatch, RunManager, "look", locked)
    assert follow(manager, store, run.id, lambda _: None, on_trouble=troubles.append).status is Status.SUCCEEDED
    assert [error.what for error in troubles] == ["The store is busy."]
