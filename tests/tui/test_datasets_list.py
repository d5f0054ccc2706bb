"""The list of datasets: filtered, marked, validated, compared, mixed, exported and removed by keys."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row, Turn
from engine.home import Home
from store import Store
from store.records import Dataset, NewRun
from tests.tui.conftest import Driver, MakeApp
from tui.widgets.dataset_table import DatasetTable
from tui.widgets.row_list import RowList
from tui.widgets.word_diff import row_diff, word_diff


def write_rows(path: Path, rows: int, asked: str = "question number", **extra: object) -> Path:
    lines = [
        json.dumps({"prompt": f"{asked} {row}", "response": f"answer {row}", "topic": row % 7, **extra})
        for row in range(1, rows + 1)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def library(home: Home, store: Store) -> DatasetLibrary:
    return DatasetLibrary(home, store)


async def paste(driver: Driver, text: str) -> None:
    """Put text into what is in focus, all at once."""
    assert driver.app.focused is not None
    driver.app.focused.post_message(events.Paste(text))
    await driver.pilot.pause()


def keys(driver: Driver) -> str:
    """The line of keys at the bottom."""
    return driver.text().splitlines()[-1]


def current(driver: Driver) -> Dataset:
    """The dataset under the cursor of the list."""
    found = driver.app.screen.query_one(DatasetTable).highlighted
    assert found is not None
    return found


def changed_version(library: DatasetLibrary, first: Dataset) -> Dataset:
    """A version without the first two rows, with another answer in the third and a row more at the end."""
    rows = list(library.iterate(first.id))
    answer = Turn("assistant", "answer 3, with a [b]word[/] more")
    third = replace(rows[2], messages=(rows[2].messages[0], answer))
    more = Row(0, "train", (Turn("user", "a question that is new"), Turn("assistant", "its answer")), {})
    return library.derive(first, [third, *rows[3:], more], {"kind": "edit"}).dataset


async def test_list_filter_and_new_run(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    for name, rows in (("support", 20), ("emoji", 30), ("emoji", 40)):
        library.import_file(write_rows(tmp_path / "rows.jsonl", rows), name=name)
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("3 datasets", "support", "v2", "36 / 4 / –", "rows.jsonl")
        await driver.press("slash")
        await paste(driver, "support")
        await driver.sees("1 of 3 datasets")
        assert "emoji" not in driver.text()
        await driver.press("enter", "slash", "escape")
        await driver.sees("3 datasets")
        await driver.press("g", "j")
        await driver.wait(lambda: current(driver).version == 1)
        await driver.press("n")
        await driver.wait(lambda: "emoji@1" in driver.line("dataset  "))
        await driver.sees("27 train, 3 validation")


async def test_empty_list_names_every_shape_on_a_small_screen(make_app: MakeApp) -> None:
    from engine.datasets.shapes import SHAPES

    async with make_app((80, 24)) as driver:
        await driver.press("2")
        await driver.sees(*(shape for shape in SHAPES if shape != "auto"))
        await driver.sees("JSONL, JSON, CSV, TSV, Parquet or text, also gzipped", "hub:NAME", "never changed.")


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
        await driver.press("escape", "k", "d")
        await driver.sees("Remove free v1?")
        await driver.press("y")
        await driver.sees("1 dataset")
        assert [one.name for one in library.list()] == ["used"]
        await driver.wait(lambda: not Path(free.dir).exists())


async def test_keys_offer_what_applies(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    first = library.import_file(write_rows(tmp_path / "one.jsonl", 20))
    changed_version(library, first)
    async with make_app((80, 24)) as driver:
        await driver.press("2")
        await driver.sees("2 datasets")
        assert "u made from" in keys(driver), "the newer one was made from the older"
        assert not any(word in keys(driver) for word in ("c compare", "m mix", "s stages"))
        await driver.press("c", "m", "s")  # nothing is marked: nothing happens
        assert driver.app.screen.query(DatasetTable)
        await driver.press("space", "space")
        await driver.wait(lambda: "c compare  m mix  s stages" in " ".join(keys(driver).split("   ")))
        assert driver.text().count("✱") == 2
        assert len([word for word in keys(driver).split("  ") if word.strip()]) <= 8
        await driver.press("escape")
        await driver.wait(lambda: "✱" not in driver.text() and "made from" not in keys(driver))
        await driver.press("g", "u")
        await driver.wait(lambda: current(driver).id == first.id)


async def test_parent_that_was_removed(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    first = library.import_file(write_rows(tmp_path / "one.jsonl", 20))
    changed_version(library, first)
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("2 datasets", "edit of v1")
        await driver.press("G", "d")
        await driver.sees("What was made from", "stays: one v2")
        await driver.press("y")
        await driver.sees("1 dataset")
        await driver.press("u")
        await driver.sees("was made from is not here any more", "It was removed")


async def test_validating(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    library.import_file(write_rows(tmp_path / "rows.jsonl", 40))
    async with make_app() as driver:
        await driver.press("2")
        await driver.wait(lambda: "–" in driver.line("rows.jsonl").split("v1")[0])
        await driver.press("v")
        await driver.wait(lambda: library.list()[0].grade)
        grade = library.list()[0].grade
        await driver.wait(lambda: grade in driver.line("rows.jsonl").split("v1")[0].split())
        assert [one.title for one in driver.app._notifications] == [f"rows v1: {grade}"]


async def test_exporting(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library.import_file(write_rows(tmp_path / "rows.jsonl", 20))
    (tmp_path / "out" / "deep").mkdir(parents=True)
    target = tmp_path / "out" / "deep" / "rows-v1.jsonl"
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("1 dataset")
        await driver.press("e")
        await driver.sees("Export rows v1, 20 rows", "rows-v1.jsonl")
        await driver.press("ctrl+u")
        await paste(driver, "out/de")
        await driver.sees("out/deep/")
        await driver.press("tab", "enter")
        await driver.wait(target.exists)
        await driver.wait(lambda: [one.title for one in driver.app._notifications] == ["Exported"])
        lines = target.read_text().splitlines()
        assert len(lines) == 20
        assert "question number 7" in "".join(lines)
        await driver.press("e", "ctrl+u")
        await paste(driver, "out/deep/")
        await driver.press("enter")
        await driver.sees("Replace the file?", "is there already")
        await driver.press("n", "e", "ctrl+u")
        await paste(driver, "out/rows.xyz")
        await driver.press("enter")
        await driver.sees("that did not work", ".xyz")


# Two versions


async def test_comparing_two_versions(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    first = library.import_file(write_rows(tmp_path / "one.jsonl", 200), validation=0)
    changed_version(library, first)
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("2 datasets")
        await driver.press("space", "space", "c")
        await driver.sees("one v1 200 rows", "one v2 199 rows", "edit of v1", "197 rows the same")
        await driver.sees("all 4", "changed 1", "added 1", "removed 2")
        assert "moved between" not in driver.text()
        rows = [line.split() for line in driver.text().splitlines()]
        assert [line[0] for line in rows if len(line) > 1 and line[0] in ("+", "-", "~", ">")] == ["-", "-", "~", "+"]
        await driver.press("right_square_bracket")
        await driver.sees("answer 3, with a [b]word[/] more", "row 3, now 1 changed")
        await driver.press("right_square_bracket")
        await driver.sees("its answer", "row 199 is new")
        await driver.press("escape")
        await driver.sees("2 datasets")


async def test_versions_that_differ_in_splits_or_not_at_all(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary
) -> None:
    first = library.import_file(write_rows(tmp_path / "rows.jsonl", 20), name="one", validation=0)
    rows = list(library.iterate(first.id))
    library.derive(first, [replace(rows[0], split="test"), *rows[1:]], {"kind": "split"})
    library.import_file(tmp_path / "rows.jsonl", name="two", validation=0)
    async with make_app((80, 24)) as driver:
        await driver.press("2")
        await driver.sees("3 datasets")
        await driver.press("G", "space", "k", "space", "c")
        await driver.sees("moved between splits 1", "train→test", "19 rows the same", "row 1 is in another split")
        await driver.press("escape", "escape", "g", "space", "G", "space", "c")
        await driver.sees("All 20 rows are the same, in the same splits.")


def test_words_that_differ() -> None:
    content = word_diff("Open the settings, please.", "Open your settings.")
    styles = {content.plain[span.start : span.end]: str(span.style) for span in content.spans}
    assert content.plain == "Open theyour settings, please."
    assert "strike" in styles["the"]
    assert "strike" in styles[", please"]
    assert "success" in styles["your"]
    assert not any("settings" in text for text in styles)


def test_word_diff_of_hostile_and_endless_texts() -> None:
    hostile = word_diff("a\x1b[2J b", "a\x1b]0;x\x07 [red]b[/]").plain
    assert hostile == "a [red]b[/]"
    long = word_diff("one " * 10_000, "two " * 10_000)
    assert long.plain.startswith("one one")
    assert long.plain.endswith("two ")


def test_rows_compared_turn_by_turn() -> None:
    turns = (Turn("user", "Hello there"), Turn("assistant", "Hi", '[{"name": "wave", "arguments": {}}]'))
    before = Row(0, "train", turns, {"topic": 1})
    after = Row(0, "test", (turns[0], Turn("assistant", "Hi")), {"topic": 2}, label=True)
    text = row_diff(before, after).plain
    assert "split  train test" in text
    assert text.count("Hello there") == 1, "what is the same is there once"
    assert "wave" in text
    assert "+ label" in text


# Several datasets as one


async def test_mixing(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    library.import_file(write_rows(tmp_path / "a.jsonl", 40), name="general")
    library.import_file(write_rows(tmp_path / "b.jsonl", 60, "how to do"), name="support")
    async with make_app((80, 24)) as driver:
        await driver.press("2")
        await driver.sees("2 datasets")
        await driver.press("space", "space", "m")
        await driver.sees("Mix datasets", "general v1", "support v1", "rows that it gives")
        await driver.press("ctrl+u")
        await paste(driver, "x")
        await driver.sees("is a number above 0")
        await driver.press("enter")
        await driver.sees("Mix datasets")
        await driver.press("backspace")
        await paste(driver, "3")
        await driver.press("down", "down", "ctrl+u")
        await paste(driver, "blend")
        await driver.press("tab")
        await paste(driver, "40")
        await driver.sees("40 rows:", "75%", "25%")
        shown = driver.line("40 rows:")
        await driver.press("enter")
        await driver.wait(lambda: "blend" in driver.line("v1") and not driver.app.screen.is_modal)
        made = library.resolve("blend")
        assert made.rows == 40
        assert f"{made.splits['train']} train" in shown, "what was promised"
        assert library.card(made.id)["operation"]["kind"] == "mix"
        assert "✱" not in driver.text()


async def test_stages_in_the_order_that_is_chosen(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    library.import_file(write_rows(tmp_path / "a.jsonl", 20), name="general", validation=0)
    library.import_file(write_rows(tmp_path / "b.jsonl", 10, "how to do"), name="task", validation=0)
    async with make_app((80, 24)) as driver:
        await driver.press("2")
        await driver.sees("2 datasets")
        await driver.press("G", "space", "k", "space", "s")  # marked: general, task
        await driver.sees("one after the other", "30 rows in 2 stages")
        order = [line.split()[2] for line in driver.text().splitlines() if " v1 " in line and "│" in line]
        assert order == ["general", "task"]
        await driver.press("J")
        await driver.wait(lambda: driver.text().index("task v1") < driver.text().index("general v1"))
        await driver.press("tab", "ctrl+u")
        await paste(driver, "path")
        await driver.press("enter")
        await driver.wait(lambda: "path" in driver.line("v1") and not driver.app.screen.is_modal)
        made = library.resolve("path")
        assert made.rows == 30
        assert library.rows(made.id, limit=1)[0].messages[0].content.startswith("how to do")
        assert [one["name"] for one in library.card(made.id)["parents"]] == ["task", "general"]


@pytest.mark.parametrize(("size", "theme"), [((80, 24), "finetui-dark"), ((200, 60), "finetui-light")])
async def test_list_at_other_sizes(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, size: tuple[int, int], theme: str
) -> None:
    first = library.import_file(write_rows(tmp_path / "a-file-with-a-long-name.jsonl", 2000))
    library.save_tokens(first.id, "k", {"total": 123_456})
    async with make_app(size, theme=theme) as driver:
        await driver.press("2")
        await driver.sees("1 dataset", "1,800 / 200 / –", "2,000", "v1")
        assert driver.app.screen.query_one(RowList).max_scroll_x == 0
        if size[0] == 200:
            await driver.sees("123,456", "prompt-response", "a-file-with-a-long-name.jsonl", first.id)
