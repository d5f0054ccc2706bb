"""`finetui runs metrics | log`."""

import codecs
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import NotFound
from engine.runs.rundir import RunDir
from tui.cli.command import Session, command
from tui.cli.documents import latest_document, series_document
from tui.cli.output import say, table, write
from tui.cli.runs.finding import RunArgument, found
from tui.cli.runs.listing import metric_table
from tui.format import fmt_number
from tui.text import clean

app = typer.Typer()
POLL_S = 0.3


@command(app, "metrics", example=["runs metrics demo", "runs metrics demo --metric eval/loss --points 50 --json"])
def metrics(
    session: Session,
    run: RunArgument,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="M", help="Only this metric; repeat it.", show_default=False)
    ] = None,
    points: Annotated[
        int | None, typer.Option(metavar="N", help="Thin to at most so many points.", min=1, show_default=False)
    ] = None,
) -> None:
    """Show a run's metrics: the last, lowest and highest values, or with --metric the points."""
    it = found(session, run)
    store = session.store.metrics
    latest = store.latest(it.id)
    known = store.names(it.id)
    for name in metric or ():
        if name not in known:
            raise NotFound(f"{it.name} has no metric {name}.", fix=f"It has {', '.join(known) or 'none yet'}.")
    chosen = metric or known
    if not session.as_json and not metric:
        write(metric_table(latest) if latest else f"{clean(it.name)} has no metrics yet.")
        return
    series = {name: one for name in chosen if (one := store.series(it.id, name, max_points=points)) is not None}

    def text() -> str:
        parts = [
            table(
                ("STEP", name, "LOW", "HIGH") if points else ("STEP", name),
                [
                    (step, fmt_number(value), fmt_number(low), fmt_number(high))[: 4 if points else 2]
                    for step, value, low, high in zip(one.steps, one.values, one.low, one.high, strict=True)
                ],
                right=("STEP", name, "LOW", "HIGH"),
            )
            for name, one in series.items()
        ]
        return "\n\n".join(parts)

    document = {name: series_document(one, latest.get(name)) for name, one in series.items()}
    document |= {name: latest_document(latest[name]) for name in chosen if name not in series and name in latest}
    session.answer({"id": it.id, "name": it.name, "metrics": document}, text)


@command(app, "log", example=["runs log demo", "runs log demo -f"])
def log(
    session: Session,
    run: RunArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run ends.")] = False,
) -> None:
    """Print what a run's processes wrote."""
    it = found(session, run)
    lines = _lines(session, it.id, RunDir(Path(it.dir)).log, follow)
    if session.as_json:
        session.answer({"id": it.id, "name": it.name, "lines": list(lines)}, "")
        return
    for line in lines:
        write(line)


def _lines(session: Session, run_id: str, path: Path, follow: bool) -> Iterator[str]:
    """The log's lines, cleaned; a progress bar that was written over counts with its last state only."""
    from engine.runs.follow import patiently

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    ended = not follow
    offset = 0
    while True:
        data, offset = _read(path, offset)
        if data:
            *whole, rest = (rest + decoder.decode(data)).split("\n")
            yield from (_last_state(line) for line in whole)
            continue
        if ended:
            break
        patiently(session.manager.look, lambda error: say(f"Trying again: {clean(error.what)}"))
        run = session.store.runs.get(run_id)
        ended = run is None or not run.status.live
        if not ended:
            time.sleep(POLL_S)
    if rest:
        yield _last_state(rest)


def _read(path: Path, offset: int, limit_bytes: int = 1 << 20) -> tuple[bytes, int]:
    """The next bytes of the file, and the offset after them; nothing where there is no such file yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(limit_bytes)
    except FileNotFoundError:
        return b"", offset
    return data, offset + len(data)


def _last_state(line: str) -> str:
    return clean(line.rstrip("\r").rpartition("\r")[2])
