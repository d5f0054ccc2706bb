"""What a run's curves show, from the command line."""

from typing import Any

import pytest

from engine.home import Home
from engine.runs.manager import RunManager
from store import open_store
from tests.cli.conftest import Cli, MakeRun

TRAIN = [2.5 - 0.03 * step for step in range(60)]
RISING = [(0, 2.6), (10, 1.9), (20, 1.6), (30, 1.52), (40, 1.7), (50, 1.9), (60, 2.2)]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was launched, instead of doing it."""
    done: list[Any] = []

    def launch(self: RunManager, recipe: object, *, name: str, tags: object) -> object:
        done.append((recipe, name, tags))
        return self._store.runs.list()[0]

    monkeypatch.setattr(RunManager, "launch", launch)
    return done


def test_findings_with_their_evidence_and_what_can_be_done(cli: Cli, make_run: MakeRun, home: Home) -> None:
    make_run(train=TRAIN, evals=RISING, lora_dropout=0.05)
    text = cli("runs", "diagnose", "first").stdout
    assert "Overfitting since step 30: best 1.52, now 2.2" in text
    assert "eval/loss risen from 1.52 to 2.2: 1.520 at 30, 1.700 at 40, 1.900 at 50, 2.200 at 60" in text
    assert "train again with dropout 0.1 and rank 8: finetui runs diagnose r0aaa --do overfitting" in text
    assert "look at the rows: finetui datasets validate d0123456789" in text
    document = cli("runs", "diagnose", "first", "--json").json
    (finding,) = document["findings"]
    assert (document["id"], finding["code"], finding["level"], finding["step"]) == (
        "r0aaa",
        "overfitting",
        "warning",
        30,
    )
    assert finding["evidence"][0]["steps"] == [30, 40, 50, 60] and finding["dismissed"] is False
    assert [act["code"] for act in finding["acts"]] == ["retrain", "data"]
    store = open_store(home.db)
    assert [row.code for row in store.findings.of("r0aaa")] == ["overfitting"]
    store.findings.dismiss("r0aaa", "overfitting")
    store.close()
    assert "(ignored)" in cli("runs", "diagnose", "first").stdout


def test_what_is_offered_is_done(cli: Cli, make_run: MakeRun, launched: list[Any]) -> None:
    make_run(train=TRAIN, evals=RISING, lora_dropout=0.05, tags=["t"])
    assert "train again with dropout 0.1 and rank 8" in cli("runs", "diagnose", "first", "--do", "overfitting").stdout
    [(recipe, name, tags)] = launched
    assert (recipe.lora_dropout, recipe.lora_r, name, tags) == (0.1, 8, "first", ("t",))
    refused = cli("runs", "diagnose", "first", "--do", "overfitting", "--act", "2")
    assert refused.status == 2 and "only you can give" in refused.stderr
    refused = cli("runs", "diagnose", "first", "--do", "overfitting", "--act", "9")
    assert refused.status == 2 and "There are 2." in refused.stderr
    refused = cli("runs", "diagnose", "first", "--do", "plateau")
    assert refused.status == 2 and "It has overfitting." in refused.stderr
    assert len(launched) == 1


def test_a_run_that_goes_well_and_one_that_has_just_begun(cli: Cli, make_run: MakeRun) -> None:
    make_run(train=TRAIN, evals=RISING[:4])
    assert "Learning well: validation loss 2.6 → 1.52" in cli("runs", "diagnose", "first").stdout
    make_run("r0bbb", "second", train=[2.0, 1.9])
    assert "nothing to be seen yet" in cli("runs", "diagnose", "second").stdout
    assert cli("runs", "diagnose", "second", "--json").json["findings"] == []
    assert cli("runs", "diagnose", "third").status == 2


def test_a_loss_that_is_no_number_is_json_all_the_same(cli: Cli, make_run: MakeRun) -> None:
    make_run(train=[*TRAIN, float("nan")], evals=RISING[:4], status="failed", failure="loss_not_finite")
    (finding,) = cli("runs", "diagnose", "first", "--json").json["findings"]
    assert finding["code"] == "not_finite" and finding["evidence"][0]["values"][-1] == "nan"
    text = cli("runs", "diagnose", "first").stdout
    assert "nan at 61" in text and "train again with half the learning rate (0.0001)" in text
