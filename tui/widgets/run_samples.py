"""What a run answers, step by step, side by side: the base model first, what changed from step to step marked."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_number
from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.row_list import Cells, RowList
from tui.widgets.run_pane import RunPane
from tui.widgets.sample_answers import (
    Answers,
    Compared,
    Samples,
    compared,
    like_reference,
    plain,
    samples_of,
    steps_shown,
)

if TYPE_CHECKING:
    from store.records import Run
    from tui.services import Services

MOST_EVALUATIONS = 500
COLUMN, MOST_COLUMNS = 28, 6
"""Cells that an answer needs beside others, and how many stand side by side."""
PROMPTS = 33
"""Cells of the list of prompts, with what is between it and the answers."""
STACKED = 4
"""How many stand one below the other."""
NARROW = 100
WAYS = {
    "before": "the step before",
    "base": "the base model",
    "chosen": "the step you chose",
    "reference": "the reference",
    "none": "nothing",
}
"""What answers are compared with."""
MUTED = "$text-muted"


class PromptList(RowList):
    """The prompts, one a line."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.prompts: Sequence[Answers] = ()

    def show(self, prompts: Sequence[Answers]) -> None:
        """Show these; the cursor stays where it is."""
        self.prompts = prompts
        self.set_count(len(prompts))

    def cells(self, row: int, width: int) -> Cells:
        return [(fitted(f" {clean_line(self.prompts[row].prompt[:300])}", width), "")]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action not in ("open", "page")  # what a line holds is beside it; pages are the answers'


