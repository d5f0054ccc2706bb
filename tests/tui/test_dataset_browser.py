"""A dataset's rows: gone through, read, searched, dropped, edited, written; and the report on them."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.reader import RowReader
from engine.datasets.rows import Row, Turn
from engine.errors import Cancelled
from engine.home import Home
from store import Store
from store.records import Dataset
from tests.tui.conftest import Driver, MakeApp
from tests.tui.dataset_samples import fill, numbered, write_jsonl
from tui.screens.dataset import DatasetScreen
from tui.screens.dataset_edits import PendingEdits
from tui.screens.dataset_search import search_words
from tui.screens.dataset_trail import Trail
from tui.widgets.conversation_preview import conversation_content
from tui.widgets.light_markdown import has_marks, markdown_content
from tui.widgets.raw_row import raw_content


@pytest.fixture
def library(home: Home, store: Store) -> DatasetLibrary:
    return DatasetLibrary(home, store)


def side(driver: Driver) -> str:
    """The title over the row."""
    return driver.line("╭─ row")


def page(driver: Driver) -> DatasetScreen:
    screen = driver.app.screen
    assert isinstance(screen, DatasetScreen)
    return screen


async def opened(driver: Driver, dataset: Dataset, *, checked: bool = True) -> None:
    """Open a dataset, and wait for its report."""
    await driver.app.action_mode("datasets")
    await driver.app.push_screen(DatasetScreen(dataset.id))
    await driver.wait(lambda: f"row 1 of {dataset.rows:,}" in side(driver))
    if checked:
        await driver.wait(lambda: not page(driver).validating)


async def test_rows_are_read_as_they_come_into_view(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "many.jsonl", numbered(1200)))
    read: list[int] = []
    rows = DatasetLibrary.rows

    def counted(self: DatasetLibrary, dataset_id: str, **where: int) -> object:
        read.append(where["offset"])
        return rows(self, dataset_id, **where)  # type: ignore[arg-type]

    monkeypatch.setattr(DatasetLibrary, "rows", counted)
    async with make_app() as driver:
        await opened(driver, dataset, checked=False)
        await driver.sees("many v1", "1,080 train, 120 validation", "question number 20", "answer 1", "topic")
        await driver.press("j", "j")
        await driver.wait(lambda: "row 3 of 1,200" in side(driver))
        await driver.press("G")
        await driver.wait(lambda: "row 1,200 of 1,200" in side(driver))
        await driver.sees("answer 1200")
        await driver.press("colon")
        await fill(driver, "750")
        await driver.press("enter")
        await driver.wait(lambda: "row 750 of 1,200" in side(driver))
        await driver.press("colon")
        await fill(driver, "[b]x")
        await driver.press("enter")
        await driver.wait(lambda: "[b]x is not a row's number." in [one.message for one in driver.app._notifications])
        assert set(read) <= {0, 600, 700, 800, 1100}, "only what was looked at is read"
        assert len(read) == len(set(read)), "and that once"


async def test_search_as_one_types(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "many.jsonl", numbered(300)))
    async with make_app((80, 24)) as driver:
        await opened(driver, dataset)
        await driver.press("slash")
        await fill(driver, "NUMBER 2")
        await driver.type("9")
        await driver.sees("11 rows")
        await driver.wait(lambda: "row 29 of 300" in side(driver))
        await driver.press("0")
        await driver.wait(lambda: "row 290 of 300" in side(driver) and " 1 row" in driver.text())
        await driver.press("backspace", "enter")
        await driver.wait(lambda: "row 29 of 300" in side(driver) and "11 rows" in driver.text())
        await driver.press("j")
        await driver.wait(lambda: "row 290 of 300" in side(driver) and "11 rows" in driver.text())
        await driver.press("escape")
        await driver.wait(lambda: "row 290 of 300" in side(driver) and "11 rows" not in driver.text())
        await driver.press("k")
        await driver.wait(lambda: "row 289 of 300" in side(driver))
        await driver.press("slash")
        await fill(driver, "nowhere")
        await driver.sees("no row has it")
        await driver.press("escape", "escape")
        await driver.sees("1 dataset")


async def test_hits_stream_in_and_the_next_key_ends_a_search(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "many.jsonl", numbered(30)))
    gate, ended = threading.Event(), threading.Event()
    matching = RowReader.matching

    def held(self: RowReader, text: str) -> Iterator[tuple[list[int], int]]:
        if text != "number 1":
            yield from matching(self, text)
            return
        yield [0, 1], 12
        gate.wait(20)
        try:
            yield [9, 10], 30
        finally:
            ended.set()

    monkeypatch.setattr(RowReader, "matching", held)
    async with make_app() as driver:
        await opened(driver, dataset)
        await driver.press("slash")
        await fill(driver, "number 1")
        await driver.sees("2 rows · searched 40 %", "question number 1", "question number 2")
        await driver.press("7")
        await driver.wait(lambda: "row 17 of 30" in side(driver))
        gate.set()
        await driver.wait(ended.is_set)
        await driver.pilot.pause()
        assert page(driver).rows.list.count == 1, "the hits of the search before are not taken"


async def test_conversation_raw_and_what_cannot_be_seen(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary
) -> None:
    answer = "**Bold** and `code`\n\n- one\n# Title\n```python\nx = 1\n```"
    rows: list[dict[str, Any]] = [
        {"prompt": "[bold]hi[/bold] \x1b[2J\x1b]0;owned\x07there", "response": "[@click=quit]x[/]\u202eevil"},
        {"prompt": "q2", "response": answer, "k\x07": "[red]"},
        *numbered(3),
    ]
    dataset = library.import_file(write_jsonl(tmp_path / "bad.jsonl", rows))
    async with make_app() as driver:
        await opened(driver, dataset)
        await driver.sees("[bold]hi[/bold] there", "[@click=quit]x[/]evil")
        assert not set("\x1b\x07\u202e") & set(driver.text())
        await driver.press("r")
        await driver.wait(lambda: "raw" in side(driver))
        await driver.sees('"role": "user"', "\\u001b[2J", "\\u202eevil")
        assert not set("\x1b\x07\u202e") & set(driver.text())
        await driver.press("j", "r")
        await driver.sees("Bold and code", "• one", "Title", "▎ x = 1", "[red]")
        assert "**" not in driver.text()
        await driver.press("e")
        await driver.sees("Edit row 2 of 5", "**Bold** and `code`")


async def test_drop_edit_undo_and_write(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "faq.jsonl", numbered(20)))
    async with make_app() as driver:
        await opened(driver, dataset)
        await driver.press("x")
        await driver.sees("1 drop · w writes v2")
        await driver.wait(lambda: "row 2 of 20" in side(driver))
        await driver.press("space", "space", "x")
        await driver.sees("3 drops · w writes v2")
        assert driver.text().count("✗") == 3
        await driver.press("u")
        await driver.sees("1 drop ·")
        await driver.press("colon")
        await fill(driver, "5")
        await driver.press("enter")
        await driver.wait(lambda: "row 5 of 20" in side(driver))
        await driver.press("e")
        await driver.sees("Edit row 5 of 20", "answer 5")
        await driver.type("?!")
        await driver.press("shift+tab", "ctrl+r", "ctrl+r", "ctrl+r", "ctrl+r", "ctrl+s")
        await driver.sees("1 edit, 1 drop · w writes v2", "answer 5?!", "✎ changed; not written yet")
        assert library.rows(dataset.id, offset=4, limit=1)[0].messages[1].content == "answer 5"
        await driver.press("w")
        await driver.sees("faq v2", "19 rows", "row 1 of 19")
        made = library.resolve("faq")
        assert (made.version, made.rows, made.parent) == (2, 19, dataset.id)
        texts = [row.messages[1].content for row in library.iterate(made.id)]
        assert texts[:4] == ["answer 2", "answer 3", "answer 4", "answer 5?!"]
        await driver.press("u")
        await driver.sees("faq v1", "row 1 of 20")


async def test_leaving_with_changes_asks(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "faq.jsonl", numbered(20)))
    async with make_app() as driver:
        await opened(driver, dataset)
        await driver.press("x")
        for key in ("escape", "2", "q", "f", "o"):
            await driver.press(key)
            await driver.sees("Leave without writing?", "1 drop would be lost")
            await driver.press("n")
            await driver.sees("1 drop · w writes v2")
        await driver.press("escape", "y")
        await driver.sees("1 dataset")


async def test_editing_gives_nothing_away_silently(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "faq.jsonl", numbered(20)))
    async with make_app((80, 24)) as driver:
        await opened(driver, dataset)
        await driver.press("e")
        await driver.sees("Edit row 1 of 20")
        await driver.type("!")
        await driver.press("escape")
        await driver.sees("Esc again throws your changes")
        await driver.press("ctrl+n")
        await driver.type("so?")
        await driver.press("shift+tab", "f7", "backspace", "ctrl+s")
        await driver.sees("no answer left to learn")
        await driver.press("escape")
        await driver.sees_no("Edit row")
        assert not page(driver).edits
        await driver.press("e", "ctrl+s")
        await driver.sees_no("Edit row")
        assert not page(driver).edits, "what was not changed is no edit"


async def test_it_is_left_while_its_rows_are_checked(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the thread says last arrives when the screen has gone to pieces."""
    dataset = library.import_file(write_jsonl(tmp_path / "faq.jsonl", numbered(20)))
    heard: list[Callable[[float], None]] = []
    left = threading.Event()

    def check(_services: object, _dataset: Dataset, progress: Callable[[float], None], _given_up: object) -> None:
        heard.append(progress)
        left.wait(20)
        raise Cancelled("nobody looks any more")

    monkeypatch.setattr("tui.screens.dataset.check_rows", check)
    async with make_app() as driver:
        await opened(driver, dataset, checked=False)
        await driver.wait(lambda: heard)

        async def leave() -> None:
            await driver.app.pop_screen()
            left.set()

        driver.app.call_later(leave)
        heard[0](0.5)
        await driver.wait(left.is_set)
        await driver.sees("faq")


