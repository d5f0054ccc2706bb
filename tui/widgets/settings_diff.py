"""What differs between the recipes of runs: one setting a line, one run a column."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.segment import Segment
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.widgets import Static

from tui.text import clean_line, shorten
from tui.widgets.compare_columns import setting_words as value_words
from tui.widgets.compare_pane import ComparePane, neighbour
from tui.widgets.lanes import COLORS, Compared, Eyes, Lane
from tui.widgets.row_list import Cells, RowList, fitted

__all__ = ["SettingsDiff", "SettingsPane", "value_words"]

GAP = 2
NAME_WIDTH = 28
WIDEST, LEAST = 24, 7
"""Of a run's column."""
MOST_WORDS = 600


class SettingsDiff(RowList, inherit_bindings=False):
    """A value that is the baseline's is dim. Where not all runs fit, the baseline and those around the cursor stay."""

    DEFAULT_CSS = """
    SettingsDiff {
        .row-list--setting { color: $text-accent; }
        .row-list--1 { color: $series-1; text-style: bold; }
        .row-list--2 { color: $series-2; text-style: bold; }
        .row-list--3 { color: $series-3; text-style: bold; }
        .row-list--4 { color: $series-4; text-style: bold; }
        .row-list--5 { color: $series-5; text-style: bold; }
        .row-list--6 { color: $series-6; text-style: bold; }
        .row-list--7 { color: $series-7; text-style: bold; }
        .row-list--8 { color: $series-8; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"row-list--{name}" for name in ("setting", *(str(slot) for slot in range(1, COLORS + 1)))
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="settings.down", show=False),
        Binding("up,k", "move(-1)", "up", id="settings.up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "page down", id="settings.page_down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "page up", id="settings.page_up", show=False),
        Binding("home,g", "first", "first", id="settings.first", show=False),
        Binding("end,G", "last", "last", id="settings.last", show=False),
        Binding("left,h", "run(-1)", "run before", id="settings.run_before", show=False),
        Binding("right,l", "run(1)", "next run", id="settings.run_after", key_display="← →"),
    ]
    HEADER_ROWS = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.compared: Compared | None = None
        self.eyes = Eyes()
        self.rows: Mapping[str, Sequence[Any]] = {}
        self._names: list[str] = []
        self._texts: dict[str, list[str]] = {}

    def show(self, compared: Compared, eyes: Eyes, rows: Mapping[str, Sequence[Any]]) -> None:
        """Show some of the settings; the cursor stays on its setting."""
        before = self.setting
        count = len(self._names)
        self.compared, self.eyes, self.rows = compared, eyes, rows
        self._names = list(rows)
        self._texts = {name: [value_words(value) for value in values] for name, values in rows.items()}
        if before in rows:
            self.cursor = self._names.index(before)
        self.set_count(len(self._names))
        if not self.can_focus:
            self.cursor = -1
        self.refresh(layout=count != len(self._names))

    @property
    def setting(self) -> str:
        """The setting under the cursor; empty where there is none."""
        return self._names[self.cursor] if 0 <= self.cursor < len(self._names) else ""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, self.count) + 1

    def action_run(self, places: int) -> None:
        if self.compared is not None and self.compared.lanes:
            self.post_message(ComparePane.Picked(neighbour(self.compared, self.eyes.current, places)))

    # Drawing

    def header_cells(self, width: int) -> Cells:
        lanes = self.compared.lanes if self.compared else []
        title = "what differs" if self.compared and len(self.rows) <= len(self.compared.comparison.differing) else ""
        names, shown, widths = self._fit(width)
        cells = [(fitted(f"  {title or 'all settings'}", names + 2), "dim")]
        for place, room in zip(shown, widths, strict=True):
            lane = lanes[place]
            mark = "▸" if lane.run.id == self.eyes.current and self.can_focus else " "
            cells += [(" " * (GAP - 1) + mark, ""), (fitted(_head(lane), room), lane.style)]
        if len(shown) < len(lanes):
            cells.append((f"  +{len(lanes) - len(shown)} more", "dim"))
        return cells

    def cells(self, row: int, width: int) -> Cells:
        assert self.compared is not None
        name = self._names[row]
        names, shown, widths = self._fit(width)
        baseline = self.compared.places.get(self.eyes.baseline)
        texts, values = self._texts[name], self.rows[name]
        differs = name in self.compared.comparison.differing
        cells = [("≠ " if differs else "  ", "setting"), (fitted(clean_line(name), names), "" if differs else "dim")]
        for place, room in zip(shown, widths, strict=True):
            same = not differs or (place != baseline and baseline is not None and values[place] == values[baseline])
            cells += [(" " * GAP, ""), (fitted(texts[place], room), "dim" if same else "")]
        return cells

    def render_line(self, y: int) -> Strip:
        """Line by line as in any list, but for a header with the colours of the runs."""
        if y > 1 or (y == 1 and self.count):
            return super().render_line(y)
        cells = [("  their recipes are the same", "")] if y else self.header_cells(self.size.width)
        segments = [Segment(text, self.rich_style + self._style(tone or "header")) for text, tone in cells]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    def _fit(self, width: int) -> tuple[int, list[int], list[int]]:
        """The width of names, the places of the runs that there is room for, and how wide each is."""
        lanes = self.compared.lanes if self.compared else []
        names = min(NAME_WIDTH, max((len(name) for name in self._names), default=12))
        names = max(12, min(names, width // 3))
        widths = [self._width(place, lane) for place, lane in enumerate(lanes)]
        room = width - names - 2
        if sum(widths) + GAP * len(widths) > room:
            widths = [max(min(one, LEAST * 2), LEAST) for one in widths]
        if sum(widths) + GAP * len(widths) <= room:
            return names, list(range(len(lanes))), widths
        room -= 10  # says how many more there are
        places = self.compared.places if self.compared else {}
        baseline, current = places.get(self.eyes.baseline, 0), places.get(self.eyes.current, 0)
        kept = {baseline, current}
        # Whole runs around the cursor, first those after it.
        near = sorted(range(len(lanes)), key=lambda place: (abs(place - current), -place))
        for place in near:
            if sum(widths[one] + GAP for one in kept | {place}) <= room:
                kept.add(place)
            elif place not in kept:
                break
        shown = [baseline, *sorted(kept - {baseline})]
        return names, shown, [widths[place] for place in shown]

    def _width(self, place: int, lane: Lane) -> int:
        longest = max((len(texts[place]) for texts in self._texts.values()), default=0)
        return max(LEAST, min(WIDEST, max(longest, len(_head(lane)))))


class SettingsPane(ComparePane):
    """The settings that differ, or all, and in full what the one under the cursor is in which run."""

    DEFAULT_CSS = """
    SettingsPane {
        layout: vertical;
        padding: 0 1;
        SettingsDiff { height: auto; max-height: 1fr; }
        #setting { height: auto; max-height: 40%; margin-top: 1; padding: 0 2; }
    }
    """
    KEYS_TO = "SettingsDiff"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "all", "all settings", id="settings.all", tooltip="All settings, or only those that differ"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.all = False
        self._compared: Compared | None = None
        self._eyes = Eyes()

    def compose(self) -> ComposeResult:
        yield SettingsDiff()
        yield Static("", id="setting", markup=False)

    def show(self, compared: Compared, eyes: Eyes) -> None:
        self._compared, self._eyes = compared, eyes
        rows = compared.settings if self.all else compared.comparison.differing
        self.query_one(SettingsDiff).show(compared, eyes, rows)
        self._tell()

    def action_all(self) -> None:
        """Show all settings, or only those that differ."""
        self.all = not self.all
        if self._compared is not None:
            self.show(self._compared, self._eyes)

    @on(RowList.Highlighted)
    def _moved(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._tell()

    def on_resize(self, event: events.Resize) -> None:
        self._tell()

    def _tell(self) -> None:
        """Say which runs have which value of the setting under the cursor."""
        listing, compared = self.query_one(SettingsDiff), self._compared
        name = listing.setting
        parts: list[tuple[str, str]] = []
        if compared is None:
            return
        if not name:
            parts = [("A shows all settings", "$text-muted")] if not self.all else []
        else:
            parts = [(clean_line(name), "bold"), (f"  {_about(name)}" if _about(name) else "", "$text-muted")]
            groups: dict[str, list[str]] = {}
            for lane, value in zip(compared.lanes, listing.rows[name], strict=True):
                groups.setdefault(value_words(value), []).append(lane.letter)
            for words, letters in groups.items():
                who = " ".join(letters) if len(letters) < len(compared.lanes) else "all"
                parts += [(f"\n{who}  ", "bold"), (shorten(words, MOST_WORDS), "")]
        self.query_one("#setting", Static).update(Content.assemble(*parts))


def _head(lane: Lane) -> str:
    return f"{lane.letter} {lane.short}"


def _about(name: str) -> str:
    """What a field of the recipe is; empty for other settings."""
    from engine.recipe import Recipe

    known = Recipe.model_fields.get(name)
    return (known.description or "") if known is not None else ""
