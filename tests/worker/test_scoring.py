"""Log-probabilities of given texts, held against the logits of one text at a time; and the tokens that are scored."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.worker import scoring
from engine.worker.adapters import AdapterShelf
from engine.worker.fitting import Fitting
from engine.worker.loading import load_base, load_tokenizer
from engine.worker.passages import Passages
from engine.worker.prompts import Prompts
from engine.worker.rows import PromptError
from engine.worker.scoring import Passage, Score, Scored, score_all
from tests.worker.architectures import architecture
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train

PASSAGES = [
    Passage([5, 9, 200, 31, 7], [3, 4]),
    Passage([5, 9, 200, 31, 7, 8, 100, 101, 102, 103, 40], [1, 2, 9, 10]),
    Passage([60, 61], [1]),
    Passage([60, 61, 62], []),
]


@pytest.fixture(scope="module")
def shelf(tiny_model: TinyModel) -> AdapterShelf:
    torch.set_num_threads(1)
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    for name, folder in (*tiny_model.adapters.items(), ("dora", tiny_model.dora)):
        shelf.load(name, folder)
    return shelf


@pytest.fixture(scope="module")
def passages(chat_model: Path) -> Passages:
    return Passages(Prompts(load_tokenizer(chat_model), 256), None, None)


def by_hand(model: Any, passage: Passage) -> Score:
    """One text alone, without padding, all of its logits."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(passage.ids)])).logits[0]  # (tokens, vocabulary)
    logs = logits.double().log_softmax(-1)
    nll = -sum(float(logs[place - 1, passage.ids[place]]) for place in passage.scored)
    correct = sum(int(logits[place - 1].argmax()) == passage.ids[place] for place in passage.scored)
    return Score(nll, len(passage.scored), correct)


def scores(model: Any, wanted: Sequence[tuple[str | None, Passage]], most: int = 16) -> list[Score | None]:
    found: dict[int, Score | None] = {}
    asked = [
        Scored(adapter, passage, partial(found.__setitem__, place)) for place, (adapter, passage) in enumerate(wanted)
    ]
    score_all(model, asked, Fitting(most))
    return [found[place] for place in range(len(wanted))]


def same(one: Score | None, other: Score) -> bool:
    return (
        one is not None
        and (one.tokens, one.correct) == (other.tokens, other.correct)
        and one.nll == pytest.approx(other.nll, rel=1e-5, abs=1e-6)
    )


def test_a_batch_of_base_and_adapters_scores_as_each_alone(shelf: AdapterShelf) -> None:
    wanted = [(adapter, passage) for adapter in (None, "formal", "dora", "terse") for passage in PASSAGES]
    for most in (16, 3, 1):
        for (adapter, passage), score in zip(wanted, scores(shelf.model, wanted, most), strict=True):
            if adapter is None:
                with shelf.model.disable_adapter():
                    alone = by_hand(shelf.model, passage)
            else:
                shelf.model.set_adapter(adapter)
                alone = by_hand(shelf.model, passage)
            assert same(score, alone), (adapter, passage)


@pytest.mark.parametrize("name", ["Llama", "Qwen3", "Gemma2", "Phi3", "GPT2"])
def test_other_architectures_score_as_each_text_alone(name: str, tmp_path: Path) -> None:
    model = load_base(architecture(name, tmp_path / "base"), method="lora", device="cpu")
    found = scores(model, [(None, passage) for passage in PASSAGES])
    assert all(same(score, by_hand(model, passage)) for score, passage in zip(found, PASSAGES, strict=True))


def test_no_more_logits_are_made_than_there_is_room_for(shelf: AdapterShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [(None, PASSAGES[1])] * 5
    whole = scores(shelf.model, wanted)
    vocabulary = shelf.model.get_output_embeddings().weight.shape[0]
    monkeypatch.setattr(scoring, "LOGITS_BYTES", 4 * vocabulary * PASSAGES[1].logits * 2)
    real, sizes = scoring.score, []

    def score(model: Any, batch: Sequence[Passage], names: Any = None) -> list[Score]:
        sizes.append(len(batch))
        return real(model, batch, names)

    monkeypatch.setattr(scoring, "score", score)
    assert [one and one.nll for one in scores(shelf.model, wanted)] == pytest.approx([one and one.nll for one in whole])
    assert sizes == [2, 2, 1]
    monkeypatch.setattr(scoring, "LOGITS_BYTES", 1)
    assert all(score is not None for score in scores(shelf.model, wanted))


def test_a_text_without_memory_has_no_score(shelf: AdapterShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    real = scoring.score

    def score(model: Any, batch: Sequence[Passage], names: Any = None) -> list[Score]:
        if len(batch[0].ids) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(model, batch, names)

    monkeypatch.setattr(scoring, "score", score)
    found = scores(shelf.model, [(None, passage) for passage in PASSAGES])
    assert [score is None for score in found] == [False, True, False, False]


def test_the_answer_and_the_end_of_its_turn_are_scored(passages: Passages, chat_model: Path) -> None:
    tokenizer = load_tokenizer(chat_model)
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "the way"},
        {"role": "user", "content": "two"},
    ]
    passage = passages.expected(messages, "the answer is on")
    assert tokenizer.decode([passage.ids[place] for place in passage.scored]) == "the answer is on<|im_end|>"
    choice = passages.choice(messages, "the answer is on")
    assert tokenizer.decode([choice.ids[place] for place in choice.scored]) == "the answer is on"
    question = passages.question(messages)
    assert list(passage.ids[: len(question)]) == question == list(choice.ids[: len(question)])


@pytest.mark.parametrize(("text", "answer"), [("the way to", "the answer"), ("the way to ", "the answer")])
def test_plain_text_goes_on_with_one_space(passages: Passages, chat_model: Path, text: str, answer: str) -> None:
    tokenizer = load_tokenizer(chat_model)
    passage = passages.choice([{"role": "text", "content": text}], answer)
    assert tokenizer.decode(passage.ids) == "the way to the answer"
    assert tokenizer.decode([passage.ids[place] for place in passage.scored]).strip() == "the answer"


def test_what_is_expected_is_cut_and_a_choice_is_not(chat_model: Path) -> None:
    messages = [{"role": "user", "content": "one"}]
    prompts = Prompts(load_tokenizer(chat_model), 40)
    whole = Passages(prompts, None, None).expected(messages, "zq" * 40)
    assert len(whole.ids) == 40 and max(whole.scored) == 39
    short = Passages(prompts, None, 30).expected(messages, "zq" * 40)
    assert short.ids == whole.ids[:30] and short.scored == [place for place in whole.scored if place < 30]
    beyond = Passages(prompts, None, 4).expected(messages, "zq")
    assert beyond.scored == [] and beyond.logits == 0
    with pytest.raises(PromptError, match="with a choice is too long by"):
        Passages(prompts, None, None).choice(messages, "zq" * 40)


def test_a_model_without_a_template_says_so(chat_model: Path) -> None:
    tokenizer = load_tokenizer(chat_model)
    tokenizer.chat_template = None
    bare = Passages(Prompts(tokenizer, 256), None, None)
    with pytest.raises(PromptError, match="no chat template"):
        bare.expected([{"role": "user", "content": "one"}], "two")
    assert bare.expected([], "the way").scored
