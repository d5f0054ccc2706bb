"""How fast a run's event log gets into the store, from JSON lines to points with roll-ups.

The full path is compared in the same run with a bare `executemany` of the same points, which neither parses, nor folds,
nor rolls up, nor remembers how far it got: what SQLite alone can take.

    python -m benchmarks.ingest [--events 50000] [--metrics 8] [--rounds 3]
"""

import argparse
import json
import math
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import record
from engine.runs.ingest import ingest_run
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir
from store import Store, open_store
from store.records import NewRun

NAMES = ("loss", "learning_rate", "grad_norm", "mean_token_accuracy", "tokens_per_s", "epoch", "num_tokens", "entropy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000, help="metrics events in the log")
    parser.add_argument("--metrics", type=int, default=8, help="values in each")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    options = parser.parse_args()
    points = options.events * options.metrics
    with tempfile.TemporaryDirectory() as folder:
        log = RunDir(Path(folder))
        write_log(log.events, options.events, options.metrics)
        bare_s, bare_cpu_s = best(lambda n: bare(log.events, Path(folder, f"bare{n}.db")), options.rounds)
        full_s, full_cpu_s = best(lambda n: full(log, Path(folder, f"full{n}.db")), options.rounds)
        live_s = live(log, Path(folder, "live.db"))
        chart_s, chart_points, plain_s = chart(Path(folder, "full0.db"))
        figures = {
            "events": options.events,
            "points": points,
            "log_bytes": log.events.stat().st_size,
            "ingest_s": round(full_s, 3),
            "points_per_s": round(points / full_s),
            "ingest_cpu_s": round(full_cpu_s, 3),
            "points_per_cpu_s": round(points / full_cpu_s),
            "bare_executemany_s": round(bare_s, 3),
            "bare_executemany_cpu_s": round(bare_cpu_s, 3),
            "bare_points_per_s": round(points / bare_s),
            "ingest_over_bare": round(full_s / bare_s, 2),
            "live_event_ms": round(live_s * 1e3, 2),
            "chart_points": chart_points,
            "chart_ms": round(chart_s * 1e3, 2),
            "chart_without_rollups_ms": round(plain_s * 1e3, 2),
        }
    print(f"{points:,} points in {options.events:,} events, {figures['log_bytes'] / 1e6:.0f} MB of log")
    for label, wall_s, cpu_s in (
        ("log to store, with roll-ups", full_s, full_cpu_s),
        ("bare executemany", bare_s, bare_cpu_s),
    ):
        print(f"  {label:<28}{wall_s:7.3f} s   {points / wall_s:>9,.0f} points/s   processor {cpu_s:.3f} s")
    print(f"  one live event                {live_s * 1e3:7.2f} ms")
    print(
        f"  a chart of {chart_points:>4} points        {chart_s * 1e3:7.2f} ms   from all points {plain_s * 1e3:.1f} ms"
    )
    print(f"written: {record('ingest', figures)}")


def write_log(path: Path, events: int, metrics: int) -> None:
    """A log as a run writes it, with numbers that do not repeat."""
    names = [f"train/{NAMES[n] if n < len(NAMES) else f'figure_{n}'}" for n in range(metrics)]
    with path.open("w", encoding="utf-8") as file:
        for n in range(events):
            values = {name: 3 * math.exp(-n / 9000) + math.sin(n * (k + 1)) / 7 for k, name in enumerate(names)}
            event = {"v": 1, "seq": n, "t": round(1.75e9 + n * 0.731, 3), "attempt": 1, "kind": "metrics"}
            event |= {"step": n + 1, "epoch": n / 5000, "eta_s": round((events - n) * 0.731, 1), "values": values}
            file.write(json.dumps(event, separators=(",", ":")) + "\n")


def best(work: Callable[[int], tuple[float, float]], rounds: int) -> tuple[float, float]:
    """The least wall time and the least processor time. Other work on the machine spoils the first more."""
    walls, processors = zip(*(work(number) for number in range(rounds)), strict=True)
    return min(walls), min(processors)


def fresh(path: Path) -> Store:
    store = open_store(path)
    store.runs.add(NewRun("r1", "bench", "starter", "qlora", "samples", "d1", 0.0, {}, str(path.parent)))
    return store


def full(log: RunDir, path: Path) -> tuple[float, float]:
    store = fresh(path)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    ingest_run(store, "r1", log)
    elapsed = time.perf_counter() - begun, time.process_time() - begun_cpu
    store.close()
    return elapsed


def bare(log: Path, path: Path) -> tuple[float, float]:
    rows: dict[str, list[tuple[int, int, int, int, float, float]]] = {}
    for event in read_events(log).events:
        for metric, (name, value) in enumerate(event["values"].items()):
            rows.setdefault(name, []).append((1, metric, 1, event["step"], value, event["t"]))
    store = fresh(path)
    with store.transaction() as connection:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        for points in rows.values():
            connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?)", points)
    elapsed = time.perf_counter() - begun, time.process_time() - begun_cpu
    store.close()
    return elapsed


def live(log: RunDir, path: Path) -> float:
    """Seconds to take in one event, as it happens while a run is watched."""
    store = fresh(path)
    growing = RunDir(log.path / "live")
    growing.path.mkdir()
    took = []
    with log.events.open("rb") as source, growing.events.open("ab", buffering=0) as target:
        for _, line in zip(range(200), source, strict=False):
            target.write(line)
            begun = time.perf_counter()
            ingest_run(store, "r1", growing)
            took.append(time.perf_counter() - begun)
    store.close()
    return sorted(took)[len(took) // 2]


def chart(path: Path) -> tuple[float, int, float]:
    """Seconds for a chart's points, how many they are, and seconds for the same buckets straight from the points."""
    store = open_store(path)
    name, begun = store.metrics.names("r1")[0], time.perf_counter()
    series = store.metrics.series("r1", name, max_points=400)
    chart_s = time.perf_counter() - begun
    store.close()
    with sqlite3.connect(path) as connection:
        begun = time.perf_counter()
        connection.execute(
            "SELECT step / 125, min(value), max(value) FROM points WHERE run = 1 AND metric = 1 GROUP BY step / 125"
        ).fetchall()
        plain_s = time.perf_counter() - begun
    return chart_s, len(series.steps) if series else 0, plain_s


if __name__ == "__main__":
    main()
