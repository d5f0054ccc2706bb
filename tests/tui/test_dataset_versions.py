"""Versions made from a dataset's own screen, each with its counts before it is kept; where a version comes from."""

from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput
from engine.home import Home
from store import Store
from store.records import Dataset, NewRun
from tests.tui.conftest import Driver, MakeApp
from tests.tui.dataset_samples import fill, numbered, write_jsonl
from tests.tui.test_dataset_browser import opened, page, side
from tui.screens.make_version import duplicates_trail, read_count, read_share_of_words, read_shares
from tui.widgets.lineage_words import operation_words


@pytest.fixture
def library(home: Home, store: Store) -> DatasetLibrary:
    return DatasetLibrary(home, store)


@pytest.fixture
def dataset(library: DatasetLibrary, tmp_path: Path) -> Dataset:
    rows = numbered(60)
    rows[40] = dict(rows[30])
    rows[50]["prompt"] = "mail bob@mailbox.org about it"
    return library.import_file(write_jsonl(tmp_path / "faq.jsonl", rows))


async def choose(driver: Driver, words: str) -> None:
    """Take one of the ways to make a version."""
    await driver.press("o")
    await driver.sees("Make a version of", words)
    await fill(driver, words)
    await driver.press("enter")


async def test_filter_with_a_live_count(make_app: MakeApp, library: DatasetLibrary, dataset: Dataset) -> None:
    async with make_app() as driver:
        await opened(driver, dataset)
        await driver.press("f")
        await driver.sees("answer.chars", "have  metadata.topic", "make the version")
        await fill(driver, "metadata.topic = 3")
        await driver.sees(" of 60 rows match;")
        await fill(driver, "topik > 3")
        await driver.wait(lambda: "topik" in driver.text() and "rows match" not in driver.text())
        await driver.press("enter")
        await driver.sees("Keep the rows")
        await fill(driver, "row <= 999")
        await driver.sees("all of them stay")
        await driver.press("enter")
        await fill(driver, "row <= 12")
        await driver.press("enter")
        await driver.sees("faq v2", "12 rows", "filter of v1: row <= 12 · 60 → 12")
        assert library.resolve("faq").rows == 12
        await driver.press("u")
        await driver.sees("faq v1", "60 rows")


async def test_exact_duplicates_are_counted_first(make_app: MakeApp, library: DatasetLibrary, dataset: Dataset) -> None:
    async with make_app() as driver:
        await opened(driver, dataset)
        await choose(driver, "exact")
        await driver.sees("Remove 1 exact duplicates?", "60 → 59 rows")
        await driver.press("n")
        await driver.sees_no("Remove 1")
        assert len(library.list()) == 1
        await driver.press("n")
        await driver.wait(lambda: "row 31 of 60" in side(driver) or "row 41 of 60" in side(driver))
        await driver.sees("duplicate 1 of 2")
        await choose(driver, "exact")
        await driver.sees("60 → 59 rows")
        await driver.press("y")
        await driver.sees("faq v2", "59 rows", "dedupe of v1")


async def test_near_duplicates_with_a_threshold(make_app: MakeApp, library: DatasetLibrary, tmp_path: Path) -> None:
    words = " ".join(f"word{n}" for n in range(80))
    rows = [{"prompt": f"{n} what is {n} and {n * 7}", "response": f"it is {n} or {n * 13}"} for n in range(20)]
    rows += [{"prompt": words, "response": words}, {"prompt": words + " now", "response": words}]
    dataset = library.import_file(write_jsonl(tmp_path / "near.jsonl", rows), validation=0)
    async with make_app() as driver:
        await opened(driver, dataset)
        await choose(driver, "near")
        await driver.sees("how alike", "look for them")
        await fill(driver, "2")
        await driver.sees("is not a likeness")
        await driver.press("enter")
        await fill(driver, "0.8")
        await driver.press("enter")
        await driver.sees("Remove 1 near duplicates (at least 0.8 alike)?", "22 → 21 rows")
        await driver.press("y")
        await driver.sees("near v2", "21 rows")


