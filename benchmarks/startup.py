"""From process start to the first frame in a terminal: finetui against an empty Textual app, in one run.

`python -m benchmarks.startup [--rounds 15]`. Both are started in turn in a pseudo-terminal of 120×36; a frame is there
when the text of its header arrives.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import record
from benchmarks.terminal import FINETUI, Terminal

EMPTY_APP = """
from textual.app import App, ComposeResult
from textual.widgets import Footer, Header

class Empty(App[None]):
    TITLE = "first-frame"

    def compose(self) -> ComposeResult:
        yield Header()
        yield Footer()

Empty().run()
"""

LIMIT = 1.5
"""finetui's first frame may take this many times the empty app's."""


def first_frame_s(argv: list[str], text: bytes, home: Path) -> float:
    """Seconds from the start of the process until `text` has been written to the terminal."""
    with Terminal(argv, home) as terminal:
        terminal.wait_for(text)
        return time.perf_counter() - terminal.began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "empty.py"
        script.write_text(EMPTY_APP, encoding="utf-8")
        home = Path(folder) / "home"
        apps = {"empty": ([sys.executable, str(script)], b"first-frame"), "finetui": ([FINETUI], b"finetui")}
        times: dict[str, list[float]] = {name: [] for name in apps}
        for argv, text in apps.values():  # warm the caches
            first_frame_s(argv, text, home)
        for _ in range(rounds):
            for name, (argv, text) in apps.items():
                times[name].append(first_frame_s(argv, text, home))
    median = {name: statistics.median(values) for name, values in times.items()}
    ratio = median["finetui"] / median["empty"]
    for name, values in times.items():
        print(f"{name:8} median {median[name]:.3f} s   best {min(values):.3f} s   worst {max(values):.3f} s")
    print(f"ratio    {ratio:.2f}   (limit {LIMIT})")
    seconds = {name: round(value, 4) for name, value in median.items()}
    record("startup", {"rounds": rounds, "median_s": seconds, "ratio": round(ratio, 3), "limit": LIMIT})


if __name__ == "__main__":
    main()
