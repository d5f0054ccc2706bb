"""From event logs, whole and damaged, into the store."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from math import inf, isnan
from pathlib import Path
from typing import Any

import pytest

from engine.runs.folding import fold
from engine.runs.ingest import ingest_run
from engine.runs.protocol import KINDS, EventWriter, read_events
from engine.runs.rundir import RunDir
from store import Store, open_store
from store.records import Attempt, NewRun, Run, Status

FULL_RUN: list[tuple[float, int, str, dict[str, Any]]] = [
    (100.0, 1, "state", {"status": "queued", "phase": "waiting for gpu0"}),
    (105.0, 1, "state", {"status": "starting", "phase": "building the starter model", "progress": 0.4, "from_step": 0}),
    (106.0, 1, "plan", {"total_steps": 40, "linear4bit": 28, "train_rows": 426, "versions": {"torch": "2.13"}}),
    (107.0, 1, "rehearsal", {"ok": True, "peak_bytes": 12, "free_bytes": None, "parts": {"save_s": 0.1}}),
    (108.0, 1, "state", {"status": "training"}),
    (
        110.0,
        1,
        "metrics",
        {"step": 10, "epoch": 0.5, "eta_s": 60.5, "values": {"train/loss": 4.5, "train/tokens_per_s": 900.5}},
    ),
    (111.0, 1, "system", {"step": 10, "values": {"system/rss_bytes": 5000, "gpu0/memory_peak_bytes": 7000}}),
    (112.0, 1, "system", {"step": 10, "values": {"system/rss_bytes": 4000, "gpu1/memory_peak_bytes": 8000}}),
    (115.0, 1, "state", {"status": "evaluating"}),
    (120.0, 1, "evaluation", {"step": 20, "values": {"eval/loss": 4.0}, "best": True, "best_step": 20}),
    (121.0, 1, "sample", {"step": 20, "samples": [{"prompt": "Hi", "text": "Hello 🙂", "tokens": 3}]}),
    (122.0, 1, "checkpoint", {"step": 20, "path": "checkpoints/step-000020", "best": True}),
    (123.0, 1, "alert", {"level": "warning", "code": "plateau", "message": "No progress.", "fix": "Stop."}),
    (124.0, 1, "metrics", {"step": 30, "values": {"train/loss": 3.5}}),
    (125.0, 1, "evaluation", {"step": 30, "values": {"eval/loss": 3.0}, "best": True}),
    (126.0, 1, "heartbeat", {"step": 33}),
    (200.0, 2, "state", {"status": "starting", "from_step": 20}),
    (201.0, 2, "metrics", {"step": 25, "total_steps": 50, "eta_s": 20, "values": {"train/loss": 3.9}}),
    (210.0, 2, "metrics", {"step": 50, "eta_s": 0.0, "values": {"train/loss": 2.0}}),
    (211.0, 2, "end", {"status": "succeeded", "reason": "done", "best_step": 20, "summary": {"train/loss": 2.0}}),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "finetui.db")
    opened.runs.add(new_run("r1"))
    yield opened
    opened.close()


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    folder = tmp_path / "r1"
    folder.mkdir()
    return RunDir(folder)


def new_run(run_id: str) -> NewRun:
    return NewRun(run_id, "first", "starter", "qlora", "samples v1", "d1", 90.0, {"lora_r": 16}, "/runs/r1", ("a",))


def write(rundir: RunDir, events: Iterable[tuple[float, int, str, dict[str, Any]]]) -> None:
    """Append events as the worker does: a writer for each attempt."""
    writer: EventWriter | None = None
    clock = [0.0]
    for t, attempt, kind, fields in events:
        if writer is None or writer.attempt != attempt:
            writer = EventWriter(rundir.events, attempt, clock=lambda: clock[0])
        clock[0] = t
        writer.write(kind, **fields)
    if writer is not None:
        writer.close()


def write_lines(rundir: RunDir, *lines: str | bytes | dict[str, Any]) -> None:
    with rundir.events.open("ab") as file:
        for line in lines:
            text = json.dumps(line) if isinstance(line, dict) else line
            file.write(text if isinstance(text, bytes) else text.encode())
            file.write(b"\n")


def event(seq: int, kind: str, *, t: Any = 1.0, attempt: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "seq": seq, "t": t, "attempt": attempt, "kind": kind, **fields}


def metrics(seq: int, step: int, loss: Any, **fields: Any) -> dict[str, Any]:
    return event(seq, "metrics", step=step, values={"train/loss": loss}, **fields)


def get(store: Store) -> Run:
    run = store.runs.get("r1")
    assert run is not None
    return run


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but indexes of words, by values that do not depend on the order of arrival."""
    with store.transaction() as connection:
        tables = [
            name
            for name, sql in connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
            if not name.startswith("_") and not sql.startswith("CREATE VIRTUAL")
        ]
        return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables}


