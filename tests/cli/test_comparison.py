"""The logic of comparing runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.runs.compare import best_index, compare, differing_settings, lower_is_better, sentence
from store import open_store
from store.records import Run
from tests.cli.conftest import Cli, MakeRun


def runs_of(cli: Cli, make_run: MakeRun, *recipes: dict[str, object]) -> list[Run]:
    from engine.home import find_home

    for number, recipe in enumerate(recipes):
        make_run(f"r{number}", f"run-{number}", evals=((0, 3.0), (3, 1.0 + number / 4)), **recipe)
    store = open_store(find_home().db)
    found = [store.runs.get(f"r{number}") for number in range(len(recipes))]
    store.close()
    return [run for run in found if run is not None]


def test_which_side_is_better() -> None:
    assert lower_is_better("eval/loss") and lower_is_better("eval/perplexity")
    assert lower_is_better("train/tokens_per_s") is False and lower_is_better("eval/mean_token_accuracy") is False
    assert lower_is_better("train/grad_norm") is None
    assert best_index("eval/loss", [2.0, None, 1.0]) == 2
    assert best_index("train/tokens_per_s", [2.0, 1.0]) == 0
    assert best_index("eval/loss", [1.0, 1.0]) is None and best_index("eval/loss", [1.0, None]) is None
    assert best_index("train/grad_norm", [1.0, 2.0]) is None


def test_two_versions_of_one_dataset_differ(cli: Cli, make_run: MakeRun) -> None:
    one, two = runs_of(cli, make_run, {}, {})
    assert differing_settings([one, two]) == {}
    two = replace(two, dataset_id="dother")
    assert differing_settings([one, two]) == {"dataset": ["d0123456789", "dother"]}
    two = replace(two, dataset="other")
    assert differing_settings([one, two]) == {"dataset": ["support", "other"]}


def test_a_setting_that_one_run_does_not_have_differs(cli: Cli, make_run: MakeRun) -> None:
    one, two = runs_of(cli, make_run, {}, {"revision": "v2"})
    assert differing_settings([one, two]) == {"revision": [None, "v2"]}


def test_three_runs_in_a_sentence(cli: Cli, make_run: MakeRun) -> None:
    from engine.home import find_home

    runs_of(cli, make_run, {}, {"lora_r": 4, "seed": 1, "weight_decay": 0.1, "max_length": 64, "lora_alpha": 8}, {})
    store = open_store(find_home().db)
    found = compare(store, ["r2", "r1", "r0"])
    store.close()
    assert found.sentence == (
        "run-0 is best by 0.25 eval loss, before run-1; "
        "they differ in max_length, lora_r, lora_alpha and 2 more settings."
    )
    assert found.best["eval/loss"] == 2


def test_without_a_figure_there_is_no_winner(cli: Cli, make_run: MakeRun) -> None:
    one, two = runs_of(cli, make_run, {}, {})
    assert sentence([one, two], {}, {}, {}) == "There is no loss to compare yet; their recipes are the same."
    even = sentence([one, two], {"dataset": [1, 2]}, {"eval/loss": [1.0, 1.0]}, {"eval/loss": None})
    assert even.startswith("They come to the same eval loss; they differ in dataset.") and "different data" in even


def test_files_beside_the_comparison(cli: Cli, make_run: MakeRun, tmp_path: Path) -> None:
    runs_of(cli, make_run, {}, {"lora_r": 4})
    page, points = tmp_path / "report.html", tmp_path / "points.csv"
    shown = cli("runs", "compare", "run-0", "run-1", "--html", str(page), "--curves", str(points))
    assert shown.status == 0 and "WHAT DIFFERS" in shown.stdout and f"wrote {page} (" in shown.stderr
    assert page.read_text().startswith("<!doctype html>") and points.read_text().startswith("run,run_id,metric,step")
    document = cli("runs", "compare", "run-0", "run-1", "--json", "--html", str(page)).json
    assert document["files"] == {"html": str(page)} and document["differing"] == {"lora_r": [16, 4]}
    assert "files" not in cli("runs", "compare", "run-0", "run-1", "--json").json


def test_text_to_stdout_is_alone_there(cli: Cli, make_run: MakeRun) -> None:
    runs_of(cli, make_run, {}, {"lora_r": 4})
    lines = cli("runs", "compare", "run-0", "run-1", "--csv", "-").stdout.splitlines()
    assert lines[0].startswith("name,id,status") and len(lines) == 3
    asked = ("runs", "compare", "run-0", "run-1", "--markdown", "-", "--baseline", "run-1", "--metric", "eval/loss")
    text = cli(*asked).stdout
    assert text.startswith("### run-0 · run-1\n") and "| validation loss | **1.000** (-0.25) | 1.250 |" in text
    assert "training loss" not in text and "WHAT DIFFERS" not in text


def test_one_run_is_enough_for_a_file(cli: Cli, make_run: MakeRun, tmp_path: Path) -> None:
    runs_of(cli, make_run, {})
    shown = cli("runs", "compare", "run-0", "--markdown", str(tmp_path / "one.md"))
    assert shown.status == 0 and shown.stdout == "" and "run-0: done" in (tmp_path / "one.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run-0", "run-1", "--html", "-"), "Only --csv and --markdown"),
        (("run-0", "run-1", "--csv", "-", "--markdown", "-"), "Only one thing"),
        (("run-0", "run-1", "--csv", "-", "--json"), "Only one thing"),
        (("run-0", "--html", "/nowhere/at/all.html"), "no folder"),
        (("run-0", "run-1", "--markdown", "-", "--metric", "eval/bleu"), "eval/bleu"),
        (("run-0", "run-1", "--markdown", "-", "--baseline", "other"), "other"),
        (("run-0",), "two runs"),
    ],
    ids=["page to stdout", "two to stdout", "text and json", "no folder", "no metric", "no baseline", "one run"],
)
def test_files_that_cannot_be(cli: Cli, make_run: MakeRun, words: tuple[str, ...], said: str) -> None:
    runs_of(cli, make_run, {}, {})
    shown = cli("runs", "compare", *words)
    assert shown.status == 2 and said in shown.stderr and "Traceback" not in shown.stderr
