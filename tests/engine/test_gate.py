"""The supervision gate: what is refused before a launch, and what is said of rows that are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.errors import Cancelled
from engine.home import Home
from engine.models import ModelInfo
from engine.planning import gate
from engine.planning.gate import Gate, check_supervision
from engine.recipe import make_recipe
from engine.tokens import Tokenizer
from store import Store, open_store
from store.records import Dataset
from tests.engine.tokenizers_made import CHATML, byte_level, prepared

MODEL = ModelInfo("small", "folder", "/models/small", ready=True, has_template=True, has_generation_block=True)
NO_MARKS = CHATML.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
REFUSES = "{%- if messages[0].role == 'system' -%}{{ raise_exception('no system turns') }}{%- endif -%}" + CHATML
Check = Callable[..., Gate]


@pytest.fixture
def home(home: Home) -> Home:
    return home.ensure()


@pytest.fixture
def make_data(home: Home, tmp_path: Path) -> Callable[[list[dict[str, Any]]], Dataset]:
    store: Store = open_store(home.db)

    def make(rows: list[dict[str, Any]]) -> Dataset:
        file = tmp_path / "rows.jsonl"
        file.write_text("\n".join(json.dumps(row) for row in rows))
        return DatasetLibrary(home, store).import_file(file, validation=0)

    return make


@pytest.fixture
def check(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks a dataset with a tokenizer that has the template given."""

    def run(dataset: Dataset, *, own: str | None = CHATML, model: ModelInfo = MODEL, **fields: Any) -> Gate:
        tokenizer = prepared(tmp_path / f"tokenizer{len([*tmp_path.iterdir()])}", byte_level(), own=own)
        monkeypatch.setattr(gate, "kept_tokenizer", lambda *_: tokenizer)
        recipe = make_recipe({"dataset": dataset.name, "max_length": 64} | fields)
        return check_supervision(home, recipe, model, dataset)

    return run