async def test_report_by_itself_and_the_way_to_its_rows(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary
) -> None:
    rows = numbered(120)
    rows[40] = rows[30]
    rows[80]["response"] = " leads with space"
    dataset = library.import_file(write_jsonl(tmp_path / "faq.jsonl", rows), validation=0)
    async with make_app() as driver:
        await opened(driver, dataset)
        assert library.report(dataset.id) is not None, "it is kept"
        await driver.sees("grade")
        await driver.press("n")
        await driver.wait(lambda: "row 41 of 120" in side(driver))
        await driver.sees("same as row 31", "problem 1 of")
        await driver.press("n")
        await driver.wait(lambda: "row 81 of 120" in side(driver))
        await driver.press("p")
        await driver.wait(lambda: "row 41 of 120" in side(driver))
        await driver.press("right_square_bracket")
        await driver.sees("Duplicates", "prompts", "mean", "grade")
        checks = page(driver).report.checks  # type: ignore[union-attr]
        shown = driver.app.screen.query_one("CheckList")
        place = next(n for n, one in enumerate(shown.checks) if one.code == "duplicate")  # type: ignore[attr-defined]
        assert len(checks) >= 2
        shown.move_to(place)  # type: ignore[attr-defined]
        await driver.sees("here: o, then “remove exact duplicates”")
        await driver.press("enter")
        await driver.wait(lambda: "row 41 of 120" in side(driver))
        await driver.sees("duplicates 1 of 1")