def test_a_whole_run(store: Store, rundir: RunDir) -> None:
    write(rundir, FULL_RUN)
    assert ingest_run(store, "r1", rundir)
    run = get(store)
    assert (run.status, run.reason, run.attempt, run.step, run.total_steps) == (Status.SUCCEEDED, "done", 2, 50, 50)
    assert (run.started, run.ended, run.heartbeat) == (105.0, 211.0, 211.0)
    assert (run.eta_s, run.tokens_per_s, run.peak_vram_bytes, run.best_step) == (None, 900.5, 8000, 20)
    assert (run.phase, run.phase_progress, run.alerts, run.warnings) == ("", None, 1, 0)
    assert (run.name, run.tags, run.recipe) == ("first", ("a",), {"lora_r": 16})
    assert run.metrics["train/loss"].last == 2.0
    assert store.runs.attempts("r1") == [
        Attempt("r1", 1, 100.0, 126.0, Status.LOST, "its log breaks off", 0),
        Attempt("r1", 2, 200.0, 211.0, Status.SUCCEEDED, "done", 20),
    ]
    assert store.runs.problems("r1") == []
    assert store.runs.ingest_offset("r1") == rundir.events.stat().st_size
    assert store.runs.last_seq("r1") == len(FULL_RUN) - 1
    kept = store.runs.events("r1", KINDS)
    assert {row.kind for row in kept} == KINDS - {"metrics", "system", "heartbeat"}
    sample = store.runs.events("r1", ["sample"])[0]
    assert (sample.t, sample.attempt, sample.body["samples"][0]["text"]) == (121.0, 1, "Hello 🙂")


def test_a_live_run_as_it_goes(store: Store, rundir: RunDir) -> None:
    seen = []
    for entry in FULL_RUN:
        write(rundir, [entry])
        assert ingest_run(store, "r1", rundir)
        run = get(store)
        seen.append((run.status.value, run.step, run.eta_s, run.phase))
    assert seen[:7] == [
        ("queued", 0, None, "waiting for gpu0"),
        ("starting", 0, None, "building the starter model"),
        ("starting", 0, None, "building the starter model"),
        ("starting", 0, None, "building the starter model"),
        ("training", 0, None, ""),
        ("training", 10, 60.5, ""),
        ("training", 10, 60.5, ""),
    ]
    assert seen[15:18] == [("evaluating", 33, 60.5, ""), ("starting", 20, None, ""), ("training", 25, 20.0, "")]
    assert not ingest_run(store, "r1", rundir)


def test_superseded_points_are_hidden_and_kept(store: Store, rundir: RunDir) -> None:
    write(rundir, FULL_RUN)
    ingest_run(store, "r1", rundir)
    loss = store.metrics.series("r1", "train/loss")
    assert loss is not None
    assert (loss.steps, loss.values) == ([10, 25, 50], [4.5, 3.9, 2.0])
    evaluation = store.metrics.series("r1", "eval/loss")
    assert evaluation is not None
    assert evaluation.steps == [20]
    assert get(store).metrics["eval/loss"].min == 4.0
    with store.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM points WHERE attempt = 1 AND step = 30").fetchone() == (2,)


