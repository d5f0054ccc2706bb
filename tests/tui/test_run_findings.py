"""What was found out about a run: the banner, the keys that answer it, the dialog with the evidence; imported runs."""

import time
from typing import Any

import pytest

from engine.insight.diagnosis import Act, Evidence, Finding, row_of
from engine.runs.manager import RunManager
from store import Store
from store.records import NewRun
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.dataset import DatasetScreen
from tui.screens.run import RunScreen

LIVE = "r4live00000"
OVERFITTING = Finding(
    "overfitting",
    "warning",
    "Overfitting since step 20: best 1.038, now 1.102",
    "Training loss goes on falling while validation loss rises.",
    0.93,
    20,
    (Evidence("eval/loss", (20, 30, 40), (1.038, 1.071, 1.102), "Three [red] evaluations in a row were worse."),),
    (
        Act("stop", "stop and keep step 20", from_step=20, question="It ends; step 20 is kept."),
        Act("retrain", "train again with more dropout", {"lora_dropout": 0.1}),
    ),
)
LEAK = Finding("leak", "warning", "Validation rows are in training, too", "Why.", 0.8, 10, (), (Act("data", "look"),))

Done = list[Any]


@pytest.fixture(autouse=True)
def _nothing_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample runs' own figures are not judged: what is found is what a test says."""
    monkeypatch.setattr(RunManager, "_diagnose", lambda self, run_id: None)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, store: Store) -> Done:
    """What was stopped and launched, instead of doing it. A launch hands out the run `r1done00000`."""
    calls: Done = []

    def launch(self: RunManager, recipe: Any, **_: Any) -> Any:
        calls.append(recipe.lora_dropout)
        return store.runs.get("r1done00000")

    monkeypatch.setattr(RunManager, "stop", lambda self, run_id, now=False: calls.append(("stop", run_id)))
    monkeypatch.setattr(RunManager, "launch", launch)
    return calls


def found(runs: SampleRuns, *findings: Finding, run_id: str = LIVE) -> None:
    runs.store.findings.replace(run_id, [row_of(finding, run_id, time.time()) for finding in findings])


async def test_the_worst_is_in_the_banner_with_its_keys(make_app: MakeApp, filled: SampleRuns) -> None:
    found(filled, LEAK, OVERFITTING)
    for size in ((80, 24), (160, 50)):
        async with make_app(open_run=LIVE, size=size) as driver:
            await driver.sees(
                "⚠ Overfitting since step 20: best 1.038, now 1.102", "a stop and keep step 20", "i ignore"
            )
            await driver.sees("w why and 1 more", "Events 3")
            assert all(len(line) <= size[0] for line in driver.text().splitlines())


async def test_a_asks_and_does_what_is_offered(make_app: MakeApp, filled: SampleRuns, done: Done) -> None:
    found(filled, OVERFITTING)
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("a stop and keep step 20")
        await driver.press("a")
        await driver.sees("Stop and keep step 20?", "It ends; step 20 is kept.")
        await driver.press("n")
        await driver.sees_no("It ends; step 20 is kept.")
        assert not done
        await driver.press("a")
        await driver.sees("It ends; step 20 is kept.")
        await driver.press("y")
        await driver.wait(lambda: done == [("stop", LIVE)])
        assert getattr(driver.app.screen, "run_id", "") == LIVE


async def test_i_ignores_it_and_the_next_one_shows(make_app: MakeApp, filled: SampleRuns) -> None:
    found(filled, OVERFITTING, LEAK)
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("Overfitting since step 20")
        await driver.press("i")
        await driver.sees("Validation rows are in training, too")
        await driver.press("i")
        await driver.sees("Eval loss has risen for 3 evaluations")  # the run's own alert
        assert all(row.dismissed for row in filled.store.findings.of(LIVE))


async def test_why_shows_points_and_offers_each_act(make_app: MakeApp, filled: SampleRuns, done: Done) -> None:
    found(filled, OVERFITTING, LEAK)
    async with make_app(open_run=LIVE, size=(100, 30)) as driver:
        await driver.sees("Overfitting since step 20")
        await driver.press("w")
        await driver.sees(
            "93% sure", "(overfitting)", "Three [red] evaluations", "1.038 at 20 · 1.071 at 30 · 1.102 at 40"
        )
        await driver.sees(
            "1  stop and keep step 20", "2  train again with more dropout", "lora_dropout 0.05 → 0.1", "1 of 2"
        )
        await driver.press("l")
        await driver.sees("(leak)", "2 of 2")
        await driver.press("l", "2")
        await driver.wait(lambda: done and getattr(driver.app.screen, "run_id", "") == "r1done00000")
        assert done == [0.1, ("stop", LIVE)]


async def test_the_dialog_can_ignore_the_one_it_shows(make_app: MakeApp, filled: SampleRuns) -> None:
    found(filled, OVERFITTING, LEAK)
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("Overfitting since step 20")
        await driver.press("w")
        await driver.sees("1 of 2")
        await driver.press("l", "i")
        await driver.sees_no("2 of 2")
        await driver.wait(lambda: [row.code for row in filled.store.findings.of(LIVE) if row.dismissed] == ["leak"])
        await driver.press("w")
        await driver.sees("(overfitting)")
        await driver.press("escape")
        await driver.sees_no("(overfitting)")


async def test_what_only_a_person_can_judge_opens_the_data(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("tui.screens.datasets.DatasetsScreen.show_dataset", lambda self, name: opened.append(name))
    found(filled, LEAK, run_id="r1done00000")
    async with make_app(open_run="r1done00000") as driver:
        await driver.sees("Validation rows are in training, too · a look")
        await driver.press("a")
        await driver.wait(lambda: opened)
        assert not isinstance(driver.app.screen, DatasetScreen)


async def test_keys_without_a_finding_do_nothing(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("Eval loss has risen")
        await driver.press("i", "a", "w")
        assert isinstance(driver.app.screen, RunScreen)


async def test_N_writes_a_note(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("step 42/60")
        await driver.press("N")
        await driver.sees("Note on emoji-r16-lr2e4")
        await driver.type("good")
        await driver.press("enter")
        await driver.wait(lambda: (run := filled.store.runs.get(LIVE)) and run.notes == "good")


async def test_an_imported_run_says_why_it_cannot_go_on(make_app: MakeApp, runs: SampleRuns, done: Done) -> None:
    imported = NewRun("w1import000", "from-wandb", "gpt2", "full", "", "", time.time() - 9e5, {}, "", source="wandb")
    runs.store.runs.add(imported)
    found(runs, OVERFITTING, run_id="w1import000")

    async def says(driver: Driver, key: str, words: str) -> None:
        await driver.press(key)
        await driver.wait(lambda: any(words in one.message for one in driver.app._notifications))

    async with make_app(open_run="w1import000", size=(140, 40)) as driver:
        await driver.sees("from-wandb", "Overfitting since step 20")
        await driver.wait(lambda: not driver.app.screen.query_one("DevicePanels").display)
        await says(driver, "t", "no adapter here")
        await says(driver, "n", "no recipe of finetui")
        await says(driver, "a", "nothing can be done about it")
        await driver.press("s", "K")
        assert isinstance(driver.app.screen, RunScreen)
        await driver.press("w")
        await driver.sees("(overfitting)")
        assert not done
        assert not driver.app.screen_stack[-2].query_one("DevicePanels").display