async def test_report_is_asked_for_where_there_are_many_rows(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.screens.dataset.BY_ITSELF_ROWS", 10)
    monkeypatch.setattr("tui.screens.dataset_report.BY_ITSELF_ROWS", 10)
    rows = numbered(120)
    rows[40] = rows[30]
    dataset = library.import_file(write_jsonl(tmp_path / "faq.jsonl", rows), validation=0)
    async with make_app() as driver:
        await opened(driver, dataset)
        await driver.press("right_square_bracket")
        await driver.sees("no report yet", "V makes one")
        await driver.press("left_square_bracket", "n")
        await driver.sees("Check the rows first?")
        await driver.press("y")
        await driver.wait(lambda: "row 41 of 120" in side(driver))
        assert library.report(dataset.id) is not None


async def test_pairs_verdicts_texts_and_suites(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    call = '[{"name": "find", "arguments": {"city": "Berlin"}}]'
    tools = '[{"type": "function", "function": {"name": "find", "description": "finds [b]it[/]"}}]'
    question = Turn("user", "which one?")
    base = library.import_file(write_jsonl(tmp_path / "faq.jsonl", numbered(3)), validation=0)
    kinds = {
        "preference": Row(
            0, "train", (question,), {}, (Turn("assistant", "good one"),), (Turn("assistant", "bad one"),)
        ),
        "kto": Row(0, "train", (question, Turn("assistant", "so so")), {}, label=False),
        "text": Row(0, "train", (Turn("text", "once upon a time"),), {}),
        "messages": Row(0, "train", (question, Turn("assistant", "", call), Turn("tool", "42")), {}, tools=tools),
    }
    made = {
        shape: library.derive(base, [row], {"kind": "edit"}, name=shape, shape=shape) for shape, row in kinds.items()
    }
    words = {
        "preference": ("✓ chosen", "good one", "✗ rejected", "bad one"),
        "kto": ("✗ bad answer",),
        "text": ("once upon a time",),
        "messages": ("tools on offer", "finds [b]it[/]", '→ find(city="Berlin")', "42"),
    }
    async with make_app() as driver:
        for shape, expected in words.items():
            await driver.app.push_screen(DatasetScreen(made[shape].dataset.id))
            await driver.sees("row 1 of 1", *expected)
            await driver.press("r")
            await driver.sees('"row": 1')
            await driver.press("e")
            await driver.sees("Edit row 1 of 1")
            await driver.press("escape", "escape")


async def test_dataset_that_is_damaged(make_app: MakeApp, tmp_path: Path, library: DatasetLibrary) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "rows.jsonl", numbered(20)))
    (Path(dataset.dir) / "data.parquet").write_bytes(b"PAR1 not really")
    async with make_app() as driver:
        await driver.press("2")
        await driver.sees("1 dataset")
        await driver.press("enter")
        await driver.sees("The rows cannot be read", "import its source again")
        await driver.press("escape", "escape")
        await driver.sees("1 dataset")


