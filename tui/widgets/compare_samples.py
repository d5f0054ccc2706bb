"""What runs answer to the same prompt, side by side, with what differs from the baseline's answer marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.text import shorten
from tui.widgets.compare_pane import ComparePane, neighbour
from tui.widgets.lanes import Compared, Eyes, Lane
from tui.widgets.row_list import Cells, RowList, fitted
from tui.widgets.sample_answers import Samples, compared, like_reference, plain, samples_of

if TYPE_CHECKING:
    from store import Store

MOST_EVALUATIONS = 200
COLUMN, MOST_COLUMNS = 28, 6
"""Cells that an answer needs beside others, and how many stand side by side."""
PROMPTS = 33
STACKED = 4
"""How many stand one below the other."""
NARROW = 100
WAYS = {
    "baseline": "the baseline's answers",
    "reference": "the reference",
    "base": "the base model's answers",
    "none": "nothing",
}
"""What answers are compared with."""
MUTED = "$text-muted"
NOTHING = """\
None of these runs has answered sample prompts yet.

A run answers its sample prompts at each evaluation; `sample_prompts` in a recipe says what is asked,
without it rows of the data are. Imported runs bring none."""


@dataclass
class Asked:
    """One prompt: what the data says, and what each run answered with the adapter that it keeps."""

    prompt: str
    reference: str = ""
    base: str | None = None
    """What the base model answered before any training."""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By run: the step, and the answer."""


class SamplesReader:
    """Reads the answers of runs, and keeps those that did not change. One reading at a time, from any thread."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], Samples]] = {}

    def read(self, store: "Store", lanes: Sequence[Lane]) -> list[Asked]:
        """The prompts, those that most runs answered first, else as they were met."""
        known = self._known
        self._known = {lane.run.id: self._samples(store, lane, known) for lane in lanes}
        found: dict[tuple[str, int], Asked] = {}
        for lane in lanes:
            samples = self._known[lane.run.id][1]
            seen: dict[str, int] = {}
            for one in samples.prompts:
                seen[one.prompt] = seen.get(one.prompt, 0) + 1
                trained = [step for step in one.by_step if step]
                if not trained:
                    continue
                asked = found.setdefault((one.prompt, seen[one.prompt]), Asked(one.prompt))
                best = lane.run.best_step
                step = best if best in one.by_step and best else max(trained)
                asked.answers[lane.run.id] = (step, one.by_step[step])
                asked.reference = asked.reference or one.reference
                asked.base = one.by_step.get(0) if asked.base is None else asked.base
        return sorted(found.values(), key=lambda asked: -len(asked.answers))

    def _samples(
        self, store: "Store", lane: Lane, known: Mapping[str, tuple[tuple[object, ...], Samples]]
    ) -> tuple[tuple[object, ...], Samples]:
        run = lane.run
        newest = store.runs.events(run.id, ["sample"], limit=1)
        stamp = (newest[-1].seq if newest else -1, run.attempt)
        if run.id in known and known[run.id][0] == stamp:
            return known[run.id]
        events_ = store.runs.events(run.id, ["sample"], limit=MOST_EVALUATIONS) if newest else []
        return stamp, samples_of(events_, (), store.runs.attempts(run.id))


class AskedList(RowList):
    """The prompts, one a line, with how many of the runs answered each."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.prompts: Sequence[Asked] = ()
        self.runs = 0

    def show(self, prompts: Sequence[Asked], runs: int) -> None:
        """Show these; the cursor stays where it is."""
        self.prompts, self.runs = prompts, runs
        self.set_count(len(prompts))

    def cells(self, row: int, width: int) -> Cells:
        asked = self.prompts[row]
        share = f" {len(asked.answers)}/{self.runs}" if len(asked.answers) < self.runs else ""
        words = " ".join(asked.prompt[:300].split())
        return [(fitted(f" {words}", width - len(share)), ""), (share, "dim")]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action not in ("open", "page")  # what a line holds is beside it; pages are the answers'


