"""The answers of a suite run: prompts down, models across. And its figures, a line a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content

from tui.format import NONE, fmt_duration
from tui.text import clean_line
from tui.widgets.gauge import styled_bar
from tui.widgets.row_list import Cells, RowList, fitted
from tui.widgets.suite_reading import Answered, TakenRun

if TYPE_CHECKING:
    from engine.suites.figures import CategoryFigures, ModelFigures
    from engine.suites.state import SuiteState

NUMBER = 4
CATEGORY, CATEGORY_FROM = 12, 96
"""Cells of the category, and the width of the table from which it is shown."""
PROMPT, ANSWER = 20, 26
"""Cells that a prompt and an answer need."""
CELL = 22
"""Cells of one model's figures in a category."""
MUTED = "$text-muted"
TONES = {"running": "live", "done": "good", "failed": "act", "stopped": "look"}
SIGNS = {"running": "●", "done": "✓", "failed": "✗", "stopped": "◦"}
COLOURS = {"live": "$text-primary", "good": "$text-success", "act": "$text-error", "look": "$text-warning"}


class AnswerTable(RowList):
    """One prompt a line. The first model stays; `shift` goes through the others where there is no room for all."""

    HEADER_ROWS: ClassVar[int] = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: Sequence[Answered] = ()
        self.labels: Sequence[str] = ()
        self.start = 0
        """How many models after the first are left out before the ones that are shown."""

    @property
    def highlighted(self) -> Answered | None:
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def show(self, rows: Sequence[Answered], labels: Sequence[str]) -> None:
        """Show these; the cursor stays on its prompt where that is among them."""
        before = self.highlighted
        self.rows, self.labels = rows, labels
        if before is not None:
            places = [row.prompt.position for row in rows]
            if before.prompt.position in places:
                self.cursor = places.index(before.prompt.position)
        self.set_count(len(rows))

    def shift(self, models: int) -> None:
        """Show other models beside the first."""
        self.start = max(0, min(self.start + models, len(self.labels) - self._room(self.size.width)))
        self.refresh()

    def shown(self, width: int) -> list[int]:
        """The models that are shown in so many cells."""
        return shown_models(len(self.labels), self._room(width), self.start)

    def header_cells(self, width: int) -> Cells:
        prompt, answer = self._widths(width)
        head = f" {fitted('#', NUMBER - 1, right=True)} "
        head += fitted("category", CATEGORY) + " " if width >= CATEGORY_FROM else ""
        head += fitted("prompt", prompt)
        names = [fitted(f"{place + 1} {self.labels[place]}", answer) for place in self.shown(width)]
        return [(" ".join([head, *names]), "")]

    def cells(self, row: int, width: int) -> Cells:
        one = self.rows[row]
        prompt, answer = self._widths(width)
        found: list[tuple[str, str]] = [(f" {fitted(str(one.prompt.position + 1), NUMBER - 1, right=True)} ", "dim")]
        if width >= CATEGORY_FROM:
            found.append((fitted(clean_line(one.prompt.category), CATEGORY) + " ", "dim"))
        turns = f"{len(one.prompt.turns)}× " if len(one.prompt.turns) > 1 else ""
        found.append((fitted(turns + clean_line(one.prompt.turns[0][:400]), prompt), ""))
        first = one.text(0)
        for place in self.shown(width):
            text = one.text(place)
            if text is None:
                found.append((" " + fitted("…", answer), "dim"))
            elif one.failed(place):
                found.append((" " + fitted(f"✗ {text}", answer), "act"))
            elif place and text == first:
                found.append((" " + fitted("═ the same", answer), "dim"))
            else:
                found.append((" " + fitted(text or "(no answer)", answer), "" if text else "dim"))
        return found

    def _room(self, width: int) -> int:
        spare = width - NUMBER - 1 - PROMPT - (CATEGORY + 1 if width >= CATEGORY_FROM else 0)
        return max(1, min(len(self.labels), spare // (ANSWER + 1)))

    def _widths(self, width: int) -> tuple[int, int]:
        """Cells of the prompt and of each answer."""
        room = self._room(width)
        spare = width - NUMBER - 1 - (CATEGORY + 1 if width >= CATEGORY_FROM else 0)
        answer = max(ANSWER, (spare - spare // (room + 2)) // room - 1)
        return max(0, spare - room * (answer + 1)), answer


def shown_models(models: int, room: int, start: int) -> list[int]:
    """The first model, and as many of the others as there is room for, from the one after `start` others."""
    room = max(1, min(models, room))
    if room == 1:
        return [min(start, models - 1)] if models else []
    start = max(0, min(start, models - room))
    return [0, *range(1 + start, start + room)]


def state_words(state: "SuiteState") -> tuple[str, str]:
    """How a suite run stands, and its tone."""
    return f"{SIGNS[state.stage]} {state.stage}", TONES[state.stage]


def headline(taken: TakenRun, note: str) -> Content:
    """What was asked of whom and how far it is, on one line."""
    state = taken.state
    words, tone = state_words(state)
    parts: list[Content | str | tuple[str, str]] = [
        (clean_line(state.run.name), "bold"),
        (f"  {suite_words(taken)}  ", MUTED),
        (words, COLOURS[tone]),
        "  ",
    ]
    if str(state.stage) != "done":
        parts += [styled_bar(state.done / max(1, state.total), 12), f" {state.done}/{state.total}"]
    if str(state.stage) == "running":
        left = f"{fmt_duration(state.eta_s)} left" if state.eta_s is not None else clean_line(state.doing)
        parts.append((f"  {left}", MUTED))
    if state.errors:
        parts.append((f"  {state.errors} error{'s' * (state.errors != 1)}", COLOURS["act"]))
    if state.problem:
        parts.append((f"  {clean_line(state.problem)}", COLOURS["act"]))
    return Content.assemble(*parts, (f"  {note}" if note else "", MUTED))


def suite_words(taken: TakenRun) -> str:
    """The suite's name, and whether it is still there."""
    name = clean_line(taken.suite.name)
    return f"{name}, removed" if taken.suite.removed else f"{name} v{taken.suite.version}"


def category_lines(labels: Sequence[str], categories: "Sequence[CategoryFigures]", models: Sequence[int]) -> Content:
    """A line a category: its prompts, and of these `models` mean tokens and length beside the reference."""
    name = max(8, min(20, max((len(clean_line(one.category)) for one in categories), default=0)))
    heads = " ".join(fitted(f"{model + 1} {labels[model]}", CELL, right=True) for model in models)
    lines = [Content(f"   {fitted('category', name)} prompts {heads}").stylize(MUTED)]
    for one in categories:
        parts: list[str | tuple[str, str]] = [f"   {fitted(clean_line(one.category) or NONE, name)} {one.prompts:>7}"]
        for figures in (one.models[model] for model in models):
            ratio = "" if figures.length_ratio is None else f"{figures.length_ratio:.2f}×"
            errors = f"{figures.errors} err " if figures.errors else ""
            words = f"{_number(figures.mean_tokens, 1)} tok {ratio:>6}"
            parts += [" " * max(1, CELL + 1 - len(errors) - len(words)), (errors, COLOURS["act"]), words]
        lines.append(Content.assemble(*parts))
    return Content("\n").join(lines)


def figure_lines(labels: Sequence[str], figures: "Sequence[ModelFigures]", width: int) -> Content:
    """A line a model: answers, tokens, speed, length beside the reference."""
    name = max(8, min(24, width - 62, max(map(len, labels), default=0) + 2))
    head = f"   {fitted('model', name)} {'answers':>7} {'errors':>6} {'tokens':>7} {'tok/s':>7} {'first s':>7}"
    lines = [Content(f"{head} {'× ref':>6} {'same':>5}").stylize(MUTED)]
    for place, (label, one) in enumerate(zip(labels, figures, strict=True), 1):
        numbers = ((one.mean_tokens, 1), (one.tokens_per_s, 1), (one.first_token_s, 2))
        cells = [f"{_number(value, digits):>7}" for value, digits in numbers]
        same = NONE if one.same_as_first is None else str(one.same_as_first)
        errors = (f"{one.errors or NONE:>6}", COLOURS["act"] if one.errors else "")
        begin = f"{place:>2} {fitted(label, name)} {one.answered:>7} "
        ratio = _number(one.length_ratio, 2)
        lines.append(Content.assemble(begin, errors, f" {' '.join(cells)} {ratio:>6} {same:>5}"))
    return Content("\n").join(lines)


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"