@pytest.mark.parametrize(("size", "theme"), [((80, 24), "finetui-light"), ((200, 60), "finetui-dark")])
async def test_other_sizes(
    make_app: MakeApp, tmp_path: Path, library: DatasetLibrary, size: tuple[int, int], theme: str
) -> None:
    dataset = library.import_file(write_jsonl(tmp_path / "faq.jsonl", numbered(120)))
    async with make_app(size, theme=theme) as driver:
        await opened(driver, dataset)
        await driver.sees("faq v1", "Rows", "Report", "Tokens", "Lineage", "question number 1", "answer 1", "? help")
        await driver.press("right_square_bracket")
        await driver.sees("grade", "prompts", "answers")
        await driver.press("question_mark")
        await driver.sees("What does it teach?")


# Without an app


def row(index: int, *turns: str) -> Row:
    return Row(index, "train", tuple(Turn(("user", "assistant")[n % 2], text) for n, text in enumerate(turns)), {})


class TestPendingEdits:
    def test_changes_are_taken_back_one_by_one(self) -> None:
        edits = PendingEdits()
        first, second = row(3, "q", "a"), row(4, "q", "b")
        edits.change(first, row(3, "q", "better"))
        edits.drop({4, 7})
        edits.change(first, row(3, "q", "best"))
        assert edits.words == "1 edit, 2 drops"
        assert edits.row(first).messages[1].content == "best"
        assert edits.undo() == 3
        assert edits.row(first).messages[1].content == "better"
        assert edits.undo() == 4
        assert not edits.dropped
        assert edits.row(second) is second
        assert edits.undo() == 3
        assert not edits
        assert edits.undo() is None

    def test_a_row_put_back_as_it_was_is_no_edit(self) -> None:
        edits = PendingEdits()
        edits.change(row(0, "q", "a"), row(0, "q", "b"))
        edits.change(row(0, "q", "a"), row(0, "q", "a"))
        assert not edits
        assert edits.can_undo

    def test_dropping_twice_takes_back(self) -> None:
        edits = PendingEdits()
        assert edits.drop({1, 2})
        assert edits.drop({2, 3})
        assert edits.dropped == {1, 2, 3}
        assert not edits.drop({1, 2})
        assert edits.dropped == {3}

    def test_a_row_that_is_edited_and_dropped_counts_once(self) -> None:
        edits = PendingEdits()
        edits.change(row(0, "q", "a"), row(0, "q", "b"))
        edits.drop({0})
        assert edits.words == "1 drop"


