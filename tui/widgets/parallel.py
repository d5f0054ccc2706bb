"""Parallel coordinates: which settings go with which result, all runs at once."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.messages import OpenRun
from tui.screens.dialogs import Option, PickDialog
from tui.text import clean_line
from tui.widgets.compare_columns import metric_title
from tui.widgets.compare_pane import ComparePane
from tui.widgets.ink import ink
from tui.widgets.lanes import Compared, Eyes, Lane
from tui.widgets.parallel_axes import Axis, metric_axis, setting_axis, shares_of_best, tells_nothing
from tui.widgets.parallel_plot import TONES, Line, Span, columns_of, draw, room_for

NOTHING = "Their recipes are the same: there is no setting to draw an axis of. a adds a run."


class ParallelPlot(Widget, can_focus=True):
    """An axis a setting that differs, the metric as the last one, a line a run from the worst colour to the best."""

    DEFAULT_CSS = """
    ParallelPlot {
        height: 1fr;
        .parallel--worst { color: $text-error; }
        .parallel--middle { color: $text-warning; }
        .parallel--best { color: $text-success; }
        .parallel--current { color: $foreground; text-style: bold; }
        .parallel--axis { color: $border-blurred; }
        .parallel--label { color: $text-muted; }
        .parallel--title { color: $foreground; }
        .parallel--picked { color: $text-accent; text-style: bold; }
        .parallel--dim { color: $text-disabled; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"parallel--{name}"
        for name in ("worst", "middle", "best", "current", "axis", "label", "title", "picked", "dim")
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "run(1)", "next worse run", id="parallel.down", show=False),
        Binding("up,k", "run(-1)", "next better run", id="parallel.up", show=False),
        Binding("left,h", "axis(-1)", "axis before", id="parallel.before", show=False),
        Binding("right,l", "axis(1)", "axes", id="parallel.after", key_display="← →", tooltip="The next axis"),
        Binding("H,shift+left", "shift(-1)", "axis to the left", id="parallel.shift_left", show=False),
        Binding(
            "L,shift+right", "shift(1)", "move axis", id="parallel.shift_right", key_display="H L", tooltip="Move it"
        ),
        Binding("z", "put_away", "put away", id="parallel.put_away", tooltip="Leave this axis out; Z brings all back"),
        Binding("Z", "all", "all axes", id="parallel.all", show=False, tooltip="Every setting that differs, in order"),
        Binding("y", "log", "log axis", id="parallel.log", show=False, tooltip="Logarithmic axis, on and off"),
        Binding("o", "metric", "metric", id="parallel.metric", tooltip="Rank the runs by another metric"),
        Binding("enter", "open", "open", id="compare.open", show=False, tooltip="Open the run"),
    ]
    ALLOW_SELECT = False

    class Moved(Message):
        """Another axis is at the cursor, or another metric ranks the runs."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.compared: Compared | None = None
        self.eyes = Eyes()
        self.metric = ""
        """What the runs are ranked by; empty takes the loss."""
        self._order: list[str] = []
        """Settings in the order of their axes, those that were put away left out; empty until somebody moved one."""
        self._away: set[str] = set()
        self._logs: dict[str, bool] = {}
        self._cursor = 0
        self._axes: list[Axis] = []
        self._shares: list[float | None] = []
        self._inks: dict[str, Style] = {}
        self._drawn: list[list[Span]] = []
        self._key: tuple[object, ...] = ()
        self._version = 0

    @property
    def ranking(self) -> str:
        """The metric of the last axis; empty where there is none."""
        if self.compared is None:
            return ""
        return self.metric if self.metric in self.compared.metrics else self.compared.ranking

    @property
    def axis(self) -> Axis | None:
        """The axis under the cursor."""
        return self._axes[self._cursor] if 0 <= self._cursor < len(self._axes) else None

    def show(self, compared: Compared, eyes: Eyes) -> None:
        """Show these runs."""
        if compared is not self.compared:
            self.compared = compared
            self._arrange()
        self.eyes = eyes
        self._version += 1
        self.refresh()

    @property
    def axes(self) -> list[Axis]:
        """All axes, also those there is no room for; the metric is the last one."""
        return self._axes

    @property
    def away(self) -> int:
        """How many axes were put away."""
        return len(self._away)

    def ranks(self) -> list[Lane]:
        """The runs, best first; those without a figure come last."""
        if self.compared is None:
            return []
        lanes = zip(self.compared.lanes, self._shares, strict=True)
        return [lane for lane, _ in sorted(lanes, key=lambda pair: -1 if pair[1] is None else pair[1], reverse=True)]

    def _settings(self) -> list[str]:
        """The settings that have an axis, in order."""
        found = self.compared.comparison.differing if self.compared else {}
        kept = [name for name in self._order if name in found]
        rest = [
            name
            for name, values in found.items()
            if name not in kept and (self._order or not tells_nothing(values) or len(found) == 1)
        ]
        return [name for name in [*kept, *rest] if name not in self._away]

    def _arrange(self) -> None:
        """Make the axes anew."""
        if self.compared is None:
            return
        found, name = self.compared.comparison.differing, self.ranking
        self._axes = [setting_axis(one, found[one], self._logs.get(one)) for one in self._settings()]
        figures = self.compared.figures(name) if name else [None] * len(self.compared.lanes)
        self._shares = shares_of_best(name, figures)
        if name:
            self._axes.append(metric_axis(name, figures, self._logs.get(name)))
        self._cursor = max(0, min(self._cursor, len(self._axes) - 1))
        self._again()

    def _again(self) -> None:
        self._version += 1
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Moved())

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("axis", "shift", "put_away"):
            return len(self._axes) > 1
        if action == "log":
            return self.axis is not None and self.axis.can_log
        if action in ("run", "open"):
            return self.compared is not None and bool(self.compared.lanes)
        return True

    def action_run(self, places: int) -> None:
        """The next run by rank."""
        ranks = [lane.run.id for lane in self.ranks()]
        at = ranks.index(self.eyes.current) + places if self.eyes.current in ranks else 0
        self.post_message(ComparePane.Picked(ranks[max(0, min(at, len(ranks) - 1))]))

    def action_axis(self, places: int) -> None:
        self._cursor = max(0, min(self._cursor + places, len(self._axes) - 1))
        self._again()

    def action_shift(self, places: int) -> None:
        """Move the axis at the cursor; the metric stays the last one."""
        order = self._settings()
        at, to = self._cursor, self._cursor + places
        if at < len(order) and 0 <= to < len(order):
            order[at], order[to] = order[to], order[at]
            self._order, self._cursor = order, to
            self._arrange()

    def action_put_away(self) -> None:
        order = self._settings()
        if self._cursor < len(order) and len(order) > 1:
            self._away.add(order[self._cursor])
            self._arrange()

    def action_all(self) -> None:
        """Every setting that differs, in the recipe's order."""
        self._away.clear()
        self._order = list(self.compared.comparison.differing) if self.compared else []
        self._arrange()

    def action_log(self) -> None:
        if (axis := self.axis) is not None and axis.can_log:
            self._logs[axis.key] = not axis.log
            self._arrange()

    def action_metric(self) -> None:
        """Rank the runs by another metric."""
        if self.compared is None:
            return
        found = [Option(name, metric_title(name), clean_line(name)) for name in self.compared.metrics]
        if found:
            self.app.push_screen(PickDialog("Rank the runs by", found, selected=self.ranking), self._ranked_by)

    def _ranked_by(self, name: str | None) -> None:
        if name is not None:
            self.metric = name
            self._arrange()

    def action_open(self) -> None:
        self.post_message(OpenRun(self.eyes.current))

    def on_click(self, event: events.Click) -> None:
        """Pick the axis, and the run that is nearest on it; twice opens the run."""
        window, axes = self._window()
        if not axes or self.compared is None:
            return
        columns = columns_of(len(axes), self.size.width)
        place = min(range(len(axes)), key=lambda one: abs(columns[one] - event.x))
        self._cursor = window + place
        rows = max(2, self.size.height - 2)
        aim = 1 - (event.y - 2) / max(1, rows - 1)
        known = [
            (abs(at - aim), lane)
            for at, lane in zip(axes[place].heights, self.compared.lanes, strict=True)
            if at is not None
        ]
        if event.y >= 2 and known:
            nearest = min(known, key=lambda one: one[0])[1]
            self.post_message(ComparePane.Picked(nearest.run.id))
            if event.chain == 2:
                self.post_message(OpenRun(nearest.run.id))
        self._again()

    # Drawing

    def _window(self) -> tuple[int, list[Axis]]:
        """The axes that there is room for, around the cursor; the metric is always there."""
        room = room_for(self.size.width)
        if len(self._axes) <= room:
            return 0, self._axes
        settings, last = self._axes[:-1], self._axes[-1]
        start = max(0, min(self._cursor - room // 2, len(settings) - room + 1))
        return start, [*settings[start : start + room - 1], last]

    @property
    def hidden(self) -> int:
        """How many axes there is no room for."""
        return len(self._axes) - len(self._window()[1])

    def _lines(self, axes: Sequence[Axis]) -> list[Line]:
        """The runs, the worst drawn first, the one at the cursor on top."""
        assert self.compared is not None
        places = self.compared.places
        lanes = self.ranks()[::-1]
        lanes.sort(key=lambda lane: lane.run.id == self.eyes.current)
        found = []
        for lane in lanes:
            share = self._shares[places[lane.run.id]]
            tone = "dim" if share is None else f"rank-{round(share * (TONES - 1))}"
            tone = "current" if lane.run.id == self.eyes.current else tone
            found.append(Line(lane.letter, [axis.heights[places[lane.run.id]] for axis in axes], tone))
        return found

    def _plotted(self) -> list[list[Span]]:
        key = (self.size, self._version)
        if key != self._key:
            self._key = key
            start, axes = self._window()
            width, height = self.size
            if self.compared is None or len(axes) < 2:
                words = NOTHING if self.compared is not None else ""
                self._drawn = [[]] * (height // 2) + [[(words.center(width), "label")]]
            else:
                cut = self._cursor - start if self._cursor < len(self._axes) - 1 else len(axes) - 1
                self._drawn = draw(axes, self._lines(axes), cut, width, height)
        return self._drawn

    def notify_style_update(self) -> None:
        self._inks.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        lines = self._plotted()
        base = self.rich_style
        if y >= len(lines):
            return Strip.blank(self.size.width, base)
        segments = [Segment(text, base + self._ink(tone) if tone else base) for text, tone in lines[y]]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _ink(self, tone: str) -> Style:
        if tone not in self._inks:
            rank = tone.removeprefix("rank-")
            self._inks[tone] = self._rank_ink(int(rank)) if rank != tone else ink(self, f"parallel--{tone}")
        return self._inks[tone]

    def _rank_ink(self, rank: int) -> Style:
        """Between the colours of the worst, the middle and the best; the terminal's own are not mixed."""
        share = rank / (TONES - 1)
        names = ("worst", "middle") if share < 0.5 else ("middle", "best")
        one, other = (self.get_component_styles(f"parallel--{name}").color for name in names)
        part = share * 2 % 1 if share < 1 else 1.0
        if one.ansi is not None or other.ansi is not None:
            return ink(self, f"parallel--{names[round(part)]}")
        return Style(color=one.blend(other, part).rich_color)
