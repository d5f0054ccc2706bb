"""Evaluations in words and as JSON: figures beside each other, targets, rows with what was expected and what came."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from engine.evaluation.measures import MEASURES
from engine.evaluation.results import ComparedRow, Results, results_of, worst_rows
from engine.evaluation.state import EvaluationState
from engine.evaluation.targets import read_targets
from engine.evaluation.verdicts import BETTER, WORSE, digits, p_words, sentence, verdict
from engine.figures import fmt_number
from tui.cli.command import Session
from tui.cli.output import fields, paint, room, table
from tui.cli.target_words import target_document, target_lines
from tui.format import NONE, fmt_duration, fmt_when
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from store.evaluation_records import Evaluation, Measured

COLOURS = {"running": "yellow", "done": "green", "failed": "red"}
_COLOUR = re.compile(r"\x1b\[\d*m")


def answer_evaluation(
    session: Session, evaluation: "Evaluation", *, worst: int = 0, model: int | None = None, by: str = ""
) -> EvaluationState:
    """The result of a command: the figures, and the `worst` rows of one model. Returns how the evaluation stands."""
    results = results_of(session.store, session.home, evaluation, read_targets(session.home))
    rows, sorted_by = worst_rows(session.home, evaluation, model=model, by=by) if worst else ([], "")
    rows = rows[:worst]
    document = evaluation_document(results) | {"sorted_by": sorted_by} | {"worst": [_row(results, one) for one in rows]}
    session.answer(document, lambda: "\n\n".join([results_text(results), *(_row_text(results, one) for one in rows)]))
    return results.state


def short_document(state: EvaluationState, labels: Sequence[str]) -> dict[str, Any]:
    """An evaluation in short. Times are unix seconds; `done` and `total` count rows of all models."""
    evaluation = state.evaluation
    return {
        "id": evaluation.id,
        "name": evaluation.name,
        "kind": evaluation.kind,
        "data": evaluation.data,
        "data_name": evaluation.settings.get("data_name", evaluation.data),
        "split": evaluation.split,
        "created": evaluation.created,
        "ended": evaluation.ended,
        "state": str(state.stage),
        "problem": state.problem,
        "rows": evaluation.rows,
        "done": state.done,
        "total": state.total,
        "eta_s": state.eta_s,
        "models": [{"model": model, "name": name} for model, name in zip(evaluation.models, labels, strict=True)],
    }


def evaluation_document(results: Results) -> dict[str, Any]:
    """All figures. Differences are to the first model on the same rows; intervals are of 95 %."""
    document = short_document(results.state, results.labels)
    for place, model in enumerate(document["models"]):
        model["figures"] = {
            metric: _figure(one)
            for metric in results.metrics
            if (one := results.figures.get((place, metric))) is not None
        }
        model["targets"] = [target_document(one) for one in results.targets.get(place, ())]
    return document | {
        "tokenizer": results.tokenizer,
        "notes": list(results.notes),
        "settings": results.evaluation.settings,
    }


def _figure(one: "Measured") -> dict[str, Any]:
    names = ("value", "low", "high", "rows", "difference", "difference_low", "difference_high", "p_value")
    return {name: getattr(one, name) for name in names}


def results_text(results: Results) -> str:
    """How it stands, the table of figures, targets, and what is to be known about them."""
    evaluation, state = results.evaluation, results.state
    left = f", {fmt_duration(state.eta_s)} left" if state.eta_s is not None else ""
    of_split = f", split {evaluation.split}" if evaluation.split else ""
    head = fields(
        [
            ("name", evaluation.name),
            ("id", evaluation.id),
            ("rows", f"{evaluation.rows:,} of {evaluation.settings.get('data_name', evaluation.data)}{of_split}"),
            ("state", f"{state.stage}" + (f": {state.problem}" if state.problem else "")),
            ("doing", state.doing),
            ("answers", f"{state.done:,} of {state.total:,}{left}" if not results.figures else ""),
            ("models", ", ".join(results.labels)),
            ("tokens by", results.tokenizer),
            ("created", fmt_when(evaluation.created)),
        ]
    )
    parts = [head]
    if results.figures:
        parts.append(clean(sentence(results.labels, results.figures, results.metrics)))
        parts.append(_figures_text(results))
    parts += [
        "\n".join([paint(f"targets of {clean_line(results.labels[place])}", "bold"), *map(clean_line, lines)])
        for place, found in results.targets.items()
        if (lines := target_lines(found))
    ]
    if results.notes:
        parts.append("\n".join(clean(f"Note: {note}") for note in results.notes))
    if results.figures:
        parts.append("[…] is where the figure lies with 95 % certainty, by resampling the rows.")
    elif state.stage in ("stopped", "failed"):
        parts.append(f"`finetui eval --resume {evaluation.id}` measures the rest.")
    return "\n\n".join(parts)


def _figures_text(results: Results) -> str:
    """A row a metric: each model's figure, and how those after the first differ from it.

    A terminal that is too narrow for the intervals has the table without them.
    """
    whole = _table(results, intervals=True)
    widest = max(cell_len(line) for line in _COLOUR.sub("", whole).splitlines())
    return whole if widest <= room() else _table(results, intervals=False)


def _table(results: Results, *, intervals: bool) -> str:
    head = ["METRIC", results.labels[0]]
    for label in results.labels[1:]:
        head += [label, f"beside {results.labels[0]}"]
    rows = []
    for metric in results.metrics:
        cells = [results.label(metric)]
        for place in range(len(results.labels)):
            one = results.figures.get((place, metric))
            cells.append(shown_figure(metric, one, interval=intervals))
            cells += [shown_difference(metric, one, interval=intervals)] if place else []
        rows.append(cells)
    return table([clean_line(name) for name in head], rows, style=_style)


def _style(_column: int, cell: str) -> str | None:
    return "green" if cell.endswith(BETTER) else "red" if cell.endswith(WORSE) else None


def shown_figure(metric: str, one: "Measured | None", *, interval: bool = True) -> str:
    """`0.412 [0.380, 0.445]`, with the unit."""
    if one is None:
        return NONE
    known = interval and None not in (one.low, one.high)
    between = f" [{digits(metric, one.low)}, {digits(metric, one.high)}]" if known else ""
    unit = MEASURES[metric].unit if metric in MEASURES else ""
    return f"{digits(metric, one.value)}{between} {unit}".rstrip()


def shown_difference(metric: str, one: "Measured | None", *, interval: bool = True) -> str:
    """`+0.031 [0.004, 0.058] p 0.020 better`: whether it is, where that is certain."""
    if one is None or one.difference is None:
        return ""
    words = [("+" if one.difference > 0 else "") + digits(metric, one.difference)]
    if interval and one.difference_low is not None and one.difference_high is not None:
        words.append(f"[{digits(metric, one.difference_low)}, {digits(metric, one.difference_high)}]")
    if one.p_value is not None:
        words.append(p_words(one.p_value))
    return " ".join(filter(None, [*words, verdict(metric, one)]))


def _row(results: Results, one: ComparedRow) -> dict[str, Any]:
    return {
        "row": one.row.row,
        "messages": [dict(message) for message in one.row.messages],
        "expected": one.row.expected,
        "choices": list(one.row.choices),
        "answer": one.row.answer,
        "figure": one.figure,
        "answers": [
            {"model": model, "name": name, "text": answer.text, "tokens": answer.tokens, "error": answer.error}
            if answer is not None
            else None
            for model, name, answer in zip(results.evaluation.models, results.labels, one.answers, strict=True)
        ],
    }


def _row_text(results: Results, one: ComparedRow) -> str:
    """A row: the question, what was expected, and each answer; words that it lacks in `[-…-]`, others in `{+…+}`."""
    from tui.cli.suite_words import marked
    from tui.widgets.word_diff import word_diff

    figure = f"  {fmt_number(one.figure)}" if one.figure is not None else ""
    lines = [paint(f"row {one.row.row}{figure}", "bold"), paint(f"> {clean(one.row.question)}", "bold")]
    for place, choice in enumerate(one.row.choices):
        lines.append(f"{'→' if place == one.row.answer else ' '} {clean(choice)}")
    if one.row.expected is not None and not one.row.choices:
        lines.append(paint("expected: ", "dim") + clean(one.row.expected))
    for label, answer in zip(results.labels, one.answers, strict=True):
        if answer is None:
            continue
        name = paint(f"{clean_line(label)}: ", "bold")
        if answer.error:
            lines.append(name + paint(clean_line(answer.error), "red"))
        elif answer.choice_nll:
            costs = [
                cost / max(1, tokens) for cost, tokens in zip(answer.choice_nll, answer.choice_tokens, strict=False)
            ]
            likeliest = min(range(len(costs)), key=costs.__getitem__) if costs else -1
            lines.append(name + clean(one.row.choices[likeliest] if 0 <= likeliest < len(one.row.choices) else NONE))
        elif one.row.expected is not None and answer.text is not None:
            lines.append(name + marked(word_diff(one.row.expected, answer.text)))
        else:
            lines.append(name + clean(answer.text or ""))
    return "\n".join(lines)
