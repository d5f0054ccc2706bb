"""Importing by keys: paths completed, rows shown before anything is kept, columns said by hand."""

import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput
from engine.home import Home
from store import Store
from store.records import Dataset
from tests.tui.conftest import Driver, MakeApp
from tui.screens.import_dialog import read_share
from tui.widgets.mapping_lists import FIELDS_OF, SHAPE_WORDS
from tui.widgets.path_candidates import candidates, common_start, folders_like, is_pattern


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


async def paste(driver: Driver, text: str) -> None:
    """Put text into what is in focus, all at once."""
    assert driver.app.focused is not None
    driver.app.focused.post_message(events.Paste(text))
    await driver.pilot.pause()


async def open_dialog(driver: Driver, path: str = "") -> None:
    await driver.press("2", "i")
    await driver.sees("Import a dataset", "validation")
    await paste(driver, path)


def keys(driver: Driver) -> str:
    return driver.line("esc cancel")


# Paths


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
        await driver.sees("faq-one.jsonl", "faq-two.jsonl", "all 2 files here")
        await driver.press("tab")
        await driver.sees("data/faq-")
        await driver.type("t")
        await driver.wait(lambda: "faq-one" not in driver.text())
        await driver.press("tab")
        await driver.sees("30 rows", "prompt-response, certain", "question number 3", "answer 3")
        assert "question number 4" not in driver.text(), "three rows are shown"
        await driver.press("tab")
        await driver.type("help")
        await driver.press("tab", "ctrl+u")
        await driver.type("20%")
        await driver.press("tab", "tab")
        await driver.type("Be kind.")
        await driver.press("enter")
        await driver.wait(lambda: "24 / 6 / –" in driver.line("help"))
        dataset = library.resolve("help")
        assert library.rows(dataset.id, limit=1)[0].messages[0].content == "Be kind."