def test_taken_in_again_the_store_is_the_same(tmp_path: Path, store: Store, rundir: RunDir) -> None:
    write(rundir, FULL_RUN)
    ingest_run(store, "r1", rundir)
    once = dump(store)
    assert sum(map(len, once.values())) > 50
    assert not ingest_run(store, "r1", rundir)
    run = get(store)
    store.runs.ingest(fold(run, read_events(rundir.events), 0))
    assert dump(store) == once
    store.runs.reset("r1")
    assert ingest_run(store, "r1", rundir)
    assert dump(store) == once
    other = open_store(tmp_path / "other.db")
    other.runs.add(new_run("r1"))
    ingest_run(other, "r1", rundir)
    assert dump(other) == once
    other.close()


def long_log(rundir: RunDir, seed: int, events: int = 400) -> None:
    """A log with everything in it: resumes, repeats, numbers that are none, damage, strangers."""
    chance = random.Random(seed)
    step = best = 0
    attempt = 1
    lines: list[str | dict[str, Any]] = [event(0, "state", t=1.0, status="training", from_step=0)]
    for seq in range(1, events):
        t = 10.0 + seq + chance.choice([0, 0, 0, -5000, 90_000])
        step += chance.choice([0, 1, 1, 3])
        what = chance.random()
        values: dict[str, Any] = {name: chance.choice(["nan", "inf", "-inf", 7, chance.gauss(2, 1)]) for name in "abc"}
        if what < 0.01:
            attempt, step = attempt + 1, max(0, step - chance.randrange(40))
            lines.append(event(seq, "state", t=t, attempt=attempt, status="training", from_step=step))
        elif what < 0.6:
            lines.append(event(seq, "metrics", t=t, attempt=attempt, step=step, eta_s=3.0, values=values))
        elif what < 0.8:
            lines.append(event(seq, "system", t=t, attempt=attempt, step=step, values={"system/rss_bytes": seq}))
        elif what < 0.9:
            best = step
            lines.append(event(seq, "evaluation", t=t, attempt=attempt, step=step, values=values, best_step=best))
        elif what < 0.93:
            lines.append(event(seq, "alert", t=t, attempt=attempt, level="info", code="x", message="half \ud800"))
        elif what < 0.96:
            lines.append(event(seq, "aura", t=t, attempt=attempt))
        else:
            lines.append(chance.choice(['{"v":1,"se', "[]", "", "\x00", '{"v":1}', "{}"]))
    lines.append(event(events, "end", t=5.0, attempt=attempt, status="stopped", reason="asked to"))
    write_lines(rundir, *lines)


@pytest.mark.parametrize("seed", range(4))
def test_however_the_log_is_cut_the_store_is_the_same(store: Store, tmp_path: Path, rundir: RunDir, seed: int) -> None:
    long_log(rundir, seed)
    ingest_run(store, "r1", rundir)
    whole = dump(store)
    assert get(store).status is Status.STOPPED
    assert get(store).attempt > 1
    for batch_bytes in (1, 700, 9000):
        other = open_store(tmp_path / f"{batch_bytes}.db")
        other.runs.add(new_run("r1"))
        ingest_run(other, "r1", rundir, batch_bytes=batch_bytes)
        assert dump(other) == whole
        other.close()
    growing = RunDir(tmp_path / "growing")
    growing.path.mkdir()
    other = open_store(tmp_path / "growing.db")
    other.runs.add(new_run("r1"))
    chance = random.Random(seed)
    data = rundir.events.read_bytes()
    at = 0
    while at < len(data):
        size = chance.randrange(1, 2000)
        with growing.events.open("ab") as file:
            file.write(data[at : at + size])
        at += size
        ingest_run(other, "r1", growing)
    assert dump(other) == whole
    other.close()


