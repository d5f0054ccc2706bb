"""The dialog that imports past runs, by keys."""

import shutil
from pathlib import Path

import pytest

from store import Store
from tests.tui.conftest import Driver, MakeApp
from tui.screens.import_history import ImportHistoryDialog
from tui.widgets.history_paths import history_candidates

FILES = Path(__file__).parents[1] / "history" / "files"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the app is started in, with runs of W&B in it."""
    folder = tmp_path / "work"
    shutil.copytree(FILES / "wandb", folder / "wandb")
    monkeypatch.chdir(folder)
    return folder


async def open_dialog(driver: Driver, path: str = "") -> list[list[str] | None]:
    """Open it; returns where its answer will be."""
    answers: list[list[str] | None] = []
    services = driver.app.services
    assert services is not None
    await driver.app.push_screen(ImportHistoryDialog(services, path), answers.append)
    await driver.sees("Import past runs", "tag")
    return answers


async def test_from_the_usual_place_to_runs(make_app: MakeApp, work: Path, store: Store) -> None:
    async with make_app() as driver:
        answers = await open_dialog(driver)
        await driver.sees("wandb/", "W&B's offline runs")
        await driver.press("enter")
        await driver.sees("2 runs: 2 new", "by hand", "support-first", "enter import")
        await driver.press("enter")
        await driver.sees("2 runs imported.", "Left out", "1 histograms")
        await driver.press("enter")
        await driver.wait(lambda: answers)
        assert answers[0] is not None and len(answers[0]) == 2 == store.runs.count()


async def test_what_is_here_is_said_and_tags_are_given(make_app: MakeApp, work: Path, store: Store) -> None:
    async with make_app(size=(80, 24)) as driver:
        await open_dialog(driver, str(FILES / "trainer"))
        await driver.sees("1 run: 1 new", "Trainer")
        driver.app.screen.query_one("#tag").focus()
        await driver.type("old")
        await driver.press("enter")
        await driver.sees("1 run imported.")
        await driver.press("escape")
        await driver.wait(lambda: store.runs.count() == 1)
        assert store.runs.list()[0].tags == ("old",)
        await open_dialog(driver, str(FILES / "trainer"))
        await driver.sees("1 run: 1 here")


async def test_completes_and_says_what_is_wrong(make_app: MakeApp, work: Path) -> None:
    (work / "bad[red].wandb").write_text("nothing")
    async with make_app() as driver:
        await open_dialog(driver, "wa")
        await driver.sees("wandb/", "enter take it")
        await driver.press("tab")
        await driver.sees("2 runs: 2 new")
        path = driver.app.screen.query_one("#path")
        path.focus()
        path.value = str(work / "bad[red].wandb")  # type: ignore[attr-defined]
        await driver.sees("What can be imported is")
        said = "".join(driver.text().replace("│", "").split())  # the path is broken wherever it happens to end
        assert "bad[red].wandbholdsnothingtoimport." in said
        await driver.press("escape")
        await driver.sees_no("Import past runs")


async def test_given_up_it_keeps_nothing_half_done(
    make_app: MakeApp, work: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.history import importing

    def endless(*words: object) -> None:
        while True:  # until it is given up
            words[-1](0.1)  # type: ignore[operator]

    monkeypatch.setattr(importing, "_import", endless)
    async with make_app() as driver:
        await open_dialog(driver, str(FILES / "trainer"))
        await driver.sees("1 run: 1 new")
        driver.app.screen.query_one("#tag").focus()
        await driver.press("enter")
        await driver.sees("Importing trainer", "give up")
        await driver.press("escape")
        await driver.sees("1 run: 1 new")
        assert store.runs.count() == 0


async def test_every_screen_shows_an_imported_run(make_app: MakeApp, store: Store, home: object) -> None:
    from engine.history import find_history, import_history
    from engine.home import Home

    assert isinstance(home, Home)
    import_history(home, store, find_history(FILES / "wandb").runs)
    [run] = store.runs.find("by hand")
    async with make_app(open_run=run.id) as driver:
        await driver.sees("by hand", "failed")
        for _ in range(7):
            await driver.press("right_square_bracket")
        await driver.sees("by hand")
        assert "finetui did not expect" not in driver.text()


def test_candidates(work: Path) -> None:
    [run] = work.glob("wandb/*handmade")
    assert [one.label for one in history_candidates(f"{run}/")] == ["run-handmade.wandb"]
    assert "W&B" in history_candidates(f"{run}/")[0].detail
    assert [one.text for one in history_candidates("", work)][:1] == ["wandb/"]
    assert history_candidates("/nowhere/at/all") == []
    (work / ".hidden").mkdir()
    assert not any(one.label.startswith(".") for one in history_candidates(f"{work}/"))
