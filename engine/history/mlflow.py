"""MLflow's stores: a SQLite file (`mlflow.db`), or the folders of files that came before it (`mlruns/`)."""

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from engine.history.config import parsed
from engine.history.databases import columns, opened, rows
from engine.history.items import At, Damage, Facts, FoundRun, Item, Machine, Row, Skipped
from store.records import Status

_MAX = 1.7976931348623157e308
"""What a SQLite store has for infinity."""
_NUMBERED = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_MOST_OPEN = 200
"""Files that are read side by side."""
_LONGEST_VALUE = 1 << 20

Point = tuple[str, Any, float, Any]
"""Metric, value, unix seconds, step."""


def is_mlflow(connection: sqlite3.Connection) -> bool:
    return {"run_uuid", "key", "value", "step"} <= columns(connection, "metrics") and bool(columns(connection, "runs"))


def find_mlflow(path: Path, connection: sqlite3.Connection) -> Iterator[FoundRun | Damage]:
    """The runs of a database that were not deleted."""
    counts: dict[str, tuple[int, int]] = {}
    try:
        for run, count, last in connection.execute(
            "SELECT run_uuid, count(*), max(rowid) FROM metrics GROUP BY run_uuid"
        ):
            counts[run] = (count, last)
    except sqlite3.DatabaseError as error:
        yield Damage(f"{path.name}: metrics cannot be counted: {error}")
    known = columns(connection, "runs")
    alive = ("lifecycle_stage", "active") if "lifecycle_stage" in known else ()
    for row in rows(connection, "runs", "run_uuid, name, start_time, end_time, status", *alive):
        if isinstance(row, Damage):
            yield Damage(f"{path.name}: {row.message}")
            continue
        _, run, name, started, ended, status = row
        count, last = counts.get(run, (0, 0))
        yield FoundRun(
            source="mlflow",
            source_id=f"mlflow:{run}",
            name=str(name or _tag(connection, run, "mlflow.runName") or run),
            path=path,
            files=(path,),
            stamp=f"{count}:{last}:{status}:{ended}",
            size=count,
            key=str(run),
            created=_seconds(started),
        )


def read_mlflow(run: FoundRun, at: At) -> Iterator[Item]:
    """The run's items."""
    try:
        with opened(run.path) as connection:
            yield from _about(run, connection)
            yield from _points(_from_database(run, connection, at), _stepless(run, connection))
    except sqlite3.Error as error:
        yield Damage(f"{run.path.name} cannot be read: {error}")


def _about(run: FoundRun, connection: sqlite3.Connection) -> Iterator[Item]:
    pairs: dict[str, dict[str, str]] = {"params": {}, "tags": {}}
    for table, found in pairs.items():
        if {"key", "value", "run_uuid"} <= columns(connection, table):
            for row in rows(connection, table, "key, value", "run_uuid", run.key):
                if isinstance(row, Damage):
                    yield Damage(f"{run.path.name}: {row.message}")
                else:
                    found[str(row[1])] = str(row[2])
    row = connection.execute(
        "SELECT r.start_time, r.end_time, r.status, e.name FROM runs r LEFT JOIN experiments e "
        "ON e.experiment_id = r.experiment_id WHERE r.run_uuid = ?",
        (run.key,),
    ).fetchone()
    started, ended, status, experiment = row or (None, None, None, None)
    yield _facts(run, pairs["params"], pairs["tags"], started, ended, status, experiment)


def _from_database(run: FoundRun, connection: sqlite3.Connection, at: At) -> Iterator[Point | Damage]:
    has_nan = "is_nan" in columns(connection, "metrics")
    wanted = f"key, value, timestamp, step, {'is_nan' if has_nan else '0'}"
    for done, row in enumerate(rows(connection, "metrics", wanted, "run_uuid", run.key)):
        if isinstance(row, Damage):
            yield Damage(f"{run.path.name}: {row.message}")
            continue
        _, name, value, t, step, nan = row
        if nan:
            value = float("nan")
        elif isinstance(value, (int, float)) and abs(value) >= _MAX:
            value = float("inf") if value > 0 else float("-inf")
        yield str(name), value, _seconds(t) or 0.0, step
        if done % 1000 == 0:
            at(min(done, run.size))


def _stepless(run: FoundRun, connection: sqlite3.Connection) -> frozenset[str]:
    """Metrics that were logged several times, and always without a step."""
    try:
        return frozenset(
            str(name)
            for (name,) in connection.execute(
                "SELECT key FROM metrics WHERE run_uuid = ? GROUP BY key HAVING count(*) > 1 AND max(abs(step)) = 0",
                (run.key,),
            )
        )
    except sqlite3.DatabaseError:
        return frozenset()


def _points(points: Iterable[Point | Damage], stepless: frozenset[str]) -> Iterator[Item]:
    """Rows of what was logged together; metrics without steps count up."""
    counts: dict[str, int] = {}
    step: Any = None
    values: dict[str, Any] = {}
    t = 0.0
    for point in points:
        if isinstance(point, Damage):
            yield point
            continue
        name, value, at, place = point
        if name.startswith("system/"):
            yield Machine({name: value}, at)
            continue
        if name in stepless:
            place = counts.get(name, 0)
            counts[name] = place + 1
        if place != step or name in values:
            if values:
                yield Row(values, step, t)
            values, step = {}, place
        values[name] = value
        t = at
    if values:
        yield Row(values, step, t)