def test_a_torn_last_line_waits(store: Store, rundir: RunDir) -> None:
    write_lines(rundir, metrics(0, 1, 2.0))
    whole = rundir.events.stat().st_size
    line = json.dumps(metrics(1, 2, 1.0)) + "\n"
    for cut in (1, 20, len(line) - 1):
        with rundir.events.open("ab") as file:
            file.write(line[:cut].encode())
        ingest_run(store, "r1", rundir)
        assert store.runs.ingest_offset("r1") == whole
        assert get(store).step == 1
        os.truncate(rundir.events, whole)
    write_lines(rundir, line.rstrip())
    assert ingest_run(store, "r1", rundir)
    assert (get(store).step, get(store).warnings) == (2, 0)


def test_a_torn_line_that_a_new_writer_closed_is_a_problem(store: Store, rundir: RunDir) -> None:
    write_lines(rundir, metrics(0, 1, 2.0))
    at = rundir.events.stat().st_size
    with rundir.events.open("ab") as file:
        file.write(b'{"v":1,"seq":1,"t":5')
    write(rundir, [(9.0, 2, "metrics", {"step": 2, "values": {"train/loss": 1.0}})])
    ingest_run(store, "r1", rundir)
    assert get(store).step == 2
    assert [offset for offset, _ in store.runs.problems("r1")] == [at]
    assert get(store).warnings == 1


BAD_FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("state", {"status": "asleep"}, "status"),
    ("state", {}, "status"),
    ("state", {"status": ["training"]}, "status"),
    ("state", {"status": "training", "phase": 3}, "phase"),
    ("state", {"status": "training", "progress": "half"}, "half"),
    ("state", {"status": "training", "from_step": -1}, "from_step"),
    ("plan", {"total_steps": "40"}, "total_steps"),
    ("rehearsal", {"peak_bytes": 12}, "ok"),
    ("rehearsal", {"ok": True, "peak_bytes": "much"}, "much"),
    ("rehearsal", {"ok": True, "longest_tokens": 1.5}, "longest_tokens"),
    ("rehearsal", {"ok": True, "parts": [1.0]}, "parts"),
    ("rehearsal", {"ok": True, "parts": {"save_s": "long"}}, "long"),
    ("metrics", {"values": {"x": 1.0}}, "step"),
    ("metrics", {"step": 1.5, "values": {"x": 1.0}}, "step"),
    ("metrics", {"step": True, "values": {"x": 1.0}}, "step"),
    ("metrics", {"step": 1 << 70, "values": {"x": 1.0}}, "step"),
    ("metrics", {"step": 1, "values": [1.0]}, "values"),
    ("metrics", {"step": 1}, "values"),
    ("metrics", {"step": 1, "eta_s": {}, "values": {"x": 1.0}}, "{}"),
    ("evaluation", {"step": 1, "values": None}, "values"),
    ("evaluation", {"step": 1, "values": {}, "best_step": "one"}, "best_step"),
    ("system", {"step": None, "values": {}}, "step"),
    ("sample", {"step": 1, "samples": "text"}, "samples"),
    ("sample", {"step": 1, "samples": ["text"]}, "samples"),
    ("checkpoint", {"step": 1}, "path"),
    ("checkpoint", {"path": "x"}, "step"),
    ("alert", {"level": "warning", "code": "x"}, "message"),
    ("heartbeat", {"step": "one"}, "step"),
    ("end", {"status": "training"}, "training"),
    ("end", {"status": "succeeded", "reason": 7}, "reason"),
]


@pytest.mark.parametrize(("kind", "fields", "named"), BAD_FIELDS)
def test_a_malformed_event_is_a_problem_and_the_next_one_counts(
    store: Store, rundir: RunDir, kind: str, fields: dict[str, Any], named: str
) -> None:
    write_lines(rundir, metrics(0, 1, 2.0))
    at = rundir.events.stat().st_size
    before = ingest_run(store, "r1", rundir) and get(store)
    write_lines(rundir, event(1, kind, **fields))
    ingest_run(store, "r1", rundir)
    [(offset, message)] = store.runs.problems("r1")
    assert offset == at
    assert f"damaged {kind} event" in message
    assert named in message
    after = get(store)
    assert isinstance(before, Run)
    assert (after.status, after.step, after.total_steps, after.phase, after.eta_s) == (
        *(before.status, before.step, before.total_steps, before.phase, before.eta_s),
    )
    assert after.warnings == 1
    write_lines(rundir, metrics(2, 3, 1.0))
    ingest_run(store, "r1", rundir)
    assert get(store).step == 3


