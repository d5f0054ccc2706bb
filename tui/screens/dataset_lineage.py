"""Where a version comes from, what was made from it, and which runs were trained on it."""

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_bytes, fmt_when
from tui.messages import OpenRun
from tui.screens.dataset_pane import DatasetPane
from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.dataset_words import count_words, title_of
from tui.widgets.lineage_words import operation_words
from tui.widgets.row_list import Cells, RowList

if TYPE_CHECKING:
    from store.records import Dataset, Run
    from tui.services import Services


@dataclass(frozen=True)
class Family:
    """The versions before this one, from the import on; those made from it; the runs on it; their cards."""

    before: "list[Dataset]" = field(default_factory=list)
    after: "list[Dataset]" = field(default_factory=list)
    runs: "list[Run]" = field(default_factory=list)
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A line of the list. `target` is what Enter opens: a version's or a run's id; headings have none."""

    words: str
    detail: str = ""
    tone: str = ""
    target: str = ""
    is_run: bool = False


class LineageList(RowList):
    """The family, a version or run a line."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[Line] = []

    def selectable(self, row: int) -> bool:
        return bool(self.lines[row].target)

    def cells(self, row: int, width: int) -> Cells:
        line = self.lines[row]
        if not line.target:
            return [(f" {line.words}", "dim")]
        room = min(width - 4, max(24, width * 2 // 5))
        return [
            ("   ", ""),
            (fitted(line.words, room), line.tone),
            (fitted(f" {line.detail}", width - room - 3), "dim"),
        ]


class LineagePane(DatasetPane):
    """The chain of versions, and below it what the card of this one says."""

    DEFAULT_CSS = """
    LineagePane {
        height: 1fr;
        padding: 1 1 0 1;
        LineageList { height: 1fr; min-height: 4; }
        #card { height: auto; max-height: 40%; margin: 1 1 0 1; color: $text-muted; }
    }
    """

    def compose(self) -> ComposeResult:
        yield LineageList(id="family")
        yield Static("", id="card", markup=False)

    def opened(self) -> None:
        self.query_one(LineageList).focus()
        read = partial(_read_family, self.services, self.dataset)
        self.in_thread(read, self._show, group="family", title="The lineage cannot be read")

    def _show(self, family: Family) -> None:
        listing = self.query_one(LineageList)
        first = not listing.lines
        listing.lines = family_lines(family, self.dataset)
        if first:
            listing.cursor = next(
                (place for place, line in enumerate(listing.lines) if line.target == self.dataset.id), 0
            )
        listing.set_count(len(listing.lines))
        self.query_one("#card", Static).update(card_content(self.dataset, family.cards.get(self.dataset.id, {})))

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()

    @on(RowList.Opened)
    def _opened(self, event: RowList.Opened) -> None:
        event.stop()
        listing = self.query_one(LineageList)
        line = listing.lines[listing.cursor]
        if line.is_run:
            self.page.post_message(OpenRun(line.target))
        elif line.target == self.dataset.id:
            self.notify("This is the version you are looking at.", timeout=2, markup=False)
        elif line.target:
            self.page.open_version(line.target)


def family_lines(family: Family, dataset: "Dataset") -> list[Line]:
    """The list: the chain from the import to this version, then its children, then its runs."""
    lines = [Line("how it came to be")]
    for place, one in enumerate(family.before):
        lines.append(_version(one, family, "  " * min(place, 8) + ("└ " if place else ""), here=one.id == dataset.id))
    if family.after:
        lines += [Line(""), Line("made from it")]
        lines += [_version(one, family, "", here=False) for one in family.after]
    lines += [Line(""), Line("runs trained on it")]
    for run in family.runs:
        detail = f"{clean_line(run.model)} · {run.status.value} · {fmt_when(run.created)}"
        lines.append(Line(clean_line(run.name), detail, "", run.id, is_run=True))
    if not family.runs:
        lines.append(Line("  none yet; l opens the form for one"))
    return lines


def _version(one: "Dataset", family: Family, branch: str, *, here: bool) -> Line:
    words = f"{branch}{title_of(one)}{'  ◂ here' if here else ''}"
    grade = f" · grade {one.grade}" if one.grade else ""
    operation = operation_words(one, family.cards.get(one.id, {}))
    rows = count_words(one.rows, "row")
    when = "" if one.parent is None else f" · {fmt_when(one.created)}"
    return Line(words, f"{rows} · {operation}{grade}{when}", "live" if here else "", one.id)


def card_content(dataset: "Dataset", card: dict[str, Any]) -> Content:
    """What the import found out, and what it left out."""
    source = card.get("source") if isinstance(card.get("source"), dict) else {}
    assert isinstance(source, dict)
    facts = [f"file {clean_line(str(source.get('file', dataset.source)))}"]
    if source.get("bytes"):
        facts.append(fmt_bytes(source["bytes"]))
    facts += [f"shape {dataset.shape}", dataset.id]
    chars, turns = card.get("chars") or {}, card.get("turns") or {}
    lines = [" · ".join(facts)]
    if turns:
        lines.append(f"{turns.get('mean', 0):.3g} turns and {chars.get('mean', 0):,.0f} characters a row")
    if card.get("system"):
        lines.append(f"system prompt for rows without one: {clean_line(str(card['system']))}")
    warnings = [Content.assemble(("⚠ ", "$text-warning"), clean_line(words)) for words in dataset.warnings]
    return Content("\n").join([*(Content(line) for line in lines), *warnings])


def _read_family(services: "Services", dataset: "Dataset") -> Family:
    library = services.library
    before = library.lineage(dataset.id)[::-1]
    after = library.children(dataset.id)
    cards = {}
    for one in (*before, *after):
        try:
            cards[one.id] = library.card(one.id)
        except Exception:  # a version whose card is gone is listed all the same
            cards[one.id] = {}
    ids = services.store.datasets.runs_using(dataset.id)
    runs = [run for run_id in ids if (run := services.store.runs.get(run_id)) is not None]
    return Family(before, after, runs, cards)
