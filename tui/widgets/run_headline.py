"""The head of a run's screen: its state and how far it is, then what it came to."""

import math
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from engine.figures import fmt_energy
from tui.format import fmt_bytes, fmt_cost, fmt_duration, fmt_number, fmt_percent, fmt_rate, fmt_when
from tui.text import clean_line, shorten
from tui.widgets.gauge import styled_bar
from tui.widgets.run_words import (
    EVAL_LOSS,
    TONES,
    TRAIN_LOSS,
    peak_of,
    phase_of,
    recipe_line,
    state_of,
    took_s,
)

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
        return Content("\n").join(
            [_progress_line(run, self.content_size.width), _figures_line(run, self.content_size.width)]
        )


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
        tail += f"   {left_words(run)}"
    room = width - head.cell_length - len(tail) - 3
    return Content.assemble(head, styled_bar(run.progress, max(6, min(48, room))), f"   {tail}")


def left_words(run: "Run") -> str:
    """The time left with how far off that may be: `12 m left ± 1 m`. Less than a twentieth is not worth saying."""
    error = run.eta_error_s
    words = f"{fmt_duration(run.eta_s)} left"
    if run.eta_s is None or error is None or not math.isfinite(error) or error < max(1.0, run.eta_s / 20):
        return words
    return f"{words} ± {fmt_duration(error) if error < 60 or error >= 3600 else f'{error / 60:.0f} m'}"


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


def _figures_line(run: "Run", width: int) -> Content:
    """What it came to, the most telling first: what has no room is left out as a whole, the recipe fills the rest."""
    found: list[tuple[str, str, str]] = []
    for name, label in ((TRAIN_LOSS, "loss"), (EVAL_LOSS, "eval")):
        if latest := run.metrics.get(name):
            found.append((label, fmt_number(latest.last), "bold" if math.isfinite(latest.last) else "bold $text-error"))
    best = run.metrics.get(EVAL_LOSS)
    if best is not None and best.min is not None:
        found.append(("best", f"{fmt_number(best.min)} at step {best.min_step}", "$text-success"))
    if run.tokens_per_s is not None:
        found.append(("speed", f"{fmt_rate(run.tokens_per_s)} tok/s", ""))
    if run.cost is not None:
        found.append(("cost", fmt_cost(run.cost), ""))
    if run.energy_j:
        found.append(("energy", fmt_energy(run.energy_j), ""))
    if peak := peak_of(run):
        found.append(("peak", fmt_bytes(peak), ""))
    if run.attempt > 1:
        found.append(("attempt", str(run.attempt), ""))
    parts: list[tuple[str, str]] = []
    used = 0
    for label, figure, style in found:
        used += len(label) + len(figure) + 4
        if used - 3 > width:
            break
        parts += [(f"{label} ", "$text-muted"), (f"{figure}   ", style)]
    recipe = " · ".join(
        part
        for part in (clean_line(run.model), recipe_line(run.recipe) if run.recipe else "", clean_line(run.dataset))
        if part
    )
    parts.append((recipe, "$text-muted"))
    return Content.assemble(*parts)
