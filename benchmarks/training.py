"""finetui's own plan against a training script with a widespread guide's settings: `python -m benchmarks.training`.

The same base model, the same rows, the same effective batch of 16, one after the other on an otherwise idle machine.
Compared are real (not padding) tokens per second, the validation loss by one measure for both, and the time from launch
to the end of the first step. finetui's side is a run like any other: launched into a home, planned by the planner
(everything `auto`), rehearsed, supervised, logged, its checkpoints saved.

Lengths are as skewed as those of real chat (log-normal, median about 55 words, a long tail), then nearly uniform. On a
GPU the base has the shape of a real model of 1.5 billion parameters, and peak memory and MFU are reported as well.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.base_models import SHAPES
from benchmarks.conversations import sample_text
from benchmarks.machine import record
from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir
from store import open_store

LIMITS = {"skewed": 2.5, "uniform": 1.2}
GPU_LIMITS = {"skewed": 3.0, "uniform": 1.2}
FIRST_STEP_LIMIT = 1.3
LOSS_LIMIT = 0.02
SUPERVISION_LIMIT = 0.005
MEDIAN_WORDS = 55
SEED = 7
LEARNING_RATE = 1e-3
"""On both sides: the small base has read too little for the usual 2e-4 to move it within minutes."""
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bf16 FLOP/s that the makers state."""


@dataclass(frozen=True)
class Side:
    """What one way of training came to. `supervision_share`: supervisor's processor time by training time."""

    first_step_s: float
    train_s: float
    tokens_per_s: float
    adapter: Path
    steps: int
    peak_bytes: int | None = None
    planned_bytes: int | None = None
    supervision_share: float | None = None
    plan: str = ""


