"""Datasets: imported, found, read and removed by keys."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput
from engine.home import Home
from store import Store
from store.records import Dataset, NewRun
from tests.tui.conftest import Driver, MakeApp
from tui.screens.import_dialog import read_share
from tui.widgets.path_candidates import candidates, common_start


def write_rows(path: Path, rows: int, **extra: object) -> Path:
    lines = [
        json.dumps({"prompt": f"question number {row}", "response": f"answer {row}", "topic": row % 7, **extra})
        for row in range(1, rows + 1)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the app is started in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def library(home: Home, store: Store) -> DatasetLibrary:
    return DatasetLibrary(home, store)


def side(driver: Driver) -> str:
    """The title over the conversation."""
    return driver.line("╭─ row")


async def test_import_by_keys(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    (work / "data").mkdir()
    write_rows(work / "data" / "faq-one.jsonl", 20)
    write_rows(work / "data" / "faq-two.jsonl", 30)
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("No datasets yet.", "sharegpt", "Press i to import")
        await driver.press("i")
        await driver.sees("data/", "tab complete")
        await driver.type("da")
        await driver.sees("data/")
        await driver.press("tab")
        await driver.sees("faq-one.jsonl", "faq-two.jsonl")
        await driver.press("tab")
        await driver.sees("data/faq-")
        await driver.type("t")
        await driver.wait(lambda: "faq-one" not in driver.text())
        await driver.press("tab")
        await driver.sees("30 rows", "prompt-response", "user from prompt", "question number 3", "answer 3")
        assert "question number 4" not in driver.text(), "three rows are shown"
        await driver.press("tab")
        await driver.type("help")
        await driver.press("tab", "ctrl+u")
        await driver.type("20%")
        await driver.press("tab")
        await driver.type("Be kind.")
        await driver.press("enter")
        await driver.wait(lambda: "24 / 6 / –" in driver.line("help"))
        dataset = library.resolve("help")
        assert library.rows(dataset.id, limit=1)[0].messages[0].content == "Be kind."


async def test_rows_that_cannot_be_used(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    good = [json.dumps({"prompt": f"q{row}", "response": "a"}) for row in range(10)]
    bad = ['{"prompt": "[red]q[/]", "response": ""}', '{"prompt": 3, "response": "a"}', "not json"]
    (work / "mixed.jsonl").write_text("\n".join([*good, *bad]), encoding="utf-8")
    async with make_app((80, 24)) as driver:
        await driver.press("2", "i")
        await driver.sees("mixed.jsonl")
        await driver.press("enter")
        await driver.sees("13 rows", "✗ 3 of the first 13 cannot be used", "row 11", "enter import")
        await driver.press("enter")
        await driver.sees("Nothing was imported", "row 11", "response is empty", "row 12", "row 13", "is not JSON")
        assert library.list() == []
        await driver.press("s")
        await driver.wait(lambda: "⚠" in driver.line("mixed"))
        assert library.list()[0].rows == 10
        await driver.press("enter")
        await driver.sees("3 rows were left out")


async def test_files_that_are_no_data(make_app: MakeApp, work: Path) -> None:
    (work / "picture.json").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (work / "[b]odd\x1b[31m name.json").write_text("[]")
    async with make_app() as driver:
        await driver.press("2", "i")
        await driver.sees("picture.json", "[b]odd name.json")
        await driver.type("picture.json")
        await driver.wait(lambda: driver.line("✗"))
        assert "enter import" not in driver.text()
        await driver.press("enter")
        await driver.press("escape")
        await driver.sees("No datasets yet.")


async def test_import_that_is_given_up(
    make_app: MakeApp, work: Path, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_file, gate = DatasetLibrary.import_file, threading.Event()

    def held(self: DatasetLibrary, source: Path, *, progress: Callable[[float], None], **options: Any) -> Dataset:
        def when_open(share: float) -> None:
            gate.wait(20)
            progress(share)

        return import_file(self, source, progress=when_open, **options)

    monkeypatch.setattr(DatasetLibrary, "import_file", held)
    write_rows(work / "large.jsonl", 500)
    async with make_app() as driver:
        await driver.press("2", "i", "enter")
        await driver.sees("500 rows", "enter import")
        await driver.press("enter")
        await driver.sees("importing", "esc give up")
        await driver.press("escape")
        gate.set()
        await driver.sees("enter import")
        assert library.list() == []
        await driver.press("enter")
        await driver.wait(lambda: "450 / 50 / –" in driver.line("large"))


async def test_list_filter_and_new_run(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    for name, rows in (("support", 20), ("emoji", 30), ("emoji", 40)):
        library.import_file(write_rows(tmp_path / "rows.jsonl", rows), name=name)
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("3 datasets", "support", "v2", "36 / 4 / –", "rows.jsonl")
        await driver.press("slash")
        await driver.type("support")
        await driver.sees("1 of 3 datasets")
        assert "emoji" not in driver.text()
        await driver.press("enter", "slash", "escape")
        await driver.sees("3 datasets")
        await driver.press("g", "j")
        await driver.wait(lambda: driver.app.screen.current_dataset.version == 1)  # type: ignore[attr-defined]
        await driver.press("n")
        await driver.wait(lambda: "emoji@1" in driver.line("dataset  "))
        await driver.sees("27 train, 3 validation")


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


async def test_removing(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, store: Store, home: Home) -> None:
    used = library.import_file(write_rows(tmp_path / "used.jsonl", 20))
    free = library.import_file(write_rows(tmp_path / "free.jsonl", 20, note="x"))
    store.runs.add(NewRun("r1", "night-run", "starter", "qlora", "used", used.id, 1.0, {}, str(home.runs / "r1")))
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("2 datasets")
        await driver.press("d")
        await driver.sees("Remove free v1?", "20 rows")
        await driver.press("n", "j", "d")
        await driver.sees("used v1 is in use", "night-run")
        await driver.press("escape", "k", "d", "y")
        await driver.sees("1 dataset")
        assert [one.name for one in library.list()] == ["used"]
        assert not Path(free.dir).exists()


async def test_dataset_that_is_damaged(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    dataset: Dataset = library.import_file(write_rows(tmp_path / "rows.jsonl", 20))
    (Path(dataset.dir) / "data.parquet").write_bytes(b"PAR1 not really")
    async with make_app() as driver:
        await driver.press("2", "enter")
        await driver.sees("The rows cannot be read", "import its source again")
        await driver.press("escape", "escape")
        await driver.sees("1 dataset")


# Without an app


@pytest.mark.parametrize(
    ("text", "share"), [("10 %", 0.1), ("10", 0.1), ("0.2", 0.2), ("", 0.0), ("0", 0.0), ("5%", 0.05), ("1 %", 0.01)]
)
def test_shares_as_people_write_them(text: str, share: float) -> None:
    assert read_share(text) == pytest.approx(share)


def test_share_that_is_none() -> None:
    with pytest.raises(BadInput, match="not a number"):
        read_share("a lot")


def test_completion_of_paths(tmp_path: Path) -> None:
    for name in ("a1.jsonl", "a2.json", ".hidden.json", "a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "archive").mkdir()
    found = candidates(f"{tmp_path}/a", tmp_path)
    assert [one.label for one in found] == ["a1.jsonl", "a2.json", "archive/"]
    assert common_start(found, f"{tmp_path}/a") == f"{tmp_path}/a"
    assert [one.label for one in candidates(f"{tmp_path}/.h", tmp_path)] == [".hidden.json"]
    assert candidates(f"{tmp_path}/no/such", tmp_path) == []
    assert common_start(candidates(f"{tmp_path}/ar", tmp_path), f"{tmp_path}/ar") == f"{tmp_path}/archive/"
