"""The panel of a launch: whether it can start and fits, its memory by part, its time, its plan."""

import textwrap
from typing import TYPE_CHECKING

from textual.content import Content

from tui.format import fmt_bytes, fmt_duration
from tui.text import clean_line, shorten
from tui.widgets.gauge import styled_bar
from tui.widgets.launch_plan import SUGGESTION_KEYS, Plan, plan_words
from tui.widgets.recipe_draft import RecipeDraft
from tui.widgets.recipe_fields import field_specs

if TYPE_CHECKING:
    from engine.planning import Estimate, MemoryParts

LABEL_WIDTH = 11
TOO_LARGE = "✗ too large"
_ROOMY = 60
"""From this width on a part of the memory has a bar of its own."""


def plan_content(plan: Plan, draft: RecipeDraft, *, compact: bool, width: int, working: str = "") -> Content:
    """The whole panel; `compact` is for a few lines. `working` says what is still being found out."""
    parts = _verdict(plan, draft, width, compact)
    if working:
        parts.append(Content(shorten(f"… {working}", width)).stylize("$text-primary"))
    if compact:
        parts += _compact(plan, width)
        return Content("\n").join(parts)
    estimate = plan.ahead.plan.estimate if plan.ahead is not None and plan.ahead.plan is not None else None
    if estimate is not None:
        parts += [Content(""), *_memory(estimate, width), *_time(estimate, width)]
    parts.append(Content(""))
    if plan.ahead is not None and plan.ahead.plan is not None:
        parts.append(_figure("plan", plan_words(plan.ahead.plan), width))
    parts += [_figure(label, text, width) for label, text in plan.rows]
    if plan.rows_seen:
        parts.append(_figure("rows seen", plan.rows_seen, width))
    if plan.looks:
        parts.append(Content(""))
    return Content("\n").join([*parts, *(_look(look, width) for look in plan.looks)])


def _verdict(plan: Plan, draft: RecipeDraft, width: int, compact: bool) -> list[Content]:
    """Whether it can be launched; else why not, and the keys that help."""
    changed = len(draft.changed)
    words = f" · {changed} changed" if changed else ""
    fits = _fits(plan) if compact else ""
    if not plan.problems and plan.ahead is None:
        return [Content("… looking at the model and the rows").stylize("$text-muted")]
    if not plan.problems:
        ready = Content.assemble(("✓ ready to launch", "bold $text-success"), (words, "$text-muted"), fits)
        return [ready, *_suggestions(plan, width)]
    count = len(plan.problems)
    title = "1 thing stands in the way" if count == 1 else f"{count} things stand in the way"
    parts = [Content.assemble((f"✗ {title}", "bold $text-error"))]
    specs = field_specs()
    for name, text in plan.problems.items():
        label = name if name in specs else clean_line(name)[:40]
        wrapped = textwrap.wrap(f"{label}: {clean_line(text)}", max(20, width - 4), max_lines=3 if compact else 8)
        said = "\n    ".join(wrapped).removeprefix(f"{label}: ")
        parts.append(Content.assemble((f"  {label}: ", "$text-error"), said))
    return [*parts, *_suggestions(plan, width)]


def _suggestions(plan: Plan, width: int) -> list[Content]:
    """What would make it fit, a key before each."""
    lines = []
    for key, one in zip(SUGGESTION_KEYS, plan.suggestions, strict=False):
        tone = "$text-success" if one.fits else "$text-warning"
        text = shorten(clean_line(one.label) + ("" if one.fits else " (not enough)"), width - 4)
        lines.append(Content.assemble((f"  {key} ", "bold $text-accent"), (text, tone)))
    if "memory" in plan.problems:
        lines.append(Content.assemble(("  L ", "bold $text-accent"), ("launch it anyway", "$text-muted")))
    return lines


def _fits(plan: Plan) -> str:
    """Memory, time and cost in a few words, for a line."""
    estimate = plan.ahead.plan.estimate if plan.ahead is not None and plan.ahead.plan is not None else None
    if estimate is None:
        return ""
    words = []
    if estimate.memory is not None:
        room = estimate.device.total_bytes if estimate.fits is False else estimate.free_bytes
        words.append(f"{fmt_bytes(estimate.needs_bytes)} of {fmt_bytes(room)}")
    if estimate.time_s is not None:
        words.append(_span(estimate))
    if estimate.cost:
        words.append(f"cost {estimate.cost:.2f}")
    return "".join(f" · {word}" for word in words)


