"""`finetui runs lineage`: where a run comes from, and what came of it."""

from typing import TYPE_CHECKING, Any

import typer
from rich.cells import cell_len

from tui.cli.command import Session, command
from tui.cli.documents import run_document
from tui.cli.output import paint
from tui.cli.runs.finding import RunArgument, found

if TYPE_CHECKING:
    from engine.runs.lineage import Kin, Lineage
    from store.records import Dataset
    from tui.widgets.run_lineage import Line

app = typer.Typer()


@command(app, "lineage", example=["runs lineage support-3", "runs lineage support-3 --json"])
def lineage(session: Session, run: RunArgument) -> None:
    """Show where a run comes from and what came of it: its data, the runs before and after it, its sweep."""
    from engine.runs.lineage import lineage_of

    it = lineage_of(session.store, found(session, run))
    session.answer(lineage_document(it), lambda: _text(session, it))


def lineage_document(lineage: "Lineage") -> dict[str, Any]:
    """A run and its family. `parents` and `datasets` begin with the oldest; a parent that was removed has no run."""
    sweep = lineage.sweep
    return {
        "run": run_document(lineage.run),
        "parents": [_kin_document(kin) for kin in lineage.parents],
        "children": [_kin_document(kin) for kin in lineage.children],
        "datasets": [_dataset_document(dataset) for dataset in lineage.datasets],
        "sweep": {"id": sweep.id, "name": sweep.name, "status": sweep.status.value} if sweep else None,
        "trials": [{"id": run.id, "name": run.name, "status": run.status.value} for run in lineage.trials],
    }


def _kin_document(kin: "Kin") -> dict[str, Any]:
    return {
        "id": kin.id,
        "name": kin.name,
        "status": kin.run.status.value if kin.run else None,
        "parent": kin.run.parent or None if kin.run else None,
        "from_step": kin.step,
        "generation": kin.generation,
    }


def _dataset_document(dataset: "Dataset") -> dict[str, Any]:
    return {
        "id": dataset.id,
        "name": dataset.name,
        "version": dataset.version,
        "rows": dataset.rows,
        "parent": dataset.parent,
        "source": dataset.source,
    }


def _text(session: Session, lineage: "Lineage") -> str:
    """The tree of the run's screen, with the ids."""
    from tui.widgets.run_lineage import Family, family_lines  # brings Textual, which no other command waits for

    cards = {}
    for dataset in lineage.datasets:
        try:
            cards[dataset.id] = session.library.card(dataset.id)
        except Exception:  # a version whose card is gone is listed all the same
            cards[dataset.id] = {}
    lines = family_lines(Family(lineage, cards))
    words = max(cell_len(line.words) for line in lines if line.target)
    ids = max(len(line.target) for line in lines)
    return "\n".join(
        paint(line.words, "dim") if line.heading else f"  {_columns(line, words, ids)}".rstrip() for line in lines
    )


def _columns(line: "Line", words: int, ids: int) -> str:
    """What it is, its id, how it stands. What has no id is no reason to move the others."""
    if not line.target:
        return f"{line.words}  {line.detail}"
    return f"{line.words}{' ' * (words - cell_len(line.words))}  {line.target:<{ids}}  {line.detail}"