def test_bad_fields_are_tried_for_every_kind() -> None:
    assert {kind for kind, _, _ in BAD_FIELDS} == KINDS


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00",
        b"\x00" * 50,
        b"null",
        b"3",
        b'"text"',
        b"[" * 100_000,
        b'{"v":1',
        b'{"v":1,"seq":1,"t":1.0,"attempt":1}',
        b'{"v":1,"seq":"1","t":1.0,"attempt":1,"kind":"heartbeat","step":1}',
        b'{"v":1,"seq":-1,"t":1.0,"attempt":1,"kind":"heartbeat","step":1}',
        b'{"v":1,"seq":99999999999999999999,"t":1.0,"attempt":1,"kind":"heartbeat","step":1}',
        b'{"v":1,"seq":1,"t":NaN,"attempt":1,"kind":"heartbeat","step":1}',
        b'{"v":1,"seq":1,"t":1.0,"attempt":0,"kind":"heartbeat","step":1}',
        b'{"v":1,"seq":1,"t":1.0,"attempt":true,"kind":"heartbeat","step":1}',
        b'{"v":1,"seq":1,"t":1.0,"attempt":1,"kind":["heartbeat"],"step":1}',
        b'{"v":"1","seq":1,"t":1.0,"attempt":1,"kind":"heartbeat","step":1}',
        b'{"v":2,"seq":1,"t":1.0,"attempt":1,"kind":"heartbeat","step":1}',
        b"1," + b"9" * 5000,
    ],
)
def test_a_line_that_is_no_event_is_a_problem(store: Store, rundir: RunDir, line: bytes) -> None:
    write_lines(rundir, metrics(0, 1, 2.0), line, metrics(2, 3, 1.0))
    ingest_run(store, "r1", rundir)
    assert len(store.runs.problems("r1")) == 1
    assert (get(store).step, get(store).warnings) == (3, 1)


def test_a_bad_value_leaves_the_others(store: Store, rundir: RunDir) -> None:
    values = {"a": 1, "b": None, "c": "fast", "d": True, "e": [1], "f": 10**400, "g": 2.5}
    write_lines(rundir, event(0, "metrics", step=1, values=values))
    ingest_run(store, "r1", rundir)
    assert {name: latest.last for name, latest in get(store).metrics.items()} == {"a": 1.0, "g": 2.5}
    assert len(store.runs.problems("r1")) == 1


def test_unknown_kinds_are_counted_and_skipped(store: Store, rundir: RunDir) -> None:
    write_lines(rundir, event(0, "aura"), metrics(1, 1, 2.0), event(2, "aura", values={"x": 1.0}), event(3, ""))
    ingest_run(store, "r1", rundir)
    assert get(store).warnings == 3
    assert store.runs.problems("r1") == []
    assert store.metrics.names("r1") == ["train/loss"]


def test_nan_and_infinity(store: Store, rundir: RunDir) -> None:
    losses = [2.0, float("nan"), inf, 1.0, -inf]
    write(rundir, [(1.0, 1, "metrics", {"step": n, "values": {"train/loss": loss}}) for n, loss in enumerate(losses)])
    ingest_run(store, "r1", rundir)
    series = store.metrics.series("r1", "train/loss")
    assert series is not None
    assert series.steps == [0, 1, 2, 3, 4]
    assert isnan(series.values[1])
    assert series.values[2:] == [inf, 1.0, -inf]
    latest = get(store).metrics["train/loss"]
    assert (latest.last, latest.min, latest.max, latest.min_step) == (-inf, 1.0, 2.0, 3)
    assert store.runs.problems("r1") == []