class CompareSamples(ComparePane):
    """Prompts, and the answers of the runs to the one under the cursor."""

    DEFAULT_CSS = """
    CompareSamples {
        layout: vertical;
        #about { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        #none { height: auto; padding: 1 2; display: none; }
        &.-none #none { display: block; }
        &.-none #sides, &.-none #about { display: none; }
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
        Binding("left,h", "run(-1)", "run before", id="compare.run_before", show=False),
        Binding("right,l", "run(1)", "runs", id="compare.run_after", key_display="← →", tooltip="The next run"),
        Binding("D", "way", "compare with", id="samples.way", tooltip="The baseline, the reference, the base model"),
        Binding("pagedown,ctrl+d", "scroll_answers(1)", "page down", id="samples.page_down", show=False),
        Binding("pageup,ctrl+u", "scroll_answers(-1)", "page up", id="samples.page_up", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.reader = SamplesReader()
        self._prompts: Sequence[Asked] | None = None
        self._compared: Compared | None = None
        self._eyes = Eyes()
        self._way = "baseline"

    def compose(self) -> ComposeResult:
        yield Static("", id="about", markup=False)
        with Container(id="sides"):
            yield AskedList(id="prompts")
            with VerticalScroll(id="answers", can_focus=False):
                yield Static("", id="asked", markup=False)
                with Container(id="columns"):
                    for _ in range(MOST_COLUMNS):
                        yield Static("", markup=False)
        yield Static(NOTHING, id="none", markup=False)

    def take(self, prompts: Sequence[Asked]) -> None:
        """What `reader` has read."""
        self._prompts = prompts

    def show(self, compared: Compared, eyes: Eyes) -> None:
        self._compared, self._eyes = compared, eyes
        if self._prompts is None:
            return
        self.set_class(not self._prompts, "-none")
        self.query_one(AskedList).show(self._prompts, len(compared.lanes))
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self._show()

    @property
    def _asked(self) -> Asked | None:
        listing = self.query_one(AskedList)
        return listing.prompts[listing.cursor] if listing.cursor < len(listing.prompts) else None

    def _ways(self, asked: Asked) -> list[str]:
        there = {"reference": bool(asked.reference), "base": asked.base is not None}
        return [way for way in WAYS if there.get(way, True)]

    def _show(self) -> None:
        asked, found = self._asked, self._compared
        if asked is None or found is None:
            return
        ways = self._ways(asked)
        way = self._way if self._way in ways else "baseline"
        shown = self._lanes_shown(found)
        hidden = len(found.lanes) - len(shown)
        more = f" · {len(shown)} of {len(found.lanes)} runs ← →" if hidden else ""
        self.query_one("#about", Static).update(f"compared with {WAYS[way]}, D changes that{more}")
        head = [Content.assemble(("› ", "$text-primary"), (asked.prompt, "bold"))]
        if asked.reference:
            head.append(Content.assemble(("reference  ", "$text-success"), asked.reference))
        if way == "base" and asked.base is not None:
            head.append(Content.assemble(("base model  ", "$text-primary"), asked.base))
        self.query_one("#asked", Static).update(Content("\n").join(head))
        wide = self.size.width if self.has_class("-narrow") else (self.size.width - PROMPTS) // len(shown)
        for place, column in enumerate(self.query("#columns Static").results(Static)):
            column.display = place < len(shown)
            if place < len(shown):
                column.update(self._column(asked, shown[place], way, wide))

    def _lanes_shown(self, found: Compared) -> list[Lane]:
        """As many runs as there is room for: the baseline, and those around the run at the cursor."""
        room = STACKED if self.has_class("-narrow") else (self.size.width - PROMPTS) // COLUMN
        room = max(1, min(room, MOST_COLUMNS))
        first = [lane for lane in found.lanes if lane.run.id == self._eyes.baseline]
        others = [lane for lane in found.lanes if lane.run.id != self._eyes.baseline]
        room = max(1, room - len(first))
        at = next((place for place, lane in enumerate(others) if lane.run.id == self._eyes.current), 0)
        start = max(0, min(at - room // 2, len(others) - room))
        return first + others[start : start + room]

    def _column(self, asked: Asked, lane: Lane, way: str, width: int) -> Content:
        """One answer under its run's name, and how it compares."""
        run_id = lane.run.id
        style = f"bold reverse {lane.color}" if run_id == self._eyes.current else f"bold {lane.color}"
        told = " baseline" if run_id == self._eyes.baseline else ""
        name = shorten(lane.short, max(8, width - len(lane.letter) - len(told) - 6))
        parts: list[Content | tuple[str, str]] = [(f" {lane.letter} {name} ", style), (told, MUTED)]
        if run_id not in asked.answers:
            return Content.assemble(*parts, "\n", ("was not asked this", MUTED))
        step, answer = asked.answers[run_id]
        notes = [f"step {step:,}{' ★' if step == lane.run.best_step else ''}"]
        other = {
            "baseline": asked.answers.get(self._eyes.baseline, (0, None))[1],
            "reference": asked.reference,
            "base": asked.base,
        }.get(way)
        own = way == "baseline" and run_id == self._eyes.baseline
        one = plain(answer) if other is None or own else compared(other, answer)
        notes += [one.note] if one.note else []
        alike = like_reference(asked.reference, answer)
        if alike is not None:
            notes.append(f"{alike:.0%} as reference")
        return Content.assemble(*parts, "\n", (" · ".join(notes), MUTED), "\n", one.content)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("way", "run", "scroll_answers"):
            return bool(self._prompts)
        return True

    def action_run(self, places: int) -> None:
        if self._compared is not None and self._compared.lanes:
            self.post_message(self.Picked(neighbour(self._compared, self._eyes.current, places)))

    def action_way(self) -> None:
        """Compare the answers with something else."""
        if (asked := self._asked) is not None:
            ways = self._ways(asked)
            at = ways.index(self._way) if self._way in ways else 0
            self._way = ways[(at + 1) % len(ways)]
            self._show()

    def action_scroll_answers(self, pages: int) -> None:
        scroll = self.query_one("#answers", VerticalScroll)
        scroll.scroll_relative(y=pages * max(1, scroll.size.height - 2), animate=False)

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._show()
