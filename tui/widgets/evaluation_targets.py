"""How a run stands to the targets that the project states, on one line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_number
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.evaluation.targets import TargetResult
    from engine.home import Home
    from store import Store
    from store.records import Run

MARKS = {True: ("✓", "$text-success"), False: ("✗", "$text-error"), None: ("·", "$text-muted")}


class TargetLine(Static):
    """The targets, met or missed; gone where none are stated."""

    DEFAULT_CSS = """
    TargetLine { display: none; height: auto; max-height: 2; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", markup=False, id=id)
        self._shown: Content | None = None

    def show(self, found: "Sequence[TargetResult]", problem: str = "", *, of: str = "") -> None:
        """Show these, or why they are not understood; `of` is whose they are, where that has to be said."""
        content = Content(f"⚠ {clean_line(problem)}").stylize("$text-warning") if problem else target_words(found, of)
        if self._shown is None or not content.is_same(self._shown):
            self._shown = content
            self.update(content)
        self.display = bool(found) or bool(problem)


def target_words(found: "Sequence[TargetResult]", of: str = "") -> Content:
    """`targets  1 of 3 met  ✗ rouge_l > 0.5: 0.412  ✓ train/loss < 1: 0.91  · bleu > 20: not measured`."""
    met = sum(one.met is True for one in found)
    head = f"targets of {clean_line(of)}  " if of else "targets  "
    parts: list[tuple[str, str]] = [(head, "$text-muted"), (f"{met} of {len(found)} met", "bold")]
    for one in sorted(found, key=lambda one: (one.met is not False, one.met is None)):
        mark, tone = MARKS[one.met]
        value = one.words if one.value is None else fmt_number(one.value)
        parts.append((f"  {mark} {clean_line(one.target.name)} {clean_line(one.target.words)}: {value}", tone))
    return Content.assemble(*parts)


def read_run_targets(home: "Home", store: "Store", run: "Run") -> "tuple[Sequence[TargetResult], str]":
    """How the run stands to the targets, by its training and the newest evaluation of each measure.

    None where none are stated; beside them why one is not understood. Call it in a thread.
    """
    from engine.errors import BadInput
    from engine.evaluation.targets import judge, read_targets

    try:
        targets = read_targets(home)
    except BadInput as error:
        return (), f"{error.what} {error.fix}"
    if not targets:
        return (), ""
    figures = store.evaluations.latest([run.id]).get(run.id, {})
    return judge(run, {metric: one.value for metric, one in figures.items()}, targets), ""
