"""Targets: read, and whether runs met them."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.evaluation.targets import Target, judge, parse_target, read_targets
from engine.home import Home
from store import Store, open_store
from store.records import Latest, Run
from tests.store.builders import new_run, the


@pytest.fixture
def run(home: Home) -> Run:
    store: Store = open_store(home.ensure().db)
    store.runs.add(new_run("r1"))
    found = the(store.runs.get("r1"))
    store.close()
    return replace(found, metrics={"train/loss": Latest(0.9, 0.8, 3.0, 9, 8), "eval/loss": Latest(1.3, 1.1, 3.0, 9, 5)})


@pytest.mark.parametrize(
    ("text", "target", "words"),
    [
        ("<1.0", Target("x", None, 1.0, False), "< 1.000"),
        ("<= 1", Target("x", None, 1.0), "<= 1.000"),
        (">0.4", Target("x", 0.4, None, False), "> 0.4000"),
        ("20..30", Target("x", 20.0, 30.0), "20.00..30.00"),
        ("20 .. 30 %", Target("x", 20.0, 30.0), "20.00..30.00"),
        ("..30", Target("x", None, 30.0), "<= 30.00"),
        ("2e1..", Target("x", 20.0, None), ">= 20.00"),
    ],
)
def test_limits_and_ranges(text: str, target: Target, words: str) -> None:
    assert parse_target("x", text) == target and target.words == words


@pytest.mark.parametrize("text", ["", "1.0", "<", "a..b", "..", "30..20", "<nan", "< 1 2", 1.0, None, ["<1"], "=3"])
def test_what_is_no_target_is_refused(text: object) -> None:
    with pytest.raises(BadInput, match="is not understood") as refused:
        parse_target("x", text)
    assert "<1.0" in refused.value.fix


def test_limits_are_kept_exactly() -> None:
    assert not parse_target("x", "<1").met(1.0) and parse_target("x", "<=1").met(1.0)
    assert parse_target("x", "20..30").met(20.0) and not parse_target("x", "20..30").met(30.01)
    assert not parse_target("x", "<1").met(math.nan)


def test_runs_meet_and_miss_targets(run: Run) -> None:
    texts = {
        "train/loss": "<1.0",
        "eval/loss": "<1.2",
        "eval/loss.min": "<1.2",
        "token_reduction": "20..30",
        "eval.rouge_l": ">0.4",
        "bleu": ">20",
        "cost": "<2",
        "win_rate": ">0.6",
    }
    targets = tuple(parse_target(name, text) for name, text in texts.items())
    figures = {"token_reduction": 31.0, "rouge_l": 0.5}
    found = {one.target.name: one for one in judge(replace(run, cost=1.5), figures, targets)}
    assert {name: one.words for name, one in found.items()} == {
        "train/loss": "met",
        "eval/loss": "missed",
        "eval/loss.min": "met",
        "token_reduction": "missed",
        "eval.rouge_l": "met",
        "bleu": "not measured",
        "cost": "met",
        "win_rate": "not measured",
    }
    assert found["train/loss"].value == 0.9 and found["bleu"].value is None
    assert [one.met for one in judge(None, figures, targets[:4])] == [None, None, None, False]


def test_a_project_has_its_own(home: Home, tmp_path: Path) -> None:
    assert read_targets(home.ensure(), tmp_path) == ()
    (home.root / "settings.toml").write_text('[targets]\n"train/loss" = "<1.0"\nbleu = ">10"\n')
    (tmp_path / "finetui.toml").write_text('[targets]\nbleu = ">20"\ntoken_reduction = "20..30"\n')
    assert read_targets(home, tmp_path) == (
        Target("train/loss", None, 1.0, False),
        Target("bleu", 20.0, None, False),
        Target("token_reduction", 20.0, 30.0),
    )
    (home.root / "settings.toml").write_text("theme = [")
    assert len(read_targets(home, tmp_path)) == 2
    (tmp_path / "finetui.toml").write_text("targets = 3\n")
    with pytest.raises(BadInput, match="no table of targets"):
        read_targets(home, tmp_path)