def test_trail_goes_round() -> None:
    trail = Trail("problem", (4, 9, 20))
    assert trail.step(0, 1) == (4, False)
    assert trail.step(4, 1) == (9, False)
    assert trail.step(20, 1) == (4, True)
    assert trail.step(9, -1) == (4, False)
    assert trail.step(4, -1) == (20, True)
    assert trail.place(9) == "problem 2 of 3"
    assert trail.place(10) == ""
    assert Trail("none").step(3, 1) is None


def test_search_in_words() -> None:
    assert search_words(0, 1.0, done=True) == "no row has it"
    assert search_words(1, 0.4, done=False) == "1 row · searched 40 %"
    assert search_words(1000, 0.4, done=True) == "the first 1,000 rows"


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("**bold** *slant* `x*y*z` ~~no~~", "bold slant x*y*z no"),
        ("## Title ##\n- one\n  * two\n3. three", "Title\n• one\n  • two\n3. three"),
        ("[label](http://x)", "label (http://x)"),
        ("> said", "▎ said"),
        ("```py\n**as it is**\n```\nafter", "py\n▎ **as it is**\nafter"),
        ("2 * 3 * 4 and a_b_c and 5*6*7", "2 * 3 * 4 and a_b_c and 5*6*7"),
        ("an open ``` fence\n```\nstays", "an open ``` fence\n▎ stays"),
    ],
)
def test_markdown(text: str, drawn: str) -> None:
    assert markdown_content(text).plain == drawn


def test_plain_text_is_not_taken_for_markdown() -> None:
    assert not has_marks("2 * 3 = 6 - or not? a|b\nEnd of #1")
    assert has_marks("Steps:\n1. one")


def test_found_words_are_marked_whatever_is_drawn() -> None:
    shown = conversation_content(row(0, "x", "a **bold move** here"), "bold move")
    assert "bold move" in shown.plain
    assert any(span.style == "reverse" for span in shown.spans)
    whole = conversation_content(row(0, "x", "a **bold move** here"), "**bold")
    assert "**bold move**" in whole.plain, "a match over a mark is shown as it was written"


def test_raw_shows_what_is_hidden() -> None:
    shown = raw_content(Row(4, "train", (Turn("user", "a\u200bb\x7f\ud800"),), {"n": None})).plain
    assert '"row": 5' in shown
    assert "a\\u200bb\\u007f\\ud800" in shown
