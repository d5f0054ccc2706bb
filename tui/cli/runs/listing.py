"""`finetui runs ls | show`."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.documents import run_detail_document, run_document
from tui.cli.output import fields, table
from tui.cli.runs.explaining import failure_text
from tui.cli.runs.finding import RunArgument, found
from tui.cli.runs.views import SORT_HELP, FilterOption, ReverseOption, named
from tui.format import NONE, fmt_bytes, fmt_cost, fmt_duration, fmt_number, fmt_percent, fmt_rate, fmt_when
from tui.text import clean_line
from tui.widgets.promise_words import promise_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.evaluation.targets import TargetResult
    from engine.insight.failures import Failure
    from engine.insight.promises import Promises
    from store.records import Attempt, EventRow, Latest, Run

app = typer.Typer()
COLOURS = {"succeeded": "green", "failed": "red", "lost": "red", "stopped": "yellow"}


@command(
    app,
    "ls",
    example=[
        "runs ls",
        "runs ls --filter 'status:failed model:qwen' --sort started --limit 10",
        "runs ls --filter 'cfg.lora_r>=16 eval/loss.min<1.2' --sort eval/loss.min --reverse",
        "runs ls --view best",
    ],
)
def ls(
    session: Session,
    filter_: FilterOption = "",
    sort: Annotated[str | None, typer.Option(metavar="KEY", help=SORT_HELP, show_default="created")] = None,
    reverse: ReverseOption = False,
    view: Annotated[
        str | None, typer.Option(metavar="NAME", help="A view that was saved; --filter narrows it.", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most so many.", min=1, show_default=False)] = None,
) -> None:
    """List the runs, newest first. docs/filters.md has all that a filter can ask for."""
    from store.language import And, parse

    store = session.current()
    kept = named(store, view) if view is not None else None
    query = And((parse(kept.query), parse(filter_))) if kept else parse(filter_)
    descending = kept.descending if kept and sort is None and not reverse else not reverse
    key = sort or (kept.sort if kept else "created")
    runs = store.runs.list(query, sort=key, descending=descending, limit=limit)

    def text() -> str:
        if not runs:
            if not (filter_ or view):
                return "No runs. `finetui demo` makes a first one."
            hints = [store.runs.hint(one) for one in (kept.query if kept else "", filter_)]
            return clean_line(" ".join(["No run matches.", *(hint for hint in hints if hint)]))
        return table(
            ("NAME", "STATUS", "PROGRESS", "LOSS", "EVAL", "TOK/S", "MODEL", "METHOD", "DATASET", "CREATED", "ID"),
            [_line(run) for run in runs],
            right=("PROGRESS", "LOSS", "EVAL", "TOK/S"),
            optional=("METHOD", "TOK/S", "DATASET", "MODEL", "CREATED"),
            style=lambda column, cell: COLOURS.get(cell) if column == 1 else None,
        )

    session.answer([run_document(run) for run in runs], text)


def _line(run: "Run") -> tuple[str, ...]:
    return (
        run.name,
        str(run.status),
        fmt_percent(run.progress),
        _last(run.metrics.get("train/loss")),
        _lowest(run.metrics.get("eval/loss")),
        fmt_rate(run.tokens_per_s),
        run.model,
        run.method,
        run.dataset,
        fmt_when(run.created),
        run.id,
    )


def _last(latest: "Latest | None") -> str:
    return fmt_number(latest.last) if latest else NONE


def _lowest(latest: "Latest | None") -> str:
    return fmt_number(latest.min) if latest else NONE


@command(app, "show", example="runs show support-3 --json")
def show(session: Session, run: RunArgument) -> None:
    """Show one run: its state, why it failed, its figures, its recipe, its attempts and its alerts."""
    from engine.evaluation.targets import judge, read_targets
    from engine.insight.failures import failure_of
    from engine.insight.promises import read_promises
    from tui.cli.target_words import target_document

    it = found(session, run)
    failure = failure_of(session.store, it)
    promises = read_promises(session.store, it)
    attempts = session.store.runs.attempts(it.id)
    alerts = session.store.runs.events(it.id, {"alert"})
    problems = session.store.runs.problems(it.id)
    targets = judge(it, it.figures, read_targets(session.home))
    session.answer(
        run_detail_document(it, attempts, alerts, problems, failure, promises)
        | {"targets": [target_document(one) for one in targets]},
        lambda: _detail(it, attempts, alerts, problems, failure, promises, targets),
    )


def _detail(
    run: "Run",
    attempts: list["Attempt"],
    alerts: list["EventRow"],
    problems: list[tuple[int, str]],
    failure: "Failure | None",
    promises: "Promises",
    targets: "Sequence[TargetResult]",
) -> str:
    from tui.cli.target_words import target_lines

    state = str(run.status) + (f": {run.reason}" if run.reason else "") + (f" ({run.phase})" if run.phase else "")
    step = f"{run.step}/{run.total_steps}" if run.total_steps else str(run.step)
    end = run.ended if run.ended else run.heartbeat
    head = fields(
        [
            ("name", run.name),
            ("id", run.id),
            ("state", state),
            ("stalled", f"nothing is heard of it since {fmt_when(run.stalled)}" if run.stalled else ""),
            ("step", step + (f", best {run.best_step}" if run.best_step else "")),
            ("time left", fmt_duration(run.eta_s) if run.eta_s is not None and run.status.live else ""),
            ("model", run.model),
            ("method", run.method),
            ("dataset", f"{run.dataset} ({run.dataset_id})"),
            ("created", fmt_when(run.created)),
            ("took", fmt_duration(end - run.started) if run.started and end else ""),
            ("tokens/s", fmt_rate(run.tokens_per_s) if run.tokens_per_s is not None else ""),
            ("peak memory", fmt_bytes(run.peak_vram_bytes) if run.peak_vram_bytes is not None else ""),
            ("cost", fmt_cost(run.cost) if run.cost is not None else ""),
            *promise_rows(promises),
            ("targets", "\n".join(target_lines(targets))),
            ("tags", ", ".join(run.tags)),
            ("notes", run.notes),
            ("folder", run.dir),
        ]
    )
    parts = [head, *([failure_text(run, failure)] if failure else [])]
    if len(attempts) > 1:
        rows = [(a.number, a.from_step, str(a.status), a.reason) for a in attempts]
        parts.append(table(("ATTEMPT", "FROM STEP", "STATUS", "REASON"), rows, right=("ATTEMPT", "FROM STEP")))
    if run.metrics:
        parts.append(metric_table(run.metrics))
    if run.figures:
        parts.append(figure_table(run.figures))
    if alerts:
        parts.append("\n".join(fields([(str(row.body.get("level", "alert")), _sentence(row.body))]) for row in alerts))
    if problems:
        parts.append(fields((f"log byte {offset}", text) for offset, text in problems))
    parts.append(fields(("recipe." + name, _value(value)) for name, value in run.recipe.items()))
    return "\n\n".join(parts)


def _sentence(body: dict[str, object]) -> str:
    return " ".join(str(body[name]) for name in ("message", "fix") if body.get(name))


def _value(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


def metric_table(metrics: dict[str, "Latest"]) -> str:
    """Last, lowest and highest value of each metric."""
    return table(
        ("METRIC", "LAST", "MIN", "MAX", "STEP"),
        [
            (name, fmt_number(latest.last), fmt_number(latest.min), fmt_number(latest.max), latest.step)
            for name, latest in sorted(metrics.items())
        ],
        right=("LAST", "MIN", "MAX", "STEP"),
    )


def figure_table(figures: "Mapping[str, float]") -> str:
    """What the newest evaluations measured."""
    from engine.evaluation.measures import MEASURES

    named = [name for name in MEASURES if name in figures]
    rows = [(MEASURES[name].label, MEASURES[name].show(figures[name]), f"eval.{name}") for name in named]
    rows += [(name, fmt_number(figures[name]), f"eval.{name}") for name in sorted(set(figures) - set(named))]
    return table(("EVALUATED", "FIGURE", "IN FILTERS"), rows, right=("FIGURE",))
