"""What happened to a run as lines of one timeline: states, evaluations, checkpoints, alerts, findings, damage."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.content import Content

from tui.format import fmt_bytes, fmt_count, fmt_duration, fmt_number
from tui.text import clean, clean_line
from tui.widgets.run_words import STATES

if TYPE_CHECKING:
    from store.records import EventRow, FindingRow, Run

KINDS = ("state", "plan", "rehearsal", "evaluation", "checkpoint", "alert", "end")
"""The kinds of events that are told."""
LEVELS = ("", "info", "warning", "error")
"""How much a line asks to be looked at, the least first."""
MARKS = {"error": ("✗", "act"), "warning": ("⚠", "look"), "info": ("ℹ", "live")}
MUTED = "$text-muted"
DEEPEST = 8
"""How far into the fields of an event one looks."""


@dataclass(frozen=True)
class Entry:
    """One line of the timeline. `whole` is what Enter shows."""

    key: str
    """Tells it from all others, and stays the same."""
    t: float | None
    """Unix seconds; `None` for what has no time of its own."""
    step: int | None
    mark: str
    tone: str
    words: str
    whole: Content
    level: str = ""
    dim: bool = False


def entries_of(
    run: "Run",
    events: "Iterable[EventRow]",
    findings: "Iterable[FindingRow]",
    problems: Iterable[tuple[int, str]],
) -> list[Entry]:
    """The timeline, the newest first; damaged lines of the log, which have no time, come last."""
    told = [*(_finding(row) for row in findings), *[*_event_entries(events)][::-1]]
    told.sort(key=lambda one: one.t or 0.0, reverse=True)
    return [*told, *_damage(run, list(problems))]


def _event_entries(events: "Iterable[EventRow]") -> Iterator[Entry]:
    """The same state told again (a phase that goes on, training after each evaluation) is one line."""
    before: tuple[int, str, str] | None = None
    for event in events:
        if event.kind == "state":
            state = (event.attempt, str(event.body.get("status", "")), str(event.body.get("phase") or ""))
            if state == before or state[1] == "evaluating":
                continue
            before = state
        words = _WORDS[event.kind](event)
        if words is not None:
            yield words


def _entry(event: "EventRow", mark: str, tone: str, words: str, *more: str, level: str = "") -> Entry:
    body = event.body
    step = body.get("step")
    lines = [part for part in (words, *more) if part]
    whole = Content("\n\n").join([*(Content(line) for line in lines), _rest(body)])
    first = clean_line(" ".join([words, *(line for line in more if level)]))
    return Entry(
        f"event {event.seq}", event.t, step if isinstance(step, int) else None, mark, tone, first, whole, level
    )


def _state(event: "EventRow") -> Entry:
    status = str(event.body.get("status", ""))
    state = STATES.get(status)
    symbol, word, tone = state if state else ("·", clean_line(status), "dim")
    phase = clean_line(str(event.body.get("phase") or ""))
    reason = clean_line(str(event.body.get("reason") or ""))
    start = event.body.get("from_step")
    words = word + (f": {phase}" if phase else "") + (f", {reason}" if reason else "")
    if event.attempt > 1 and isinstance(start, int) and status in ("queued", "starting"):
        again = f"resumed from step {start:,}" if start else "started again from step 0"
        return _entry(event, "↻", "live", f"attempt {event.attempt} {again}" + (f": {reason}" if reason else ""))
    return _entry(event, symbol, tone, words)


def _plan(event: "EventRow") -> Entry:
    body = event.body
    parts = [f"{fmt_count(body.get('total_steps'))} steps"]
    if body.get("train_rows"):
        parts.append(f"{fmt_count(body['train_rows'])} rows")
    if body.get("trainable_parameters"):
        parts.append(f"{fmt_count(body['trainable_parameters'])} parameters to train")
    if device := body.get("device_title") or body.get("device"):
        parts.append(f"on {clean_line(str(device))}")
    return _entry(event, "·", "dim", "planned: " + ", ".join(parts))


def _rehearsal(event: "EventRow") -> Entry:
    body = event.body
    peak = f", {fmt_bytes(body['peak_bytes'])} for the longest batch" if _is_number(body.get("peak_bytes")) else ""
    took = f", took {fmt_duration(body['seconds'])}" if _is_number(body.get("seconds")) else ""
    if body.get("ok"):
        return _entry(event, "✓", "good", f"rehearsed: it fits{peak}{took}")
    return _entry(event, "✗", "act", f"rehearsed: it does not fit{peak}{took}", level="error")


def _evaluation(event: "EventRow") -> Entry:
    values = event.body.get("values")
    values = values if isinstance(values, dict) else {}
    figures = [f"{clean_line(name).removeprefix('eval/').replace('_', ' ')} {_figure(values[name])}" for name in values]
    loss = next((figure for figure in figures if figure.startswith("loss ")), None)
    first = [loss] if loss else []
    words = "evaluated: " + ", ".join(first + [figure for figure in figures if figure != loss])
    if event.body.get("best") is True and event.body.get("step"):
        return _entry(event, "★", "good", f"{words}, the best so far")
    return _entry(event, "◉", "", words)


def _checkpoint(event: "EventRow") -> Entry:
    best = ", the best so far" if event.body.get("best") is True else ""
    return _entry(event, "◆", "dim", f"checkpoint saved: {clean_line(str(event.body.get('path', '')))}{best}")


def _alert(event: "EventRow") -> Entry:
    level = str(event.body.get("level", "info"))
    mark, tone = MARKS.get(level, MARKS["info"])
    message, fix = (clean(str(event.body.get(name) or "")) for name in ("message", "fix"))
    return _entry(event, mark, tone, message, fix, level=level if level in LEVELS else "info")


def _end(event: "EventRow") -> Entry:
    status = str(event.body.get("status", ""))
    state = STATES.get(status)
    symbol, word, tone = state if state else ("·", clean_line(status), "dim")
    reason = clean(str(event.body.get("reason") or event.body.get("message") or ""))
    kept = event.body.get("best_step")
    words = f"ended: {word}" + (f", {reason}" if reason and reason != status else "")
    words += f", step {kept:,} kept" if isinstance(kept, int) and kept else ""
    bad = status in ("failed", "lost")
    return _entry(event, symbol, tone, words, clean(str(event.body.get("fix") or "")), level="error" if bad else "")


_WORDS = {
    "state": _state,
    "plan": _plan,
    "rehearsal": _rehearsal,
    "evaluation": _evaluation,
    "checkpoint": _checkpoint,
    "alert": _alert,
    "end": _end,
}


def _finding(row: "FindingRow") -> Entry:
    """What the figures of the run say; one that somebody dismissed is dim, and asks for nothing."""
    body = row.body
    title = clean_line(str(body.get("title") or row.code.replace("_", " ")))
    mark, tone = MARKS.get(row.level, MARKS["info"])
    level = row.level if row.level in LEVELS else "info"
    lines = [Content(title).stylize("bold"), Content(clean(str(body.get("why") or "")))]
    lines += [
        Content(f"{clean_line(str(one.get('metric', '')))}: {clean(str(one.get('words', '')))}")
        for one in _tables(body.get("evidence"))
    ]
    offers = [clean_line(str(one.get("offer", ""))) for one in _tables(body.get("acts"))]
    if offers and row.dismissed is None:
        lines.append(Content("What helps: " + "; ".join(offer for offer in offers if offer)).stylize("$text-success"))
    if row.dismissed is not None:
        lines.append(Content("You said that it does not matter.").stylize(MUTED))
    whole = Content("\n\n").join(line for line in lines if line.plain)
    words = f"{title}{', dismissed' if row.dismissed is not None else ''}"
    if row.dismissed is not None:
        return Entry(f"finding {row.code}", row.found, row.step, mark, "dim", words, whole, "", dim=True)
    return Entry(f"finding {row.code}", row.found, row.step, mark, tone, words, whole, level)


def _damage(run: "Run", problems: list[tuple[int, str]]) -> Iterator[Entry]:
    for offset, text in problems:
        words = f"damaged line of the event log, at byte {offset:,}: {clean_line(text)}"
        told = "It was left out; the lines around it count. The rest of the run is not touched by it."
        whole = Content.assemble(words, "\n\n", (told, MUTED))
        yield Entry(f"damage {offset}", None, None, "⚠", "look", words, whole, "warning")
    unknown = run.warnings - len(problems)
    if unknown > 0:
        lines = "line" if unknown == 1 else "lines"
        words = (
            f"{unknown:,} {lines} of the event log {'is' if unknown == 1 else 'are'} of a kind that is not known here"
        )
        told = "A newer finetui has written them; they were skipped. Update finetui to see what they say."
        yield Entry("unknown", None, None, "ℹ", "live", words, Content.assemble(words, "\n\n", (told, MUTED)), "info")


def _rest(body: Mapping[str, Any]) -> Content:
    """All the fields of an event, for the curious."""
    width = max((len(clean_line(name)) for name in body), default=0)
    lines = [
        Content.assemble((f"{clean_line(name):<{width}}  ", MUTED), clean(_field(value)))
        for name, value in body.items()
        if value not in (None, "", {}, [])
    ]
    return Content("\n").join(lines)


def _field(value: Any, depth: int = 0) -> str:
    if depth > DEEPEST and isinstance(value, dict | list):
        return "…"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_field(inner, depth + 1)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_field(inner, depth + 1) for inner in value)
    return _figure(value) if _is_number(value) else str(value)


def _figure(value: Any) -> str:
    return fmt_number(float(value)) if _is_number(value) else clean_line(str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 1 << 1000)  # larger ones are no floats


def _tables(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
