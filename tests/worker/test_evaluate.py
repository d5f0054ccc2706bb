"""The measuring process on the tiny model: real weights, real PEFT, real bitsandbytes, real trainer beside it."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.runs.rundir import read_json, write_json
from engine.worker import evaluate, fitting, generate, measuring
from engine.worker.adapters import AdapterShelf
from engine.worker.loading import load_base, load_tokenizer
from tests.worker.asking import ask, request
from tests.worker.builds import built
from tests.worker.conftest import TinyModel
from tests.worker.evaluations import GREEDY, answers, ending, make_evaluation, model, row
from tests.worker.runs import conversation, make_run

pytestmark = pytest.mark.train

ROWS = [row(f"question {n} about" + " the way" * (n * 5 % 7), f"the answer is {n}") for n in range(9)]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The process hears SIGTERM; the tests' own is put back."""
    torch.set_num_threads(1)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_base_and_adapters_are_measured_on_every_row(tiny_model: TinyModel, chat_model: Path, tmp_path: Path) -> None:
    models = [model(chat_model), *(model(chat_model, folder) for folder in tiny_model.adapters.values())]
    folder = make_evaluation(tmp_path / "e", models, ROWS, batch_rows=4)
    assert evaluate.main(str(folder)) == 0
    found = answers(folder)
    assert set(found) == {(number, place) for number in range(9) for place in range(3)}
    assert not any(line["error"] for line in found.values())
    assert ending(folder) == ("", "")
    progress = read_json(folder / "progress.json")
    assert progress is not None and (progress["done"], progress["total"]) == (27, 27)
    assert progress["t"] >= progress["began"]
    for line in found.values():
        assert 0 < line["tokens"] <= 12 and line["finish_reason"] in ("length", "stop")
        assert line["nll"] > 0 and line["scored_tokens"] > line["correct_tokens"] >= 0
        assert line["first_token_s"] > 0
    assert len({found[0, place]["text"] for place in range(3)}) == 3
    assert len({found[0, place]["nll"] for place in range(3)}) == 3


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_greedy_answer_is_the_one_that_is_given_alone(tiny_model: TinyModel, tmp_path: Path, method: str) -> None:
    adapter = tiny_model.adapters["formal"]
    models = [model(tiny_model.base, method=method), model(tiny_model.base, adapter, method)]
    folder = make_evaluation(tmp_path / "e", models, ROWS[:5], score=False)
    assert evaluate.main(str(folder)) == 0
    found = answers(folder)
    shelf = AdapterShelf(load_base(tiny_model.base, method=method, device="cpu"), str(tiny_model.base))
    shelf.load("formal", adapter)
    tokenizer = load_tokenizer(tiny_model.base)
    for number, asked in enumerate(ROWS[:5]):
        prompt = tokenizer.apply_chat_template(asked["messages"], tokenize=False, add_generation_prompt=True)
        for place, name in enumerate((None, "formal")):
            alone = request(shelf, tokenizer, name, max_new_tokens=12)
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            said = ask(shelf, tokenizer, [type(alone)(name, ids, 12)])[0]
            line = found[number, place]
            assert (line["text"], line["tokens"], line["nll"]) == (said.text, said.tokens, None)


