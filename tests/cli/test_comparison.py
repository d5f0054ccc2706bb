"""`finetui runs compare`: files beside the comparison, and text to stdout."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, MakeRun


def runs_of(cli: Cli, make_run: MakeRun, *recipes: dict[str, object]) -> None:
    for number, recipe in enumerate(recipes):
        make_run(f"r{number}", f"run-{number}", evals=((0, 3.0), (3, 1.0 + number / 4)), **recipe)


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
