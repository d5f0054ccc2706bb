"""Sources of every kind become rows and a card, or an error that names the rows; nothing in between."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.importing import convert_source, preview_source
from engine.datasets.reader import RowReader
from engine.datasets.rows import BadRows, Row
from engine.errors import BadInput, Cancelled

OSC = "\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b]52;c;aGk=\x07 \x9b31m \x85 [red][/red] [@click=app.bell]x[/] [/"


def pair(index: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"question {index}", "response": f"answer {index}", **more}


def written(folder: Path, rows: list[Any], name: str = "pairs.jsonl") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def imported(source: Path, folder: Path, **options: Any) -> tuple[dict[str, Any], list[Row]]:
    target = folder / "made"
    target.mkdir()
    card = convert_source(source, target, **{"name": "d", **options})
    assert [path.name for path in target.iterdir()] == ["data.parquet"]
    reader = RowReader(target / "data.parquet")
    rows = reader.rows(None, 0, reader.total)
    reader.close()
    return card, rows


def test_the_card_says_how_the_rows_were_read(tmp_path: Path) -> None:
    rows = [pair(index, topic="x") for index in range(10)]
    card, found = imported(written(tmp_path, rows), tmp_path, validation=0.2)
    assert card["mapping"] == {"prompt": "prompt", "response": "response"}
    assert (card["shape"], card["kind"], card["format"], card["confidence"]) == (
        "prompt-response",
        "conversation",
        "jsonl",
        1.0,
    )
    assert (card["files"], card["rows"], card["filtered"], card["left_out"]) == (["pairs.jsonl"], 10, 0, 0)
    assert card["splits"] == {"train": 8, "validation": 2}
    assert card["operation"]["kind"] == "import"
    assert [row.metadata for row in found] == [{"topic": "x"}] * 10


def test_splits_of_a_column_are_kept(tmp_path: Path) -> None:
    rows = [pair(index, split=split) for index, split in enumerate(["train", "Train", "valid", "test", "train"])]
    card, found = imported(written(tmp_path, rows), tmp_path, validation=0.5)
    assert [row.split for row in found] == ["train", "train", "validation", "test", "train"]
    assert (card["splits"], card["split"]["named"]) == ({"train": 3, "validation": 1, "test": 1}, True)
    assert found[0].metadata == {}


def test_splits_of_file_names_are_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    written(data, [pair(index) for index in range(150)], "test.jsonl")
    written(data, [pair(index) for index in range(200, 203)], "train.jsonl")
    assert preview_source(data).splits == ["train", "test"]
    card, found = imported(data, tmp_path, validation=0.5)
    assert card["splits"] == {"train": 3, "test": 150}
    assert [row.split for row in found[148:152]] == ["test", "test", "train", "train"]


@pytest.mark.parametrize("column", [True, False])
def test_a_source_that_is_all_train_is_divided(tmp_path: Path, column: bool) -> None:
    rows = [pair(index, split="train") if column else pair(index) for index in range(20)]
    card, _ = imported(written(tmp_path, rows, "train.jsonl"), tmp_path, validation=0.25)
    assert card["splits"] == {"train": 15, "validation": 5}


def test_a_split_beyond_the_first_rows_that_is_none_is_the_rows_problem(tmp_path: Path) -> None:
    rows = [pair(index, split="train") for index in range(120)] + [pair(120, split="banana")]
    with pytest.raises(BadRows, match="row 121: split is 'banana'"):
        imported(written(tmp_path, rows), tmp_path)


def test_prompts_are_for_testing(tmp_path: Path) -> None:
    rows = [{"turns": [f"question {index}", "And?"], "split": "train"} for index in range(5)]
    card, found = imported(written(tmp_path, rows), tmp_path)
    assert (card["kind"], card["splits"]) == ("prompts", {"test": 5})
    assert [turn.content for turn in found[0].messages] == ["question 0", "And?"]
    preview = preview_source(written(tmp_path, rows))
    assert (preview.shape, preview.confidence, preview.first[0].split) == ("prompts", 1.0, "test")


def test_columns_that_are_a_guess_are_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path, [{"Question text": "Why?", "Reply": "So it is."}] * 3)
    preview = preview_source(path)
    assert preview.unsure
    assert len(preview.first) == 3
    assert [(column.name, column.filled) for column in preview.columns] == [("Question text", 1.0), ("Reply", 1.0)]
    with pytest.raises(BadInput) as error:
        imported(path, tmp_path)
    assert "--map 'prompt=Question text' --map response=Reply" in error.value.fix
    (tmp_path / "made").rmdir()
    card, found = imported(path, tmp_path, mapping=preview.mapping)
    assert (card["mapping"], found[0].messages[1].content) == (preview.mapping, "So it is.")


def test_rows_of_no_known_shape_are_previewed_and_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [{"a": 1}, {"a": 2}])
    preview = preview_source(path)
    assert (preview.shape, preview.confidence, preview.first, preview.rows_total) == ("", 0.0, [], 2)
    assert [column.name for column in preview.columns] == ["a"]
    with pytest.raises(BadInput, match="no shape that finetui knows"):
        imported(path, tmp_path)


def test_three_rows_are_shown_even_where_the_first_are_bad(tmp_path: Path) -> None:
    rows = [pair(0)] + [pair(index) | {"response": ""} for index in range(1, 1_300)] + [pair(1_301), pair(1_302)]
    preview = preview_source(written(tmp_path, rows))
    assert [row.index for row in preview.first] == [0, 1_300, 1_301]
    assert (preview.checked, preview.rows_total) == (1_000, 1_302)
    assert preview.confidence < 0.1
    assert "99 of 100 rows looked at cannot be used" in preview.reasons


def test_a_filter_leaves_rows_out_and_counts_them(tmp_path: Path) -> None:
    rows = [pair(index, keep=index % 2 == 0) for index in range(10)]
    card, found = imported(written(tmp_path, rows), tmp_path, where="metadata.keep = true")
    assert [row.messages[0].content for row in found] == [f"question {index}" for index in range(0, 10, 2)]
    assert (card["rows"], card["filtered"], card["operation"]["where"]) == (5, 5, "metadata.keep = true")


@pytest.mark.parametrize(
    ("where", "message"), [("tokens < 5", "Rows cannot be filtered by their tokens"), ("turns > 9", "No row of")]
)
def test_a_filter_that_cannot_be_is_refused(tmp_path: Path, where: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        imported(written(tmp_path, [pair(1), pair(2)]), tmp_path, where=where)
    assert error.value.fix


def test_an_import_can_be_given_up(tmp_path: Path) -> None:
    heard: list[float] = []
    path = written(tmp_path, [pair(index) for index in range(3_000)])
    with pytest.raises(Cancelled):
        imported(path, tmp_path, progress=heard.append, cancelled=lambda: True)
    assert heard[-1] < 0.8


def test_placeholders_are_counted(tmp_path: Path) -> None:
    rows = [pair(0, response="Dear {{name}},"), pair(1, response="Dear {{name}} of [YOUR COMPANY],"), pair(2)]
    rows[2]["response"] = 'Write `{name}`, or:\n```\nprint(f"{name}")\n```\n$\\frac{ab}{cd}$ {"a": 1} <BR> [INST]'
    assert preview_source(written(tmp_path, rows)).placeholders == ["{{name}} (2 rows)", "[YOUR COMPANY] (1 row)"]
    card, _ = imported(written(tmp_path, rows), tmp_path)
    assert card["placeholders"] == {"{{name}}": 2, "[YOUR COMPANY]": 1}
    assert "placeholders that nobody filled in: {{name}} (2 rows)" in card["warnings"][0]


@pytest.mark.parametrize("name", ["{name}", "<ORDER_ID>", "%s", "[Your Name]", "{{ user.name }}"])
def test_every_kind_of_placeholder_is_noticed(tmp_path: Path, name: str) -> None:
    rows = [{"prompt": "Hello", "response": f"Dear {name}, all is well."}]
    assert preview_source(written(tmp_path, rows)).placeholders == [f"{name} (1 row)"]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": 1}',
        "x^{ab}",
        "f'{name}'",
        "${name}",
        "<DIV>",
        "<NAME>x</NAME>",
        "[Your Name](http://x)",
        "100%s",
        "{a}",
    ],
)
def test_code_and_formulas_are_no_placeholders(tmp_path: Path, text: str) -> None:
    assert preview_source(written(tmp_path, [{"prompt": "Hello", "response": text}])).placeholders == []


# Faults 13, 14, 16, 17 and 18 of data.


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([pair(0), {"messages": [{"role": "user", "content": "x"}]}], "row 2: prompt and response is missing"),
        ([{"messages": [{"role": "user", "content": "x"}]}], "row 1: messages has no assistant turn"),
        ([{"messages": [{"content": "x"}, {"role": "assistant", "content": "y"}]}], "row 1: messages[0] has no role"),
        ([{"messages": [{"role": "user", "content": {"a": None}}]}], "row 1: messages[0].content is an object"),
        ([pair(0), pair(1) | {"response": None}], "row 2: response is null"),
        ([pair(0), pair(1) | {"response": " "}], "row 2: response is only white space"),
        ([pair(0), []], "row 2: is a list, not an object"),
        ([pair(0), pair(1) | {"prompt": "\0"}], "row 2: prompt has a NUL character"),
        ([pair(0), pair(1) | {"prompt": "\ud800"}], "row 2: prompt has half a character"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_named_and_none_is_imported(tmp_path: Path, rows: list[Any], problem: str) -> None:
    target = tmp_path / "made"
    target.mkdir()
    with pytest.raises(BadRows) as error:
        convert_source(written(tmp_path, rows), target, name="d")
    assert problem in error.value.why
    assert not (target / "data.parquet").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b'{"prompt": "a", "response": "b\xff"}\n', "not UTF-8"),
        (
            b'{"prompt": "a", "response": "b"}\n' + b'{"a": ' * 2_000 + b"1" + b"}" * 2_000,
            "row 2: is nested too deeply",
        ),
    ],
    ids=["no bytes", "a mark alone", "bad UTF-8", "too deep"],
)
def test_files_that_are_damaged_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=message):
        imported(path, tmp_path)


def test_escapes_and_markup_are_data_everywhere(tmp_path: Path) -> None:
    rows = [
        {"prompt": OSC, "response": OSC, OSC: OSC, "metadata": {"deep": {OSC: [OSC]}}},
        pair(1),
    ]
    card, found = imported(written(tmp_path, rows), tmp_path, validation=0.0)
    assert [turn.content for turn in found[0].messages] == [OSC, OSC]
    assert found[0].metadata == {OSC: OSC, "deep": {OSC: [OSC]}}
    assert card["warnings"] == []


def test_a_guess_shows_no_control_characters_in_what_to_type(tmp_path: Path) -> None:
    path = written(tmp_path, [{"Question \x1b[31m text": "Why?", "Reply; rm -rf ~": "So it is."}] * 3)
    with pytest.raises(BadInput) as error:
        imported(path, tmp_path)
    assert "--map 'prompt=Question [31m text' --map 'response=Reply; rm -rf ~'" in error.value.fix


@pytest.mark.parametrize("name", ["../../x", "a" * 300, "/etc/passwd", "x\x1b[2J"])
def test_names_within_the_data_reach_no_file(tmp_path: Path, name: str) -> None:
    rows = [pair(index, file=name, metadata={"path": name}) | {name: name} for index in range(2)]
    _, found = imported(written(tmp_path, rows), tmp_path)
    assert found[0].metadata["path"] == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "pairs.jsonl"]
