"""Over generated files of every shape: import, export and import give the same rows, or a refusal that names rows."""

import csv
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.datasets.export import export_dataset
from engine.datasets.importing import convert_source, preview_source
from engine.datasets.reader import RowReader
from engine.datasets.rows import BadRows, Row
from engine.datasets.shapes.names import KNOWN
from engine.errors import BadInput
from store.records import Dataset

ENDINGS = [".jsonl", ".json", ".parquet"]
QUICK = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

said = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
    lambda text: not text.isspace()
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
calls = st.fixed_dictionaries({"name": said, "arguments": st.dictionaries(said, anything, max_size=2)})
openai_calls = st.lists(
    calls.map(
        lambda call: {
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def messages(draw: st.DrawFn, first: str = "user") -> list[dict[str, Any]]:
    """A conversation that ends with the assistant, with a system turn, calls and parts here and there."""
    turns: list[dict[str, Any]] = []
    if draw(st.booleans()):
        turns.append({"role": draw(st.sampled_from(["system", "developer"])), "content": draw(said)})
    for _ in range(draw(st.integers(1, 2))):
        turns.append({"role": first, "content": draw(said)})
        if draw(st.booleans()):
            turns.append({"role": "assistant", "content": None, "tool_calls": draw(openai_calls)})
            turns.append({"role": "tool", "content": draw(said)})
        content = draw(said | said.map(lambda text: [{"type": "text", "text": text}]))
        turns.append({"role": "assistant", "content": content})
    return turns


def sharegpt(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {"user": "human", "assistant": "gpt", "tool": "observation"}
    found = []
    for turn in turns:
        name, content = names.get(turn["role"], turn["role"]), turn["content"]
        if turn.get("tool_calls"):
            name, content = "function_call", json.dumps([call["function"] for call in turn["tool_calls"]])
        found.append({"from": name, "value": content})
    return found


def answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def asked(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return turns[:-1] if turns[-2]["role"] == "user" else [turns[0] | {"role": "user"}]


SHAPES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "messages": messages().map(lambda turns: {"messages": turns}),
    "sharegpt": messages().map(lambda turns: {"conversations": sharegpt(turns)}),
    "alpaca": st.fixed_dictionaries(
        {"instruction": said, "input": st.none() | st.just("") | said, "output": said},
        optional={"system": said, "history": st.lists(st.lists(said, min_size=2, max_size=2), max_size=2)},
    ),
    "prompt-response": st.fixed_dictionaries({"prompt": said, "completion": said}, optional={"system": said}),
    "input-output": st.fixed_dictionaries({"input": said, "output": said}),
    "text": st.fixed_dictionaries({"text": said}),
    "preference": st.fixed_dictionaries({"prompt": said, "chosen": said, "rejected": said}),
    "preference in turns": st.tuples(messages(), said, said).map(
        lambda drawn: {
            "chosen": [*asked(drawn[0]), answer(drawn[1])],
            "rejected": [*asked(drawn[0]), answer(drawn[2])],
        }
    ),
    "kto": st.fixed_dictionaries({"prompt": said, "completion": said, "label": st.booleans()}),
    "prompts": st.fixed_dictionaries({"turns": st.lists(said, min_size=1, max_size=3)}),
}


class OneDataset:
    """As much of a library as an export needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def iterate(self, _: str) -> Iterator[Row]:
        reader = RowReader(self.folder / "data.parquet")
        yield from reader.rows(None, 0, reader.total)
        reader.close()


def imported(source: Path, folder: Path) -> tuple[dict[str, Any], list[Row]]:
    folder.mkdir()
    card = convert_source(source, folder, name="d")
    return card, list(OneDataset(folder).iterate("d"))


def exported(card: dict[str, Any], folder: Path, target: Path) -> None:
    dataset = Dataset(
        id="d", name="d", version=1, shape=card["shape"], rows=card["rows"], splits=card["splits"], tokens=None,
        parent=None, source="x", created=0.0, dir=str(folder), warnings=(),
    )  # fmt: skip
    export_dataset(OneDataset(folder), dataset, target)  # type: ignore[arg-type]


def content(row: Row) -> tuple[Any, ...]:
    return (row.messages, row.chosen, row.rejected, row.label, row.tools, row.split, row.metadata)


@pytest.mark.parametrize("shape", SHAPES)
def test_import_export_import_is_import(shape: str) -> None:
    metadata = st.dictionaries(st.sampled_from(["id", "note", "metadata"]), anything, max_size=2)

    @settings(QUICK, max_examples=8)
    @given(st.lists(st.tuples(SHAPES[shape], metadata), min_size=1, max_size=4), st.sampled_from(ENDINGS))
    def check(drawn: list[tuple[dict[str, Any], dict[str, Any]]], ending: str) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = folder / "source.jsonl"
            source.write_text("".join(json.dumps(more | row) + "\n" for row, more in drawn))
            card, rows = imported(source, folder / "one")
            assert card["shape"] == shape.partition(" ")[0]
            assert len(rows) == len(drawn)
            target = folder / f"out{ending}"
            exported(card, folder / "one", target)
            again, same = imported(target, folder / "two")
            assert [content(row) for row in same] == [content(row) for row in rows]
            assert again["kind"] == card["kind"]

    check()


@QUICK
@given(st.lists(st.tuples(said, said), min_size=1, max_size=4))
def test_tables_hold_any_text(pairs: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source.csv"
        with source.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("prompt", "response"), *pairs])
        card, rows = imported(source, folder / "one")
        assert [tuple(turn.content for turn in row.messages) for row in rows] == pairs
        exported(card, folder / "one", folder / "out.csv")
        _, same = imported(folder / "out.csv", folder / "two")
        assert [content(row) for row in same] == [content(row) for row in rows]


KEYS = st.sampled_from([*sorted(KNOWN), "metadata", "Reply", "x"])
broken = st.dictionaries(
    KEYS,
    anything
    | messages()
    | st.text(max_size=20)
    | st.lists(st.fixed_dictionaries({}, optional={"role": st.sampled_from(["user", "x", 3]), "content": anything})),
    max_size=5,
)


@settings(QUICK, max_examples=40)
@given(st.lists(st.one_of(broken, *SHAPES.values(), st.none() | st.text() | st.floats()), min_size=1, max_size=5))
def test_any_other_file_is_refused_by_its_rows(rows: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        try:
            preview = preview_source(source)
            assert 0 <= preview.confidence <= 1
            card, found = imported(source, folder / "one")
        except BadRows as error:
            assert error.problems
            assert all(1 <= problem.row <= len(rows) for problem in error.problems)
            assert not (folder / "one" / "data.parquet").exists()
        except BadInput as error:
            assert error.fix
        else:
            assume(card["rows"])
            exported(card, folder / "one", folder / "out.jsonl")
            _, same = imported(folder / "out.jsonl", folder / "two")
            assert [content(row)[:5] for row in same] == [content(row)[:5] for row in found]
