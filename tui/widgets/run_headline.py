"""The head of a run's screen: its state and how far it is, then what it came to."""

from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.format import fmt_bytes, fmt_cost, fmt_duration, fmt_number, fmt_percent, fmt_rate, fmt_when
from tui.text import clean_line, shorten
from tui.widgets.gauge import styled_bar
from tui.widgets.run_words import EVAL_LOSS, TONES, TRAIN_LOSS, peak_of, phase_of, recipe_line, state_of, took_s

if TYPE_CHECKING:
    from engine.insight.failures import Failure
    from store.records import Run


class RunHeadline(Widget):
    """Two lines: name, state, progress and time left; losses, speed, memory and the recipe."""

    DEFAULT_CSS = """
    RunHeadline { height: 2; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    run: "reactive[Run | None]" = reactive(None)

    def render(self) -> Content:
        run = self.run
        if run is None:
            return Content("")
        return Content("\n").join([_progress_line(run, self.content_size.width), _figures_line(run)])


def _progress_line(run: "Run", width: int) -> Content:
    state = state_of(run)
    name = shorten(clean_line(run.name), max(12, width // 3))
    head = Content.assemble((name, "bold"), "   ", (f"{state.symbol} {state.word}", f"bold {TONES[state.tone]}"), "   ")
    if phase := phase_of(run):
        return Content.assemble(head, styled_bar(run.phase_progress, 16), f"   {phase}")
    if not run.status.live:
        words = [clean_line(run.reason)] if run.reason else []
        if (took := took_s(run)) is not None:
            words.append(f"took {fmt_duration(took)}")
        words.append(f"step {run.step:,}" + (f"/{run.total_steps:,}" if run.total_steps else ""))
        words.append(fmt_when(run.started or run.created))
        return Content.assemble(head, (" · ".join(words), "$text-muted"))
    tail = f"step {run.step:,}" + (f"/{run.total_steps:,}" if run.total_steps else "")
    if run.progress is not None:
        tail = f"{fmt_percent(run.progress)}   {tail}"
    if run.stalled is not None:
        tail += f"   silent since {fmt_when(run.stalled)}"
    elif run.eta_s is not None:
        tail += f"   {fmt_duration(run.eta_s)} left"
    room = width - head.cell_length - len(tail) - 3
    return Content.assemble(head, styled_bar(run.progress, max(6, min(48, room))), f"   {tail}")


def failure_line(failure: "Failure") -> Content:
    """What happened and what the key does about it: `✗ CUDA out of memory at step 212 · a launch with batch 2 × 8`."""
    return Content.assemble(
        f"✗ {clean_line(failure.title)} · ",
        ("a", "bold"),
        f" {clean_line(failure.offer)} · ",
        ("w", "bold"),
        " why",
    )


def stalled_line(run: "Run", suspended: int | None) -> Content:
    """Since when nothing is heard of a live run, and what may be done. `suspended` is the pid that is, if one is."""
    why = "its worker says nothing"
    if suspended is not None:
        why = f"its process is suspended, `kill -CONT {suspended}` lets it go on"
    return Content.assemble(
        f"⚠ Stalled since {fmt_when(run.stalled)}: {why}. It may recover by itself; ",
        ("s", "bold"),
        " stops it, ",
        ("K", "bold"),
        " kills it.",
    )


def _figures_line(run: "Run") -> Content:
    parts: list[tuple[str, str]] = []

    def add(label: str, figure: str, style: str = "") -> None:
        parts.extend([(f"{label} ", "$text-muted"), (f"{figure}   ", style)])

    for name, label in ((TRAIN_LOSS, "loss"), (EVAL_LOSS, "eval")):
        if latest := run.metrics.get(name):
            add(label, fmt_number(latest.last), "bold")
    best = run.metrics.get(EVAL_LOSS)
    if best is not None and best.min is not None:
        add("best", f"{fmt_number(best.min)} at step {best.min_step}", "$text-success")
    if run.tokens_per_s is not None:
        add("speed", f"{fmt_rate(run.tokens_per_s)} tok/s")
    if peak := peak_of(run):
        add("peak", fmt_bytes(peak))
    if run.cost is not None:
        add("cost", fmt_cost(run.cost))
    if run.attempt > 1:
        add("attempt", str(run.attempt))
    parts.append((f"{clean_line(run.model)} · {recipe_line(run.recipe)} · {clean_line(run.dataset)}", "$text-muted"))
    return Content.assemble(*parts)
