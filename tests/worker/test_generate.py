"""Batched answers on the tiny model: real weights, real PEFT, real bitsandbytes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.worker.adapters import AdapterShelf
from engine.worker.choosing import Chooser
from engine.worker.generate import answer_rows
from engine.worker.live_row import LiveRow
from engine.worker.loading import LoadError, context_tokens, count_linear4bit, load_base, load_tokenizer
from engine.worker.prompts import Prompts
from engine.worker.rows import PromptError, RowRequest, Sampling
from engine.worker.text_stream import TextStream
from tests.worker.asking import ask, live, request, requests, results_of, texts
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train


@pytest.fixture(scope="module", params=["lora", "qlora"])
def shelf(request: pytest.FixtureRequest, tiny_model: TinyModel) -> AdapterShelf:
    torch.set_num_threads(1)
    base = load_base(tiny_model.base, method=request.param, device="cpu")
    assert count_linear4bit(base) == (14 if request.param == "qlora" else 0)
    shelf = AdapterShelf(base, str(tiny_model.base))
    for name, folder in tiny_model.adapters.items():
        shelf.load(name, folder)
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


def test_a_batch_answers_as_each_row_alone(shelf: AdapterShelf, tokenizer: Any) -> None:
    rows = requests(shelf, tokenizer, [None, "formal", "terse", "formal", None])
    together = ask(shelf, tokenizer, rows)
    for place, row in enumerate(rows):
        (alone,) = ask(shelf, tokenizer, [row])
        assert (together[place].text, together[place].tokens) == (alone.text, alone.tokens)


def test_each_adapter_answers_in_its_own_way(plain: AdapterShelf, tokenizer: Any) -> None:
    rows = [request(plain, tokenizer, name) for name in (None, "formal", "terse")]
    assert len(set(texts(ask(plain, tokenizer, rows)))) == 3


def test_the_base_row_is_the_base_model_without_any_adapter(
    shelf: AdapterShelf, tokenizer: Any, tiny_model: TinyModel
) -> None:
    method = "qlora" if count_linear4bit(shelf.model) else "lora"
    alone = AdapterShelf(load_base(tiny_model.base, method=method, device="cpu"), "alone")
    rows = requests(shelf, tokenizer, [None, "formal"])
    assert ask(alone, tokenizer, rows[:1])[0].text == ask(shelf, tokenizer, rows)[0].text


def test_each_row_has_its_own_sampling_and_says_what_it_says_alone(plain: AdapterShelf, tokenizer: Any) -> None:
    kinds = [
        Sampling(1.0, 0.95, 50, seed=7),
        Sampling(),
        Sampling(2.0, seed=8),
        Sampling(1.0, 0.95, 50, seed=8),
        Sampling(0.7, 0.5, seed=7),
    ]
    rows = [request(plain, tokenizer, "formal", sampling=sampling) for sampling in kinds]
    together = texts(ask(plain, tokenizer, rows))
    assert together == [ask(plain, tokenizer, [row])[0].text for row in rows]
    assert len({together[0], together[1], together[2], together[3]}) == 4
    assert texts(ask(plain, tokenizer, rows)) == together


def test_rows_of_one_seed_have_the_same_luck(plain: AdapterShelf, tokenizer: Any) -> None:
    rows = requests(plain, tokenizer, ["formal", None], Sampling(1.5, seed=3))
    twice = [rows[0], rows[1], RowRequest("formal", rows[0].prompt, 16, Sampling(1.5, seed=3))]
    one, _, other = ask(plain, tokenizer, twice)
    assert one.text == other.text


def test_tokens_are_drawn_as_likely_as_the_model_says(tokenizer: Any) -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, float("-inf")]])
    (row,), _ = live([RowRequest(None, [1], 5000, Sampling(temperature=0.5, seed=3))], tokenizer)
    choose, prompt = Chooser([row]), torch.zeros(1, 1, dtype=torch.long)
    drawn = []
    for _ in range(4000):
        drawn.append(int(choose(prompt, logits.clone()).argmax(-1)))
        row.tokens.append(0)
    shares = torch.bincount(torch.tensor(drawn), minlength=4) / 4000
    assert torch.allclose(shares, torch.softmax(logits[0] / 0.5, -1), atol=0.03)


def test_top_k_one_is_greedy_at_any_temperature(plain: AdapterShelf, tokenizer: Any) -> None:
    hot = ask(plain, tokenizer, requests(plain, tokenizer, [None, "terse"], Sampling(4.0, top_k=1, seed=1)))
    assert texts(hot) == texts(ask(plain, tokenizer, requests(plain, tokenizer, [None, "terse"])))


def test_each_row_keeps_to_its_own_limit(plain: AdapterShelf, tokenizer: Any) -> None:
    rows = [request(plain, tokenizer, "formal", max_new_tokens=limit) for limit in (3, 20)]
    short, long = ask(plain, tokenizer, rows)
    assert (short.tokens, short.finish_reason, long.tokens) == (3, "length", 20)
    assert long.text.startswith(short.text) and long.prompt_tokens == len(rows[1].prompt)
    assert long.first_token_s is not None and long.tokens_per_s is not None and long.tokens_per_s > 0


def test_a_row_ends_at_its_end_token_and_the_others_go_on(
    plain: AdapterShelf, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = requests(plain, tokenizer, [None, "formal"])
    at_work, _ = live(rows, tokenizer)
    answer_rows(plain.model, tokenizer, at_work)
    base_ids, formal_ids = (row.tokens for row in at_work)
    before = texts(results_of(at_work))
    # A token that the base says early and the adapter never does becomes an end token.
    ending = next(token for token in base_ids[2:] if token not in formal_ids and token not in base_ids[:2])
    monkeypatch.setattr(plain.model.get_base_model().generation_config, "eos_token_id", [ending])
    monkeypatch.setattr(plain.model.generation_config, "eos_token_id", [ending])
    base, formal = ask(plain, tokenizer, rows)
    assert (base.finish_reason, base.tokens) == ("stop", base_ids.index(ending))
    assert before[0].startswith(base.text) and formal.text == before[1] and formal.finish_reason == "length"


def test_a_row_ends_at_its_own_stop_text_and_nothing_of_it_is_sent(plain: AdapterShelf, tokenizer: Any) -> None:
    whole = ask(plain, tokenizer, [request(plain, tokenizer, "formal")])[0].text
    stop = whole[4:7]
    rows = [request(plain, tokenizer, "formal", stop=(stop,)), request(plain, tokenizer, "formal")]
    stopped, other = ask(plain, tokenizer, rows)  # `ask` compares with what was streamed
    assert (stopped.text, stopped.finish_reason) == (whole[: whole.index(stop)], "stop")
    assert stopped.tokens < other.tokens and other.text == whole


def test_a_cancelled_row_ends_at_the_next_token_and_the_others_go_on(plain: AdapterShelf, tokenizer: Any) -> None:
    rows = [request(plain, tokenizer, name, max_new_tokens=40) for name in (None, "formal")]
    expected = ask(plain, tokenizer, rows)[1].text
    at_work: list[LiveRow] = []

    def on_text(place: int, text: str) -> None:
        if place == 0:
            at_work[0].cancel()

    at_work, _ = live(rows, tokenizer, on_text)
    answer_rows(plain.model, tokenizer, at_work)
    base, formal = results_of(at_work)
    assert base.finish_reason == "cancelled" and base.tokens < 10
    assert (formal.text, formal.finish_reason) == (expected, "length")


def test_a_batch_without_a_row_left_stops_at_once(plain: AdapterShelf, tokenizer: Any) -> None:
    steps = 0

    def on_text(place: int, text: str) -> None:
        for row in at_work:
            row.cancel()

    at_work, _ = live(
        [request(plain, tokenizer, name, max_new_tokens=200) for name in (None, "formal")], tokenizer, on_text
    )
    real = plain.model.get_base_model().forward

    def forward(*arguments: Any, **fields: Any) -> Any:
        nonlocal steps
        steps += 1
        return real(*arguments, **fields)

    plain.model.get_base_model().forward = forward
    try:
        answer_rows(plain.model, tokenizer, at_work)
    finally:
        del plain.model.get_base_model().forward
    assert {result.finish_reason for result in results_of(at_work)} == {"cancelled"}
    assert 0 < steps < 10
    cancelled, _ = live([request(plain, tokenizer, None)], tokenizer)
    cancelled[0].cancel()
    answer_rows(plain.model, tokenizer, cancelled)
    assert results_of(cancelled)[0].tokens == 0


def test_a_prompt_that_does_not_fit_says_by_how_much(plain: AdapterShelf, tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "zq" * 200}]
    with pytest.raises(PromptError) as caught:
        Prompts(tokenizer, context_tokens(plain.model)).chat(messages, None)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert f"too long by {len(tokenizer(text)['input_ids']) - 255} tokens" in str(caught.value)
    assert Prompts(tokenizer, 256).room([1] * 250, 100) == 6 and Prompts(tokenizer, None).room([1], 100) == 100


def test_a_prompt_is_written_by_the_template_that_is_named(tokenizer: Any) -> None:
    prompts = Prompts(tokenizer, None)
    messages = [{"role": "user", "content": "the way"}]
    assert prompts.chat(messages, "{{ messages[0]['content'] }}") == prompts.plain("the way")
    assert prompts.chat(messages, None) != prompts.plain("the way")
    with pytest.raises(PromptError, match="refuses this conversation"):
        prompts.chat(messages, "{{ raise_exception('no') }}")
    with pytest.raises(PromptError, match="empty"):
        prompts.plain("")


def test_a_dora_adapter_answers_on_its_own_and_leaves_the_others_alone(tiny_model: TinyModel, tokenizer: Any) -> None:
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    shelf.load("formal", tiny_model.adapters["formal"])
    rows = requests(shelf, tokenizer, [None, "formal"])
    before = texts(ask(shelf, tokenizer, rows))
    shelf.load("dora", tiny_model.dora)
    base, dora, formal = ask(shelf, tokenizer, [rows[0], request(shelf, tokenizer, "dora"), rows[1]])
    assert [base.text, formal.text] == before and dora.text not in before
    gone = request(shelf, tokenizer, "gone")
    assert [result.finish_reason for result in ask(shelf, tokenizer, [gone, rows[0]])] == ["error", "length"]


def test_adapters_come_and_go(tiny_model: TinyModel, tokenizer: Any) -> None:
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    base, formal = requests(shelf, tokenizer, [None])[0], request(shelf, tokenizer, "formal")
    plain = ask(shelf, tokenizer, [base])[0].text
    shelf.load("formal", tiny_model.adapters["formal"])
    said = ask(shelf, tokenizer, [formal])[0].text
    shelf.load("terse", tiny_model.adapters["terse"])
    shelf.remove("formal")
    assert shelf.names == ["terse"]
    shelf.remove("terse")
    assert ask(shelf, tokenizer, [base])[0].text == plain
    shelf.load("formal", tiny_model.adapters["formal"])
    assert ask(shelf, tokenizer, [formal])[0].text == said


def test_an_adapter_that_does_not_fit_leaves_the_base_as_it_was(
    tiny_model: TinyModel, tokenizer: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    source = tiny_model.adapters["formal"]
    (tmp_path / "adapter_config.json").write_text((source / "adapter_config.json").read_text())
    weights = load_file(source / "adapter_model.safetensors")
    save_file({name: torch.zeros(3, 3) for name in weights}, tmp_path / "adapter_model.safetensors")
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    rows = requests(shelf, tokenizer, [None])
    plain = ask(shelf, tokenizer, rows)
    with pytest.raises(LoadError, match="does not fit"):
        shelf.load("bad", tmp_path)
    assert shelf.names == [] and texts(ask(shelf, tokenizer, rows)) == texts(plain)
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
    after = TextStream(tokenizer, tokenizer("way")["input_ids"])
    assert "".join(after.push(token) for token in tokenizer(text)["input_ids"]) == text


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
    with pytest.raises(LoadError, match="Pickled"):
        AdapterShelf(None, "base").load("pickled", tmp_path)