def conversations(count: int, lengths: str) -> Iterator[dict[str, Any]]:
    """`count` rows of one exchange: words log-normal with a long tail, or nearly the same for all."""
    chance = random.Random(SEED)
    for _ in range(count):
        words = MEDIAN_WORDS * (chance.lognormvariate(0, 0.95) if lengths == "skewed" else chance.uniform(0.9, 1.1))
        words = int(min(max(words, 6), 700))
        question = max(3, words // 4)
        yield {
            "messages": [
                {"role": "user", "content": sample_text(chance, question, question) + "?"},
                {"role": "assistant", "content": sample_text(chance, words - question, words - question) + "."},
            ]
        }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run_script(folder: Path, model: Path, data: Path, epochs: float, tokens: int) -> Side:
    """The peer's side, in a process of its own."""
    output = folder / "script"
    settings = {
        "model": str(model),
        "data": str(data),
        "output": str(output),
        "epochs": epochs,
        "figures": str(folder / "script.json"),
        "assistant_only_loss": True,
        "learning_rate": LEARNING_RATE,
        "seed": 42,
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    _python(folder / "script.log", "benchmarks.training_script", str(folder / "settings.json"))
    found = json.loads((folder / "script.json").read_text(encoding="utf-8"))
    return Side(
        found["first_step_s"],
        found["train_s"],
        tokens * epochs / found["train_s"],
        output,
        found["steps"],
        found["peak_bytes"],
    )


def run_finetui(folder: Path, model: Path, data: Path, epochs: float, tokens: int) -> Side:
    """finetui's side: a home, an import, a launch, and the run's own events."""
    home = Home(folder / "home")
    home.ensure()
    store = open_store(home.db)
    manager = RunManager(home, store)
    library = DatasetLibrary(home, store)
    dataset = library.import_file(data, name="chat", validation=0.0)
    recipe = make_recipe(
        {"model": str(model), "dataset": dataset.id, "num_train_epochs": epochs, "learning_rate": LEARNING_RATE}
    )
    # The first run on a device measures it, and a model's tokenizer is read once: neither is part of a launch.
    manager.launch(recipe.model_copy(update={"max_steps": 1}), name="warm-up")
    _wait(manager, store)
    began = time.time()
    run = manager.launch(recipe, name="measured")
    supervisor_s = _wait(manager, store)
    done = store.runs.get(run.id)
    if done is None or done.status != "succeeded":
        raise RuntimeError(f"the run failed: {done and done.reason}; see {run.dir}/log.txt")
    events = read_events(RunDir(Path(run.dir)).events).events
    metrics = [event for event in events if event["kind"] == "metrics"]
    training = next(e["t"] for e in events if e["kind"] == "state" and e["status"] == "training")
    train_s = metrics[-1]["t"] - training
    planned = json.loads((Path(run.dir) / "inputs.json").read_text(encoding="utf-8"))["plan"]["memory_bytes"]
    plan = {
        name: done.recipe[name]
        for name in (
            "packing",
            "padding_free",
            "train_sampling_strategy",
            "max_length",
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
            "gradient_checkpointing",
            "precision",
        )
    }
    store.close()
    return Side(
        metrics[0]["t"] - began,
        train_s,
        tokens * epochs / train_s,
        Path(run.dir) / "adapter",
        len(metrics),
        done.peak_vram_bytes,
        (planned or {}).get("total"),
        supervisor_s / train_s,
        json.dumps(plan),
    )


def _wait(manager: RunManager, store: Any) -> float:
    """Wait for all live runs; processor seconds of their supervisors since training began."""
    spent: dict[int, float] = {}
    before: dict[int, float] = {}
    while True:
        manager.refresh()
        live = store.runs.live()
        if not live:
            return sum(spent[pid] - before[pid] for pid in spent)
        if not any(run.status == "training" for run in live):
            time.sleep(0.2)
            continue
        for process in psutil.process_iter(["cmdline"]):
            if "engine.runs.supervisor" in (process.info["cmdline"] or []):
                try:
                    times = process.cpu_times()
                except psutil.Error:
                    continue
                spent[process.pid] = times.user + times.system
                before.setdefault(process.pid, spent[process.pid])
        time.sleep(0.5)


def count_tokens(model: Path, data: Path, limit: int = 1024) -> int:
    """Real tokens of one pass over the rows, cut at `limit` as the script cuts them."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    total = 0
    for line in data.read_text(encoding="utf-8").splitlines():
        text = "".join(
            f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in json.loads(line)["messages"]
        )
        total += min(limit, len(tokenizer.encode(text).ids))
    return total


def losses(model: Path, data: Path, adapters: list[str]) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training_loss", str(model), str(data), *adapters],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _python(log: Path, module: str, *arguments: str) -> None:
    with log.open("w") as file:
        subprocess.run([sys.executable, "-m", module, *arguments], stdout=file, stderr=subprocess.STDOUT, check=True)


def _card() -> str | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)))
    except pynvml.NVMLError:
        return None


def mfu(shape: str, tokens_per_s: float, card: str) -> float | None:
    """Share of the card's stated bf16 FLOP/s, at 4 FLOPs a parameter and token: the base has no weight gradients."""
    peak = next((flops for name, flops in PEAK_FLOPS.items() if name in card), None)
    layers, hidden, inner = (SHAPES[shape][key] for key in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    heads, kv_heads = SHAPES[shape]["num_attention_heads"], SHAPES[shape]["num_key_value_heads"]
    attention = 2 * hidden * hidden * (1 + kv_heads / heads)
    parameters = layers * (attention + 3 * hidden * inner) + hidden * SHAPES[shape]["vocab_size"]
    return None if peak is None else round(4 * parameters * tokens_per_s / peak, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: 320, or 4,000 on a GPU")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--lengths", choices=("skewed", "uniform", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--base", type=Path, help="where the base model is kept between calls")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    card = _card()
    shape, steps = ("qwen-1.5b", 0) if card else ("small", 60)
    count = options.rows or (4_000 if card else 320)
    figures: dict[str, Any] = {"rows": count, "epochs": options.epochs, "base": shape, "card": card}
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        model = options.base or top / "base"
        _python(top / "base.log", "benchmarks.base_models", str(model), "--shape", shape, "--steps", str(steps))
        for kind in ("skewed", "uniform") if options.lengths == "both" else (options.lengths,):
            figures[kind] = measure(top / kind, model, kind, count, options.epochs, options.rounds, card, shape)
    record("training-gpu" if card else "training", figures)


def measure(
    folder: Path, model: Path, kind: str, count: int, epochs: float, rounds: int, card: str | None, shape: str
) -> dict[str, Any]:
    """Both sides on rows of one kind; the medians of the rounds."""
    folder.mkdir()
    rows = list(conversations(count + max(40, count // 8), kind))
    data, held = write_rows(folder / "train.jsonl", rows[:count]), write_rows(folder / "held.jsonl", rows[count:])
    tokens = count_tokens(model, data)
    sides: dict[str, list[Side]] = {"script": [], "finetui": []}
    for turn in range(rounds):
        place = folder / str(turn)
        place.mkdir()
        sides["script"].append(run_script(place, model, data, epochs, tokens))
        print(sides["script"][-1], flush=True)
        sides["finetui"].append(run_finetui(place, model, data, epochs, tokens))
        print(sides["finetui"][-1], flush=True)
    script, ours = sides["script"][-1], sides["finetui"][-1]
    base, theirs_loss, ours_loss = losses(model, held, ["base", str(script.adapter), str(ours.adapter)])

    def middle(name: str, field: str) -> float:
        return float(statistics.median(getattr(side, field) for side in sides[name]))

    found: dict[str, Any] = {
        "tokens": tokens,
        "script_tokens_per_s": round(middle("script", "tokens_per_s"), 1),
        "finetui_tokens_per_s": round(middle("finetui", "tokens_per_s"), 1),
        "speedup": round(middle("finetui", "tokens_per_s") / middle("script", "tokens_per_s"), 2),
        "speedup_limit": (GPU_LIMITS if card else LIMITS)[kind],
        "base_loss": round(base, 4),
        "script_loss": round(theirs_loss, 4),
        "finetui_loss": round(ours_loss, 4),
        "loss_difference": round(ours_loss / theirs_loss - 1, 4),
        "loss_limit": LOSS_LIMIT,
        "script_first_step_s": round(middle("script", "first_step_s"), 2),
        "finetui_first_step_s": round(middle("finetui", "first_step_s"), 2),
        "first_step_ratio": round(middle("finetui", "first_step_s") / middle("script", "first_step_s"), 2),
        "first_step_limit": FIRST_STEP_LIMIT,
        "steps": {"script": script.steps, "finetui": ours.steps},
        "supervisor_share": round(middle("finetui", "supervision_share"), 5),
        "supervision_limit": SUPERVISION_LIMIT,
        "plan": json.loads(ours.plan),
    }
    if card:
        found |= {
            "script_peak_bytes": script.peak_bytes,
            "finetui_peak_bytes": ours.peak_bytes,
            "planned_bytes": ours.planned_bytes,
            "script_mfu": mfu(shape, found["script_tokens_per_s"], card),
            "finetui_mfu": mfu(shape, found["finetui_tokens_per_s"], card),
        }
    print(f"{kind}: {found['speedup']:.2f}× the script ({found['speedup_limit']}× wanted)", flush=True)
    for name, value in found.items():
        print(f"  {name:24} {value}", flush=True)
    return found


if __name__ == "__main__":
    main()