def _facts(
    run: FoundRun,
    params: dict[str, str],
    tags: dict[str, str],
    started: Any,
    ended: Any,
    status: Any,
    experiment: Any,
) -> Facts:
    config: dict[str, Any] = {name: parsed(value) for name, value in params.items()}
    if experiment:
        config.setdefault("experiment", str(experiment))
    own = [f"{name}={value}" for name, value in tags.items() if not name.startswith("mlflow.")]
    now = str(status)
    known = {"FINISHED": Status.SUCCEEDED, "FAILED": Status.FAILED, "KILLED": Status.STOPPED}.get(now, Status.LOST)
    reason = {
        "FINISHED": "",
        "FAILED": "MLflow has it as failed",
        "KILLED": "it was killed",
    }.get(now, f"MLflow has it as {now.lower() if now in _NUMBERED.values() else 'neither ended nor running'}")
    return Facts(
        name=run.name,
        config=config,
        tags=tuple(own),
        notes=tags.get("mlflow.note.content", ""),
        started=_seconds(started),
        ended=_seconds(ended),
        status=known,
        reason=reason,
    )


def _tag(connection: sqlite3.Connection, run: str, name: str) -> str:
    try:
        row = connection.execute("SELECT value FROM tags WHERE run_uuid = ? AND key = ?", (run, name)).fetchone()
    except sqlite3.DatabaseError:
        return ""
    return str(row[0]) if row and row[0] else ""


def _seconds(milliseconds: Any) -> float | None:
    try:
        return int(milliseconds) / 1000 if milliseconds is not None else None
    except (TypeError, ValueError):
        return None


# the store of files


def is_mlruns_run(folder: Path) -> bool:
    """Whether a folder is a run of the store of files: it describes itself and has metrics."""
    meta = folder / "meta.yaml"
    return meta.is_file() and not meta.is_symlink() and (folder / "metrics").is_dir() and "run_id" in _flat(meta)


def find_mlruns(folder: Path, size: int, stamp: str) -> FoundRun | None:
    """The run in a folder; `None` for one that was deleted."""
    meta = _flat(folder / "meta.yaml")
    if meta.get("lifecycle_stage", "active") != "active":
        return None
    run = meta.get("run_id") or folder.name
    return FoundRun(
        source="mlflow",
        source_id=f"mlflow:{run}",
        name=meta.get("run_name") or run,
        path=folder,
        files=(folder,),
        stamp=stamp,
        size=size,
        key=run,
        created=_seconds(meta.get("start_time")),
    )


def read_mlruns(run: FoundRun, at: At) -> Iterator[Item]:
    """The items of a run in the store of files, one metric after the other."""
    folder = run.path
    meta = _flat(folder / "meta.yaml")
    params, tags = (dict(_values(folder / name)) for name in ("params", "tags"))
    experiment = _flat(folder.parent / "meta.yaml").get("name")
    status = _NUMBERED.get(meta.get("status", ""), meta.get("status"))
    yield _facts(run, params, tags, meta.get("start_time"), meta.get("end_time"), status, experiment)
    paths = {path.relative_to(folder / "metrics").as_posix(): path for path in _files(folder / "metrics")}
    stepless = frozenset(name for name, path in paths.items() if _has_no_steps(path))
    points: Iterable[tuple[float, Point | Damage]]
    if len(paths) <= _MOST_OPEN:
        points = heapq.merge(*(_lines(name, path) for name, path in paths.items()), key=lambda timed: timed[0])
    else:
        points = chain.from_iterable(_lines(name, path) for name, path in paths.items())
    # A line is some 30 bytes; the exact place would mean to ask each of the files.
    yield from _points((_counted(point, done, run, at) for done, (_, point) in enumerate(points)), stepless)
    if (folder / "artifacts").is_dir() and any((folder / "artifacts").iterdir()):
        yield Skipped("artifacts")


def _counted(point: Point | Damage, done: int, run: FoundRun, at: At) -> Point | Damage:
    if done % 1000 == 0:
        at(min(done * 30, run.size))
    return point


def _lines(name: str, path: Path) -> Iterator[tuple[float, Point | Damage]]:
    """A metric's points with their times; lines that are none are said."""
    t = 0.0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                words = line.split()
                try:
                    t, value, step = int(words[0]) / 1000, float(words[1]), int(words[2]) if len(words) > 2 else 0
                except (IndexError, ValueError, OverflowError):
                    yield t, Damage(f"line {number} of metrics/{name} is damaged")
                    continue
                yield t, (name, value, t, step)
    except OSError as error:
        yield t, Damage(f"metrics/{name} cannot be read: {error.strerror or error}")


def _has_no_steps(path: Path) -> bool:
    """Whether a metric was logged several times, and always without a step."""
    steps = (point[3] for _, point in _lines("", path) if not isinstance(point, Damage))
    first_two = [*islice(steps, 2)]
    return len(first_two) == 2 and not any(first_two) and not any(steps)


def _values(folder: Path) -> Iterator[tuple[str, str]]:
    for path in _files(folder):
        with path.open(encoding="utf-8", errors="replace") as file:
            yield path.relative_to(folder).as_posix(), file.read(_LONGEST_VALUE).strip()


def _files(folder: Path) -> list[Path]:
    """Plain files in a folder and below, links left out."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    found = []
    for path in sorted(folder.rglob("*")):
        inside = (path, *(parent for parent in path.parents if folder in parent.parents))
        if path.is_file() and not any(one.is_symlink() for one in inside):
            found.append(path)
    return found


def _flat(path: Path) -> dict[str, str]:
    """`name: value` of a file of YAML that has nothing else."""
    try:
        if path.is_symlink():
            return {}
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_LONGEST_VALUE).splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines if line and not line[0].isspace())
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
