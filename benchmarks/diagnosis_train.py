"""Trains the cases of `benchmarks.diagnosis_cases`, one after the other: each leaves a run's folder as any run does.

`python -m benchmarks.diagnosis_train MODEL WORK [CASE…]`: the starter model's folder, and one for the runs.

The worker is finetui's own, started from a process that has its libraries loaded already; nothing is planned or
supervised, for that has no part in the curves.
"""

import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.diagnosis_cases import PLAIN, Case, rows_of

LIBRARIES = ["torch", "transformers", "trl", "peft", "datasets", "engine.worker.building", "engine.worker.train"]
GIVE_UP_S = 900.0


def train_all(cases: list[Case], model: Path, work: Path) -> None:
    """Train every case that has no finished run in `work`. The starter model is in `model`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    for number, case in enumerate(cases, 1):
        folder = work / case.name
        if (folder / "done").exists():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        _make_run(case, folder, model, work)
        began = time.monotonic()
        process = context.Process(target=_train, args=(case, folder))
        process.start()
        process.join(GIVE_UP_S)
        if process.is_alive():
            process.kill()
            raise SystemExit(f"{case.name} took longer than {GIVE_UP_S:g} s; see {folder / 'log.txt'}")
        (folder / "done").touch()
        sys.stderr.write(f"{number}/{len(cases)} {case.name}: {time.monotonic() - began:.0f} s\n")


def _make_run(case: Case, folder: Path, model: Path, work: Path) -> None:
    """The run's folder: recipe, inputs, data."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from engine.recipe import make_recipe
    from engine.runs.rundir import RunDir, write_json

    run = RunDir(folder)
    data = folder / "dataset"
    data.mkdir(parents=True)
    rows = rows_of(case.data)
    table = {"messages": [messages for messages, _ in rows], "split": [split for _, split in rows]}
    pq.write_table(pa.table(table), data / "data.parquet")
    recipe = make_recipe(PLAIN | dict(case.changes))
    inputs: dict[str, Any] = {
        "id": case.name,
        "name": case.name,
        "model": {"name": "starter", "path": str(model), "kind": "starter"},
        "dataset": {"id": "d", "name": case.data, "version": 1, "dir": str(data)},
    }
    if case.dead:
        inputs["parent"] = {"id": "dead", "name": "dead", "adapter": str(_dead_adapter(work, model))}
    write_json(run.inputs, inputs)
    run.recipe.write_text(recipe.to_toml(), encoding="utf-8")


def _dead_adapter(work: Path, model: Path) -> Path:
    """An adapter of rank 16 with zeros in both halves: no gradient reaches either."""
    folder = work / ".dead"
    if not folder.exists():
        process = multiprocessing.get_context("forkserver").Process(target=_make_dead, args=(folder, model))
        process.start()
        process.join()
    return folder


def _make_dead(folder: Path, model: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model)
    peft = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_" in name:
                weight.zero_()
    peft.save_pretrained(str(folder))


def _train(case: Case, folder: Path) -> None:
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import torch

    from engine.worker import train

    torch.set_num_threads(1)
    if case.poison_at is not None or case.drag_s:
        _sabotage(case)
    train.main(str(folder))


def _sabotage(case: Case) -> None:
    """Let the optimiser do what the case asks for."""
    import torch

    usual = torch.optim.AdamW.step
    steps = 0
    planned = _planned_steps(case)

    def step(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal steps
        steps += 1
        outcome = usual(self, *arguments, **named)
        if steps == case.poison_at:
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[0] = float("nan")
        if case.drag_s and steps > planned // 2:
            time.sleep(case.drag_s)
        return outcome

    torch.optim.AdamW.step = step  # type: ignore[method-assign]


def _planned_steps(case: Case) -> int:
    from engine.insight.steps import planned_steps
    from engine.recipe import make_recipe

    return planned_steps(
        make_recipe(PLAIN | dict(case.changes)), sum(split == "train" for _, split in rows_of(case.data))
    )


if __name__ == "__main__":
    from benchmarks.diagnosis_cases import CASES

    by_name = {case.name: case for case in CASES}
    train_all([by_name[name] for name in sys.argv[3:] or by_name], *map(Path, sys.argv[1:3]))
