"""How fast rows are evaluated: answers in batches against a loop of single `generate` calls, and the same figures.

`python -m benchmarks.evaluation [--rows 200] [--tokens 48] [--rounds 3]`. The base is a small model of 27 million
parameters, trained for a minute and then kept from ending an answer, with an adapter of rank 16 whose weights are drawn
at random. Both sides are whole processes, from their start to their end, and take turns. Texts are greedy; BLEU,
ROUGE-L and exact match of the loop's are counted by sacrebleu and rouge-score themselves. Another whole process scores
as well, the base beside.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.base_models import SAMPLES, make_base
from benchmarks.machine import compare, record
from engine.runs.rundir import read_json, write_json

LIMITS: dict[str, float] = {"evaluation_ratio": 3.0, "same_texts": 1.0, "metric_difference": 0.0}
AT_LEAST = {"evaluation_ratio", "same_texts"}
STEPS = 40
BATCH_ROWS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=48, help="at most, of an answer")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = never_ending(make_base(folder / "base", "small", STEPS))
        adapter = make_adapter(base, folder / "adapter")
        figures = measure(folder, base, adapter, sample_rows(options.rows), options.tokens, options.rounds)
    missed = compare(figures, LIMITS, AT_LEAST)
    record("evaluation", figures | {"limits": LIMITS})
    print("missed: " + ", ".join(missed) if missed else "every limit is met")


def measure(
    folder: Path, base: Path, adapter: Path, rows: Sequence[dict[str, Any]], tokens: int, rounds: int
) -> dict[str, Any]:
    """Both sides in turn; medians of their seconds, and what they found."""
    loops, batches = [], []
    for number in range(rounds):
        loops.append(_loop(folder / f"loop{number}.json", base, adapter, rows, tokens))
        batches.append(_evaluation(folder / f"batch{number}", base, adapter, rows, tokens))
    full = _evaluation(folder / "full", base, adapter, rows, tokens, full=True)
    loop_s, batch_s = (statistics.median(one["seconds"] for one in side) for side in (loops, batches))
    mine, theirs = batches[0]["answers"], loops[0]["answers"]
    same = sum(one["text"] == other["text"] for one, other in zip(mine, theirs, strict=True))
    expected = [row["expected"] for row in rows]
    ours = _figures(mine, expected)
    reference = _reference([one["text"] for one in theirs], expected)
    return {
        "rows": len(rows),
        "answer_tokens": round(statistics.mean(one["tokens"] for one in mine), 1),
        "loop_s": round(loop_s, 1),
        "evaluation_s": round(batch_s, 1),
        "evaluation_ratio": round(loop_s / batch_s, 2),
        "loop_generate_s": round(statistics.median(one["generate_s"] for one in loops), 1),
        "with_scores_and_base_s": round(full["seconds"], 1),
        "same_texts": same / len(rows),
        **ours,
        "metric_difference": max(abs(ours[name] - reference[name]) for name in ours),
    }


def never_ending(base: Path) -> Path:
    """Takes from the model in `base` the tokens that end an answer: its scores of them become 0."""
    code = (
        "import sys\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "from engine.worker.generate import end_tokens\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "ends = end_tokens(model, AutoTokenizer.from_pretrained(sys.argv[1]))\n"
        "model.get_output_embeddings().weight.data[ends] = 0\n"
        "model.save_pretrained(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(base)], check=True, stdout=subprocess.DEVNULL)
    return base


def sample_rows(count: int) -> list[dict[str, Any]]:
    """Questions and answers of the sample datasets, as rows of an evaluation."""
    found: list[dict[str, Any]] = []
    for path in (SAMPLES / "support.jsonl", SAMPLES / "emoji.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            *before, last = json.loads(line)["messages"]
            if last["role"] == "assistant" and len(found) < count:
                found.append({"row": len(found), "messages": before, "expected": last["content"]})
    return found


def make_adapter(base: Path, folder: Path) -> Path:
    """A LoRA adapter of rank 16 on every linear layer, its weights drawn at random and small."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", init_lora_weights=False))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.mul_(0.1)
    adapted.save_pretrained(str(folder))
    return folder


def _loop(out: Path, base: Path, adapter: Path, rows: Sequence[dict[str, Any]], tokens: int) -> dict[str, Any]:
    settings = out.with_suffix(".settings.json")
    questions = [row["messages"] for row in rows]
    asked = {"base": str(base), "adapter": str(adapter), "questions": questions, "out": str(out)}
    write_json(settings, asked | {"max_new_tokens": tokens})
    seconds = _run([sys.executable, "-m", "benchmarks.evaluation_loop", str(settings)])
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found | {"seconds": seconds}


def _evaluation(
    folder: Path,
    base: Path,
    adapter: Path,
    rows: Sequence[dict[str, Any]],
    tokens: int,
    *,
    full: bool = False,
) -> dict[str, Any]:
    """The adapter's answers; in `full` the expected ones are scored, too, and the base is measured beside it."""
    folder.mkdir()
    models = [
        {"label": label, "base": str(base), "method": "lora", "precision": "auto", "adapter": path}
        for label, path in (("adapter", str(adapter)), *([("base", None)] if full else []))
    ]
    sampling = {"max_new_tokens": tokens, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "seed": 0}
    spec = {"v": 1, "id": folder.name, "kind": "split", "models": models, "sampling": sampling}
    write_json(folder / "spec.json", spec | {"batch_rows": BATCH_ROWS, "generate": True, "score": full})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    seconds = _run([sys.executable, "-m", "engine.worker.evaluate", str(folder)])
    ending = read_json(folder / "end.json")
    if ending is None or ending["reason"]:
        raise RuntimeError(f"the evaluation ended: {ending}")
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").split("\n") if line]
    answers = sorted((line for line in lines if line["model"] == 0), key=lambda line: int(line["row"]))
    return {"seconds": seconds, "answers": answers}


def _run(argv: list[str]) -> float:
    """Seconds of the whole process."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def _figures(answers: Sequence[dict[str, Any]], expected: Sequence[str]) -> dict[str, float]:
    """As `finetui eval` counts them."""
    from engine.evaluation.measures import Answered, measure
    from engine.evaluation.token_counter import TokenCounter
    from engine.tokens.chunk import byte_count

    names = ("bleu", "rouge_l", "exact_match")
    rows = [
        Answered(number, expected=wanted, text=answer["text"], tokens=answer["tokens"])
        for number, (answer, wanted) in enumerate(zip(answers, expected, strict=True))
    ]
    found = measure(rows, None, TokenCounter("bytes", byte_count), names=names)
    return {one.metric: one.value for one in found}


def _reference(texts: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
    """By the packages themselves."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU

    scorer = RougeScorer(["rougeL"])
    scores = [scorer.score(wanted, text)["rougeL"].fmeasure for text, wanted in zip(texts, expected, strict=True)]
    return {
        "bleu": BLEU(force=True).corpus_score(list(texts), [list(expected)]).score,
        "rouge_l": sum(scores) / len(scores),
        "exact_match": sum(text.split() == wanted.split() for text, wanted in zip(texts, expected, strict=True))
        / len(texts),
    }


if __name__ == "__main__":
    main()
