"""What is exported imports as the same rows, whatever the format; a file appears whole or not at all."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.export import export_dataset
from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row
from engine.errors import BadInput, Cancelled, FinetuiError
from engine.home import Home
from store import open_store
from store.records import Dataset

ODD = '[red]\x1b[2J 🙂\u202e "quoted", a;b\tc\r\nd\u2028e {{name}}'
ASK = {"role": "user", "content": ODD}
SAY = {"role": "assistant", "content": "Hi"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Röm", "days": [1, 2.5]}'}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALLING = [
    {"role": "system", "content": "Be brief."},
    ASK,
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "blue"},
    SAY,
]
SOURCES: dict[str, list[dict[str, Any]]] = {
    "conversation": [
        {"messages": [ASK, SAY], "metadata": {"id": 1, "deep": {"x": [None, 1.5]}}},
        {"messages": CALLING, "tools": TOOLS},
        {"messages": [SAY, ASK, SAY], "metadata": {"metadata": {"a": 1}, "note": ODD}},
    ],
    "preference": [
        {"prompt": "a", "chosen": "b", "rejected": ODD, "score": 2},
        {"prompt": "c", "chosen": "d", "rejected": "e"},
    ],
    "kto": [
        {"prompt": "a", "completion": "b", "label": True},
        {"prompt": "c", "completion": ODD, "label": False},
    ],
    "text": [{"text": ODD, "id": 1}, {"text": "Once"}],
    "prompts": [{"turns": ["a", ODD], "category": "x"}, {"turns": ["b", "c"]}],
}
FORMATS = ("jsonl", "json", "parquet", "jsonl.gz", "json.gz")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[DatasetLibrary]:
    home = Home(tmp_path / "home").ensure()
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    yield library
    library.close()
    store.close()


def imported(library: DatasetLibrary, tmp_path: Path, rows: list[dict[str, Any]], name: str = "d") -> Dataset:
    path = tmp_path / "source.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return library.import_file(path, name=name)


def content(rows: Iterator[Row]) -> list[tuple[Any, ...]]:
    return [(r.split, r.messages, r.chosen, r.rejected, r.label, r.tools, r.metadata) for r in rows]


@pytest.mark.parametrize("kind", SOURCES)
def test_an_export_imports_as_the_same_rows(library: DatasetLibrary, tmp_path: Path, kind: str) -> None:
    dataset = imported(library, tmp_path, SOURCES[kind])
    rows = content(library.iterate(dataset.id))
    for ending in FORMATS:
        target = tmp_path / f"out.{ending}"
        assert export_dataset(library, dataset, target) == len(rows)
        again = library.import_file(target, name=ending.replace(".", "-"))
        assert content(library.iterate(again.id)) == rows, ending
        assert library.card(again.id)["kind"] == kind
        assert library.preview(target).confidence == 1.0


@pytest.mark.parametrize("kind", ["pairs", "kto", "text"])
def test_single_pairs_and_texts_fit_into_a_table(library: DatasetLibrary, tmp_path: Path, kind: str) -> None:
    pairs: list[dict[str, Any]] = [
        {"prompt": ODD, "response": "b", "system": "Be brief.", "id": 1},
        {"prompt": "c", "response": ODD},
    ]
    dataset = imported(library, tmp_path, pairs if kind == "pairs" else SOURCES[kind])
    for ending in ("csv", "csv.gz"):
        target = tmp_path / f"out.{ending}"
        export_dataset(library, dataset, target)
        again = library.import_file(target, name=ending.replace(".", "-"))
        assert content(library.iterate(again.id)) == content(library.iterate(dataset.id))


@pytest.mark.parametrize(
    ("kind", "message"),
    [("preference", "row 1 is a preference pair"), ("conversation", "row 2 is more than one prompt")],
)
def test_rows_of_many_turns_fit_into_no_table(library: DatasetLibrary, tmp_path: Path, kind: str, message: str) -> None:
    dataset = imported(library, tmp_path, SOURCES[kind])
    with pytest.raises(BadInput, match=message):
        export_dataset(library, dataset, tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "source.jsonl"]


def test_the_form_is_what_other_tools_read(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = imported(library, tmp_path, SOURCES["conversation"])
    target = tmp_path / "out.jsonl.gz"
    export_dataset(library, dataset, target)
    rows = [json.loads(line) for line in gzip.decompress(target.read_bytes()).decode().split("\n")[:-1]]
    assert rows[1]["messages"] == CALLING
    assert rows[1]["tools"] == TOOLS
    assert rows[0].keys() == {"messages", "split", "metadata"}


def test_only_rows_of_a_split(library: DatasetLibrary, tmp_path: Path) -> None:
    rows = [{"prompt": f"{index}", "response": "b", "split": "test" if index % 3 else "train"} for index in range(9)]
    dataset = imported(library, tmp_path, rows)
    heard: list[float] = []
    assert export_dataset(library, dataset, tmp_path / "t.jsonl", split="test", progress=heard.append) == 6
    assert {json.loads(line)["split"] for line in (tmp_path / "t.jsonl").read_text().splitlines()} == {"test"}
    assert heard[-1] == 1.0
    with pytest.raises(BadInput, match="no rows of a split 'validation'"):
        export_dataset(library, dataset, tmp_path / "v.jsonl", split="validation")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.txt", "does not say what to write"),
        ("out.parquet.gz", "does not say what to write"),
        ("none/out.jsonl", "There is no folder"),
        ("home.jsonl", "is a folder"),
        ("source.jsonl", "exists"),
        ("dangling.jsonl", "exists"),
    ],
)
def test_a_target_that_cannot_be_is_refused(library: DatasetLibrary, tmp_path: Path, name: str, message: str) -> None:
    dataset = imported(library, tmp_path, SOURCES["text"])
    (tmp_path / "home.jsonl").mkdir()
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    before = (tmp_path / "source.jsonl").read_bytes()
    with pytest.raises(BadInput, match=message) as error:
        export_dataset(library, dataset, tmp_path / name, overwrite=False)
    assert error.value.fix
    assert (tmp_path / "source.jsonl").read_bytes() == before


def test_an_export_that_is_given_up_leaves_what_was_there(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = imported(library, tmp_path, [{"text": f"{index}"} for index in range(1_200)])
    target = tmp_path / "out.json"
    target.write_text("before")
    with pytest.raises(Cancelled):
        export_dataset(library, dataset, target, cancelled=lambda: True)
    assert target.read_text() == "before"
    export_dataset(library, dataset, target)
    assert len(json.loads(target.read_text())) == 1_200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out.json", "source.jsonl"]


def test_a_full_disk_says_so(library: DatasetLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    dataset = imported(library, tmp_path, SOURCES["text"])
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FinetuiError, match="cannot be written") as error:
        export_dataset(library, dataset, tmp_path / "out.jsonl")
    assert (error.value.why, "Free space" in error.value.fix) == ("The disk is full.", True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "source.jsonl"]
