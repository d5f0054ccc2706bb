"""`finetui queue`: the runs that wait for a device, and their order."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.documents import run_document
from tui.cli.output import table
from tui.cli.runs.finding import RunArgument, found
from tui.format import NONE, fmt_bytes, fmt_duration, fmt_percent
from tui.text import clean

if TYPE_CHECKING:
    from store.records import Run
    from tui.widgets.queue_words import Entry

app = typer.Typer(help="The queue: what is at work, what waits for what, and in which order.", no_args_is_help=True)


@command(app, "ls", example=["queue ls", "queue ls --json"])
def ls(session: Session) -> None:
    """List the runs at work, then those that wait, in the order in which they start, with what they wait for."""
    entries = _entries(session)

    def text() -> str:
        if not entries:
            return "Nothing is running, and nothing waits."
        return table(
            ("#", "NAME", "STATUS", "PRIO", "DEVICE", "WHEN", "MEMORY", "TAKES", "ID"),
            [_line(entry) for entry in entries],
            right=("#", "PRIO", "MEMORY", "TAKES"),
            optional=("TAKES", "MEMORY", "PRIO"),
        )

    session.answer([_document(entry) for entry in entries], text)


@command(app, "move", example="queue move support-3 1")
def move(
    session: Session, run: RunArgument, to: Annotated[int, typer.Argument(metavar="N", help="1 is the next.", min=1)]
) -> None:
    """Move a waiting run to place N."""
    it = found(session, run)
    session.manager.queue.move(it.id, to)
    _answer(session, it)


@command(app, "priority", example=["queue priority support-3 5", "queue priority support-3 -- -1"])
def priority(
    session: Session, run: RunArgument, value: Annotated[int, typer.Argument(metavar="N", help="0 is usual.")]
) -> None:
    """Give a waiting run another priority: higher starts first."""
    it = found(session, run)
    session.manager.queue.set_priority(it.id, value)
    _answer(session, it)


@command(app, "now", example="queue now support-3")
def now(session: Session, run: RunArgument) -> None:
    """Start a waiting run at once, beside those at work, whether it fits or not."""
    it = found(session, run)
    session.manager.queue.run_now(it.id)
    session.answer(run_document(it), f"{clean(it.name)} ({it.id}): starts now.")


@command(app, "cancel", example="queue cancel support-3")
def cancel(session: Session, run: RunArgument) -> None:
    """Cancel a run that waits. It stays in the list of runs, and can be resumed."""
    it = found(session, run)
    if it.status.value != "queued":
        raise BadInput(
            f"{clean(it.name)} does not wait: it is {it.status}.",
            fix=f"`finetui runs stop {it.id}` stops a run at work." if it.status.live else "",
        )
    session.manager.stop(it.id)
    session.manager.look()
    session.answer(run_document(session.store.runs.get(it.id) or it), f"{clean(it.name)} ({it.id}): cancelled.")


def _entries(session: Session) -> list["Entry"]:
    from tui.widgets.queue_words import read_queue

    store = session.current()
    return read_queue(session.home, store, session.manager.queue)


def _answer(session: Session, run: "Run") -> None:
    """Where the run is in the queue after the change."""
    entry = next((entry for entry in _entries(session) if entry.id == run.id), None)
    if entry is None or entry.place is None:  # it was its turn in that moment
        session.answer(run_document(session.store.runs.get(run.id) or run), f"{clean(run.name)} ({run.id}): starts.")
        return
    words = f"place {entry.place}, priority {entry.priority}; {entry.device}."
    session.answer(_document(entry), f"{clean(run.name)} ({run.id}): {words}")


def _document(entry: "Entry") -> dict[str, Any]:
    """A live run in the queue: `place` is null for what is at work; times are in seconds, null where unknown."""
    return {
        "id": entry.id,
        "name": entry.run.name,
        "status": str(entry.run.status),
        "place": entry.place,
        "priority": entry.priority,
        "device": entry.device,
        "needs_bytes": entry.needs_bytes,
        "takes_s": entry.takes_s,
        "starts_s": entry.starts_s,
        "eta_s": entry.run.eta_s,
        "progress": entry.run.progress,
    }


def _line(entry: "Entry") -> tuple[str, ...]:
    if entry.at_work:
        left = f" {fmt_duration(entry.run.eta_s)} left" if entry.run.eta_s is not None else ""
        when = f"{fmt_percent(entry.run.progress)}{left}" if entry.run.progress is not None else NONE
    else:
        when = NONE if entry.starts_s is None else f"in {fmt_duration(entry.starts_s)}"
    return (
        "" if entry.place is None else str(entry.place),
        entry.run.name,
        str(entry.run.status),
        "" if entry.place is None else str(entry.priority),
        entry.device or NONE,
        when,
        fmt_bytes(entry.needs_bytes or None),
        fmt_duration(entry.takes_s),
        entry.id,
    )
