"""A worker that trains nothing, saves by the real worker's code and bears witness of what it has done.

`python worker.py --steps N --delay S --witness FOLDER RUN_DIR`. What it has written is told to `FOLDER/<run>` only
after the write came back, so whatever stands there may never be missing from the run's folder again.
"""

import argparse
import json
import os
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, checkpoint_step
from engine.worker.checkpoints import commit, drop_unfinished, latest_whole, publish, rotate

SAVE_EVERY = 3
KEEP = 2


def loss(attempt: int, step: int) -> float:
    """What an attempt writes as the loss of a step: no two attempts the same."""
    return attempt + 1 / step


def weights(step: int) -> bytes:
    """A safetensors file that only this step has."""
    data = struct.pack("<Q", step) * 512
    header = json.dumps({"lora": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--delay", type=float, required=True, help="seconds a step takes")
    parser.add_argument("--witness", type=Path, required=True)
    options = parser.parse_args()
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    run = RunDir(options.run_dir)
    attempt = int(os.environ["FINETUI_ATTEMPT"])
    told = os.open(options.witness / run.path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def tell(*words: object) -> None:
        os.write(told, (" ".join(map(str, words)) + "\n").encode())

    drop_unfinished(run)
    found, damaged = latest_whole(run)
    first = checkpoint_step(found) if found else 0
    tell("from", first, *map(checkpoint_step, damaged))
    writer = EventWriter(run.events, attempt)
    writer.write("state", status="training", from_step=first)
    writer.write("plan", total_steps=options.steps)

    def save(step: int) -> None:
        draft = run.checkpoints / f".saving-{step}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        (draft / "adapter_model.safetensors").write_bytes(weights(step))
        (draft / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
        commit(run, draft, step)
        tell("saved", step)
        for folder in run.committed_checkpoints()[:-KEEP]:
            tell("dropped", checkpoint_step(folder))
        rotate(run, keep=KEEP, best_step=None)
        writer.write("checkpoint", step=step, path=f"checkpoints/step-{step:06d}", best=False)

    for step in range(first + 1, options.steps + 1):
        time.sleep(options.delay)
        writer.write("metrics", step=step, values={"train/loss": loss(attempt, step)})
        tell("loss", attempt, step)
        if step % SAVE_EVERY == 0 or step == options.steps or asked:
            save(step)
        if asked:
            writer.write("end", status="stopped", reason=f"stopped at step {step}")
            return 0
    last, _ = latest_whole(run)
    assert last is not None
    publish(run, last, "a stand-in\n")
    tell("published")
    writer.write("end", status="succeeded", reason="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
