"""From a key to the changed screen, while a run trains on the same processor and while none does.

`python -m benchmarks.responsiveness [--keys 40]`. The app runs in a pseudo-terminal of 120×36; the keys `2` and `1`
switch between two screens in turn, and the time is that until the first bytes come back.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.machine import record
from benchmarks.terminal import FINETUI, Terminal

LIMIT_S = 0.1
"""What a person takes for immediate: 95 of 100 keys are answered by then while a run trains."""


def key_times_s(home: Path, keys: int) -> list[float]:
    """Seconds from each key to the first output that follows it."""
    times = []
    with Terminal([FINETUI], home) as terminal:
        terminal.wait_for(b"finetui")
        time.sleep(3)
        for key in (b"2", b"1"):  # the first visit of a screen builds it
            terminal.press(key)
            time.sleep(1.5)
        for turn in range(keys):
            terminal.drain(0.25)
            terminal.press(b"21"[turn % 2 : turn % 2 + 1])
            times.append(terminal.wait_for(b"\x1b["))
    return times


def command(home: Path, *arguments: str) -> None:
    subprocess.run([FINETUI, *arguments], check=True, capture_output=True, env=os.environ | {"FINETUI_HOME": str(home)})


def start_training(home: Path) -> None:
    """Launch a long run on the starter model and wait until it trains."""
    samples = Path(__file__).parent.parent / "samples"
    command(home, "datasets", "import", str(samples / "support.jsonl"), "--name", "support")
    command(home, "train", "--dataset", "support", "--epochs", "500", "--set", "max_length=256", "--name", "busy")
    while b'"train/loss"' not in next(home.glob("runs/*/events.jsonl")).read_bytes():
        time.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=40)
    keys = parser.parse_args().keys
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        start_training(home)
        try:
            training = sorted(key_times_s(home, keys))
        finally:
            command(home, "runs", "stop", "busy", "--now")
        idle = sorted(key_times_s(home, keys))
    figures = {}
    for name, times in (("idle", idle), ("training", training)):
        figures[name] = {"median_s": round(statistics.median(times), 4), "p95_s": round(times[int(0.95 * keys)], 4)}
        print(
            f"{name:9} median {figures[name]['median_s'] * 1000:6.1f} ms   p95 {figures[name]['p95_s'] * 1000:6.1f} ms"
        )
    record("responsiveness", {"keys": keys, **figures, "limit_p95_s": LIMIT_S})


if __name__ == "__main__":
    main()