class SamplesPane(RunPane):
    """Prompts, and the answers to the one under the cursor."""

    DEFAULT_CSS = """
    SamplesPane {
        layout: vertical;
        #about { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        #none { height: auto; padding: 1 2; display: none; }
        &.-none #none { display: block; }
        &.-none #sides { display: none; }
        #sides { layout: horizontal; height: 1fr; }
        #prompts { width: 30; height: 1fr; margin-right: 1; }
        #answers { width: 1fr; height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
        #asked { height: auto; margin-bottom: 1; }
        #columns { layout: horizontal; height: auto; }
        #columns Static { width: 1fr; height: auto; padding-right: 2; display: none; }
        &.-narrow #sides { layout: vertical; }
        &.-narrow #prompts { width: 1fr; height: auto; max-height: 4; margin: 0 0 1 0; }
        &.-narrow #columns { layout: vertical; }
        &.-narrow #columns Static { width: 1fr; padding: 0 0 1 0; }
    }
    """
    KEYS_TO = "#prompts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "earlier step", id="samples.earlier", key_display="←", show=False),
        Binding("right,l", "step(1)", "steps", id="samples.later", key_display="← →", tooltip="The next step"),
        Binding("D", "way", "compare with", id="samples.way", tooltip="Step before, base model, reference, nothing"),
        Binding(
            "space", "choose", "choose step", id="samples.choose", show=False, tooltip="Compare all steps with this one"
        ),
        Binding("pagedown,ctrl+d", "scroll_answers(1)", "page down", id="samples.page_down", show=False),
        Binding("pageup,ctrl+u", "scroll_answers(-1)", "page up", id="samples.page_up", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._samples = Samples()
        self._stamp: object = None
        self._step: int | None = None
        """The step at the cursor; `None` follows the newest."""
        self._chosen: int | None = None
        self._way = "before"
        self._live = True

    def compose(self) -> ComposeResult:
        yield Static("", id="about", markup=False)
        with Container(id="sides"):
            yield PromptList(id="prompts")
            with VerticalScroll(id="answers", can_focus=False):
                yield Static("", id="asked", markup=False)
                with Container(id="columns"):
                    for _ in range(MOST_COLUMNS):
                        yield Static("", markup=False)
        yield Static("", id="none", markup=False)

    def read(self, services: "Services", run: "Run") -> tuple[object, Samples, "Run"] | None:
        """`None` where the run has answered nothing since it was shown last."""
        store = services.store
        newest = store.runs.events(run.id, ["sample", "evaluation"], limit=1)
        stamp = (run.id, newest[-1].seq if newest else -1, run.attempt, run.best_step, run.status.live)
        if stamp == self._stamp:
            return None
        samples = store.runs.events(run.id, ["sample"], limit=MOST_EVALUATIONS)
        evaluations = store.runs.events(run.id, ["evaluation"], limit=MOST_EVALUATIONS)
        return stamp, samples_of(samples, evaluations, store.runs.attempts(run.id)), run

    def show(self, found: tuple[object, Samples, "Run"] | None) -> None:
        if found is None:
            return
        self._stamp, self._samples, run = found
        self._live = run.status.live
        self.set_class(not self._samples.prompts, "-none")
        self.refresh_bindings()
        if not self._samples.prompts:
            self.query_one("#none", Static).update(nothing_content(run))
            self.query_one("#about", Static).update("")
            return
        self.query_one(PromptList).show(self._samples.prompts)
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self._show()

    def _show(self) -> None:
        samples = self._samples
        listing = self.query_one(PromptList)
        if not samples.prompts or listing.cursor >= len(samples.prompts):
            return
        answers = samples.prompts[listing.cursor]
        cursor = self._cursor
        ways = self._ways(answers)
        way = self._way if self._way in ways else "before"
        about = f"{_count(len(samples.prompts), 'prompt')} · {_count(len(samples.steps), 'step')}"
        against = WAYS[way] if way != "chosen" else f"step {self._chosen:,}"
        self.query_one("#about", Static).update(f"{about} · compared with {against}, D changes that")
        asked = [Content.assemble(("› ", "$text-primary"), (answers.prompt, "bold"))]
        if answers.reference:
            asked.append(Content.assemble(("reference  ", "$text-success"), answers.reference))
        self.query_one("#asked", Static).update(Content("\n").join(asked))
        shown = self._shown_steps(cursor, way)
        if self.has_class("-narrow"):
            shown.reverse()  # what it says now is not to be scrolled to
        for place, column in enumerate(self.query("#columns Static").results(Static)):
            column.display = place < len(shown)
            if place < len(shown):
                column.update(self._column(answers, shown[place], cursor, way))

    @property
    def _cursor(self) -> int:
        """The step at the cursor."""
        steps = self._samples.steps
        return self._step if self._step is not None and self._step in steps else steps[-1]

    def _ways(self, answers: Answers) -> list[str]:
        """What the answers to a prompt can be compared with."""
        there = {
            "base": self._samples.steps[0] == 0,
            "chosen": self._chosen in self._samples.steps,
            "reference": bool(answers.reference),
        }
        return [way for way in WAYS if there.get(way, True)]

    def _shown_steps(self, cursor: int, way: str) -> list[int]:
        """The steps that there is room for: the base model or the chosen step, then those up to the cursor."""
        room = STACKED if self.has_class("-narrow") else (self.size.width - PROMPTS) // COLUMN
        steps = self._samples.steps
        pinned = self._chosen if way == "chosen" else steps[0]
        return steps_shown(steps, cursor, pinned, max(1, min(room, MOST_COLUMNS)))

    def _column(self, answers: Answers, step: int, cursor: int, way: str) -> Content:
        """One answer under its head: the step, its loss, and how it compares."""
        head = "base model" if step == 0 else f"step {step:,}"
        style = "bold reverse" if step == cursor else "bold"
        parts: list[Content | tuple[str, str]] = [(f" {head} ", style)]
        loss = self._samples.losses.get(step)
        if loss is not None:
            words = fmt_number(loss) if math.isfinite(loss) else str(loss)
            parts.append((f" loss {words}", MUTED))
        if step and step == self._samples.best_step:
            parts.append((" ★", "$text-success"))
        if step == self._chosen:
            parts.append((" ✱", "$text-accent"))
        answer = answers.by_step.get(step)
        if answer is None:
            return Content.assemble(*parts, "\n", ("not asked at this step", MUTED))
        one = self._compared(answers, step, answer, way)
        notes = [one.note] if one.note else []
        alike = like_reference(answers.reference, answer)
        if alike is not None:
            notes.append(f"{alike:.0%} as reference")
        return Content.assemble(*parts, "\n", (" · ".join(notes), MUTED), "\n", one.content)

    def _compared(self, answers: Answers, step: int, answer: str, way: str) -> Compared:
        steps = [one for one in self._samples.steps if one in answers.by_step]
        if way == "reference":
            return compared(answers.reference, answer)
        if way == "none":
            return plain(answer)
        place = steps.index(step)
        other = {"before": steps[place - 1] if place else None, "base": steps[0], "chosen": self._chosen}[way]
        if other is None or other == step or other not in answers.by_step:
            return plain(answer)
        return compared(answers.by_step[other], answer)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("step", "way", "choose", "scroll_answers"):
            return bool(self._samples.prompts)
        return True

    def action_step(self, places: int) -> None:
        """Go to an earlier or a later step; at the newest, new ones are followed."""
        steps = self._samples.steps
        at = max(0, min(len(steps) - 1, steps.index(self._cursor) + places))
        self._step = None if at == len(steps) - 1 and self._live else steps[at]
        self._show()

    def action_way(self) -> None:
        """Compare the answers with something else."""
        ways = self._ways(self._samples.prompts[self.query_one(PromptList).cursor])
        at = ways.index(self._way) if self._way in ways else 0
        self._way = ways[(at + 1) % len(ways)]
        self._show()

    def action_choose(self) -> None:
        """Compare all steps with the one at the cursor; once more takes that back."""
        step = self._cursor
        self._chosen = None if self._chosen == step else step
        self._way = "before" if self._chosen is None else "chosen"
        self._show()

    def action_scroll_answers(self, pages: int) -> None:
        scroll = self.query_one("#answers", VerticalScroll)
        scroll.scroll_relative(y=pages * max(1, scroll.size.height - 2), animate=False)

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._show()


def nothing_content(run: "Run") -> Content:
    """Why there are no samples, and how there would be."""
    if run.source:
        return Content("No samples came with this run: what it was imported from keeps none.").stylize(MUTED)
    if run.status.live:
        steps = run.recipe.get("eval_steps")
        when = f", the next time at step {(run.step // steps + 1) * steps:,}" if isinstance(steps, int) else ""
        words = f"No samples yet. The run answers its sample prompts at each evaluation{when}."
    else:
        words = (
            "The run has answered no sample prompts: it ended before its first evaluation, or its data is plain text."
        )
    return Content.assemble(
        words, ("\nsample_prompts in a recipe says what is asked; without, rows of the data.", MUTED)
    )


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
