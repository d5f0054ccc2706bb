"""A row as the model sees it, and the tokens of a dataset: by a real tokenizer that was prepared before."""

from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row, Turn
from engine.home import Home
from engine.tokens import Rendered, Token, model_tokenizer, render_row
from store import Store
from store.records import Dataset
from tests.tui.conftest import Driver, MakeApp
from tests.tui.dataset_samples import CHATML, add_model, fill, numbered, write_jsonl
from tests.tui.test_dataset_browser import opened, side
from tui.widgets.histogram import eighths, histogram, merged
from tui.widgets.token_figures import cut_content, shares_content
from tui.widgets.token_view import token_content, token_head

UNMARKED = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")


@pytest.fixture
def library(home: Home, store: Store) -> DatasetLibrary:
    return DatasetLibrary(home, store)


@pytest.fixture
def dataset(library: DatasetLibrary, tmp_path: Path) -> Dataset:
    rows = numbered(40)
    rows[1]["response"] = "a longer answer: " + "words " * 60
    return library.import_file(write_jsonl(tmp_path / "faq.jsonl", rows), system="Be kind.")


async def seen(driver: Driver, dataset: Dataset) -> None:
    """Open the dataset and show its first row as the model sees it."""
    await opened(driver, dataset)
    await driver.press("v")
    await driver.wait(lambda: "as the model sees it" in side(driver))


async def test_what_is_trained(make_app: MakeApp, home: Home, dataset: Dataset) -> None:
    add_model(home)
    async with make_app() as driver:
        await seen(driver, dataset)
        await driver.sees("tiny-chat template", " tokens", "trained (", "0 cut")
        await driver.sees("<|im_start|>system⏎Be kind.<|im_end|>⏎", "<|im_start|>user⏎question number 1<|im_end|>⏎")
        await driver.sees("<|im_start|>assistant⏎▐answer 1<|im_end|>▌⏎")
        await driver.press("j")
        await driver.sees("▐a longer answer: words")
        await driver.press("a")
        await driver.sees("every turn is learnt", "▐<|im_start|>system⏎Be kind.")
        await driver.press("a", "L")
        await fill(driver, "80")
        await driver.press("enter")
        await driver.sees("max_length 80", "cut here: what follows is not seen")
        await driver.press("L")
        await fill(driver, "10")
        await driver.press("enter")
        await driver.wait(lambda: driver.line("⚠"))
        await driver.sees("0 trained (0 %)")
        await driver.press("v", "v", "v")
        await driver.sees("max_length 10")


async def test_other_models_and_templates(
    make_app: MakeApp, home: Home, dataset: Dataset, library: DatasetLibrary
) -> None:
    add_model(home)
    add_model(home, "zz-unmarked", UNMARKED)
    async with make_app((80, 24)) as driver:
        await seen(driver, dataset)
        await driver.sees("tiny-chat template", "▐answer 1")
        await driver.press("t")
        await driver.sees("Template", "own", "alpaca")
        await fill(driver, "alpaca")
        await driver.press("enter")
        await driver.sees("tiny-chat · alpaca template", "### Response")
        await driver.press("m")
        await driver.sees("Base model", "zz-unmarked")
        await fill(driver, "unmarked")
        await driver.press("enter")
        await driver.sees("zz-unmarked template", "⚠")
        assert "▐answer 1" not in driver.text(), "a template without marks trains nothing of it"
        await driver.press("m")
        await driver.sees("Base model")
        await fill(driver, "starter")
        await driver.press("enter")
        await driver.sees("starter model is not built yet", "m chooses another model")
        await driver.press("m")
        await driver.sees("Base model")
        await fill(driver, "tiny")
        await driver.press("enter")
        await driver.sees("tiny-chat template", "▐answer 1")


async def test_the_row_before_stays_until_the_next_is_there(make_app: MakeApp, home: Home, dataset: Dataset) -> None:
    add_model(home)
    async with make_app() as driver:
        await seen(driver, dataset)
        await driver.sees("▐answer 1")
        for _ in range(8):
            await driver.press("j")
            assert "▐" in driver.text(), "never empty between two rows"
        await driver.sees("▐answer 9<|im_end|>▌")
        await driver.press("k")
        await driver.sees("▐answer 8<|im_end|>▌")


