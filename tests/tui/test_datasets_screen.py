"""A dataset: its rows read and searched by keys."""

import json
from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.home import Home
from store import Store
from store.records import Dataset
from tests.tui.conftest import Driver, MakeApp


def write_rows(path: Path, rows: int, **extra: object) -> Path:
    lines = [
        json.dumps({"prompt": f"question number {row}", "response": f"answer {row}", "topic": row % 7, **extra})
        for row in range(1, rows + 1)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def library(home: Home, store: Store) -> DatasetLibrary:
    return DatasetLibrary(home, store)


def side(driver: Driver) -> str:
    """The title over the conversation."""
    return driver.line("╭─ row")


async def test_rows_are_read_as_they_come_into_view(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.import_file(write_rows(tmp_path / "many.jsonl", 3000))
    read: list[int] = []
    rows = DatasetLibrary.rows

    def counted(self: DatasetLibrary, dataset_id: str, **where: int) -> object:
        read.append(where["offset"])
        return rows(self, dataset_id, **where)  # type: ignore[arg-type]

    monkeypatch.setattr(DatasetLibrary, "rows", counted)
    async with make_app() as driver:
        await driver.press("2", "enter")
        await driver.wait(lambda: "row 1 of 3,000" in side(driver))
        await driver.sees("many v1", "2,700 train, 300 validation", "question number 20", "answer 1", "topic")
        await driver.press("j", "j")
        await driver.wait(lambda: "row 3 of 3,000" in side(driver))
        await driver.press("G")
        await driver.wait(lambda: "row 3,000 of 3,000" in side(driver))
        await driver.sees("answer 3000")
        await driver.press("colon")
        await driver.type("1500")
        await driver.press("enter")
        await driver.wait(lambda: "row 1,500 of 3,000" in side(driver))
        await driver.press("colon")
        await driver.type("[b]x")
        await driver.press("enter")
        await driver.wait(lambda: [one.message for one in driver.app._notifications] == ["[b]x is not a row's number."])
        assert set(read) <= {0, 1400, 1500, 2900}, "only what was looked at is read"
        assert len(read) == len(set(read)), "and that once"


async def test_search_in_a_dataset(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    library.import_file(write_rows(tmp_path / "many.jsonl", 300))
    async with make_app((80, 24)) as driver:
        await driver.press("2", "enter")
        await driver.wait(lambda: "row 1 of 300" in side(driver))
        await driver.press("slash")
        await driver.type("NUMBER 29")
        await driver.press("enter")
        await driver.sees("11 rows")
        await driver.wait(lambda: "row 29 of 300" in side(driver))
        await driver.press("j")
        await driver.wait(lambda: "row 290 of 300" in side(driver))
        await driver.press("escape")
        await driver.wait(lambda: "row 290 of 300" in side(driver) and "11 rows" not in driver.text())
        await driver.press("k")
        await driver.wait(lambda: "row 289 of 300" in side(driver))
        await driver.press("slash")
        await driver.type("nowhere")
        await driver.press("enter")
        await driver.sees("no row has it")
        await driver.press("escape", "escape")
        await driver.sees("1 dataset")


async def test_hostile_rows_are_only_text(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    row = {
        "prompt": "[bold]hi[/bold] \x1b[2J\x1b]0;owned\x07there",
        "response": "[@click=quit]x[/]\u202eevil",
        "k\x07": "[red]",
    }
    (tmp_path / "bad.jsonl").write_text("\n".join([json.dumps(row)] * 3), encoding="utf-8")
    library.import_file(tmp_path / "bad.jsonl")
    async with make_app() as driver:
        await driver.press("2", "enter")
        await driver.sees("[bold]hi[/bold] there", "[@click=quit]x[/]evil", "[red]")
        assert not set("\x1b\x07\u202e") & set(driver.text())


async def test_dataset_that_is_damaged(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    dataset: Dataset = library.import_file(write_rows(tmp_path / "rows.jsonl", 20))
    (Path(dataset.dir) / "data.parquet").write_bytes(b"PAR1 not really")
    async with make_app() as driver:
        await driver.press("2", "enter")
        await driver.sees("The rows cannot be read", "import its source again")
        await driver.press("escape", "escape")
        await driver.sees("1 dataset")
