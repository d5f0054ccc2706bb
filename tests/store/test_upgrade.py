"""Stores of earlier versions, with data in them, opened by this one."""

import json
import sqlite3
from pathlib import Path

from store import open_store
from store.connection import Database
from store.migrations import STEPS, prepare
from store.records import FindingRow, View
from tests.store.builders import new_run, the

RECIPES = {
    "r1": {
        "lora_r": 16,
        "learning_rate": 2e-4,
        "packing": True,
        "target_modules": ["q_proj", "v_proj"],
        "note": "Ärger",
    },
    "r2": {"lora_r": 8, "continue_from": None, "model": 'it\'s [a] "model"', "sample_prompts": []},
    "r3": {},
}


def store_of_version_4(path: Path) -> None:
    """A store as the version before wrote it: recipes are a column of the runs."""
    database = Database(path)
    prepare(database, STEPS[:4])
    with database.transaction() as connection:
        for at, (run_id, recipe) in enumerate(RECIPES.items(), 1):
            connection.execute(
                "INSERT INTO runs (key, id, name, model, method, dataset, dataset_id, created, recipe, dir, "
                "status, search, stalled) VALUES (?, ?, ?, 'starter', 'lora', 'tickets', 'd1', ?, ?, '/runs', "
                "'succeeded', ?, ?)",
                (at, run_id, f"run {at}", float(at), json.dumps(recipe), f"run {at}", 5.0 if at == 2 else None),
            )
            connection.execute("INSERT INTO tags VALUES (?, 'kept')", (at,))
        connection.execute("INSERT INTO metric_names VALUES (1, 'eval/loss')")
        connection.execute("INSERT INTO points VALUES (1, 1, 1, 5, 0.5, 1.0)")
        connection.execute("INSERT INTO latest VALUES (1, 1, 1, 5, 0.5, 1.0, 0.5, 0.5, 5, 1)")
    database.close()


def test_recipes_leave_the_runs_and_can_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    store_of_version_4(path)
    store = open_store(path)
    assert {run.id: run.recipe for run in store.runs.list()} == RECIPES
    assert the(store.runs.get("r2")).stalled == 5.0
    assert [run.tags for run in store.runs.list()] == [("kept",)] * 3
    for query, found in (
        ("cfg.lora_r>=8", ["r2", "r1"]),
        ("cfg.packing:true", ["r1"]),
        ("cfg.target_modules:v_proj", ["r1"]),
        ("cfg.note:ÄRGER", ["r1"]),
        ("has:cfg.continue_from", []),
        ("cfg.model:[a]", ["r2"]),
        ("eval/loss.min<1", ["r1"]),
        ("has:finding", []),
        ("is:imported", []),
    ):
        assert store.runs.order(query) == found
    assert store.check() == []
    store.close()


def test_an_upgraded_store_takes_what_the_new_one_takes(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    store_of_version_4(path)
    store = open_store(path)
    store.runs.add(new_run("r4", recipe={"lora_r": 16, "new_field": 1}))
    assert store.runs.order("cfg.lora_r=16") == ["r4", "r1"]
    assert store.runs.order("cfg.new_field=1") == ["r4"]
    store.findings.replace("r1", [FindingRow("r1", "overfitting", "warning", 5, 1.0, None, {})])
    store.views.save(View("runs", "mine", "tag:kept", "created", True))
    assert [view.name for view in store.views.all("runs")] == ["mine"]
    store.runs.delete("r1")
    assert store.runs.order("cfg.lora_r=16") == ["r4"]
    assert store.check() == []
    store.close()


def test_the_store_before_the_upgrade_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    store_of_version_4(path)
    open_store(path).close()
    with sqlite3.connect(tmp_path / "finetui-v4-backup.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
        kept = dict(connection.execute("SELECT id, recipe FROM runs"))
    connection.close()
    assert {run_id: json.loads(recipe) for run_id, recipe in kept.items()} == RECIPES


def test_an_upgraded_store_has_the_schema_of_a_new_one(tmp_path: Path) -> None:
    """Whatever the way to it: the same tables, columns and indexes."""
    store_of_version_4(tmp_path / "old.db")
    found = []
    for name in ("old.db", "new.db"):
        store = open_store(tmp_path / name)
        with store.transaction() as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = {table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in sorted(tables)}
            indexes = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY 1"
            ).fetchall()
        found.append((columns, indexes))
        store.close()
    assert found[0] == found[1]


def test_what_was_said_before_the_upgrade_is_found(tmp_path: Path) -> None:
    path = tmp_path / "finetui.db"
    database = Database(path)
    prepare(database, STEPS[:8])
    with database.transaction() as connection:
        connection.execute("INSERT INTO chats VALUES (7, 'c1', 'Old', 1.0, 2.0, '[\"base\"]', '', '{}', 'old')")
        connection.execute("INSERT INTO messages VALUES (7, 3, 0, 'assistant', 'An Answer', 'an answer', 1, 2, 3, 4)")
    database.close()
    store = open_store(path)
    assert [(one.id, one.tags, one.pinned) for one in store.chats.list("nswe")] == [("c1", (), False)]
    store.chats.delete("c1")
    assert store.chats.list("nswe") == [] and store.check() == []
    store.close()
