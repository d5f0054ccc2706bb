"""Rows that join and leave a batch between two tokens say what they say alone, in every architecture."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.worker.adapters import AdapterShelf
from engine.worker.generate import Writer
from engine.worker.live_row import LiveRow
from engine.worker.loading import load_base, load_tokenizer
from engine.worker.open_batch import can_join
from engine.worker.rows import RowRequest, Sampling
from tests.worker.architectures import LAYERS, architecture
from tests.worker.asking import ask, live, request, results_of, texts
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train

ENTRANCES = (0, 0, 3, 4, 9)
"""The step at which each row joins."""


def write(writer: Writer, rows: list[LiveRow], entrances: tuple[int, ...] = ENTRANCES) -> list[str]:
    """The texts of `rows`, of which each joins at its step."""
    step = 0
    while not all(row.done for row in rows):
        if joining := [row for row, entrance in zip(rows, entrances, strict=True) if entrance == step]:
            writer.join(joining)
        writer.step()
        step += 1
    return texts(results_of(rows))


def lengths(prompts: list[list[int]]) -> list[RowRequest]:
    return [RowRequest(None, prompt, 6 + 5 * place) for place, prompt in enumerate(prompts)]


@pytest.mark.parametrize("name", LAYERS)
def test_a_row_that_joins_says_what_it_says_alone(name: str, tmp_path: Path) -> None:
    base = load_base(architecture(name, tmp_path), method="lora", device="cpu")
    tokenizer = load_tokenizer(tmp_path)
    assert can_join(base)
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(5, 200, (size,), generator=generator).tolist() for size in (9, 40, 3, 120, 17)]
    asked = lengths(prompts)
    rows, streamed = live(asked, tokenizer)
    together = write(Writer(lambda: base, tokenizer), rows)
    alone = [_alone(base, tokenizer, one) for one in asked]
    assert [row.tokens for row in rows] == alone
    assert together == [streamed.get(place, "") for place in range(5)]


def test_a_window_of_attention_is_kept_to_whoever_joins(tmp_path: Path) -> None:
    from transformers import AutoConfig

    architecture("Mistral", tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    config.sliding_window = 12
    config.save_pretrained(tmp_path)
    base, tokenizer = load_base(tmp_path, method="lora", device="cpu"), load_tokenizer(tmp_path)
    assert can_join(base)
    generator = torch.Generator().manual_seed(2)
    prompts = [torch.randint(5, 200, (size,), generator=generator).tolist() for size in (30, 5, 60, 14, 8)]
    asked = lengths(prompts)
    rows, _ = live(asked, tokenizer)
    write(Writer(lambda: base, tokenizer), rows)
    assert [row.tokens for row in rows] == [_alone(base, tokenizer, one) for one in asked]


def test_adapters_and_seeds_stay_with_their_rows(tiny_model: TinyModel) -> None:
    shelf, tokenizer = _shelf(tiny_model)
    asked = [
        request(shelf, tokenizer, adapter, place, max_new_tokens=limit, sampling=sampling)
        for place, (adapter, limit, sampling) in enumerate(
            [
                (None, 12, Sampling()),
                ("formal", 20, Sampling(1.3, seed=4)),
                ("terse", 9, Sampling()),
                ("formal", 15, Sampling(0.8, 0.9, 20, seed=5)),
                (None, 8, Sampling(1.5, seed=6)),
            ]
        )
    ]
    rows, _ = live(asked, tokenizer)
    together = write(Writer(lambda: shelf.model, tokenizer), rows)
    assert together == [ask(shelf, tokenizer, [one])[0].text for one in asked]


def test_the_first_adapter_may_come_and_the_last_may_go_while_the_base_speaks(tiny_model: TinyModel) -> None:
    base = load_base(tiny_model.base, method="lora", device="cpu")
    shelf, tokenizer = AdapterShelf(base, str(tiny_model.base)), load_tokenizer(tiny_model.base)
    asked = request(shelf, tokenizer, None, max_new_tokens=30)
    expected = ask(shelf, tokenizer, [asked])[0].text
    (row,), _ = live([asked], tokenizer)
    writer = Writer(lambda: shelf.model, tokenizer)
    writer.join([row])
    for step in range(29):
        if step == 8:
            shelf.load("formal", tiny_model.adapters["formal"])
        if step == 20:
            shelf.remove("formal")
        writer.step()
    assert texts(results_of([row])) == [expected]


def test_dora_rows_are_written_beside_the_others(tiny_model: TinyModel) -> None:
    shelf, tokenizer = _shelf(tiny_model)
    shelf.load("dora", tiny_model.dora)
    asked = [request(shelf, tokenizer, name, max_new_tokens=10) for name in (None, "dora", "formal", "dora", None)]
    order: list[int] = []
    rows, _ = live(asked, tokenizer, lambda place, text: order.append(place))
    together = write(Writer(lambda: shelf.model, tokenizer), rows)
    assert together == [ask(shelf, tokenizer, [one])[0].text for one in asked]
    assert len(set(order[: len(order) // 2])) > 2  # nobody waits for the end of another


def test_a_model_with_a_state_is_written_in_closed_batches(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    from tests.worker.conftest import make_tokenizer

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "state_size": 4, "num_hidden_layers": 2}
    model = MambaForCausalLM(MambaConfig(**sizes, initializer_range=0.5)).eval()
    assert not can_join(model)
    writer = Writer(lambda: model, tokenizer)
    assert not writer.is_open
    rows, _ = live([RowRequest(None, [7, 9, 11], 6), RowRequest(None, [8, 9, 10], 9)], tokenizer)
    together = write(writer, rows, (0, 0))
    alone = [_alone(model, tokenizer, row.request) for row in rows]
    assert [row.tokens for row in rows] == alone and [len(row.tokens) for row in rows] == [6, 9]
    assert together[0]


def _shelf(tiny_model: TinyModel) -> tuple[AdapterShelf, Any]:
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    for name, folder in tiny_model.adapters.items():
        shelf.load(name, folder)
    return shelf, load_tokenizer(tiny_model.base)


def _alone(model: Any, tokenizer: Any, row: RowRequest) -> list[int]:
    """What transformers' own `generate` says."""
    with torch.no_grad():
        ids = model.generate(
            torch.tensor([row.prompt]),
            attention_mask=torch.ones(1, len(row.prompt), dtype=torch.long),
            max_new_tokens=row.max_new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
    said: list[int] = ids[0, len(row.prompt) :].tolist()
    return said[: said.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in said else said
