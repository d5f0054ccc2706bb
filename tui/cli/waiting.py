"""A live run as one progress line."""

from typing import TYPE_CHECKING

from tui.cli.command import Session
from tui.cli.output import Progress, say
from tui.format import fmt_duration, fmt_number
from tui.text import clean_line

if TYPE_CHECKING:
    from store.records import Run


def wait_for(session: Session, run: "Run", progress: Progress) -> "Run":
    """The run once it has ended, its state on the progress line until then. Ctrl-C leaves it going and says so."""
    from engine.runs.follow import follow

    try:
        return follow(
            session.manager,
            session.store,
            run.id,
            lambda seen: show_run(progress, seen),
            on_trouble=lambda error: progress.update(f"trying again: {clean_line(error.what)}"),
        )
    except KeyboardInterrupt:
        progress.clear()
        say(f"{clean_line(run.name)} ({run.id}) goes on. `finetui runs stop {run.id}` stops it.")
        raise


def show_run(progress: Progress, run: "Run") -> None:
    """Put the state of `run` on the progress line: `training  ████░░  56/120  loss 0.91  eval 1.04  2 m 10 s left`."""
    if run.phase and run.status.value in ("queued", "starting", "rehearsing"):
        progress.update(run.phase, run.phase_progress)
        return
    progress.update(str(run.status), run.progress, run_figures(run))


def run_figures(run: "Run") -> str:
    """Step, losses and time left, as far as they are known."""
    parts = [f"step {run.step}/{run.total_steps}" if run.total_steps else ""]
    for name, label in (("train/loss", "loss"), ("eval/loss", "eval")):
        if name in run.metrics:
            parts.append(f"{label} {fmt_number(run.metrics[name].last)}")
    if run.eta_s is not None and run.status.live:
        parts.append(f"{fmt_duration(run.eta_s)} left")
    return "  ".join(part for part in parts if part)
