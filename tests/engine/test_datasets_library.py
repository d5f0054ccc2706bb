"""Import, versions, random access and search, on real files and a real store."""

import gzip
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import BadRows, Turn
from engine.errors import BadInput, Cancelled, FinetuiError, NotFound
from engine.home import Home
from store import Store, open_store
from store.records import NewRun


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = open_store(home.db)
    yield store
    store.close()


@pytest.fixture
def library(home: Home, store: Store) -> Iterator[DatasetLibrary]:
    library = DatasetLibrary(home, store)
    yield library
    library.close()


def pair(index: int, answer: str = "answer") -> dict[str, Any]:
    return {"prompt": f"question {index}", "response": f"{answer} {index}", "number": index}


def written(tmp_path: Path, rows: list[Any], name: str = "pairs.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def left_in(home: Home) -> list[str]:
    return sorted(path.name for path in home.datasets.iterdir() if path.name != ".lock")


def test_an_import_keeps_every_row_in_order(library: DatasetLibrary, home: Home, tmp_path: Path) -> None:
    heard: list[float] = []
    dataset = library.import_file(written(tmp_path, [pair(index) for index in range(100)]), progress=heard.append)
    assert (dataset.name, dataset.version, dataset.shape, dataset.rows) == ("pairs", 1, "prompt-response", 100)
    assert dataset.splits == {"train": 90, "validation": 10}
    rows = library.rows(dataset.id)
    assert [row.index for row in rows] == list(range(100))
    assert rows[7].messages == (Turn("user", "question 7"), Turn("assistant", "answer 7"))
    assert rows[7].metadata == {"number": 7}
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert left_in(home) == [dataset.id]


def test_the_card_tells_where_it_comes_from(library: DatasetLibrary, tmp_path: Path) -> None:
    path = written(tmp_path, [pair(1), pair(22)])
    dataset = library.import_file(path, system="Be brief.")
    card = library.card(dataset.id)
    assert card["source"]["file"] == "pairs.jsonl"
    assert card["source"]["bytes"] == path.stat().st_size
    assert len(card["source"]["sha256"]) == 64
    assert card["roles"] == {"system": 2, "user": 2, "assistant": 2}
    assert card["turns"] == {"mean": 3.0, "max": 3}
    assert card["chars"] == {"mean": 28.0, "max": 29}
    assert card["splits"] == {"train": 1, "validation": 1}
    assert card["mapping"] == {"prompt": "prompt", "response": "response"}
    assert dataset.id == card["id"]
    assert (dataset.warnings, card["problems"], card["left_out"]) == ((), [], 0)


def test_the_same_rows_again_are_the_same_dataset(library: DatasetLibrary, tmp_path: Path) -> None:
    rows = [pair(index) for index in range(10)]
    first = library.import_file(written(tmp_path, rows))
    zipped = tmp_path / "pairs.json.gz"
    zipped.write_bytes(gzip.compress(json.dumps(rows).encode()))
    assert library.import_file(zipped) == first
    assert library.list() == [first]
    other = library.import_file(written(tmp_path, rows), name="other name")
    assert other.id != first.id
    assert (other.name, other.version) == ("other name", 1)


def test_new_rows_under_the_same_name_are_the_next_version(library: DatasetLibrary, tmp_path: Path) -> None:
    first = library.import_file(written(tmp_path, [pair(1), pair(2)]))
    second = library.import_file(written(tmp_path, [pair(1), pair(2), pair(3)]))
    reseeded = library.import_file(written(tmp_path, [pair(index) for index in range(1, 4)]), validation=0.0)
    assert [first.version, second.version, reseeded.version] == [1, 2, 3]
    assert library.resolve("pairs") == reseeded
    assert library.resolve("pairs@1") == first
    assert library.resolve(second.id[:6]) == second


def test_a_name_that_is_none_says_what_is_near(library: DatasetLibrary, tmp_path: Path) -> None:
    library.import_file(written(tmp_path, [pair(1), pair(2)]))
    with pytest.raises(NotFound, match="no dataset 'pears'") as error:
        library.resolve("pears")
    assert "pairs" in error.value.why
    with pytest.raises(NotFound):
        library.resolve(" ")


def test_a_prefix_that_fits_two_lists_them(library: DatasetLibrary, tmp_path: Path) -> None:
    first = library.import_file(written(tmp_path, [pair(1), pair(2)]), name="one")
    second = library.import_file(written(tmp_path, [pair(1), pair(2)]), name="two")
    with pytest.raises(BadInput, match="fits 2 datasets") as error:
        library.resolve("d")
    assert first.id in error.value.why
    assert second.id in error.value.why


@pytest.mark.parametrize("rows", [1_000, 2_500])
def test_rows_are_reached_by_number_across_row_groups(library: DatasetLibrary, tmp_path: Path, rows: int) -> None:
    dataset = library.import_file(written(tmp_path, [pair(index) for index in range(rows)]), validation=0.2)
    assert [row.metadata["number"] for row in library.rows(dataset.id, offset=995, limit=10)] == list(
        range(995, min(1_005, rows))
    )
    assert library.rows(dataset.id, offset=rows, limit=10) == []
    assert library.rows(dataset.id, offset=-5, limit=1)[0].index == 0
    kept = [row for row in library.rows(dataset.id, limit=rows) if row.split == "validation"]
    assert len(kept) == library.count(dataset.id, "validation") == dataset.splits["validation"] == rows // 5
    assert library.rows(dataset.id, split="validation", offset=150, limit=20) == kept[150:170]
    assert library.rows(dataset.id, split="test") == []
    assert library.count(dataset.id) == rows


def test_reading_a_row_does_not_read_the_file(library: DatasetLibrary, tmp_path: Path) -> None:
    from engine.datasets.reader import RowReader

    dataset = library.import_file(written(tmp_path, [pair(index) for index in range(9_000)]))
    reader = RowReader(Path(dataset.dir) / "data.parquet")
    read: list[int] = []
    whole_group = reader._file.read_row_group

    def counted(group: int, columns: list[str] | None = None) -> Any:
        read.append(group)
        return whole_group(group, columns=columns)

    reader._file.read_row_group = counted
    assert reader.rows(None, 8_999, 5)[0].metadata == {"number": 8_999}
    assert reader.rows(None, 8_990, 5)[0].metadata == {"number": 8_990}
    assert read == [8]
    reader.close()


def test_long_rows_close_a_row_group_early(
    library: DatasetLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.datasets.parquet.GROUP_CHARS", 10_000)
    dataset = library.import_file(written(tmp_path, [pair(index, "a" * 4_000) for index in range(30)]))
    assert [row.metadata["number"] for row in library.rows(dataset.id)] == list(range(30))


def test_search_finds_text_in_any_case(library: DatasetLibrary, tmp_path: Path) -> None:
    rows = [pair(index) for index in range(2_200)]
    rows[5]["response"] = "An Élan [x] 100% a_b"
    rows[2_100]["prompt"] = "élan vital"
    dataset = library.import_file(written(tmp_path, rows))

    def found(text: str) -> list[int]:
        return [row.index for step in library.search(dataset.id, text) for row in step.hits]

    assert found("éLAN") == [5, 2_100]
    assert found("[X] 100%") == [5]
    assert found("a.b") == []
    assert len(next(iter(library.search(dataset.id, "question"))).hits) == 1_000
    steps = list(library.search(dataset.id, "éLAN"))
    assert [(step.searched, step.total) for step in steps] == [(1_000, 2_200), (2_000, 2_200), (2_200, 2_200)]


def test_every_bad_row_is_named_and_nothing_is_imported(library: DatasetLibrary, home: Home, tmp_path: Path) -> None:
    rows: list[Any] = [pair(index) for index in range(50)]
    rows[3] = {"prompt": "x", "response": None}
    rows[10] = None
    rows[11] = {"messages": [{"role": "user", "content": None}]}
    rows[49] = {"prompt": "x", "response": " "}
    path = written(tmp_path, rows)
    path.write_text("\n" + path.read_text())
    with pytest.raises(BadRows) as error:
        library.import_file(path)
    assert error.value.exit_status == 2
    assert error.value.what.startswith("4 of 50 rows of pairs.jsonl cannot be used")
    assert "row 4, line 5: response is null, not text" in error.value.why
    assert "row 11, line 12: is null, not an object with fields" in error.value.why
    assert "row 12, line 13: prompt and response is missing; the row looks like messages" in error.value.why
    assert [(item.row, item.line) for item in error.value.problems] == [(4, 5), (11, 12), (12, 13), (50, 51)]
    assert left_in(home) == []
    assert library.list() == []


def test_the_first_twenty_problems_are_listed_and_the_rest_counted(library: DatasetLibrary, tmp_path: Path) -> None:
    rows = [pair(0), *({"prompt": "", "response": "x"} for _ in range(30))]
    with pytest.raises(BadRows) as error:
        library.import_file(written(tmp_path, rows))
    assert len(error.value.problems) == 20
    assert error.value.total == 30
    assert error.value.why.endswith("and 10 more")


def test_bad_rows_are_left_out_when_asked_and_counted(library: DatasetLibrary, tmp_path: Path) -> None:
    rows: list[Any] = [pair(index) for index in range(20)]
    rows[3] = {"prompt": "x", "response": ""}
    dataset = library.import_file(written(tmp_path, rows), skip_bad=True)
    assert dataset.rows == 19
    assert "1 rows were left out: row 4: response is empty" in dataset.warnings[0]
    card = library.card(dataset.id)
    assert card["left_out"] == 1
    assert card["problems"] == [{"row": 4, "field": "response", "problem": "is empty"}]
    assert 3 not in [row.metadata["number"] for row in library.rows(dataset.id)]


@pytest.mark.parametrize("bad", [{"prompt": "", "response": ""}, None])
def test_a_file_without_one_usable_row_is_refused_even_so(
    library: DatasetLibrary, home: Home, tmp_path: Path, bad: Any
) -> None:
    with pytest.raises(BadRows, match="2 of 2 rows"):
        library.import_file(written(tmp_path, [bad, bad]), skip_bad=True)
    assert left_in(home) == []


def test_a_file_damaged_in_the_middle_leaves_nothing(library: DatasetLibrary, home: Home, tmp_path: Path) -> None:
    whole = gzip.compress(written(tmp_path, [pair(index) for index in range(5_000)]).read_bytes())
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="damaged"):
        library.import_file(path)
    assert left_in(home) == []


def test_a_stop_in_the_middle_leaves_nothing(library: DatasetLibrary, home: Home, tmp_path: Path) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.import_file(written(tmp_path, [pair(index) for index in range(10)]), progress=stop)
    assert left_in(home) == []
    assert library.list() == []


def test_what_a_killed_import_left_is_cleared_and_does_not_block(
    library: DatasetLibrary, home: Home, tmp_path: Path
) -> None:
    old, fresh = home.datasets / ".import-old", home.datasets / ".import-fresh"
    old.mkdir()
    os.utime(old, (1, 1))
    fresh.mkdir()
    path = written(tmp_path, [pair(1), pair(2)])
    dataset = library.import_file(path)
    assert left_in(home) == [".import-fresh", dataset.id]
    (Path(dataset.dir) / "card.json").unlink()  # as if it had been killed before the card was written
    assert library.import_file(path).id == dataset.id
    assert library.card(dataset.id)["version"] == dataset.version


def test_two_imports_at_once_are_one_dataset_and_two_versions_two(
    library: DatasetLibrary, home: Home, tmp_path: Path
) -> None:
    same = written(tmp_path, [pair(index) for index in range(200)])
    other = written(tmp_path, [pair(index) for index in range(201)], "other.jsonl")
    with ThreadPoolExecutor(3) as threads:
        jobs = [threads.submit(library.import_file, path, name="pairs") for path in (same, same, other)]
    first, second, third = (job.result() for job in jobs)
    assert first == second
    assert {first.version, third.version} == {1, 2}
    assert left_in(home) == sorted([first.id, third.id])


def test_a_full_disk_is_an_error_that_says_so(
    library: DatasetLibrary, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.datasets.parquet.RowWriter.write_table", full)
    with pytest.raises(FinetuiError, match="cannot be written") as error:
        library.import_file(written(tmp_path, [pair(1)]))
    assert "No space left" in error.value.why
    assert left_in(home) == []


def test_an_import_that_the_store_refuses_leaves_nothing(
    library: DatasetLibrary, store: Store, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("locked")

    monkeypatch.setattr(store.datasets, "add", refuse)
    with pytest.raises(RuntimeError):
        library.import_file(written(tmp_path, [pair(1), pair(2)]))
    assert left_in(home) == []


def test_a_preview_shows_the_shape_the_rows_and_the_problems(
    library: DatasetLibrary, home: Home, tmp_path: Path
) -> None:
    rows: list[Any] = [pair(index) for index in range(1_500)]
    rows[2] = {"prompt": "x"}
    preview = library.preview(written(tmp_path, rows))
    assert (preview.shape, preview.rows_total, preview.checked) == ("prompt-response", 1_500, 1_000)
    assert [row.index for row in preview.first[:3]] == [0, 1, 3]
    assert [str(problem) for problem in preview.problems] == ["row 3: response is missing"]
    assert preview.mapping == {"prompt": "prompt", "response": "response"}
    assert left_in(home) == []


@pytest.mark.parametrize("name", ["", " ", "a@b", "a/b", "../x", "x v2", "a\x1b[31m", "x" * 81, "-x"])
def test_a_name_that_cannot_be_typed_is_refused(library: DatasetLibrary, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be called"):
        library.import_file(written(tmp_path, [pair(1)]), name=name)


def test_a_file_with_an_odd_name_gets_a_plain_one(library: DatasetLibrary, tmp_path: Path) -> None:
    path = written(tmp_path, [pair(1)], "my [bold] data@3.jsonl.JSON.gz")
    assert library.import_file(path).name == "my-bold-data-3"


@pytest.mark.parametrize(
    "options", [{"validation": 1.0}, {"validation": -0.1}, {"seed": -1}, {"system": " "}, {"shape": "csv"}]
)
def test_an_option_that_cannot_work_is_refused(
    library: DatasetLibrary, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(BadInput):
        library.import_file(written(tmp_path, [pair(1)]), **options)


def test_markup_and_escapes_are_kept_as_they_are(library: DatasetLibrary, tmp_path: Path) -> None:
    text = "[red]\x1b[2J\x07[/] 🙂\u202e <|im_end|>"
    rows = [{"prompt": text, "response": text, "note": text}, pair(1)]
    dataset = library.import_file(written(tmp_path, rows), validation=0.0)
    row = library.rows(dataset.id)[0]
    assert [turn.content for turn in row.messages] == [text, text]
    assert row.metadata == {"note": text}


def test_one_row_is_a_dataset_that_warns(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = library.import_file(written(tmp_path, [pair(1)]))
    assert dataset.splits == {"train": 1}
    assert "none is kept back for validation" in dataset.warnings[0]


def test_a_dataset_is_removed_unless_a_run_used_it(
    library: DatasetLibrary, store: Store, home: Home, tmp_path: Path
) -> None:
    used = library.import_file(written(tmp_path, [pair(1), pair(2)]))
    store.runs.add(
        NewRun(
            id="r1", name="run", model="starter", method="lora", dataset="pairs", dataset_id=used.id,
            created=1.0, recipe={}, dir=str(home.runs / "r1"),
        )
    )  # fmt: skip
    with pytest.raises(BadInput, match="so it stays"):
        library.remove(used.id)
    free = library.import_file(written(tmp_path, [pair(3), pair(4)]))
    library.rows(free.id)
    library.remove(free.id)
    assert library.list() == [used]
    assert left_in(home) == [used.id]


def test_datasets_on_disk_are_entered_again(library: DatasetLibrary, store: Store, tmp_path: Path) -> None:
    first = library.import_file(written(tmp_path, [pair(1), pair(2)]))
    second = library.import_file(written(tmp_path, [pair(1), pair(3)]))
    for dataset in (first, second):
        store.datasets.delete(dataset.id)
    assert library.rebuild() == 2
    assert library.list() == [second, first]
    assert library.rebuild() == 0


def test_rows_that_went_missing_are_an_error_that_says_so(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = library.import_file(written(tmp_path, [pair(1), pair(2)]))
    (Path(dataset.dir) / "data.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(FinetuiError, match="cannot be read"):
        library.rows(dataset.id)
    (Path(dataset.dir) / "card.json").unlink()
    with pytest.raises(FinetuiError, match="missing or damaged"):
        library.card(dataset.id)


def test_the_samples_of_the_project_import_whole(library: DatasetLibrary) -> None:
    samples = sorted((Path(__file__).parents[2] / "samples").glob("*.jsonl"))
    assert len(samples) >= 2
    for path in samples:
        dataset = library.import_file(path)
        assert dataset.rows >= 150
        assert dataset.warnings == ()


def test_a_large_source_is_converted_by_several_processes_to_the_same(
    library: DatasetLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": f"Question {n}?", "response": f"Dear {{{{name}}}}, {n}.", "n": n} for n in range(2_500)]
    file = tmp_path / "large.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    here = library.import_file(file, name="large", where="metadata.n != 7")
    monkeypatch.setattr("engine.datasets.importing.SMALL_BYTES", 1_000)
    library.remove(here.id)
    there = library.import_file(file, name="large", where="metadata.n != 7")
    assert (there.id, there.rows) == (here.id, 2_499)
    assert library.card(there.id)["placeholders"] == {"{{name}}": 2_499}
    rows[1_700]["response"] = ""
    rows[2_400]["response"] = " "
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(BadRows) as refused:
        library.import_file(file, name="large")
    assert [problem.row for problem in refused.value.problems] == [1_701, 2_401]
    assert (refused.value.total, len(library.list())) == (2, 1)
    with pytest.raises(Cancelled):
        library.import_file(file, name="other", skip_bad=True, cancelled=lambda: True)
    assert len(library.list()) == 1 and not list(library.home.datasets.glob(".import-*"))
