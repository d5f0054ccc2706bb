"""Where a run comes from and what came of it: its data, the runs before and after it, its sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from textual import on
from textual.app import ComposeResult

from tui.format import fmt_number, fmt_when
from tui.messages import OpenDataset, OpenRun, OpenSweeps
from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.dataset_words import count_words, title_of
from tui.widgets.lineage_words import change_words, operation_words
from tui.widgets.row_list import Cells, RowList
from tui.widgets.run_pane import RunPane
from tui.widgets.run_words import EVAL_LOSS, state_of

if TYPE_CHECKING:
    from engine.runs.lineage import Kin, Lineage
    from store.records import Run
    from tui.services import Services

MOST_INDENT = 8
MOST_TRIALS = 50
"""Of a sweep; its own screen has them all."""


@dataclass(frozen=True)
class Line:
    """A line of the family. `target` is the id of what Enter opens; headings and things that are gone have none."""

    words: str
    detail: str = ""
    tone: str = ""
    target: str = ""
    kind: Literal["run", "dataset", "sweep"] = "run"
    heading: bool = False


@dataclass(frozen=True)
class Family:
    """What there is to show: the lineage, and the cards of its dataset versions by their id."""

    lineage: "Lineage"
    cards: Mapping[str, dict[str, Any]] = field(default_factory=dict)


class FamilyList(RowList):
    """The family, a version or a run a line."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: Sequence[Line] = ()

    def selectable(self, row: int) -> bool:
        return bool(self.lines[row].target)

    def cells(self, row: int, width: int) -> Cells:
        line = self.lines[row]
        if line.heading:
            return [(fitted(f" {line.words}", width), "dim")]
        if not line.detail:
            return [("   ", ""), (fitted(line.words, max(0, width - 3)), line.tone)]
        room = min(width - 4, max(26, width * 2 // 5))
        return [
            ("   ", ""),
            (fitted(line.words, room), line.tone),
            (fitted(f" {line.detail}", width - room - 3), "dim"),
        ]


class LineagePane(RunPane):
    """A tree; Enter opens what is under the cursor."""

    DEFAULT_CSS = """
    LineagePane { padding: 1 1 0 1; }
    """
    KEYS_TO = "#family"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._run_id = ""

    def compose(self) -> ComposeResult:
        yield FamilyList(id="family")

    def read(self, services: "Services", run: "Run") -> Family:
        from engine.runs.lineage import lineage_of

        lineage = lineage_of(services.store, run)
        cards = {}
        for dataset in lineage.datasets:
            try:
                cards[dataset.id] = services.library.card(dataset.id)
            except Exception:  # a version whose card is gone is listed all the same
                cards[dataset.id] = {}
        return Family(lineage, cards)

    def show(self, found: Family) -> None:
        listing = self.query_one(FamilyList)
        lines = family_lines(found)
        if lines == listing.lines:
            return
        before = listing.lines[listing.cursor].target if listing.lines else found.lineage.run.id
        listing.lines = lines
        self._run_id = found.lineage.run.id
        listing.cursor = next((place for place, line in enumerate(lines) if line.target == before), 0)
        listing.set_count(len(lines))

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()

    @on(RowList.Opened)
    def _opened(self, event: RowList.Opened) -> None:
        event.stop()
        listing = self.query_one(FamilyList)
        line = listing.lines[listing.cursor]
        if line.target == self._run_id:
            self.notify("This is the run you are looking at.", timeout=2, markup=False)
        elif line.kind == "run":
            self.post_message(OpenRun(line.target))
        elif line.kind == "sweep":
            self.post_message(OpenSweeps(line.target))
        else:
            self.post_message(OpenDataset(line.target))


def family_lines(family: Family) -> list[Line]:
    """The tree: data, then the runs from the first ancestor to the last descendant, then the sweep."""
    return [*_data_lines(family), *_run_lines(family.lineage), *_sweep_lines(family.lineage)]


def _data_lines(family: Family) -> list[Line]:
    lineage = family.lineage
    lines = [Line("trained on", heading=True)]
    for place, one in enumerate(lineage.datasets):
        grade = f" · grade {one.grade}" if one.grade else ""
        operation = operation_words(one, family.cards.get(one.id, {}))
        last = one is lineage.datasets[-1]
        lines.append(
            Line(
                branch(place) + title_of(one),
                f"{count_words(one.rows, 'row')} · {operation}{grade}",
                "live" if last else "",
                one.id,
                "dataset",
            )
        )
    if not lineage.datasets:
        name = clean_line(lineage.run.dataset) or "its data"
        why = "it was imported with the run" if lineage.run.source else "this version was removed"
        lines.append(Line(f"{name}, which is not in this home: {why}", tone="dim"))
    return lines


def _run_lines(lineage: "Lineage") -> list[Line]:
    run = lineage.run
    base = clean_line(run.model) or "a model that is not known"
    lines = [Line(""), Line("the runs", heading=True), Line(f"base model {base}", tone="dim")]
    older: Run | None = None
    for place, kin in enumerate(lineage.parents):
        step = lineage.parents[place - 1].step if place else None
        lines.append(_kin_line(kin, branch(place + 1), older, step))
        older = kin.run
    here = len(lineage.parents) + 1
    step = lineage.parents[-1].step if lineage.parents else None
    detail = _detail(run, older, step)
    lines.append(Line(f"{branch(here)}{clean_line(run.name)}  ◂ here", detail, "live", run.id))
    by_id = {run.id: run} | {kin.id: kin.run for kin in lineage.children if kin.run is not None}
    for kin in lineage.children:
        parent = by_id.get(kin.run.parent) if kin.run else None
        lines.append(_kin_line(kin, branch(here + kin.generation), parent, kin.step))
    if not lineage.children and not run.source:
        words = "no run goes on from it yet" if run.status.value == "succeeded" else "no run goes on from it"
        lines.append(
            Line(f"{'  ' * min(here + 1, MOST_INDENT)}{words}: continue_from in a recipe names it", tone="dim")
        )
    return lines


def _sweep_lines(lineage: "Lineage") -> list[Line]:
    sweep = lineage.sweep
    if sweep is None:
        return []
    others = count_words(len(lineage.trials), "other run")
    lines = [Line(""), Line("a trial of the sweep", heading=True)]
    lines.append(Line(clean_line(sweep.name), f"{sweep.status.value} · {others}", "", sweep.id, "sweep"))
    lines += [
        Line(f"└ {clean_line(trial.name)}", _detail(trial, lineage.run, None), "", trial.id)
        for trial in lineage.trials[:MOST_TRIALS]
    ]
    if len(lineage.trials) > MOST_TRIALS:
        lines.append(
            Line(f"  and {len(lineage.trials) - MOST_TRIALS:,} more; Enter on the sweep shows all", tone="dim")
        )
    return lines


def branch(depth: int) -> str:
    """How far a line of the tree is set in."""
    return "  " * min(depth - 1, MOST_INDENT) + "└ " if depth > 0 else ""


def _kin_line(kin: "Kin", start: str, older: "Run | None", step: int | None) -> Line:
    if kin.run is None:
        return Line(f"{start}{clean_line(kin.name or kin.id)}", "it was removed", "dim")
    return Line(start + clean_line(kin.name), _detail(kin.run, older, step), "", kin.id)


def _detail(run: "Run", beside: "Run | None", step: int | None) -> str:
    """How a run stands, what it came to, and how it differs from the one it went on from."""
    parts = [f"{state_of(run).symbol} {state_of(run).word}"]
    loss = run.metrics.get(EVAL_LOSS)
    if loss is not None and loss.min is not None:
        parts.append(f"eval loss {fmt_number(loss.min)}")
    if step is not None:
        parts.append(f"from step {step:,}")
    if beside is not None and (changed := change_words(beside.recipe, run.recipe)):
        parts.append(changed)
    parts.append(fmt_when(run.created))
    return " · ".join(parts)