async def test_folders_and_patterns(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    (work / "data").mkdir()
    write_rows(work / "data" / "train.jsonl", 20)
    write_rows(work / "data" / "test.jsonl", 5, note="x")
    (work / "data" / "notes.md").write_text("no data")
    async with make_app((80, 24)) as driver:
        await open_dialog(driver, "data/.")
        await driver.sees("25 rows", "prompt-response, certain", "split into train, test")
        await driver.press("ctrl+u")
        await paste(driver, "data/tr*.jsonl")
        await driver.sees("20 rows")
        await driver.press("ctrl+u")
        await paste(driver, "data/*.jsonl")
        await driver.sees("25 rows")
        await driver.press("tab")
        await paste(driver, "both")
        await driver.press("enter")
        await driver.wait(lambda: "both" in driver.line("v1"))
        assert library.resolve("both").splits["test"] == 5


PREVIEWS: tuple[tuple[str, bytes, tuple[str, ...]], ...] = (
    ("a.csv", b"question,answer\nWhat?,That.\nWho?,She.\nWhen?,Now.\n", ("prompt-response, certain", "csv")),
    ("a.tsv", b"prompt\tcompletion\nWhat?\tThat.\nWho?\tShe.\n", ("prompt-response, certain", "tsv")),
    ("a.txt.gz", gzip.compress(b"One story.\n\nAnother story.\n", mtime=0), ("text, certain", "One story.")),
    (
        "pairs.json",
        json.dumps([{"prompt": "Hi", "chosen": "Hello!", "rejected": "What."}] * 3).encode(),
        ("preference, certain", "chosen", "Hello!", "rejected", "What."),
    ),
    (
        "suite.jsonl",
        b'{"turns": ["Write a poem.", "Now in prose."]}\n' * 3,
        ("prompts", "3 prompts without answers: imported as a prompt suite", "not to train on"),
    ),
    (
        "holes.jsonl",
        b'{"prompt": "Dear {{name}}", "response": "Hello {{name}}"}\n' * 3,
        ("prompt-response", "placeholders in the text", "{{name}}"),
    ),
)


async def test_what_a_preview_says(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    async with make_app((80, 24)) as driver:
        await open_dialog(driver)
        for name, data, words in PREVIEWS:
            (work / name).write_bytes(data)
            await driver.press("ctrl+u")
            await paste(driver, name)
            await driver.sees("✓", "enter import", *words)
        await driver.press("enter")
        await driver.sees("1 dataset")
        assert library.list()[0].rows == 3


async def test_files_that_are_no_data(make_app: MakeApp, work: Path) -> None:
    (work / "picture.json").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (work / "[b]odd\x1b[31m name.json").write_text("[]")
    async with make_app() as driver:
        await driver.press("2", "i")
        await driver.sees("picture.json", "[b]odd name.json")
        await paste(driver, "picture.json")
        await driver.wait(lambda: driver.line("✗"))
        assert "enter import" not in driver.text()
        await driver.press("enter")
        await driver.press("escape")
        await driver.sees("No datasets yet.")


async def test_hostile_rows_are_only_text(make_app: MakeApp, work: Path) -> None:
    row = {"[red]Frage": "[bold]hi[/] \x1b[2J\x1b]0;owned\x07there", "Reply\x07": "[@click=quit]x[/]\u202eevil"}
    (work / "bad.jsonl").write_text("\n".join([json.dumps(row)] * 3), encoding="utf-8")
    async with make_app((80, 24)) as driver:
        await open_dialog(driver, "bad.jsonl")
        await driver.sees("[bold]hi[/] there", "[@click=quit]x[/]evil")
        assert not set("\x1b\x07\u202e") & set(driver.text())
        await driver.press("ctrl+o")
        await driver.sees("columns of the file", "[red]Frage", "Reply")
        assert not set("\x1b\x07\u202e") & set(driver.text())


# Rows that cannot be used, filters, giving up


async def test_rows_that_cannot_be_used(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    good = [json.dumps({"prompt": f"q{row}", "response": "a"}) for row in range(10)]
    bad = ['{"prompt": "[red]q[/]", "response": ""}', '{"prompt": 3, "response": "a"}', "not json"]
    (work / "mixed.jsonl").write_text("\n".join([*good, *bad]), encoding="utf-8")
    async with make_app((80, 24)) as driver:
        await driver.press("2", "i")
        await driver.sees("mixed.jsonl")
        await driver.press("enter")
        await driver.sees("13 rows", "✗ 3 of the first 13 cannot be used", "row 11", "enter import", "^r problems")
        await driver.press("enter")
        await driver.sees("Nothing was imported", "row 11", "response is empty", "row 12", "row 13", "is not JSON")
        assert library.list() == []
        await driver.press("s")
        await driver.wait(lambda: "⚠" in driver.line("mixed"))
        assert library.list()[0].rows == 10
        await driver.press("enter")
        await driver.sees("3 rows were left out")


async def test_leaving_bad_rows_out_from_the_start(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    rows = [json.dumps({"prompt": f"q{row}", "response": "a" if row else ""}) for row in range(10)]
    (work / "mixed.jsonl").write_text("\n".join(rows), encoding="utf-8")
    async with make_app((80, 24)) as driver:
        await open_dialog(driver, "mixed.jsonl")
        await driver.sees("10 rows", "[ ] leave out rows")
        await driver.press("ctrl+r")
        await driver.sees("Rows with problems", "row 1 ", "response is empty")
        await driver.press("escape", "tab", "tab", "tab", "space")
        await driver.sees("[x] leave out rows")
        await driver.press("enter")
        await driver.sees("1 dataset")
        assert library.list()[0].rows == 9


async def test_filter_while_importing(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    write_rows(work / "all.jsonl", 100)
    async with make_app((80, 24)) as driver:
        await open_dialog(driver, "all.jsonl")
        await driver.sees("100 rows")
        await driver.press("shift+tab")
        await paste(driver, "nofield = 3")
        await driver.wait(lambda: "✗" in driver.text() and "nofield" in driver.line("✗"))
        await driver.press("enter")
        await driver.press("ctrl+u")
        await paste(driver, "metadata.topic = 3")
        await driver.sees("the filter keeps 3 of the first 20 rows")
        await driver.press("enter")
        await driver.sees("1 dataset")
        assert library.list()[0].rows == len([row for row in range(1, 101) if row % 7 == 3])


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
        await open_dialog(driver, "large.jsonl")
        await driver.sees("500 rows", "enter import")
        await driver.press("enter")
        await driver.sees("Importing large.jsonl", "esc give up; nothing is kept")
        await driver.press("escape")
        await driver.sees("giving up")
        gate.set()
        await driver.wait(lambda: "giving up" not in driver.text())
        await driver.sees("enter import")
        assert library.list() == []
        await driver.press("enter")
        await driver.wait(lambda: "450 / 50 / –" in driver.line("large"))


# The hub


async def test_name_on_the_hub_without_a_network(
    make_app: MakeApp, work: Path, library: DatasetLibrary, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(work / "hub"))
    async with make_app((80, 24)) as driver:
        await open_dialog(driver, "hub:nobody/nothing")
        await driver.sees("A name on the hub", "enter fetch it")
        await driver.press("enter")
        await driver.wait(lambda: driver.line("✗"))
        assert "Import a dataset" in driver.text(), "the error stands in the dialog"
        assert "nobody/nothing" in driver.line("from")
        await driver.press("escape")
        await driver.sees("No datasets yet.")
        await driver.wait(lambda: not list(home.datasets.glob(".import-hub-*")))


# Columns of other names


def odd_table(path: Path) -> Path:
    rows = [f"{row},Was ist {row}?,Das ist die Zahl {row}.,{'' if row % 4 else 'x'}" for row in range(1, 21)]
    path.write_text("\n".join(["Nr,Q text,Reply,Notiz", *rows]), encoding="utf-8")
    return path


async def test_columns_said_by_hand(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    odd_table(work / "faq.csv")
    async with make_app((80, 24)) as driver:
        await open_dialog(driver, "faq.csv")
        await driver.sees("20 rows", "unsure", "enter map columns")
        await driver.press("enter")
        await driver.sees(
            "columns of the file", "Q text", "Reply", "100%", "25%", "fields of a row", "what comes of it"
        )
        await driver.press("escape")
        await driver.sees("unsure", "enter map columns")
        await driver.press("enter")
        await driver.sees("what comes of it")
        await driver.press("g", "backspace")
        await driver.sees("needed: what is asked", "Choose the column of prompt")
        assert "enter take it" not in driver.text().replace("⏎", "enter")
        await driver.press("space")
        await driver.sees("The column of prompt", "no column")
        await paste(driver, "q te")
        await driver.press("enter")
        await driver.wait(lambda: "Q text" in driver.line("prompt "))
        await driver.press("j", "l")
        await driver.wait(lambda: "Nr" in driver.line("context "))
        await driver.press("h")
        await driver.wait(lambda: "more to the question" in driver.line("context "))
        await driver.sees("Was ist 1?", "Das ist die Zahl 1.")
        await driver.press("enter")
        await driver.sees("prompt-response, as you said", "enter import")
        await driver.press("enter")
        await driver.sees("1 dataset")
        dataset = library.list()[0]
        row = library.take(dataset.id, [0])[0]
        assert [(turn.role, turn.content) for turn in row.messages] == [
            ("user", "Was ist 1?"),
            ("assistant", "Das ist die Zahl 1."),
        ]
        assert set(row.metadata) >= {"Nr"}


async def test_another_shape_by_hand(make_app: MakeApp, work: Path, library: DatasetLibrary) -> None:
    write_rows(work / "faq.jsonl", 12)
    async with make_app((120, 36)) as driver:
        await open_dialog(driver, "faq.jsonl")
        await driver.sees("prompt-response, certain", "^o map columns")
        await driver.press("ctrl+o")
        await driver.sees("what comes of it", "question number 1")
        await driver.press("s")
        await driver.sees("What are the rows?", "two answers to a question")
        await paste(driver, "plain")
        await driver.press("enter")
        await driver.sees("needed: plain text to learn")
        await driver.press("l", "l")
        await driver.wait(lambda: "response" in driver.line(" text "))
        await driver.wait(lambda: "answer 2" in driver.text() and "question number 2" not in driver.text())
        await driver.press("enter")
        await driver.sees("text, as you said")
        await driver.press("enter")
        await driver.sees("1 dataset")
        assert library.list()[0].shape == "text"


# Without an app


def test_every_shape_has_its_fields() -> None:
    from engine.datasets.shapes import FIELDS, SHAPES

    assert set(FIELDS_OF) == set(SHAPE_WORDS) == set(SHAPES) - {"auto"}
    assert {field.name for fields in FIELDS_OF.values() for field in fields} == set(FIELDS)


@pytest.mark.parametrize(
    ("text", "share"), [("10 %", 0.1), ("10", 0.1), ("0.2", 0.2), ("", 0.0), ("0", 0.0), ("5%", 0.05), ("1 %", 0.01)]
)
def test_shares_as_people_write_them(text: str, share: float) -> None:
    assert read_share(text) == pytest.approx(share)


def test_share_that_is_none() -> None:
    with pytest.raises(BadInput, match="not a number"):
        read_share("a lot")


def test_completion_of_paths(tmp_path: Path) -> None:
    for name in ("a1.jsonl", "a2.json", ".hidden.json", "a.png", "a3.csv.gz"):
        (tmp_path / name).touch()
    (tmp_path / "archive").mkdir()
    found = candidates(f"{tmp_path}/a", tmp_path)
    assert [one.label for one in found] == ["a1.jsonl", "a2.json", "a3.csv.gz", "archive/"]
    assert common_start(found, f"{tmp_path}/a") == f"{tmp_path}/a"
    assert [one.label for one in candidates(f"{tmp_path}/.h", tmp_path)] == [".hidden.json"]
    assert candidates(f"{tmp_path}/no/such", tmp_path) == []
    assert common_start(candidates(f"{tmp_path}/ar", tmp_path), f"{tmp_path}/ar") == f"{tmp_path}/archive/"
    texts = [one.text for one in candidates(f"{tmp_path}/", tmp_path)]
    assert texts[2:5] == [f"{tmp_path}/a3.csv.gz", f"{tmp_path}/.", f"{tmp_path}/archive/"]
    assert candidates("hub:a", tmp_path) == []


def test_links_that_lead_nowhere_and_odd_paths_do_not_end_completion(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").touch()
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert [one.label for one in candidates(f"{tmp_path}/", tmp_path)][:2] == ["data.jsonl", "gone.jsonl"]
    for text in ("~nobody/x", "a\0b/", f"{tmp_path}/none/x", "x" * 5000, f"{tmp_path}/round/x"):
        assert candidates(text, tmp_path) == []


def test_folders_that_a_path_could_go_on_with(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "other.txt").touch()
    assert folders_like(f"{tmp_path}/o") == [f"{tmp_path}/out/"]
    assert folders_like(f"{tmp_path}/out/") == []
    assert folders_like(f"{tmp_path}/none/x") == []


def test_patterns(tmp_path: Path) -> None:
    (tmp_path / "odd[1].jsonl").touch()
    assert is_pattern("data/*.jsonl")
    assert not is_pattern("data/a.jsonl")
    assert not is_pattern(f"{tmp_path}/odd[1].jsonl"), "a file may be called so"
