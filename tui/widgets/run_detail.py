"""What a run's own screen shows, read from the store and the run's folder in one go, in a thread."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.content import Content

from tui.format import NONE, fmt_bytes, fmt_count, fmt_duration
from tui.text import clean, clean_line
from tui.widgets.promise_words import promise_rows
from tui.widgets.run_curves import Curves, read_curves
from tui.widgets.run_words import STATES

if TYPE_CHECKING:
    from engine.insight.failures import Failure
    from engine.insight.promises import Promises
    from store import Store
    from store.records import Attempt, EventRow, Run

MOST_SAMPLES = 40
MOST_ALERTS = 200


@dataclass(frozen=True)
class Detail:
    """Everything but the log. `recipe` is the text of `recipe.toml`, empty where it cannot be read."""

    run: "Run"
    curves: Curves
    samples: "list[EventRow]"
    alerts: "list[EventRow]"
    problems: list[tuple[int, str]]
    attempts: "list[Attempt]"
    plan: dict[str, Any]
    recipe: str
    failure: "Failure | None"
    """Why it ended other than well."""
    suspended: int | None
    """The pid of its command, where that is suspended."""
    promises: "Promises"


def read_detail(store: "Store", run_id: str, columns: int, view: tuple[float, float] | None) -> Detail | None:
    """The detail of a run, `None` where it is gone."""
    from engine.insight.failures import failure_of
    from engine.insight.promises import read_promises
    from engine.insight.stalled import suspended_pid
    from engine.runs.rundir import RunDir

    run = store.runs.get(run_id)
    if run is None:
        return None
    plans = store.runs.events(run_id, ["plan"], limit=1)
    try:
        recipe = (Path(run.dir) / "recipe.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        recipe = ""
    return Detail(
        run,
        read_curves(store, run, columns, view),
        store.runs.events(run_id, ["sample"], limit=MOST_SAMPLES),
        store.runs.events(run_id, ["alert"], limit=MOST_ALERTS),
        store.runs.problems(run_id),
        store.runs.attempts(run_id),
        dict(plans[-1].body) if plans else {},
        recipe,
        failure_of(store, run),
        suspended_pid(RunDir(Path(run.dir))) if run.stalled is not None else None,
        read_promises(store, run),
    )


def samples_content(samples: "list[EventRow]") -> Content:
    """Prompts with their answers at each evaluation, the newest first, and the reference where there is one."""
    answers: dict[str, list[tuple[int, str]]] = {}
    references: dict[str, str] = {}
    for event in samples:
        for sample in event.body.get("samples") or ():
            prompt = clean(str(sample.get("prompt", "")))
            answers.setdefault(prompt, []).append((int(event.body.get("step", 0)), clean(str(sample.get("text", "")))))
            if sample.get("reference"):
                references[prompt] = clean(str(sample["reference"]))
    if not answers:
        return Content.assemble(
            ("No samples yet. The run answers its sample prompts at each evaluation.", "$text-muted")
        )
    blocks = []
    for prompt, found in answers.items():
        width = max(len(f"step {step}") for step, _ in found)
        lines = [Content.assemble(("› ", "$text-primary"), (prompt, "bold"))]
        if prompt in references:
            lines.append(Content.assemble(("reference".ljust(width) + "  ", "$text-success"), references[prompt]))
        lines += [
            Content.assemble((f"step {step}".ljust(width) + "  ", "$text-muted"), text)
            for step, text in reversed(found)
        ]
        blocks.append(Content("\n").join(lines))
    return Content("\n\n").join(blocks)


def alerts_content(detail: Detail) -> Content:
    """Alerts, the newest first, then the damaged lines of the event log."""
    blocks = []
    for event in reversed(detail.alerts):
        level = str(event.body.get("level", "info"))
        style = {"error": "$text-error", "warning": "$text-warning"}.get(level, "$text-primary")
        when = f"{datetime.fromtimestamp(event.t):%H:%M:%S}"
        lines = [
            Content.assemble(
                (f"{when}  ", "$text-muted"), (f"{level}  ", style), clean(str(event.body.get("message", "")))
            )
        ]
        if event.body.get("fix"):
            lines.append(Content.assemble((" " * 10 + clean(str(event.body["fix"])), "$text-success")))
        blocks.append(Content("\n").join(lines))
    if detail.problems or detail.run.warnings:
        count = max(len(detail.problems), detail.run.warnings)
        words = f"{count} {'line' if count == 1 else 'lines'} of the event log could not be used; the rest could:"
        lines = [Content.assemble((words, "$text-warning"))]
        lines += [Content(f"  at byte {offset:,}: {clean_line(text)}") for offset, text in detail.problems[:50]]
        blocks.append(Content("\n").join(lines))
    return Content("\n\n").join(blocks) if blocks else Content.assemble(("No alerts.", "$text-muted"))


def recipe_content(detail: Detail) -> Content:
    """What the run trains, its attempts, its folder, and the recipe as TOML."""
    plan, run = detail.plan, detail.run
    rows: list[tuple[str, str]] = [("folder", clean_line(run.dir))]
    if plan:
        trainable, total = plan.get("trainable_parameters"), plan.get("total_parameters")
        share = f" ({trainable / total:.2%})" if trainable and total else ""
        rows += [
            ("trainable", f"{fmt_count(trainable)} of {fmt_count(total)} parameters{share}"),
            ("rows", f"{fmt_count(plan.get('train_rows'))} to train, {fmt_count(plan.get('eval_rows'))} to evaluate"),
            ("tokens", f"{fmt_count(plan.get('train_tokens'))} an epoch"),
            ("device", f"{clean_line(str(plan.get('device', NONE)))}, {clean_line(str(plan.get('precision', NONE)))}"),
        ]
        if plan.get("linear4bit"):
            rows.append(("4-bit", f"{plan['linear4bit']} Linear4bit modules"))
    rows += promise_rows(detail.promises)
    for attempt in detail.attempts:
        word = STATES[attempt.status.value].word
        took = fmt_duration(attempt.ended - attempt.started) if attempt.ended is not None else "now"
        reason = f", {clean_line(attempt.reason)}" if attempt.reason else ""
        rows.append((f"attempt {attempt.number}", f"from step {attempt.from_step or 0}, {took}, {word}{reason}"))
    width = max(len(label) for label, _ in rows)
    facts = [Content.assemble((label.ljust(width) + "  ", "$text-muted"), text) for label, text in rows]
    recipe = clean(detail.recipe).rstrip() or "recipe.toml cannot be read"
    lines = [_toml_line(line, detail.promises.reasons) for line in recipe.splitlines()]
    return Content("\n").join([*facts, Content(""), *lines])


def _toml_line(line: str, reasons: dict[str, str]) -> Content:
    """A line of the recipe, with why the planner chose its value."""
    key, sign, value = line.partition(" = ")
    if not sign:
        return Content.assemble((line, "$text-muted" if line.startswith(("#", "[")) else ""))
    why = f"   {clean_line(reasons[key])}" if key in reasons else ""
    return Content.assemble((key, "$text-primary"), (" = ", "$text-muted"), value, (why, "$text-muted"))


def memory_words(run: "Run", curves: Curves) -> tuple[float | None, str]:
    """Bytes in use now by the run's device and the words for it; `None` where nothing was measured."""
    for name in ("gpu0/memory_used_bytes", "system/rss_bytes"):
        if latest := run.metrics.get(name):
            peak = run.metrics.get("gpu0/memory_peak_bytes")
            highest = max(value for value in (latest.max, peak.max if peak else None, 0.0) if value is not None)
            return latest.last, f"{fmt_bytes(latest.last)}   peak {fmt_bytes(highest)}"
    return None, curves.memory_name or NONE


def busy_words(run: "Run") -> str:
    """Use, power and temperature of the GPU, or use of the processor."""
    parts = []
    for name, unit in (
        ("gpu0/utilization_percent", "%"),
        ("gpu0/power_w", "W"),
        ("gpu0/temperature_c", "°C"),
        ("system/cpu_percent", "% CPU"),
    ):
        if latest := run.metrics.get(name):
            parts.append(f"{latest.last:.0f} {unit}")
    return "   ".join(parts)