def test_a_resume_clears_the_end(store: Store, rundir: RunDir) -> None:
    write(
        rundir,
        [
            (1.0, 1, "state", {"status": "training", "from_step": 0}),
            (2.0, 1, "metrics", {"step": 5, "eta_s": 9.0, "values": {"train/loss": 3.0}}),
            (3.0, 1, "end", {"status": "failed", "reason": "out of memory", "message": "CUDA out of memory"}),
        ],
    )
    ingest_run(store, "r1", rundir)
    assert (get(store).status, get(store).reason, get(store).ended) == (Status.FAILED, "out of memory", 3.0)
    write(rundir, [(50.0, 2, "state", {"status": "queued", "phase": "waiting for gpu0"})])
    ingest_run(store, "r1", rundir)
    run = get(store)
    assert (run.status, run.reason, run.started, run.ended, run.step) == (Status.QUEUED, "", 1.0, None, 5)
    assert run.metrics["train/loss"].last == 3.0, "nothing is superseded before the worker says from where it goes on"
    first, second = store.runs.attempts("r1")
    assert (first.status, first.reason, first.ended) == (Status.FAILED, "out of memory", 3.0)
    assert (second.started, second.ended, second.from_step) == (50.0, None, None)


def test_a_log_that_was_replaced_is_read_from_the_beginning(store: Store, rundir: RunDir) -> None:
    write_lines(rundir, *(metrics(n, n, 2.0) for n in range(20)))
    ingest_run(store, "r1", rundir)
    rundir.events.unlink()
    assert not ingest_run(store, "r1", rundir)
    assert get(store).step == 19
    write_lines(rundir, metrics(0, 4, 7.0))
    assert ingest_run(store, "r1", rundir)
    assert get(store).step == 4
    series = store.metrics.series("r1", "train/loss")
    assert series is not None
    assert series.values == [7.0]


def test_a_run_that_the_store_does_not_know_changes_nothing(store: Store, rundir: RunDir) -> None:
    write_lines(rundir, metrics(0, 1, 2.0))
    before = dump(store)
    assert not ingest_run(store, "r2", rundir)
    assert dump(store) == before


def test_every_kind_and_status_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    assert {kind for kind in KINDS if f"### `{kind}`:" not in text} == set()
    assert {status for status in Status if f"`{status}`" not in text} == set()


INGEST = """
import pathlib, sys, time
from engine.runs.ingest import ingest_run
from engine.runs.rundir import RunDir
from store import open_store
store = open_store(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
pause = lambda _: time.sleep(0.005)  # it is not to be done before it is killed
ingest_run(store, "r1", RunDir(pathlib.Path(sys.argv[2])), batch_bytes=int(sys.argv[3]), progress=pause)
"""


def start(store: Store, rundir: RunDir, batch_bytes: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", INGEST, str(store.path), str(rundir.path), str(batch_bytes)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_killed_in_the_middle_again_and_again_nothing_is_lost(store: Store, tmp_path: Path, rundir: RunDir) -> None:
    long_log(rundir, seed=9, events=3000)
    chance = random.Random(3)
    killed = 0
    for target in range(1, 6):
        child = start(store, rundir, 4000)
        # Some batches further on, then after a moment that falls anywhere within a batch.
        goal = rundir.events.stat().st_size * target // 8
        while store.runs.ingest_offset("r1") < goal and child.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.random() / 50)
        child.send_signal(signal.SIGKILL)
        killed += child.wait(20) == -signal.SIGKILL
        assert store.check() == []
    assert killed == 5
    assert 0 < store.runs.ingest_offset("r1") < rundir.events.stat().st_size
    ingest_run(store, "r1", rundir)
    undisturbed = open_store(tmp_path / "undisturbed.db")
    undisturbed.runs.add(new_run("r1"))
    ingest_run(undisturbed, "r1", rundir)
    assert dump(store) == dump(undisturbed)
    undisturbed.close()


def test_two_processes_at_once_count_nothing_twice(store: Store, tmp_path: Path, rundir: RunDir) -> None:
    long_log(rundir, seed=5, events=1500)
    children = [start(store, rundir, 3000) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    alone = open_store(tmp_path / "alone.db")
    alone.runs.add(new_run("r1"))
    ingest_run(alone, "r1", rundir)
    assert dump(store) == dump(alone)
    alone.close()
