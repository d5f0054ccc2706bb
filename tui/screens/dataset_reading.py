"""What a dataset's screen knows at its start, and the lines at its top."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.geometry import Size

from tui.screens.dataset_pane import SeenBy
from tui.text import clean_line
from tui.widgets.dataset_words import title_of
from tui.widgets.launch_plan import split_words
from tui.widgets.lineage_words import operation_words
from tui.widgets.report_view import grade_style

if TYPE_CHECKING:
    from engine.datasets.quality import Report
    from engine.models import ModelInfo
    from store.records import Dataset, Run
    from tui.services import Services

LOW = 30
"""On fewer lines the headline says the most important thing only."""


@dataclass(frozen=True)
class Opened:
    """A dataset as it is read when its screen opens. `tokens`: figures that were kept, the newest."""

    dataset: "Dataset"
    card: dict[str, Any]
    report: "Report | None"
    next_version: int
    run: "Run | None" = None
    """The newest run on it, else the newest of all."""
    models: "list[ModelInfo]" = field(default_factory=list)
    tokens: dict[str, Any] | None = None


def read_dataset(services: "Services", dataset_id: str) -> Opened:
    """Read it. Slow: use it from a thread."""
    from engine.models import list_models

    library, store = services.library, services.store
    dataset = library.resolve(dataset_id)
    kept = list(library.tokens(dataset.id).values())
    return Opened(
        dataset,
        library.card(dataset.id),
        _report(library.report(dataset.id)),
        store.datasets.next_version(dataset.name),
        _newest_run(services, dataset.id),
        list_models(services.home),
        kept[-1] if kept else None,
    )


def _report(found: Mapping[str, Any] | None) -> "Report | None":
    from engine.datasets.quality import Report

    try:
        return Report.from_json(dict(found)) if found else None
    except (KeyError, TypeError, ValueError):  # of another release: it can be made again
        return None


def _newest_run(services: "Services", dataset_id: str) -> "Run | None":
    runs = services.store.runs.list(limit=50)
    return next((run for run in runs if run.dataset_id == dataset_id), runs[0] if runs else None)


def default_eyes(opened: Opened) -> SeenBy:
    """As the newest run sees the rows; without one, the first model that is there and has a template."""
    run = opened.run
    if run is not None:
        recipe = run.recipe
        return SeenBy(
            run.model,
            max_length=length if isinstance(length := recipe.get("max_length"), int) else SeenBy.max_length,
            assistant_only=bool(recipe.get("assistant_only_loss", SeenBy.assistant_only)),
        )
    ready = [model.name for model in opened.models if model.ready and model.has_template]
    return SeenBy(ready[0]) if ready else SeenBy()


def check_rows(
    services: "Services", dataset: "Dataset", progress: Callable[[float], None], cancelled: Callable[[], bool]
) -> "Report":
    """Make the report. Slow: use it from a thread."""
    from engine.datasets.quality import validate

    return validate(services.library, dataset, progress=progress, cancelled=cancelled)


def headline(opened: Opened, report: "Report | None", size: Size) -> Content:
    """Name, rows by split, tokens, grade with its first reason; then where it comes from; then what was left out."""
    dataset = opened.dataset
    parts = [f"{dataset.rows:,} {'row' if dataset.rows == 1 else 'rows'}: {split_words(dataset)}"]
    tokens = (opened.tokens or {}).get("total") or dataset.tokens
    if tokens:
        parts.append(f"{int(tokens):,} tokens")
    first: list[Content | str | tuple[str, str]] = [(title_of(dataset), "bold"), "   ", " · ".join(parts)]
    grade = report.grade if report else dataset.grade
    if grade:
        first += [" · ", (f"grade {grade}", f"bold {grade_style(grade)}")]
        if report and report.reasons:
            first.append((f": {clean_line(report.reasons[0])}", "$text-muted"))
    lines = [Content.assemble(*first), Content(operation_words(dataset, opened.card)).stylize("$text-muted")]
    most = 1 if size.height < LOW else 3
    warnings = [clean_line(warning) for warning in dataset.warnings]
    more = f" · and {len(warnings) - most} more: see Lineage" if len(warnings) > most else ""
    for number, warning in enumerate(warnings[:most], 1):
        lines.append(Content.assemble(("⚠ ", "$text-warning"), warning, more if number == most else ""))
    return Content("\n").join(lines)
