"""Batched answers on the tiny model: real weights, real PEFT, real bitsandbytes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.worker.adapters import AdapterShelf
from engine.worker.generate import _chooser, answer_batch
from engine.worker.loading import LoadError, count_linear4bit, load_base, load_tokenizer
from engine.worker.rows import PromptError, RowRequest, RowResult, Sampling
from engine.worker.text_stream import TextStream
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train

QUESTIONS = ("hi", "how is it on a long way there, my friend?", "ok")


@pytest.fixture(scope="module", params=["lora", "qlora"])
def shelf(request: pytest.FixtureRequest, tiny_model: TinyModel) -> AdapterShelf:
    torch.set_num_threads(1)
    base = load_base(tiny_model.base, method=request.param, device="cpu")
    assert count_linear4bit(base) == (14 if request.param == "qlora" else 0)
    shelf = AdapterShelf(base, str(tiny_model.base))
    for name, folder in tiny_model.adapters.items():
        assert shelf.load(name, folder) == []
    return shelf


@pytest.fixture(scope="module")
def plain(tiny_model: TinyModel) -> AdapterShelf:
    """Without quantisation, for what has nothing to do with it."""
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    for name, folder in tiny_model.adapters.items():
        shelf.load(name, folder)
    return shelf


@pytest.fixture(scope="module")
def tokenizer(tiny_model: TinyModel) -> Any:
    return load_tokenizer(tiny_model.base)


def ask(
    shelf: AdapterShelf, tokenizer: Any, rows: list[RowRequest], sampling: Sampling | None = None
) -> tuple[list[RowResult], dict[int, str]]:
    """The results, and what was streamed of each row."""
    streamed: dict[int, str] = {}

    def on_token(row: int, text: str) -> None:
        assert text
        streamed[row] = streamed.get(row, "") + text

    results = answer_batch(shelf.model, tokenizer, rows, sampling or Sampling(), on_token, lambda: False)
    return results, streamed


def rows_for(adapters: list[str | None], tokens: int = 16) -> list[RowRequest]:
    return [
        RowRequest(adapter, [{"role": "user", "content": QUESTIONS[place % 3]}], tokens)
        for place, adapter in enumerate(adapters)
    ]


def test_a_batch_answers_as_each_row_alone(shelf: AdapterShelf, tokenizer: Any) -> None:
    rows = rows_for([None, "formal", "terse", "formal", None])
    together, streamed = ask(shelf, tokenizer, rows)
    for place, row in enumerate(rows):
        (alone,), _ = ask(shelf, tokenizer, [row])
        assert (together[place].text, together[place].tokens) == (alone.text, alone.tokens)
        assert streamed[place] == alone.text


def test_each_adapter_answers_in_its_own_way(plain: AdapterShelf, tokenizer: Any) -> None:
    same = [{"role": "user", "content": "hi"}]
    results, _ = ask(plain, tokenizer, [RowRequest(name, same, 16) for name in (None, "formal", "terse")])
    assert len({result.text for result in results}) == 3


def test_the_base_row_is_the_base_model_without_any_adapter(
    shelf: AdapterShelf, tokenizer: Any, tiny_model: TinyModel
) -> None:
    method = "qlora" if count_linear4bit(shelf.model) else "lora"
    alone = AdapterShelf(load_base(tiny_model.base, method=method, device="cpu"), "alone")
    rows = rows_for([None])
    assert ask(alone, tokenizer, rows)[0][0].text == ask(shelf, tokenizer, rows_for([None, "formal"]))[0][0].text


def test_a_seed_gives_the_same_text_alone_and_in_a_batch(plain: AdapterShelf, tokenizer: Any) -> None:
    rows = rows_for(["formal", "terse"])
    sampling = Sampling(temperature=1.0, top_p=0.95, top_k=50, seed=7)
    together, _ = ask(plain, tokenizer, rows, sampling)
    (alone,), _ = ask(plain, tokenizer, [rows[1]], sampling)
    assert alone.text == together[1].text
    assert ask(plain, tokenizer, rows, Sampling(1.0, 0.95, 50, seed=8))[0][1].text != alone.text
    assert ask(plain, tokenizer, rows)[0][1].text != alone.text


def test_tokens_are_drawn_as_likely_as_the_model_says() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, float("-inf")]])
    choose, prompt = _chooser(Sampling(temperature=0.5, seed=3), 1), torch.zeros(1, 1, dtype=torch.long)
    drawn = torch.stack([choose(prompt, logits).argmax(-1) for _ in range(4000)])
    shares = torch.bincount(drawn.flatten(), minlength=4) / 4000
    assert torch.allclose(shares, torch.softmax(logits[0] / 0.5, -1), atol=0.03)


def test_top_k_one_is_greedy_at_any_temperature(plain: AdapterShelf, tokenizer: Any) -> None:
    rows = rows_for([None, "terse"])
    hot, _ = ask(plain, tokenizer, rows, Sampling(temperature=4.0, top_k=1, seed=1))
    assert [result.text for result in hot] == [result.text for result in ask(plain, tokenizer, rows)[0]]


def test_each_row_keeps_to_its_own_limit(plain: AdapterShelf, tokenizer: Any) -> None:
    rows = [RowRequest("formal", [{"role": "user", "content": "hi"}], limit) for limit in (3, 20)]
    short, long = ask(plain, tokenizer, rows)[0]
    assert (short.tokens, short.finish_reason, long.tokens) == (3, "length", 20)
    assert long.text.startswith(short.text)
    assert long.first_token_s is not None and long.tokens_per_s is not None and long.tokens_per_s > 0


def test_a_row_ends_at_its_end_token_and_the_others_go_on(
    plain: AdapterShelf, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_for([None, "formal"])
    ids: list[list[int]] = [[], []]
    before = [result.text for result in ask(plain, tokenizer, rows)[0]]

    real = TextStream.push

    def spy(self: TextStream, token: int) -> str:
        ids[streams.setdefault(id(self), len(streams))].append(token)
        return real(self, token)

    streams: dict[int, int] = {}
    monkeypatch.setattr(TextStream, "push", spy)
    ask(plain, tokenizer, rows)
    # A token that the base says early and the adapter never does becomes an end token.
    ending = next(token for token in ids[0][2:] if token not in ids[1] and token not in ids[0][:2])
    stops_after = ids[0].index(ending)
    monkeypatch.setattr(TextStream, "push", real)
    monkeypatch.setattr(plain.model.get_base_model().generation_config, "eos_token_id", [ending])
    monkeypatch.setattr(plain.model.generation_config, "eos_token_id", [ending])
    base, formal = ask(plain, tokenizer, rows)[0]
    assert (base.finish_reason, base.tokens) == ("stop", stops_after)
    assert before[0].startswith(base.text) and formal.text == before[1] and formal.finish_reason == "length"


def test_cancelling_ends_every_row(plain: AdapterShelf, tokenizer: Any) -> None:
    seen = 0

    def on_token(row: int, text: str) -> None:
        nonlocal seen
        seen += 1

    results = answer_batch(
        plain.model, tokenizer, rows_for([None, "formal"], 200), Sampling(), on_token, lambda: seen > 4
    )
    assert {result.finish_reason for result in results} == {"cancelled"}
    assert all(0 < result.tokens < 20 for result in results)


def test_a_prompt_that_does_not_fit_says_by_how_much(plain: AdapterShelf, tokenizer: Any) -> None:
    long = [RowRequest(None, [{"role": "user", "content": "zq" * 200}])]
    with pytest.raises(PromptError) as caught:
        ask(plain, tokenizer, long)
    text = tokenizer.apply_chat_template(long[0].messages, tokenize=False, add_generation_prompt=True)
    assert f"too long by {len(tokenizer(text)['input_ids']) - 255} tokens" in str(caught.value)


def test_a_dora_adapter_answers_on_its_own_and_leaves_the_others_alone(tiny_model: TinyModel, tokenizer: Any) -> None:
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    shelf.load("formal", tiny_model.adapters["formal"])
    rows = rows_for([None, "formal"])
    before = [result.text for result in ask(shelf, tokenizer, rows)[0]]
    shelf.load("dora", tiny_model.dora)
    base, dora, formal = ask(shelf, tokenizer, [rows[0], RowRequest("dora", rows[0].messages, 16), rows[1]])[0]
    assert [base.text, formal.text] == before and dora.text not in before


def test_adapters_come_and_go(tiny_model: TinyModel, tokenizer: Any) -> None:
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), "another-model")
    rows = rows_for([None])
    plain = ask(shelf, tokenizer, rows)[0][0].text
    warnings = shelf.load("formal", tiny_model.adapters["formal"])
    assert len(warnings) == 1 and "another-model" in warnings[0]
    said = ask(shelf, tokenizer, [RowRequest("formal", rows[0].messages, 16)])[0][0].text
    shelf.load("terse", tiny_model.adapters["terse"])
    shelf.remove("formal")
    assert shelf.names == ["terse"]
    shelf.remove("terse")
    assert ask(shelf, tokenizer, rows)[0][0].text == plain
    shelf.load("formal", tiny_model.adapters["formal"])
    assert ask(shelf, tokenizer, [RowRequest("formal", rows[0].messages, 16)])[0][0].text == said


def test_an_adapter_that_does_not_fit_leaves_the_base_as_it_was(
    tiny_model: TinyModel, tokenizer: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    source = tiny_model.adapters["formal"]
    (tmp_path / "adapter_config.json").write_text((source / "adapter_config.json").read_text())
    weights = load_file(source / "adapter_model.safetensors")
    save_file({name: torch.zeros(3, 3) for name in weights}, tmp_path / "adapter_model.safetensors")
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    plain = ask(shelf, tokenizer, rows_for([None]))[0][0].text
    with pytest.raises(LoadError, match="does not fit"):
        shelf.load("bad", tmp_path)
    assert shelf.names == [] and ask(shelf, tokenizer, rows_for([None]))[0][0].text == plain
    shelf.load("bad", source)


@pytest.mark.parametrize(
    "text", ["plain words, two  spaces", "🙂👩‍💻 über 🎉", "日本語と emoji ⚙️ → 🔑", " leading and trailing "]
)
def test_text_arrives_whole_and_never_with_half_a_character(tokenizer: Any, text: str) -> None:
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer(text)["input_ids"]]
    assert "".join(pieces) == stream.text == text
    assert not any("�" in piece for piece in pieces)
    cut = TextStream(tokenizer)
    for token in tokenizer("ok 🙂")["input_ids"][:-1]:
        cut.push(token)
    assert cut.text == "ok "


def test_folders_that_are_no_models_are_refused_in_words(tiny_model: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="not a model folder"):
        load_base(tmp_path, device="cpu")
    with pytest.raises(LoadError, match="There is no folder"):
        load_tokenizer(tmp_path / "nothing")
    (tmp_path / "config.json").write_text((tiny_model.base / "config.json").read_text())
    with pytest.raises(LoadError, match="no weights"):
        load_base(tmp_path, device="cpu")
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(LoadError, match="Pickled weights"):
        load_base(tmp_path, device="cpu")


def test_code_that_comes_with_a_model_is_not_run_unasked(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "modeling_own.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    auto_map = {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnModel"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": auto_map}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    for load in (load_base, load_tokenizer):
        with pytest.raises(LoadError, match="needs code that comes with the model"):
            load(tmp_path)
    assert not ran.exists()


def test_a_hub_model_without_a_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for load in (load_base, load_tokenizer):
        with pytest.raises(LoadError) as caught:
            load("nobody/has-this-model")
        assert "not in the cache" in str(caught.value) and "HF_HOME" in caught.value.fix


def test_pickled_adapters_are_refused(tiny_model: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text((tiny_model.dora / "adapter_config.json").read_text())
    torch.save({}, tmp_path / "adapter_model.bin")
    shelf = AdapterShelf(None, "base")
    with pytest.raises(LoadError, match="Pickled"):
        shelf._check(tmp_path)
