"""A worker that trains nothing: it speaks the event protocol, saves checkpoints and misbehaves on request.

`python stand_in.py [OPTIONS] RUN_DIR`, the standard library alone. A checkpoint is committed after every step.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from engine.runs.processes import is_taken_away
from engine.runs.protocol import EventWriter
from engine.runs.rundir import COMMITTED, RunDir, checkpoint_name, checkpoint_step, read_json

PLACES = ("importing", "tokenising", "saving", "ending")

stop_requested = False


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds a step takes")
    parser.add_argument("--hold-at", type=int, help="stay at this step until asked to stop, or until `go` exists")
    parser.add_argument("--crash-at", type=int, help="raise at this step")
    parser.add_argument("--exit-at", type=int, help="leave with code 0 at this step, without an end event")
    parser.add_argument("--torn-at", type=int, help="write half an event at this step and die")
    parser.add_argument("--hold-in", choices=PLACES, help="stay in this place until killed")
    parser.add_argument("--losses", default="", help="losses of the first steps, separated by commas")
    parser.add_argument("--say", default="", help="print this and leave with code 1, at step 1")
    parser.add_argument("--eat-memory", action="store_true", help="take a gigabyte, at step 1")
    parser.add_argument("--only-attempt", type=int, default=0, help="misbehave in this attempt alone")
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--no-checkpoints", action="store_true")
    parser.add_argument("--child", action="store_true", help="leave a child process behind in the group")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore_term else _stop)
    run = RunDir(options.run_dir)
    attempt = int(os.environ["FINETUI_ATTEMPT"])
    misbehaves = options.only_attempt in (0, attempt)
    committed = run.committed_checkpoints()
    first = checkpoint_step(committed[-1]) if committed else 0
    if options.child and os.fork() == 0:
        signal.pause()
    writer = EventWriter(run.events, attempt)

    def hold_in(place: str) -> None:
        if misbehaves and options.hold_in == place:
            (run.path / "held").touch()
            while True:
                signal.pause()

    losses = [float(loss) for loss in options.losses.split(",") if loss]
    hold_in("importing")
    writer.write("state", status="starting", phase="reading the dataset", from_step=first)
    hold_in("tokenising")
    writer.write("plan", total_steps=options.steps, device=os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    writer.write("state", status="training")
    for step in range(first + 1, options.steps + 1):
        time.sleep(options.delay)
        if misbehaves and step == options.crash_at:
            raise ValueError("the loss is \x1b[31mred\x1b[0m")
        if misbehaves and step == options.exit_at:
            return 0
        if misbehaves and options.say:
            sys.stderr.write(f"{options.say}\n")
            return 1
        if misbehaves and options.eat_memory:
            bytearray(1 << 30)
        if misbehaves and step == options.torn_at:
            with run.events.open("ab") as file:
                file.write(b'{"v":1,"seq":99,"kind":"metr')
            os.kill(os.getpid(), signal.SIGKILL)
        loss = losses[step - 1] if step <= len(losses) else 1 / step
        writer.write("metrics", step=step, values={"train/loss": loss})
        if not options.no_checkpoints:
            folder = run.checkpoints / checkpoint_name(step)
            shutil.rmtree(folder, ignore_errors=True)  # what a killed worker left half saved
            folder.mkdir(parents=True)
            if step > 1:
                hold_in("saving")
            (folder / COMMITTED).touch()
            writer.write("checkpoint", step=step, path=str(folder.relative_to(run.path)), best=True)
        while step == options.hold_at and not stop_requested and not (run.path / "go").exists():
            time.sleep(0.02)
        if stop_requested and is_taken_away(run, read_json(run.inputs) or {}):
            writer.write("state", status="queued", phase=f"saved at step {step}")
            return 0
        if stop_requested:
            writer.write("end", status="stopped", reason=f"stopped at step {step}")
            return 0
    hold_in("ending")
    writer.write("end", status="succeeded", reason="")
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    global stop_requested
    stop_requested = True


if __name__ == "__main__":
    sys.exit(main())