async def test_tokens_of_the_dataset(
    make_app: MakeApp, home: Home, dataset: Dataset, library: DatasetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    add_model(home)
    async with make_app() as driver:
        await opened(driver, dataset)
        await driver.press("right_square_bracket", "right_square_bracket")
        await driver.sees("tokenizer of tiny-chat", "p50", "p95", "rows cut", "trained", "padding", "packing", "█")
        await driver.sees("tiktoken")
        kept = next(iter(library.tokens(dataset.id).values()))
        await driver.sees(f"{kept['total']:,} tokens in 40 rows")
        tokenizer = model_tokenizer(home, "tiny-chat")
        one = render_row(library.rows(dataset.id, limit=1)[0], tokenizer)
        total = sum(render_row(row, tokenizer).total for row in library.iterate(dataset.id))
        assert (kept["total"], one.cut) == (total, 0)
        await driver.press("L")
        await fill(driver, "128")
        await driver.press("enter")
        await driver.sees("max_length 128", "▸        128          1", "cut at 128")
        await driver.press("left_square_bracket", "left_square_bracket", "v")
        await driver.sees(f"dataset: {total:,} tokens", "1 rows cut")


# Without an app


def piece(text: str, *, trained: bool = False, truncated: bool = False, special: bool = False) -> Token:
    return Token(1, text, trained, truncated, special)


def rendered(*tokens: Token) -> Rendered:
    trained = sum(token.trained and not token.truncated for token in tokens)
    cut = sum(token.truncated for token in tokens)
    return Rendered("".join(token.text for token in tokens), list(tokens), len(tokens), trained, cut, [], "own")


def test_marks_stand_around_what_is_trained_without_colour() -> None:
    shown = token_content(
        rendered(
            piece("<|a|>", special=True),
            piece("assistant\n"),
            piece("yes", trained=True),
            piece(" it is\nso", trained=True),
            piece("<|e|>", trained=True, special=True),
            piece("\n"),
            piece("<|a|>", special=True),
            piece("user"),
        )
    )
    assert shown.plain == "<|a|>assistant⏎▐yes it is⏎\nso<|e|>▌⏎\n<|a|>user"


def test_what_is_cut_is_struck_and_not_marked_as_trained() -> None:
    shown = token_content(
        rendered(piece("in", trained=True), piece(" out", trained=True, truncated=True), piece("side", truncated=True))
    )
    assert shown.plain.startswith("▐in▌\n── cut here")
    assert "2 tokens" in shown.plain
    struck = [span for span in shown.spans if "strike" in str(span.style)]
    assert shown.plain[struck[0].start : struck[0].end] == " outside"


def test_hostile_tokens_are_only_text() -> None:
    shown = token_content(rendered(piece("a\x1b[2J"), piece("\x1b]0;x\x07[b]", trained=True)))
    assert shown.plain == "a▐[b]▌"


def test_both_answers_of_a_pair(home: Home) -> None:
    add_model(home)
    answers = (Turn("assistant", "good"),), (Turn("assistant", "bad"),)
    row = Row(0, "train", (Turn("user", "q"),), {}, *answers)
    shown = token_content(render_row(row, model_tokenizer(home, "tiny-chat"))).plain
    chosen, rejected = shown.split("✗ rejected")
    assert "▐good<|im_end|>▌" in chosen
    assert "bad<|im_end|>" in rejected


def test_head_says_how_much_is_trained() -> None:
    one = rendered(piece("a"), piece("b", trained=True))
    assert token_head(one, "Qwen2.5", "own").plain == "Qwen2.5 template · 2 tokens · 1 trained (50 %) · 0 cut"


def test_bars_to_an_eighth() -> None:
    assert eighths(1.0, 4) == "████"
    assert eighths(0.5, 1) == "▌"
    assert eighths(0.0001, 4) == "▏", "never empty where there is something"
    assert eighths(0.0, 4) == ""


def test_histogram_marks_where_rows_are_cut() -> None:
    lines = histogram([(0, 64, 10), (64, 128, 5), (128, 256, 1)], 40, cut=128).plain.splitlines()
    assert [line.split()[0] for line in lines] == ["0–63", "64–127", "cut", "128–255"]
    assert "cut" not in histogram([(0, 64, 10)], 40, cut=128).plain
    assert merged([(0, 1, 1), (1, 2, 2), (2, 3, 3)], 2) == [(0, 2, 3), (2, 3, 3)]
    assert histogram([], 40).plain == ""


def test_cuts_and_shares() -> None:
    figures = {"total": 100, "cut": {"512": 3, "1024": 0, "2048": 0}, "trained": 0, "by_role": {"user": 100}}
    lines = cut_content(figures, 10, 1024).plain.splitlines()
    assert len(lines) == 3
    assert "30.0 %" in lines[1]
    assert lines[2].startswith("▸")
    assert "0 %" in shares_content(figures, 60).plain.splitlines()[0]
