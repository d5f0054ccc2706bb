"""An evaluation as a file: Markdown to be read, or a spreadsheet's CSV with a line an answer."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.errors import BadInput, FinetuiError
from engine.evaluation.categories import category_of
from engine.evaluation.measures import MEASURES
from engine.evaluation.results import ComparedRow, Results
from engine.evaluation.verdicts import digits, p_words, sentence, verdict
from engine.figures import NONE
from engine.private import share
from engine.suites.export import csv_line, escaped, fenced, quoted
from store.evaluation_records import Measured

ENDINGS = (".md", ".csv")
_COLUMNS = (
    *("rank", "row", "category", "question", "expected", "model", "name", "answer"),
    *("tokens", "sorted_by", "figure", "error"),
)


def export_evaluation(results: Results, rows: Sequence[ComparedRow], sorted_by: str, path: Path) -> Path:
    """Write figures (Markdown alone) and `rows`, in their order, to `path`, whose ending says how; whole or not at all.

    Raises `BadInput` for a path that cannot be, `FinetuiError` where the system refuses.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(f"{path.name} does not say what to write.", fix=f"Let it end in {' or '.join(ENDINGS)}.")
    if path.exists():
        raise BadInput(f"{path} exists.", why="Nothing is overwritten unasked.", fix="Choose another name.")
    part = path.with_name(f".{path.name}.part")
    write = _csv if ending == ".csv" else _markdown
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.writelines(write(results, rows, sorted_by))
        share(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FinetuiError(
            f"The evaluation cannot be written to {path}.", why=f"The system says: {error.strerror or error}."
        ) from error
    return path


def _csv(results: Results, rows: Sequence[ComparedRow], sorted_by: str) -> Iterator[str]:
    yield csv_line(_COLUMNS)
    models = results.evaluation.models
    for rank, one in enumerate(rows, 1):
        about = [rank, one.row.row, category_of(one), one.row.question, one.row.expected]
        for place, answer in enumerate(one.answers):
            if answer is not None:
                said = [models[place], results.labels[place], answer.text, answer.tokens]
                yield csv_line([*about, *said, sorted_by, one.figure, answer.error])


def _markdown(results: Results, rows: Sequence[ComparedRow], sorted_by: str) -> Iterator[str]:
    """The verdict, the figures as a table, then row by row. Nothing in it is live: all that was said is escaped."""
    evaluation = results.evaluation
    name = str(evaluation.settings.get("data_name", evaluation.data))
    where = f", split {escaped(evaluation.split)}" if evaluation.split else ""
    yield f"# {escaped(evaluation.name)}\n\n{evaluation.rows:,} rows of {escaped(name)}{where}.\n\n"
    if results.figures:
        yield f"{escaped(sentence(results.labels, results.figures, results.metrics))}\n\n"
        yield from _figures(results)
        yield "\n[…] is the 95 % interval. Better and worse are said where it and the paired test agree (p < 0.05).\n"
    for note in results.notes:
        yield f"\nNote: {escaped(note)}\n"
    for place, found in results.targets.items():
        for target in found:
            yield f"\n* {escaped(results.labels[place])}: {escaped(target.target.name)} "
            yield f"{escaped(target.target.words)}, {target.words}\n"
    if rows:
        yield f"\n## Rows, the worst by {escaped(results.label(sorted_by))} first\n"
    for one in rows:
        figure = f" · {digits(sorted_by, one.figure)}" if one.figure is not None else ""
        category = f" · {escaped(category_of(one))}" if category_of(one) else ""
        yield f"\n### Row {one.row.row}{category}{figure}\n\n{quoted(one.row.question)}\n"
        if one.row.expected is not None:
            yield f"\n**Expected**\n\n{fenced(one.row.expected)}\n"
        for label, answer in zip(results.labels, one.answers, strict=True):
            if answer is not None and (answer.error or answer.text is not None):
                said = f"*Not answered: {escaped(answer.error)}*" if answer.error else fenced(answer.text or "")
                yield f"\n**{escaped(label)}**\n\n{said}\n"


def _figures(results: Results) -> Iterator[str]:
    head = [escaped(label) for label in results.labels]
    beside = [f"{label} | beside {head[0]}" for label in head[1:]]
    yield f"| measure | {' | '.join([head[0], *beside])} |\n"
    yield f"| --- |{' ---: |' * (2 * len(head) - 1)}\n"
    for metric in results.metrics:
        cells = [escaped(results.label(metric))]
        for place in range(len(head)):
            one = results.figures.get((place, metric))
            cells.append(_value(metric, one))
            cells += [_difference(metric, one)] if place else []
        yield f"| {' | '.join(cells)} |\n"


def _value(metric: str, one: Measured | None) -> str:
    if one is None:
        return NONE
    unit = MEASURES[metric].unit if metric in MEASURES else ""
    between = f" [{digits(metric, one.low)}, {digits(metric, one.high)}]" if None not in (one.low, one.high) else ""
    return f"{digits(metric, one.value)}{between} {unit}".rstrip()


def _difference(metric: str, one: Measured | None) -> str:
    if one is None or one.difference is None:
        return ""
    words = [f"{'+' if one.difference > 0 else ''}{digits(metric, one.difference)}"]
    words += [p_words(one.p_value)] if one.p_value is not None else []
    return " ".join(filter(None, [*words, verdict(metric, one)])).replace("<", "\\<")
