"""A sweep in words: its state, its trials, which parameter mattered. The same words on every screen."""

from typing import TYPE_CHECKING, Any

from textual.content import Content

from tui.format import fmt_duration, fmt_number
from tui.text import clean_line, shorten
from tui.widgets.cells import fitted
from tui.widgets.gauge import bar, styled_bar
from tui.widgets.run_words import TONES, State, progress_of, short_time

if TYPE_CHECKING:
    from engine.sweeps.analysis import Importance, SweepView, TrialView
    from store.records import Sweep

SWEEP_STATES = {
    "running": State("●", "running", "live"),
    "stopping": State("◑", "stopping", "look"),
    "succeeded": State("✓", "done", "good"),
    "failed": State("✗", "failed", "act"),
    "stopped": State("■", "stopped", "dim"),
    "lost": State("?", "lost", "act"),
}
TRIAL_STATES = {
    "queued": State("○", "queued", "dim"),
    "running": State("●", "running", "live"),
    "stopped": State("■", "stopped", "look"),
    "lost": State("?", "lost", "act"),
    "complete": State("✓", "done", "good"),
    "pruned": State("✂", "pruned", "dim"),
    "failed": State("✗", "failed", "act"),
}


def sweep_state(sweep: "Sweep") -> State:
    return SWEEP_STATES[sweep.status.value]


def trial_state(trial: "TrialView", width: int) -> tuple[str, str]:
    """How a trial stands, in about `width` cells, and a tone: progress while it trains."""
    state = TRIAL_STATES.get(trial.state, TRIAL_STATES["running"])
    run = trial.run
    if trial.state == "running" and run is not None and run.status.live and run.progress is not None:
        return f"{state.symbol} {progress_of(run, width - 2)}", state.tone
    if trial.state == "running" and run is not None and run.status.live:
        return f"{state.symbol} {run.status}", state.tone
    return f"{state.symbol} {state.word}", state.tone


def param_words(value: Any) -> str:
    """A parameter's value in few characters."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value) if isinstance(value, int) else fmt_number(value)
    return clean_line(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def varied_words(spec: dict[str, Any]) -> str:
    """The fields that a stored spec varies."""
    search = spec.get("search")
    return clean_line(", ".join(search)) if isinstance(search, dict) else ""


def headline(view: "SweepView", width: int) -> Content:
    """Name, state, how far, and the best with its run, on one line; a second one where something is to be said."""
    sweep, best = view.sweep, view.best
    state = sweep_state(sweep)
    share = view.done / view.total if view.total else None
    name = shorten(clean_line(sweep.name), max(10, width // 4))
    parts: list[Any] = [(name, "bold"), "  ", (f"{state.symbol} {state.word}", TONES[state.tone]), "  "]
    parts += [styled_bar(share, max(4, min(24, width - 76))), f" {view.done}/{view.total}"]
    if best is not None:
        run = f"  {clean_line(best.run.name)}" if best.run else ""
        parts += ["  ", (f"★ {fmt_number(best.value)}", "bold $text-success"), (f" {clean_line(view.metric)}{run}", "")]
    left = time_left(view)
    if left:
        parts += ["  ", (left, "$text-muted")]
    if sweep.reason and not sweep.status.live:
        tone = state.tone if state.tone in ("act", "look") else "dim"
        parts += ["\n", (clean_line(sweep.reason), TONES[tone])]
    return Content.assemble(*parts)


def time_left(view: "SweepView") -> str:
    """About how long the rest takes, by the trials that ended: `about 12m left`."""
    took = [trial.duration_s for trial in view.trials if trial.duration_s and trial.state in ("complete", "pruned")]
    if not view.sweep.status.live or not took:
        return ""
    at_once = max(1, sum(trial.state == "running" for trial in view.trials))
    left = sum(took) / len(took) * (view.total - view.done) / at_once
    left -= sum(trial.duration_s or 0 for trial in view.trials if trial.state == "running") / at_once
    return f"about {short_time(max(1.0, left))} left"


def importance_content(found: "Importance", width: int) -> Content:
    """Which parameter mattered, as bars; or why that cannot be said."""
    if not found.shares:
        return Content.assemble((f"{found.unknown}", "$text-muted"))
    names = min(16, max(len(name) for name in found.shares))
    lines = []
    for name, share in found.shares.items():
        room = max(3, width - names - 6)
        lines.append(
            Content.assemble(
                fitted(clean_line(name), names),
                " ",
                (bar(share, room).replace("─", " "), "$primary"),
                f" {share:4.0%}",
            )
        )
    return Content("\n").join([*lines, Content.assemble((found.how, "$text-muted"))])


def trial_sentence(trial: "TrialView | None", metric: str) -> str:
    """A trial in a line: its run, what it came to, why it ended."""
    if trial is None:
        return ""
    run = clean_line(trial.run.name) if trial.run else "its run is gone" if trial.state != "failed" else "no run"
    value = f"{clean_line(metric)} {fmt_number(trial.value)}" if trial.value is not None else ""
    step = f"step {trial.step}" if trial.step is not None else ""
    took = fmt_duration(trial.duration_s) if trial.duration_s is not None else ""
    return " · ".join(part for part in (run, value, step, took, clean_line(trial.reason)) if part)
