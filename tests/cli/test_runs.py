"""Runs from the command line."""

import pytest

from tests.cli.conftest import Cli, MakeRun

KEYS = """
id, name, status, reason, model, method, dataset, created, started, ended, attempt, step, total_steps, progress, eta_s,
metrics, peak_vram_bytes, tokens_per_s, cost, tags, notes, recipe, dir
"""


def test_a_run_document_has_the_keys_of_the_contract(cli: Cli, make_run: MakeRun) -> None:
    run = make_run(tags=["baseline"])
    [document] = cli("runs", "ls", "--json").json
    assert {key.strip() for key in KEYS.split(",")} <= set(document)
    assert document["id"] == "r0aaa" and document["status"] == "succeeded" and document["progress"] == 1.0
    assert document["metrics"]["eval/loss"] == {"last": 1.2, "min": 1.2, "max": 3.1, "step": 3, "min_step": 3}
    assert document["recipe"]["dataset"] == "support" and document["tags"] == ["baseline"]
    assert document["dir"] == str(run.path)
    shown = cli("runs", "show", "first", "--json").json
    assert document.items() <= shown.items()
    assert shown["attempts"][0]["number"] == 1


def test_the_list_is_a_table_that_can_be_filtered(cli: Cli, make_run: MakeRun) -> None:
    make_run()
    make_run("r0bbb", "second", status="failed", evals=())
    lines = cli("runs", "ls").stdout.splitlines()
    assert len(lines) == 3 and "\x1b" not in "".join(lines)
    assert len({line.index(text) for line, text in zip(lines, ("STATUS", "failed", "succeeded"), strict=False)}) == 1
    assert [run["name"] for run in cli("runs", "ls", "--filter", "status:failed", "--json").json] == ["second"]
    assert len(cli("runs", "ls", "--limit", "1", "--json").json) == 1
    assert cli("runs", "ls", "--filter", "nothing-like-it").stdout == "No run matches.\n"


def test_runs_go_by_id_name_and_prefix(cli: Cli, make_run: MakeRun) -> None:
    make_run()
    make_run("r0bbb", "second")
    for text in ("r0aaa", "first", "r0a"):
        assert cli("runs", "show", text, "--json").json["id"] == "r0aaa"
    ambiguous = cli("runs", "show", "r0")
    assert ambiguous.status == 2 and "r0aaa" in ambiguous.stderr and "r0bbb" in ambiguous.stderr


def test_show_is_for_people(cli: Cli, make_run: MakeRun) -> None:
    make_run(learning_rate=3e-3)
    text = cli("runs", "show", "first").stdout
    assert "eval/loss" in text and "recipe.learning_rate" in text and "0.003" in text


def test_metrics(cli: Cli, make_run: MakeRun) -> None:
    make_run(train=[4.0 - step / 1000 for step in range(3000)], evals=())
    document = cli("runs", "metrics", "first", "--metric", "train/loss", "--points", "50", "--json").json
    series = document["metrics"]["train/loss"]
    assert 25 <= len(series["steps"]) <= 50 and series["steps"][-1] == 3000
    assert series["last"] == pytest.approx(1.001) and series["max"] == 4.0
    assert min(series["low"]) == pytest.approx(1.001) and max(series["high"]) == 4.0
    assert "train/loss" in cli("runs", "metrics", "first").stdout
    assert len(cli("runs", "metrics", "first", "--metric", "train/loss").stdout.splitlines()) == 3001
    missing = cli("runs", "metrics", "first", "--metric", "eval/nope")
    assert missing.status == 2 and "train/loss" in missing.stderr


def test_not_a_number_is_null(cli: Cli, make_run: MakeRun) -> None:
    make_run(train=[2.0, float("nan")], evals=())
    [document] = cli("runs", "ls", "--json").json
    assert document["metrics"]["train/loss"]["last"] is None
    assert document["metrics"]["train/loss"]["min"] == 2.0


def test_the_log_is_cleaned(cli: Cli, make_run: MakeRun) -> None:
    run = make_run()
    with run.log.open("a") as log:
        log.write(" 10%|#   \r 50%|##  \r100%|####\nlast line without an end")
    text = cli("runs", "log", "first").stdout
    assert text.splitlines() == [
        "loading the model",
        "training in red",
        "done",
        "100%|####",
        "last line without an end",
    ]
    assert cli("runs", "log", "first", "-f").stdout == text
    assert cli("runs", "log", "first", "--json").json["lines"] == text.splitlines()


def test_names_tags_and_notes(cli: Cli, make_run: MakeRun) -> None:
    make_run(tags=["old"])
    assert cli("runs", "rename", "first", "better name", "--json").json["name"] == "better name"
    assert cli("runs", "tag", "better name", "a", "b", "--json").json["tags"] == ["a", "b", "old"]
    assert cli("runs", "tag", "r0aaa", "old", "a", "--remove", "--json").json["tags"] == ["b"]
    assert cli("runs", "note", "r0aaa", "looks good", "--json").json["notes"] == "looks good"
    bad = cli("runs", "rename", "r0aaa", "red\x1b[31m")
    assert bad.status == 2 and "\x1b" not in bad.stderr


def test_rm_takes_the_folder_and_the_row(cli: Cli, make_run: MakeRun) -> None:
    run = make_run()
    assert cli("runs", "rm", "first", "--json").json == {"removed": "r0aaa", "name": "first"}
    assert not run.path.exists() and cli("runs", "ls", "--json").json == []


def test_an_ended_run_cannot_be_stopped_nor_a_done_one_resumed(cli: Cli, make_run: MakeRun) -> None:
    make_run()
    assert cli("runs", "stop", "first").status == 2
    assert cli("runs", "resume", "first").status == 2


def test_compare(cli: Cli, make_run: MakeRun) -> None:
    make_run(learning_rate=1e-4, lora_r=8)
    make_run("r0bbb", "second", learning_rate=2e-4, lora_r=16, evals=((0, 3.1), (2, 1.09), (3, 1.5)))
    document = cli("runs", "compare", "first", "second", "--json").json
    assert [run["id"] for run in document["runs"]] == ["r0aaa", "r0bbb"]
    assert document["differing"] == {"lora_r": [8, 16], "learning_rate": [1e-4, 2e-4]}
    assert document["metrics"]["eval/loss"] == [1.2, 1.09] and document["best"]["eval/loss"] == 1
    assert document["best"]["train/loss"] is None, "a tie has no winner"
    assert document["sentence"] == (
        "first → second: lora_r 8 → 16 and learning_rate 1e-4 → 2e-4; eval loss 1.200 → 1.090, better by 0.11 (9.2 %)."
    )
    text = cli("runs", "compare", "first", "second").stdout
    assert "★ 1.09" in text and document["sentence"] in text
    assert cli("runs", "compare", "first", "first").status == 2
