"""How quickly finetui shows runs: ten thousand in the list, a hundred thousand steps in a chart, eight live ones.

`python -m benchmarks.viewing [--peer PYTHON] [--rounds 7] [--only PART…]`. Everything is timed from outside, through a
pseudo-terminal of 120×36: from the start of the process, or from a key, until the changed screen has been written.
PYTHON is one that has wandb, whose `wandb leet` then shows a run of the same size beside finetui.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import big_store
from benchmarks.ingest import write_log
from benchmarks.machine import RESULTS, compare, record
from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home
from engine.runs.ingest import ingest_run
from engine.runs.rundir import RunDir
from store import Store, open_store
from store.records import NewRun

LIMITS: dict[str, float] = {
    "list_shown_s": 0.6,
    "filter_key_ms": 150,
    "list_query_ms": 30,
    "memory_mb": 250,
    "long_run_shown_s": 1.0,
    "long_run_enter_ms": 100,
    "zoom_ms": 50,
    "ingest_points_per_s": 200_000,
    "catching_up_s": 2.0,
    "live_key_p95_ms": 50,
    "watching_cpu_percent": 5,
    "watching_bytes_per_s": 20_000,
    "idle_cpu_percent": 1,
}
AT_LEAST = {"ingest_points_per_s"}
CURVE_CELLS = 150
"""So many cells of braille are curves and not a sparkline."""
EIGHT_HOURS = 28_800
QUERIES = (
    "",
    "qwen",
    "status:done tag:baseline",
    "cfg.lora_r>=16 eval/loss.min<1.2",
    "started<90d NOT method:dora",
)
AT_STEP = "eval/loss@10<1.5"
"""Reads a point of each run; the others read none."""
LIVE_KEYS = (
    *(("j", b"j"), ("j", b"j"), ("k", b"k"), ("to another mode", b"2"), ("back", b"1")),
    *(("live runs", b"v"), ("leave them", b"\x1b"), ("open a run", b"\r"), ("zoom in", b"+"), ("zoom out", b"-")),
    *(("next tab", b"]"), ("previous tab", b"["), ("leave the run", b"\x1b")),
)
LIVE_ROUNDS = 12
PARTS = ("big", "long", "ingest", "live")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python that has wandb")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    sys.argv = ["PYTHON" if word == options.peer else word for word in sys.argv]  # the record names no folder of ours
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "big").ensure()
        if {"big", "long"} & set(options.only):
            store = open_store(home.db)
            big_store.fill(store, options.runs)
            store.close()
        if "big" in options.only:
            store = open_store(home.db)  # anew: a store that was just filled still reads from its write-ahead log
            figures |= queries(store, options.rounds)
            newest = store.runs.some(store.runs.order()[:3])[-1].name
            store.close()
            figures |= the_list(home, newest, options.runs, options.rounds)
        if "long" in options.only:
            figures |= the_long_run(home, options.rounds)
            if options.peer:
                figures |= the_peer(options.peer, Path(folder), options.rounds)
        if "ingest" in options.only:
            figures |= taking_in(Path(folder))
        if "live" in options.only:
            figures |= live(Path(folder))
    _report(figures, whole=set(options.only) == set(PARTS))


def queries(store: Store, rounds: int) -> dict[str, Any]:
    """The order of all runs that match, and the first page of them, in milliseconds: the slowest of the queries."""

    def page(query: str) -> None:
        store.runs.some(store.runs.order(query)[:60])

    took = {query or "everything": _median_ms(partial(page, query), rounds) for query in QUERIES}
    return {
        "list_query_ms": round(max(took.values()), 1),
        "list_queries_ms": {query: round(ms, 1) for query, ms in took.items()},
        "at_step_query_ms": round(_median_ms(partial(page, AT_STEP), rounds), 1),
    }


def the_list(home: Home, newest: str, runs: int, rounds: int) -> dict[str, Any]:
    """From the start to the list, from a key of a filter to what matches, and the memory that the app then has.

    The list is there when the name of one of the newest runs is.
    """
    count = f"{runs:,} runs".encode()
    shown = [_shown_s([FINETUI], home, lambda seen: newest[:9].encode() in seen) for _ in range(rounds)]
    keys = []
    with Terminal([FINETUI], home.root) as terminal:
        terminal.wait_until(lambda seen: count in seen)
        terminal.drain(1.0)
        terminal.press(b"/")
        terminal.drain(0.5)
        for _ in range(rounds):
            for letter in "qwen":
                terminal.press(letter.encode())
                keys.append(terminal.wait_until(lambda seen: re.search(rb"[\d,]+ of ", seen) is not None) * 1000)
                terminal.drain(0.4)
            for _ in "qwen":
                terminal.press(b"\x7f")
                terminal.drain(0.4)
        terminal.press(b"\x1b")
        terminal.drain(0.4)
        for key in (b"G", b"g", b"\x04", b"\x04"):
            terminal.press(key)
            terminal.drain(0.3)
        memory = psutil.Process(terminal.pid).memory_info().rss
    return {
        "list_shown_s": round(statistics.median(shown), 3),
        "filter_key_ms": round(statistics.median(keys), 1),
        "filter_key_p95_ms": round(_p95(keys), 1),
        "memory_mb": round(memory / 1e6, 1),
    }


def the_long_run(home: Home, rounds: int) -> dict[str, Any]:
    """A run of ten metrics with 100,000 steps each: from the start, from Enter, and a zoom."""
    shown = [_shown_s([FINETUI, "open", big_store.LONG_RUN], home, _curves) for _ in range(rounds)]
    entered, zoomed = [], []
    with Terminal([FINETUI], home.root) as terminal:
        terminal.wait_until(lambda seen: b" runs" in seen)
        terminal.drain(1.0)
        for _ in range(rounds + 1):
            terminal.press(b"\r")
            entered.append(terminal.wait_until(_curves) * 1000)
            terminal.drain(0.5)
            for key in b"++-+--":
                terminal.press(bytes([key]))
                zoomed.append(terminal.wait_until(_curves) * 1000)
                terminal.drain(0.4)
            for between in (b"\x1b", b"j", b"\r", b"\x1b", b"k"):  # another run: the last one is kept as it was
                terminal.press(between)
                terminal.drain(0.4)
    return {
        "long_run_shown_s": round(statistics.median(shown), 3),
        "long_run_enter_ms": round(statistics.median(entered[1:]), 1),
        "long_run_first_enter_ms": round(entered[0], 1),
        "zoom_ms": round(statistics.median(zoomed), 1),
        "zoom_p95_ms": round(_p95(zoomed), 1),
    }


def the_peer(python: str, folder: Path, rounds: int) -> dict[str, Any]:
    """`wandb leet` on a run of the same size, from its start until it has read the run to its end and says so."""
    code = (
        "import math, wandb\n"
        f"run = wandb.init(project='p', name='long', mode='offline', dir={str(folder)!r})\n"
        "for step in range(100_000):\n"
        "    run.log({f'train/m{n}': 3 / (1 + step / 500) + math.sin(step * n) / 9 for n in range(10)})\n"
        "run.finish()\n"
    )
    quiet = os.environ | {"WANDB_SILENT": "true"}
    subprocess.run([python, "-c", code], check=True, env=quiet, stdout=subprocess.DEVNULL)
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    argv = [str(Path(python).with_name("wandb")), "leet", "run", str(file)]
    took = []
    for _ in range(min(3, rounds)):
        with Terminal(argv, folder) as terminal:
            terminal.wait_until(lambda seen: b"Finished" in seen, timeout_s=120)
            took.append(time.perf_counter() - terminal.began)
    return {"peer_long_run_shown_s": round(statistics.median(took), 2)}


def taking_in(folder: Path) -> dict[str, Any]:
    """Points a second with roll-ups, and what eight hours at one event a second take when the app comes back."""
    log = RunDir(folder / "away")
    log.path.mkdir()
    write_log(log.events, EIGHT_HOURS, 10)
    times = []
    for number in range(3):
        store = open_store(folder / f"away{number}.db")
        store.runs.add(NewRun("r1", "away", "starter", "qlora", "samples", "d1", 0.0, {}, str(log.path)))
        began = time.perf_counter()
        ingest_run(store, "r1", log)
        times.append(time.perf_counter() - began)
        store.close()
    best = min(times)
    return {"ingest_points_per_s": round(EIGHT_HOURS * 10 / best), "catching_up_s": round(best, 2)}


def live(folder: Path) -> dict[str, Any]:
    """Keys with eight live runs at ten events a second; processor and bytes while one run is watched, and idle."""
    figures: dict[str, Any] = {}
    home = Home(folder / "eight")
    with _writing(home, 8, 10.0), Terminal([FINETUI], home.root) as terminal:
        terminal.settle(6)
        for key in (b"2", b"1", b"v", b"\x1b", b"\r", b"]", b"[", b"\x1b"):  # the first visit of a screen builds it
            terminal.press(key)
            terminal.settle(1.5)
        times: dict[str, list[float]] = {}
        for name, key in LIVE_KEYS * LIVE_ROUNDS:
            terminal.settle(0.15)
            terminal.read_now()
            terminal.press(key)
            times.setdefault(name, []).append(terminal.wait_for(b"\x1b[") * 1000)
            terminal.settle(0.2)
        everything = [took for taken in times.values() for took in taken]
        figures["live_key_median_ms"] = round(statistics.median(everything), 1)
        figures["live_key_p95_ms"] = round(_p95(everything), 1)
        figures["live_keys_ms"] = {name: round(statistics.median(taken), 1) for name, taken in times.items()}
        figures["eight_live_cpu_percent"] = round(_cpu_percent(terminal, 15)[0], 1)
    home = Home(folder / "one")
    with _writing(home, 1, 1.0, events=2000), Terminal([FINETUI, "open", "live-0"], home.root) as terminal:
        terminal.settle(6)
        busy, count = _cpu_percent(terminal, 30)
        figures["watching_cpu_percent"], figures["watching_bytes_per_s"] = round(busy, 2), round(count)
    home = Home(folder / "nothing").ensure()
    store = open_store(home.db)
    big_store.fill(store, 200, long_points=1000)
    store.close()
    with Terminal([FINETUI], home.root) as terminal:
        terminal.settle(6)
        figures["idle_cpu_percent"] = round(_cpu_percent(terminal, 30)[0], 2)
    return figures


@contextmanager
def _writing(home: Home, runs: int, rate: float, events: int = 0) -> Iterator[None]:
    argv = [sys.executable, "-m", "benchmarks.live_runs", str(home.root)]
    argv += ["--runs", str(runs), "--rate", str(rate), "--events", str(events)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def _cpu_percent(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """Percent of a core that the program takes, and the bytes a second that it writes to the terminal."""
    process = psutil.Process(terminal.pid)
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    count = terminal.settle(seconds)
    took = time.perf_counter() - began
    return 100 * (sum(process.cpu_times()[:2]) - before) / took, count / took


def _shown_s(argv: list[str], home: Home, done: Callable[[bytes], bool]) -> float:
    with Terminal(argv, home.root) as terminal:
        terminal.wait_until(done)
        return time.perf_counter() - terminal.began


def _curves(seen: bytes) -> bool:
    return len(re.findall(rb"\xe2[\xa0-\xa3]", seen)) >= CURVE_CELLS


def _median_ms(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def _report(figures: dict[str, Any], *, whole: bool) -> None:
    missed = compare(figures, LIMITS, AT_LEAST)
    if not whole:  # the parts measured now take the place of what was measured before
        path = RESULTS / "viewing.json"
        before = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else {}
        figures = before | figures
    record("viewing", figures | {"limits": LIMITS})
    print("missed: " + ", ".join(missed) if missed else "every limit is met")


if __name__ == "__main__":
    main()