async def test_split_anew_and_a_diverse_subset(make_app: MakeApp, library: DatasetLibrary, dataset: Dataset) -> None:
    async with make_app((80, 24)) as driver:
        await opened(driver, dataset)
        await choose(driver, "split")
        await driver.sees("54 / 6 / 0", "about 48 / 6 / 6")
        await fill(driver, "50/20")
        await driver.sees("come to 70")
        await driver.press("enter")
        await fill(driver, "50/50")
        await driver.sees("about 30 / 30 / 0")
        await driver.press("enter")
        await driver.sees("faq v2", "split of v1")
        assert abs(library.resolve("faq").splits["validation"] - 30) <= 3
        await choose(driver, "subset")
        await driver.sees("60 → 30 rows")
        await fill(driver, "8")
        await driver.press("enter")
        await driver.sees("faq v3", "8 rows", "subset of v2")


async def test_screening_drops_nothing(make_app: MakeApp, library: DatasetLibrary, dataset: Dataset) -> None:
    async with make_app() as driver:
        await opened(driver, dataset)
        await choose(driver, "screening")
        await driver.sees("Screen the rows for", "personal data")
        await driver.press("enter")
        await driver.wait(lambda: "row 51 of 60" in side(driver))
        await driver.sees("⚠ messages[0].content")
        assert any("Nothing was dropped" in one.message for one in driver.app._notifications)
        driver.app.clear_notifications()
        await driver.sees("finding 1 of 1")
        assert [one.rows for one in library.list()] == [60]


async def test_lineage(make_app: MakeApp, library: DatasetLibrary, dataset: Dataset, store: Store, home: Home) -> None:
    rows = list(library.iterate(dataset.id))
    second = library.derive(dataset, rows[:30], {"kind": "filter", "where": "row <= 30"}).dataset
    library.derive(second, rows[:10], {"kind": "subset", "size": 10})
    store.runs.add(NewRun("r1", "night-run", "starter", "qlora", "faq", second.id, 1.0, {}, str(home.runs / "r1")))
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("3 datasets")
        await driver.press("j", "enter")
        await driver.sees("row 1 of 30")
        await driver.press("left_square_bracket")
        await driver.sees("faq v2  ◂ here", "filter of v1: row <= 30 · 60 → 30", "made from it", "faq v3", "night-run")
        await driver.press("enter")
        await driver.wait(lambda: any("looking at" in one.message for one in driver.app._notifications))
        await driver.press("k", "enter")
        await driver.sees("faq v1", "row 1 of 60")
        assert page(driver).dataset_id == dataset.id
        await driver.press("escape")
        await driver.sees("3 datasets")


# Without an app


@pytest.mark.parametrize(
    ("text", "shares"),
    [("80/10/10", (0.8, 0.1, 0.1)), ("90/10", (0.9, 0.1, 0.0)), ("0.7, 0.3", (0.7, 0.3, 0.0)), ("100/0", (1, 0, 0))],
)
def test_shares(text: str, shares: tuple[float, ...]) -> None:
    assert read_shares(text) == pytest.approx(shares)


@pytest.mark.parametrize("text", ["", "80", "a/b", "50/20", "-10/110", "0/100", "40/30/20/10"])
def test_shares_that_are_none(text: str) -> None:
    with pytest.raises(BadInput):
        read_shares(text)


def test_counts_and_likeness() -> None:
    assert read_count("1,200", 2000) == 1200
    assert read_share_of_words("90 %") == pytest.approx(0.9)
    for wrong in ("0", "2000", "x", ""):
        with pytest.raises(BadInput):
            read_count(wrong, 2000)
    for wrong in ("0.1", "2", "", "x%"):
        with pytest.raises(BadInput):
            read_share_of_words(wrong)


def test_trail_of_duplicates_says_which_row_stays() -> None:
    trail = duplicates_trail([[7, 2, 9], [4, 5]])
    assert trail.rows == (2, 4, 5, 7, 9)
    assert trail.notes(2) == ("like row 8",)
    assert "this one stays" in trail.notes(7)[0]


def test_operations_in_words(dataset: Dataset) -> None:
    parents = [{"id": "d1", "name": dataset.name, "version": 2}]
    card = {"operation": {"kind": "dedupe", "near": 0.9, "before": 1474, "after": 1426}, "parents": parents}
    assert operation_words(dataset, card) == "dedupe of v2: near 0.9 · 1,474 → 1,426"
    assert operation_words(dataset, {}).startswith("faq.jsonl, imported")