def _compact(plan: Plan, width: int) -> list[Content]:
    """A few lines: what the planner decided, the steps, and the first thing to look at."""
    figures = dict(plan.rows)
    parts = []
    if plan.ahead is not None and plan.ahead.plan is not None and not plan.problems:
        parts.append(Content(shorten(plan_words(plan.ahead.plan), width)))
    short = [figures["batch"].partition(" (")[0]] if "batch" in figures else []
    short += [f"{figures['steps'].partition(' · ')[0]} steps"] if "steps" in figures else []
    short += [f"evaluates {figures['evaluates'].partition(',')[0]}"] if "evaluates" in figures else []
    parts.append(Content(shorten(" · ".join([*short, figures["runs on"]]), width)).stylize("$text-muted"))
    return [*parts, *(_look(look, width, lines=1) for look in plan.looks[:1])]


def _memory(estimate: "Estimate", width: int) -> list[Content]:
    """Memory against what is free, then by part."""
    memory = estimate.memory
    if memory is None:
        return [_figure("memory", f"not known: {clean_line(estimate.unknown)}", width)]
    free, needs = estimate.free_bytes, estimate.needs_bytes
    sign, tone = _sign(estimate)
    room = fmt_bytes(estimate.device.total_bytes) if sign == TOO_LARGE else f"{fmt_bytes(free)} free"
    head = Content.assemble(
        ("memory".ljust(LABEL_WIDTH), "bold"), (f"{fmt_bytes(needs)} of {room} ", "bold"), (sign, tone)
    )
    share = needs / free if free else None
    bar = Content(" " * LABEL_WIDTH) + styled_bar(share, max(4, width - LABEL_WIDTH), tone or "$primary")
    lines = [head, bar, *(_part(name, count, memory.total, width) for name, count in _parts(memory))]
    if estimate.calibrated != 1.0:
        said = f"× {estimate.calibrated:.2f}, as earlier runs here took"
        lines.append(Content(f"  {said}").stylize("$text-muted"))
    return lines


def _sign(estimate: "Estimate") -> tuple[str, str]:
    """Whether it fits, in two words, and their tone."""
    if estimate.fits is None:
        return "", ""
    if estimate.fits:
        return "✓ fits", "$text-success"
    if estimate.needs_bytes > estimate.device.total_bytes:
        return TOO_LARGE, "$text-error"
    return "⚠ not now", "$text-warning"


def _parts(memory: "MemoryParts") -> list[tuple[str, int]]:
    """Parts as people think of them, the largest first."""
    found = {
        "weights": memory.weights,
        "adapter, optimiser": memory.adapter + memory.optimizer + memory.gradients,
        "activations": memory.activations,
        "logits": memory.logits,
        "libraries": memory.overhead,
    }
    return sorted(found.items(), key=lambda item: -item[1])


def _part(name: str, count: int, total: int, width: int) -> Content:
    line = Content.assemble((f"  {name:<20}", "$text-muted"), f"{fmt_bytes(count):>9}")
    if width < _ROOMY or not total:
        return line
    return line + Content("  ") + styled_bar(count / total, width - 34, "$text-muted")


def _time(estimate: "Estimate", width: int) -> list[Content]:
    """Time and cost, and where the speed is from."""
    if estimate.time_s is None:
        return []
    line = Content.assemble(("time".ljust(LABEL_WIDTH), "bold"), (_span(estimate), "bold"))
    if estimate.cost:
        line += Content.assemble(("   cost ", "$text-muted"), (f"{estimate.cost:.2f}", "bold"))
    source = Content(" " * LABEL_WIDTH + shorten(clean_line(estimate.speed_source), width - LABEL_WIDTH))
    return [line, source.stylize("$text-muted")] if estimate.speed_source else [line]


def _span(estimate: "Estimate") -> str:
    spread = f" ± {fmt_duration(estimate.time_spread_s)}" if estimate.time_spread_s else ""
    return fmt_duration(estimate.time_s) + spread


def _look(text: str, width: int, lines: int = 3) -> Content:
    """Something to look at, its later lines under the first."""
    wrapped = textwrap.wrap(text, max(10, width - 2), max_lines=lines, placeholder=" …") or [""]
    return Content.assemble(("⚠ ", "$text-warning"), "\n  ".join(wrapped))


def _figure(label: str, text: str, width: int) -> Content:
    """A label and its words, later lines of them below the first."""
    lines = textwrap.wrap(text, max(10, width - LABEL_WIDTH), break_on_hyphens=False) or [""]
    below = "".join(f"\n{' ' * LABEL_WIDTH}{line}" for line in lines[1:])
    return Content.assemble((label.ljust(LABEL_WIDTH), "$text-muted"), lines[0] + below)
