"""A worker that trains nothing and evaluates by formula: the closer learning_rate is to 1e-3, the better.

`python sweep_stand_in.py [OPTIONS] RUN_DIR`. Stops on SIGTERM after the step at hand, as the real one does.
"""

import argparse
import math
import os
import signal
import sys
import time
import tomllib
from pathlib import Path

from engine.runs.protocol import EventWriter
from engine.runs.rundir import COMMITTED, RunDir, checkpoint_name, checkpoint_step

STEPS, EVERY = 40, 10
asked_to_stop: list[int] = []


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds an evaluation takes")
    parser.add_argument("--hold", action="store_true", help="stay at step 10 until the folder has a file `go`")
    parser.add_argument("--hold-worst", action="store_true", help="where it is far worse, stay at step 20 until told")
    parser.add_argument("--fail-above", type=float, default=math.inf, help="fail where lora_r is above")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda number, _: asked_to_stop.append(number))
    run = RunDir(options.run_dir)
    recipe = tomllib.loads(run.recipe.read_text())
    committed = run.committed_checkpoints()
    first = checkpoint_step(committed[-1]) if committed else 0
    writer = EventWriter(run.events, int(os.environ["FINETUI_ATTEMPT"]))
    writer.write("state", status="training", from_step=first)
    writer.write("plan", total_steps=STEPS, device="cpu")
    if not first:
        writer.write("evaluation", step=0, values={"eval/loss": 0.001})
    if recipe["lora_r"] > options.fail_above:
        writer.write("end", status="failed", reason="out of memory")
        return 1
    distance = abs(math.log10(recipe["learning_rate"]) + 3)
    for step in range(first + EVERY, STEPS + 1, EVERY):
        time.sleep(options.delay)
        loss = 1 + distance + 1 / step
        writer.write("metrics", step=step, values={"train/loss": loss})
        writer.write("evaluation", step=step, values={"eval/loss": loss})
        folder = run.checkpoints / checkpoint_name(step)
        folder.mkdir(parents=True)
        (folder / COMMITTED).touch()
        while options.hold and not asked_to_stop and not (run.path.parent.parent / "go").exists():
            time.sleep(0.02)
        while options.hold_worst and distance > 2 and step == 2 * EVERY and not asked_to_stop:
            time.sleep(0.02)
        if asked_to_stop:
            writer.write("end", status="stopped", reason=f"stopped at step {step}")
            return 0
    writer.write("end", status="succeeded", reason="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
