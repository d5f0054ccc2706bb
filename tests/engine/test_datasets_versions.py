"""Versions made from others, and passes over all rows."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.datasets.figures import dataset_id, figures
from engine.datasets.library import DatasetLibrary
from engine.datasets.parquet import RowWriter, rewrite
from engine.datasets.reader import RowReader
from engine.datasets.rows import Row, Turn, content_hash
from engine.datasets.scan import scan
from engine.errors import BadInput, Cancelled
from engine.home import Home
from store import Store, open_store
from store.records import Dataset
from tests.engine.children import running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def store(home: Home) -> Any:
    store = open_store(home.db)
    yield store
    store.close()


@pytest.fixture
def library(home: Home, store: Store) -> Any:
    library = DatasetLibrary(home, store)
    yield library
    library.close()


def row(number: int, split: str = "train", **fields: Any) -> Row:
    turns = (Turn("user", f"Question {number}?"), Turn("assistant", f"Answer {number}."))
    return Row(number, split, turns, {"number": number}, **fields)


def imported(library: DatasetLibrary, folder: Path, rows: int = 20) -> Dataset:
    path = folder / "chats.jsonl"
    lines = [json.dumps({"prompt": f"Question {n}?", "response": f"Answer {n}.", "number": n}) for n in range(rows)]
    path.write_text("\n".join(lines))
    return library.import_file(path)


RICH = [
    row(0),
    row(1, "validation", tools='[{"name": "find"}]'),
    Row(2, "test", (Turn("user", "Weather?"), Turn("assistant", "", '[{"name": "weather", "arguments": {}}]')), {}),
    Row(3, "train", (Turn("user", "Hi"),), {}, (Turn("assistant", "Hello!"),), (Turn("assistant", "No."),)),
    row(4, label=True),
    row(5, label=False),
    Row(6, "train", (Turn("text", "Once upon a time 🙂"),), {"nested": {"list": [1, None, "x"]}}),
]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    with RowWriter(path) as writer:
        for one in RICH:
            writer.write_row(one)
    reader = RowReader(path)
    assert reader.rows(None, 0, 100) == RICH
    assert reader.take([6, 2, 2]) == [RICH[6], RICH[2], RICH[2]]
    assert reader.hashes() == [content_hash(one) for one in RICH] and len(set(reader.hashes())) == len(RICH)
    assert [hits for hits, _ in reader.matching("NO.")] == [[3]], "answers that were rejected are searched, too"
    with pytest.raises(IndexError):
        reader.take([7])
    found = figures(path)
    assert found["splits"] == {"train": 5, "validation": 1, "test": 1}
    assert found["roles"] == {"user": 6, "assistant": 7, "text": 1}
    assert found["turns"] == {"mean": 2.0, "max": 3}
    assert found["chars"]["max"] == max(
        sum(len(turn.content) for turn in (*one.messages, *one.chosen, *one.rejected)) for one in RICH
    )
    reader.close()


def test_content_and_nothing_else_decides_the_hash() -> None:
    same = Row(9, "test", RICH[0].messages, {"other": 1})
    assert content_hash(same) == content_hash(RICH[0])
    turn = Turn("assistant", "Hello!")
    prompt = (Turn("user", "Hi"),)
    different = [
        Row(0, "train", (*prompt, turn), {}),
        Row(0, "train", prompt, {}, (turn,)),
        Row(0, "train", prompt, {}, (), (turn,)),
        Row(0, "train", (*prompt, turn), {}, label=True),
        Row(0, "train", (*prompt, turn), {}, label=False),
        Row(0, "train", (*prompt, turn), {}, tools="True"),
        Row(0, "train", (*prompt, Turn("assistant", "Hello!", "[]")), {}),
    ]
    assert len({content_hash(one) for one in different}) == len(different)


def test_a_file_of_an_earlier_version_reads_and_is_brought_up_to_date(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turns = [[{"role": "user", "content": "Q"}, {"role": "assistant", "content": f"A{n}"}] for n in range(3)]
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    pq.write_table(pa.table({"messages": turns, "split": ["train"] * 3, "metadata": ["{}"] * 3}), old)
    reader = RowReader(old)
    expected = [Row(n, "train", (Turn("user", "Q"), Turn("assistant", f"A{n}")), {}) for n in range(3)]
    assert reader.rows(None, 0, 9) == expected
    assert reader.hashes() == [content_hash(one) for one in expected]
    rewrite(old, new, rows=[0, 2], splits=["validation", "test"])
    moved = RowReader(new)
    assert [(one.messages[1].content, one.split) for one in moved.rows(None, 0, 9)] == [
        ("A0", "validation"),
        ("A2", "test"),
    ]
    assert moved.hashes() == [reader.hashes()[0], reader.hashes()[2]]
    reader.close()
    moved.close()


def test_a_selection_of_many_groups_is_written_in_whole_groups(tmp_path: Path) -> None:
    path, picked = tmp_path / "data.parquet", tmp_path / "picked.parquet"
    with RowWriter(path) as writer:
        for number in range(8_500):
            writer.write_row(row(number))
    wanted = list(range(0, 8_500, 7))
    shares: list[float] = []
    rewrite(path, picked, rows=wanted, progress=shares.append)
    reader = RowReader(picked)
    assert [one.metadata["number"] for one in reader.rows(None, 0, 9_999)] == wanted
    assert reader.groups == 2 and shares[-1] == 1.0
    reader.close()


def test_versions_have_a_lineage_and_their_own_numbers(library: DatasetLibrary, tmp_path: Path) -> None:
    first = imported(library, tmp_path)
    second = library.derive_selection(first, [1, 3, 5], {"kind": "subset"}).dataset
    changed = [Row(0, "test", one.messages, {"new": True}) for one in library.rows(second.id)]
    third = library.derive(second, changed, {"kind": "edit"}).dataset
    assert [one.version for one in (first, second, third)] == [1, 2, 3]
    assert library.lineage(third.id) == [third, second, first]
    assert library.children(first.id) == [second] and library.children(third.id) == []
    assert third.splits == {"test": 3} and third.source == first.source
    card = library.card(third.id)
    assert card["operation"] == {"kind": "edit", "before": 3, "after": 3}
    assert card["parents"] == [{"id": second.id, "name": "chats", "version": 2}]
    other = library.derive_selection(first, None, {"kind": "subset"}, name="copy")
    assert (other.dataset.name, other.dataset.version, other.new) == ("copy", 1, True)
    again = library.derive_selection(first, [1, 3, 5], {"kind": "filter", "where": "x"})
    assert again.dataset == second and not again.new
    library.remove(second.id)
    assert library.lineage(third.id) == [third], "a chain ends where a version was removed"


def test_the_same_content_has_the_same_id_whichever_way_it_came(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = imported(library, tmp_path)
    rows = library.rows(dataset.id, limit=5)
    made = [
        library.derive(dataset, rows, {"kind": "edit"}).dataset.id,
        library.derive_selection(dataset, range(5), {"kind": "subset"}).dataset.id,
    ]
    assert made[0] == made[1] == dataset_id(library.path(made[0]), "chats")
    assert not library.derive(dataset, library.rows(dataset.id), {"kind": "edit"}).new, "as it was imported"
    assert library.derive(dataset, rows, {"kind": "edit"}, name="other").dataset.id != made[0]


def test_what_is_found_out_stays_with_the_version(home: Home, store: Store, tmp_path: Path) -> None:
    library = DatasetLibrary(home, store)
    dataset = imported(library, tmp_path)
    assert library.report(dataset.id) is None and library.tokens(dataset.id) == {} and dataset.grade == ""
    library.save_report(dataset.id, {"grade": "B", "reasons": []})
    library.save_tokens(dataset.id, "starter", {"total": 1_234})
    library.save_tokens(dataset.id, "other", {"total": 999})
    found = library.resolve(dataset.id)
    assert (found.grade, found.tokens) == ("B", 999)
    assert library.report(dataset.id) == {"grade": "B", "reasons": []}
    assert library.tokens(dataset.id).keys() == {"starter", "other"}
    assert [one.id for one in library.list("grade:b")] == [dataset.id] and library.list("grade:a") == []
    store.datasets.delete(dataset.id)
    assert library.rebuild() == 1 and library.resolve("chats").grade == "B"
    library.close()


def test_an_empty_version_is_refused(library: DatasetLibrary, home: Home, tmp_path: Path) -> None:
    dataset = imported(library, tmp_path)
    with pytest.raises(BadInput, match="No row would be left"):
        library.derive_selection(dataset, [], {"kind": "filter"})
    with pytest.raises(BadInput, match="No row would be left"):
        library.derive(dataset, [], {"kind": "edit"})
    with pytest.raises(BadInput, match="cannot be called"):
        library.derive_selection(dataset, [0], {"kind": "filter"}, name="../x")
    assert library.list() == [dataset] and {path.name for path in home.datasets.iterdir()} == {dataset.id, ".lock"}


def _sizes(rows: list[Row], argument: str) -> tuple[int, int, int, str]:
    return rows[0].index, len(rows), os.getpid(), argument


def _fails(rows: list[Row], argument: None) -> None:
    raise ValueError(f"at {rows[0].index}")


@pytest.mark.parametrize("rows", [2_500, 11_000])
def test_a_scan_sees_every_row_once_and_in_order(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "data.parquet"
    with RowWriter(path) as writer:
        for number in range(rows):
            writer.write_row(row(number))
    shares: list[float] = []
    found = list(scan(path, _sizes, "x", progress=shares.append))
    assert [start for start, *_ in found] == list(range(0, rows, 1_000))
    assert sum(count for _, count, *_ in found) == rows and shares[-1] == 1.0
    assert (
        {pid for _, _, pid, _ in found} == {os.getpid()} if rows < 10_000 else os.getpid() not in {p[2] for p in found}
    )
    with pytest.raises(ValueError, match="at 0"):
        list(scan(path, _fails))
    with pytest.raises(Cancelled):
        list(scan(path, _sizes, "x", cancelled=lambda: True))
    assert not running("spawn_main")


def test_the_processes_of_a_scan_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    with RowWriter(path) as writer:
        for number in range(11_000):
            writer.write_row(row(number))
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from engine.datasets.scan import scan
        from tests.engine.test_datasets_versions import _sizes
        if __name__ == "__main__":
            found = scan(Path(sys.argv[1]), _sizes, "x")
            next(found)
            print("begun", flush=True)
            sys.stdin.read()
        """
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    process = subprocess.Popen(
        [sys.executable, str(script), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    children = psutil.Process(process.pid).children()
    assert children
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