def talk(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


MakeData = Callable[[list[dict[str, Any]]], Dataset]


def test_rows_that_are_learnt_pass(check: Check, make_data: MakeData, tmp_path: Path) -> None:
    found = check(make_data([talk(f"question {row}", f"answer {row}") for row in range(100)]))
    assert found.passed
    assert (found.problem, found.warnings, found.rows, found.template) == ("", (), 64, "own")
    assert found.trained_share is not None and 0.1 < found.trained_share < 0.6
    folder = next(tmp_path.glob("tokenizer*"))
    again = Tokenizer(folder, "small").template("own")
    other = check(make_data([talk("a", "b")]), own=CHATML + " ")
    assert found.template_hash == again.hash != other.template_hash


def test_answers_beyond_max_length_are_refused_with_the_row(check: Check, make_data: MakeData) -> None:
    data = make_data([talk(f"{row} very long question " * 30, "the answer") for row in range(80)])
    found = check(data)
    assert (found.field, found.row) == ("max_length", 1)
    assert "no token of 80 rows looked at carries loss" in found.problem
    assert "Row 1: its answer begins beyond max_length (64)" in found.problem
    assert found.shown.startswith("<|im_start|>user\n0 very long") and "⟦" in found.shown
    assert len(found.shown) < 700
    assert check(data, max_length=1024).passed


def test_late_rows_that_are_learnt_save_a_dataset(check: Check, make_data: MakeData) -> None:
    long = [talk(f"{row} very long question " * 30, "the answer") for row in range(70)]
    found = check(make_data([*long, talk("short", "answer")]))
    assert found.passed and found.rows == 71
    assert found.warnings == (
        f"max_length 64 cuts 70 of the first 71 rows ({cut_of(found):,} tokens)",
        "70 of the first 71 rows carry no loss",
    )


def cut_of(found: Gate) -> int:
    """The tokens that the first warning counts."""
    return int(found.warnings[0].rpartition("(")[2].partition(" ")[0].replace(",", ""))


def test_every_label_masked_is_refused(check: Check, make_data: MakeData) -> None:
    data = make_data([talk("question", "answer")])
    found = check(data, own=NO_MARKS)
    assert found.field == "assistant_only_loss"
    assert "no token of its only row carries loss" in found.problem
    assert "does not mark what the assistant says" in found.problem
    assert "set assistant_only_loss = false" in found.problem
    assert "answer" in found.shown and "▐" not in found.shown
    assert check(data, own=NO_MARKS, assistant_only_loss=False).passed
    assert check(data, own=NO_MARKS, chat_template="chatml").passed, "a template of finetui's own marks it"


def test_a_template_that_refuses_a_row_is_refused(check: Check, make_data: MakeData) -> None:
    rows = [
        talk("question", "answer"),
        {"messages": [{"role": "system", "content": "be kind"}, *talk("q", "a")["messages"]]},
    ]
    found = check(make_data(rows), own=REFUSES)
    assert (found.field, found.row) == ("chat_template", 2)
    assert "refuses row 2: It says: no system turns" in found.problem
    assert found.shown.startswith("system: be kind")


def test_a_model_without_a_template_needs_one(check: Check, make_data: MakeData) -> None:
    bare = ModelInfo("bare", "folder", "/models/bare", ready=True)
    data = make_data([talk("question", "answer")])
    found = check(data, own=None, model=bare)
    assert found.field == "chat_template" and "take one of chatml, instruction" in found.problem
    assert check(data, own=None, model=bare, chat_template="instruction").passed
    broken = check(data, own=None, model=bare, chat_template="nothing.jinja")
    assert broken.field == "chat_template" and "cannot be read" in broken.problem
    assert check(make_data([{"text": "a plain text"}]), own=None, model=bare).passed


PAIR = {
    "prompt": "how do I reset it?",
    "chosen": [{"role": "assistant", "content": "open settings"}],
    "rejected": [{"role": "assistant", "content": "no idea"}],
}


def test_preferences_need_pairs_and_an_answer_within_reach(check: Check, make_data: MakeData) -> None:
    pairs = make_data([PAIR])
    assert check(pairs, objective="dpo").passed
    assert check(pairs, own=NO_MARKS, objective="dpo").passed, "the whole answer counts, marked or not"
    short = check(pairs, objective="dpo", max_length=8)
    assert (short.field, short.row) == ("max_length", 1)
    none = check(make_data([talk("question", "answer")]), objective="dpo")
    assert none.field == "dataset" and "pairs of a chosen and a rejected answer" in none.problem


def test_prompts_and_datasets_without_training_rows_are_refused(check: Check, make_data: MakeData) -> None:
    prompts = check(make_data([{"prompt": "tell a joke"}, {"prompt": "sing"}]))
    assert prompts.field == "dataset" and "prompt suite" in prompts.problem
    elsewhere = Dataset("d0", "held", 1, "messages", 5, {"test": 5}, None, None, "", 1.0, "/nowhere")
    assert "no rows to train on" in check(elsewhere).problem


def test_what_cannot_be_seen_yet_is_left_to_the_run(home: Home, make_data: MakeData) -> None:
    data = make_data([talk("question", "answer")])
    recipe = make_recipe({"dataset": "rows"})
    starter = ModelInfo("starter", "starter", str(home.starter), ready=False)
    hub = ModelInfo("o/m", "hub", "o/m", ready=False)
    said = [check_supervision(home, recipe, model, data).later for model in (starter, hub)]
    assert said == [
        "the rows are checked by the run, once the model is built",
        "the rows are checked by the run, once the model is on this machine",
    ]
    assert "not checked yet" in check_supervision(home, recipe, MODEL, data, prepare=False).later
    assert not (home.root / "cache").exists(), "nothing was started"


def test_looking_can_be_given_up(
    home: Home, make_data: MakeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data([talk("question", "answer")])
    tokenizer = prepared(tmp_path / "tokenizer")
    monkeypatch.setattr(gate, "kept_tokenizer", lambda *_: tokenizer)
    with pytest.raises(Cancelled):
        check_supervision(home, make_recipe({"dataset": "rows"}), MODEL, data, cancelled=lambda: True)
