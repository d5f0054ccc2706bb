"""An evaluation in words: how far it is, whether models are better, what one figure says, a row with its answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from engine.evaluation.measures import MEASURES
from engine.evaluation.verdicts import SPEEDS, digits, p_words, sense_of, sentence, verdict
from tui.format import fmt_duration, fmt_rate
from tui.text import clean, clean_line
from tui.widgets.evaluation_table import interval_words, signed
from tui.widgets.gauge import styled_bar
from tui.widgets.sample_answers import compared, plain
from tui.widgets.suite_table import COLOURS, SIGNS, TONES

if TYPE_CHECKING:
    from engine.evaluation.results import Results
    from engine.evaluation.state import EvaluationState
    from tui.widgets.evaluation_reading import Listed, ShownRow, Taken
    from tui.widgets.evaluation_table import FigureLine

MUTED = "$text-muted"


def state_words(state: "EvaluationState") -> tuple[str, str]:
    """How an evaluation stands, and its tone."""
    return f"{SIGNS[state.stage]} {state.stage}", TONES[state.stage]


def left_words(state: "EvaluationState") -> str:
    """The time that is left, or what is being done; empty once it is over."""
    if str(state.stage) != "running":
        return ""
    return f"{fmt_duration(state.eta_s)} left" if state.eta_s is not None else clean_line(state.doing)


def headline(listed: "Listed", note: str) -> Content:
    """What was measured on which rows and how far it is, on one line."""
    state = listed.state
    words, tone = state_words(state)
    rows = f"{state.evaluation.rows:,} row{'s' * (state.evaluation.rows != 1)} of {listed.data}"
    parts: list[Content | str | tuple[str, str]] = [
        (clean_line(state.evaluation.name), "bold"),
        "  ",
        (words, COLOURS[tone]),
    ]
    if str(state.stage) != "done":
        parts += ["  ", styled_bar(state.done / max(1, state.total), 12), f" {state.done:,}/{state.total:,}"]
        parts.append((f"  {left_words(state)}", MUTED))
    return Content.assemble(*parts, f"  {note}" if note else "", (f"  {rows}", MUTED))


def verdict_words(results: "Results") -> Content:
    """Whether the models are better than the first, or why that cannot be said."""
    state = results.state
    if results.figures:
        return Content(clean_line(sentence(results.labels, results.figures, results.metrics))).stylize("bold")
    if str(state.stage) == "running":
        doing = clean_line(state.doing) or "at work"
        return Content(f"Nothing can be said before all rows are measured: {doing}. It goes on without finetui.")
    if str(state.stage) == "failed":
        return Content(f"{clean_line(state.problem)} R measures what is missing.").stylize(COLOURS["act"])
    if str(state.stage) == "stopped":
        return Content(f"Stopped at {state.done:,} of {state.total:,} answers. R measures the rest.")
    return Content("No figure came of it.")


def figure_words(line: "FigureLine", labels: Sequence[str]) -> Content:
    """Each model's figure in full, then what the measure is."""
    metric = line.metric
    about = MEASURES[metric].about if metric in MEASURES else "Measured by lm-eval."
    sense = f"{sense_of(metric)} is better" if sense_of(metric) else "neither side is better"
    parts: list[str | tuple[str, str]] = [(f"{clean_line(line.label)}: ", "bold")]
    for place, one in enumerate(line.figures):
        if one is None:
            continue
        parts.append(" · " if place else "")
        value = f"{digits(metric, one.value)} {interval_words(metric, one.low, one.high)}".rstrip()
        parts += [(f"{clean_line(labels[place])} ", MUTED), value, (f" of {one.rows:,}" if one.rows else "", MUTED)]
        if one.difference is not None:
            between = interval_words(metric, one.difference_low, one.difference_high)
            p = f", {p_words(one.p_value)}" if one.p_value is not None else ""
            parts.append(f", {signed(metric, one.difference)} {between}{p}".replace(" ,", ","))
            said = verdict(metric, one)
            tone = COLOURS["good"] if said == "better" else COLOURS["look"]
            parts.append((f" {said}", tone) if said else (" cannot be told apart" if sense_of(metric) else ""))
    return Content.assemble(*parts, (f"\n{about} ({sense})", MUTED))


def note_words(results: "Results") -> Content:
    """What is to be known about the figures."""
    notes = [*results.notes]
    if results.figures and any(metric in results.metrics for metric in SPEEDS):
        notes.append("Speeds are those of answers written together; the sentence above leaves them out.")
    if results.tokenizer:
        notes.append(f"Tokens counted by {results.tokenizer}.")
    return Content(" · ".join(clean_line(note) for note in notes)).stylize(MUTED)


def asked_words(taken: "Taken", row: "ShownRow") -> Content:
    """What was asked, and what was expected."""
    one = row.compared
    figure = ""
    if one.figure is not None and taken.by:
        figure = f"{taken.results.label(taken.by)} {digits(taken.by, one.figure)}"
    notes = [f"row {one.row.row}", row.category, figure]
    lines = [Content(" · ".join(filter(None, notes))).stylize(MUTED)]
    for message in one.row.messages[:-1]:
        role, said = clean_line(str(message.get("role") or "")), clean(str(message.get("content") or ""))
        lines.append(Content.assemble((f"{role}  ", MUTED), said))
    lines.append(Content.assemble(("› ", "$text-primary"), (clean(one.row.question), "bold")))
    for place, choice in enumerate(one.row.choices):
        right = place == one.row.answer
        lines.append(Content.assemble(("✓ " if right else "  ", COLOURS["good"]), clean(choice)))
    if one.row.expected is not None and not one.row.choices:
        lines.append(Content.assemble(("expected  ", COLOURS["good"]), clean(one.row.expected)))
    return Content("\n").join(lines)


def answer_words(taken: "Taken", row: "ShownRow", place: int, *, marked: bool) -> Content:
    """One model's answer under its name; `marked` where it differs from what was expected."""
    one = row.compared
    name = Content.assemble((f" {clean_line(taken.results.labels[place])} ", "bold reverse"))
    answer = one.answers[place]
    if answer is None:
        return Content.assemble(name, "\n", ("not answered yet", MUTED))
    if answer.error:
        return Content.assemble(name, "\n", (clean(answer.error), COLOURS["act"]))
    if one.row.choices:
        said = row.said(place)
        right = one.row.answer is not None and said == one.row.choices[one.row.answer]
        mark = ("✓ ", COLOURS["good"]) if right else ("✗ ", COLOURS["act"])
        return Content.assemble(name, "\n", mark, clean(said))
    if answer.text is None:
        return Content.assemble(name, "\n", ("no answer was asked for", MUTED))
    text = clean(answer.text)
    shown = compared(clean(one.row.expected), text) if marked and one.row.expected is not None else plain(text)
    notes = [
        shown.note,
        f"{answer.tokens} tokens" if answer.tokens is not None else "",
        f"{fmt_rate(answer.tokens_per_s)}/s" if answer.tokens_per_s is not None else "",
        "cut off at the longest answer" if answer.finish_reason == "length" else "",
    ]
    head = Content.assemble(name, "\n", (" · ".join(filter(None, notes)), MUTED), "\n")
    if place < len(row.flags) and row.flags[place]:
        words = dict.fromkeys(f"“{clean_line(flag.word)}” ({clean_line(flag.category)})" for flag in row.flags[place])
        head = Content.assemble(head, (f"⚑ {', '.join(words)}", COLOURS["look"]), "\n")
    return Content.assemble(head, shown.content if text else Content("(an empty answer)").stylize(MUTED))