def test_perplexity_is_that_of_the_trainer(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", chat_model, method="lora", rows=14, validation=6)
    trainer = built(run).trainer
    trainer.model.eval()
    loss = trainer.evaluate()["eval_loss"]
    rows = []
    for number in range(8, 14):
        question, answer = conversation(number)
        rows.append(row(question["content"], answer["content"]))
    folder = make_evaluation(tmp_path / "e", [model(chat_model)], rows, generate=False, max_length=128)
    assert evaluate.main(str(folder)) == 0
    found = answers(folder).values()
    mine = sum(line["nll"] for line in found) / sum(line["scored_tokens"] for line in found)
    assert mine == pytest.approx(loss, rel=1e-5)
    assert {line["text"] for line in found} == {None}


def test_a_template_that_marks_nothing_is_scored_alike(tiny_model: TinyModel, chat_model: Path, tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "e", [model(chat_model), model(tiny_model.base)], ROWS[:2], generate=False)
    assert evaluate.main(str(folder)) == 0
    found = answers(folder)
    assert found[0, 0]["nll"] == pytest.approx(found[0, 1]["nll"], rel=1e-6)
    assert found[0, 0]["scored_tokens"] == found[0, 1]["scored_tokens"]


def test_an_adapter_is_read_by_the_template_that_it_was_trained_with(
    tiny_model: TinyModel, chat_model: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for file in tiny_model.adapters["formal"].iterdir():
        (adapter / file.name).symlink_to(file)
    (adapter / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m['role'] }}: {% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
        "<|im_end|>{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    models = [model(chat_model, tiny_model.adapters["formal"]), model(chat_model, adapter, label="other template")]
    folder = make_evaluation(tmp_path / "e", models, ROWS[:1])
    assert evaluate.main(str(folder)) == 0
    found = answers(folder)
    assert found[0, 0]["nll"] != pytest.approx(found[0, 1]["nll"], rel=1e-3)
    assert found[0, 0]["text"] != found[0, 1]["text"]


def test_merged_and_dora_models_are_measured_beside_the_base(
    tiny_model: TinyModel, chat_model: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(chat_model)
    merged = tmp_path / "merged"
    PeftModel.from_pretrained(base, str(tiny_model.adapters["formal"])).merge_and_unload().save_pretrained(merged)
    load_tokenizer(chat_model).save_pretrained(merged)
    models = [
        model(chat_model),
        model(chat_model, tiny_model.adapters["formal"]),
        model(chat_model, tiny_model.dora),
        model(merged, method="full"),
    ]
    folder = make_evaluation(tmp_path / "e", models, ROWS[:4])
    assert evaluate.main(str(folder)) == 0
    found = answers(folder)
    for number in range(4):
        lines = [found[number, place] for place in range(4)]
        assert lines[3]["nll"] == pytest.approx(lines[1]["nll"], rel=1e-4)
        assert lines[3]["text"] == lines[1]["text"]
        assert len({line["nll"] for line in lines[:3]}) == 3


def test_choices_are_scored_and_nothing_is_written(tiny_model: TinyModel, chat_model: Path, tmp_path: Path) -> None:
    choices = ["the way", "way", "the answer is on its way"]
    rows = [
        row("which?", choices=choices, answer=1),
        {**row("", choices=choices, answer=2), "messages": [{"role": "text", "content": "the way to"}]},
    ]
    models = [model(chat_model), model(chat_model, tiny_model.adapters["formal"])]
    folder = make_evaluation(tmp_path / "e", models, rows)
    assert evaluate.main(str(folder)) == 0
    found = answers(folder)
    for line in found.values():
        assert not line["error"] and (line["text"], line["nll"]) == (None, None)
        assert len(line["choice_nll"]) == len(line["choice_tokens"]) == 3
        assert line["choice_tokens"][1] < line["choice_tokens"][0] < line["choice_tokens"][2]
    # by hand: the log-softmax at each place of the first choice
    tokenizer, base = load_tokenizer(chat_model), load_base(chat_model, method="lora", device="cpu")
    prompt = tokenizer.apply_chat_template(rows[0]["messages"], tokenize=False, add_generation_prompt=True)
    before, after = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, choices[0]))
    with torch.no_grad():
        logs = base(torch.tensor([before + after])).logits[0].log_softmax(-1)
    said = -sum(float(logs[len(before) + place - 1, token]) for place, token in enumerate(after))
    assert found[0, 0]["choice_nll"][0] == pytest.approx(said, rel=1e-5)
    assert found[0, 0]["choice_tokens"][0] == len(after)


def test_plain_text_is_scored_and_gone_on_with(chat_model: Path, tmp_path: Path) -> None:
    rows = [
        {**row("", "the answer is on its way"), "messages": []},
        {**row("", "its way"), "messages": [{"role": "text", "content": "the answer is on"}]},
    ]
    folder = make_evaluation(tmp_path / "e", [model(chat_model)], rows)
    assert evaluate.main(str(folder)) == 0
    whole, rest = answers(folder)[0, 0], answers(folder)[1, 0]
    tokenizer = load_tokenizer(chat_model)
    assert whole["scored_tokens"] == len(tokenizer("the answer is on its way")["input_ids"])  # the end, not the first
    assert whole["text"] is None and whole["nll"] > 0
    assert rest["scored_tokens"] == len(tokenizer(" its way")["input_ids"]) and rest["text"]


def test_what_is_too_long_is_said_of_its_row(chat_model: Path, tmp_path: Path) -> None:
    rows = [ROWS[0], row("zq" * 300, "no"), ROWS[1]]
    folder = make_evaluation(tmp_path / "e", [model(chat_model)], rows, max_length=300)
    assert evaluate.main(str(folder)) == 0
    found = answers(folder)
    assert "too long by" in found[1, 0]["error"] and found[1, 0]["nll"] is None
    assert not found[0, 0]["error"] and not found[2, 0]["error"]
    tokenizer = load_tokenizer(chat_model)
    turns = [*ROWS[0]["messages"], {"role": "assistant", "content": ROWS[0]["expected"]}]
    whole = len(tokenizer(tokenizer.apply_chat_template(turns, tokenize=False))["input_ids"])
    cut = make_evaluation(tmp_path / "cut", [model(chat_model)], ROWS[:1], generate=False, max_length=whole - 4)
    assert evaluate.main(str(cut)) == 0
    # three tokens of the answer are beyond it, and the new line after its turn
    assert answers(cut)[0, 0]["scored_tokens"] == found[0, 0]["scored_tokens"] - 3


def test_rows_that_are_there_are_not_done_again(chat_model: Path, tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "e", [model(chat_model)], ROWS[:3])
    assert evaluate.main(str(folder)) == 0
    whole = answers(folder)
    lines = (folder / "answers.jsonl").read_bytes().splitlines(keepends=True)
    kept = json.loads(lines[1]) | {"text": "as it was"}
    # a line of no sense, and one that was cut off by the end of its process
    (folder / "answers.jsonl").write_bytes(json.dumps(kept).encode() + b"\nnonsense\n" + lines[0][:40])
    assert evaluate.main(str(folder)) == 0
    text = (folder / "answers.jsonl").read_text().splitlines()
    found = {json.loads(line)["row"]: json.loads(line) for line in text if line != "nonsense"}
    assert len(text) == 4 and len(found) == 3
    assert found[kept["row"]]["text"] == "as it was"
    assert all(found[row]["text"] == whole[row, 0]["text"] for row in found if row != kept["row"])


@pytest.mark.long  # that what was measured is not measured again is tested above, without the kill
def test_a_process_that_was_killed_is_gone_on_from(chat_model: Path, tmp_path: Path) -> None:
    long = GREEDY | {"max_new_tokens": 60}
    folder = make_evaluation(tmp_path / "e", [model(chat_model)], ROWS, batch_rows=1, sampling=long)
    process = subprocess.Popen([sys.executable, "-m", "engine.worker.evaluate", str(folder)])
    try:
        path = folder / "answers.jsonl"
        until = time.monotonic() + 180
        while not (path.exists() and path.stat().st_size) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        progress = read_json(folder / "progress.json")
        assert progress is not None and progress["total"] == 9
    finally:
        process.kill()
        process.wait()
    assert not (folder / "end.json").exists()
    before = path.read_bytes()
    assert evaluate.main(str(folder)) == 0
    assert path.read_bytes().startswith(before[: before.rindex(b"\n") + 1])
    assert len(answers(folder)) == 9 and ending(folder) == ("", "")


def test_a_stop_cancels_what_is_being_written(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_evaluation(tmp_path / "e", [model(chat_model)], ROWS, batch_rows=2)
    real, calls, cancelled = generate.answer_rows, [], threading.Event()

    def cancel(real: Callable[[], None]) -> None:
        real()
        cancelled.set()

    def answer_rows(loaded: Any, tokenizer: Any, rows: Any) -> None:
        calls.append(len(rows))
        if len(calls) == 2:
            monkeypatch.setattr(rows[1], "cancel", partial(cancel, rows[1].cancel))
            os.kill(os.getpid(), signal.SIGTERM)
            assert cancelled.wait(5)
        real(loaded, tokenizer, rows)

    monkeypatch.setattr(measuring, "answer_rows", answer_rows)
    assert evaluate.main(str(folder)) == 0
    assert ending(folder) == ("It was stopped.", "stopped")
    assert len(answers(folder)) == 2 and calls == [2, 2]
    monkeypatch.setattr(measuring, "answer_rows", real)
    assert evaluate.main(str(folder)) == 0
    assert len(answers(folder)) == 9 and ending(folder) == ("", "")


def test_a_batch_that_does_not_fit_is_halved(chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_evaluation(tmp_path / "e", [model(chat_model)], ROWS)
    real, sizes = generate.answer_rows, []

    def answer_rows(loaded: Any, tokenizer: Any, rows: Any) -> None:
        sizes.append(len(rows))
        if len(rows) > 2 or rows[0].request.prompt == longest:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        real(loaded, tokenizer, rows)

    tokenizer = load_tokenizer(chat_model)
    texts = [tokenizer.apply_chat_template(one["messages"], tokenize=False, add_generation_prompt=True) for one in ROWS]
    longest = max((tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts), key=len)
    monkeypatch.setattr(measuring, "answer_rows", answer_rows)
    assert evaluate.main(str(folder)) == 0
    assert sizes[:4] == [9, 4, 2, 1]
    found = answers(folder)
    failed = [line for line in found.values() if line["error"]]
    assert len(found) == 9 and len(failed) == 1 and "not enough memory" in failed[0]["error"]


def test_a_text_that_does_not_fit_alone_leaves_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    given_up: list[int] = []
    at_once = fitting.Fitting(4)

    def work(batch: Any) -> None:
        if len(batch) > 3 or 9 in batch:
            raise MemoryError
        done.extend(batch)

    at_once.run([1, 2, 3, 9, 4], work, given_up.append)
    assert (done, given_up, at_once.most) == ([1, 2, 3, 4], [9], 1)
    at_once = fitting.Fitting(4)
    at_once.run([9, 1, 2, 3], work, given_up.append, fits=lambda batch: 1 if 9 in batch else 3)
    assert at_once.most == 4
    with pytest.raises(ValueError, match="another"):
        at_once.run([1], lambda _: (_ for _ in ()).throw(ValueError("another")), given_up.append)


def test_rows_have_luck_of_their_own_and_models_the_same(chat_model: Path, tmp_path: Path) -> None:
    hot = GREEDY | {"temperature": 1.0, "seed": 3}
    rows = [row("the same question") for _ in range(3)]
    for name in ("one", "two"):
        folder = make_evaluation(tmp_path / name, [model(chat_model), model(chat_model)], rows, sampling=hot)
        assert evaluate.main(str(folder)) == 0
    one, two = answers(tmp_path / "one"), answers(tmp_path / "two")
    assert {place: line["text"] for place, line in one.items()} == {place: line["text"] for place, line in two.items()}
    assert len({one[number, 0]["text"] for number in range(3)}) == 3
    assert all(one[number, 0]["text"] == one[number, 1]["text"] for number in range(3))


def test_weights_that_are_no_numbers_are_said(chat_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for file in chat_model.iterdir():
        (spoilt / file.name).write_bytes(file.read_bytes())
    weights = load_file(spoilt / "model.safetensors")
    weights["lm_head.weight"] = torch.full_like(weights["lm_head.weight"], math.nan)
    save_file(weights, spoilt / "model.safetensors", metadata={"format": "pt"})
    folder = make_evaluation(tmp_path / "e", [model(spoilt)], ROWS[:1], generate=False)
    assert evaluate.main(str(folder)) == 0
    line = answers(folder)[0, 0]
    assert line["nll"] is None and "no numbers" in line["error"]


def test_what_cannot_be_done_ends_with_a_reason(tiny_model: TinyModel, chat_model: Path, tmp_path: Path) -> None:
    gone = make_evaluation(tmp_path / "gone", [model(chat_model), model(chat_model, tmp_path / "none")], ROWS[:1])
    assert evaluate.main(str(gone)) == 1
    reason, code = ending(gone)
    assert code == "model" and reason.startswith("The adapter of none is gone:") and "put its folder back" in reason
    assert not answers(gone)
    absent = make_evaluation(tmp_path / "absent", [model(tmp_path / "nowhere")], ROWS[:1])
    assert evaluate.main(str(absent)) == 1
    assert "There is no folder" in ending(absent)[0]
    write_json(absent / "spec.json", {"models": []})
    assert evaluate.main(str(absent)) == 1
    assert ending(absent)[1] == "inputs"


def test_two_processes_do_not_measure_the_same(chat_model: Path, tmp_path: Path) -> None:
    from engine.worker.evaluation_folder import AnswerLog

    folder = make_evaluation(tmp_path / "e", [model(chat_model)], ROWS[:1])
    other = AnswerLog(folder)
    assert evaluate.main(str(folder)) == 1
    assert "already" in ending(folder)[0]
    other.close()
    assert evaluate.main(str(folder)) == 0
