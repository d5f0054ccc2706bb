"""Parallel coordinates with words below them: what the run at the cursor has on each axis, and its place."""

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui.format import NONE
from tui.text import clean_line
from tui.widgets.compare_columns import figure_words, metric_title
from tui.widgets.compare_pane import ComparePane
from tui.widgets.lanes import Compared, Eyes
from tui.widgets.parallel import ParallelPlot


class ParallelPane(ComparePane):
    """The plot, and below it what the run at the cursor has on its axes."""

    DEFAULT_CSS = """
    ParallelPane {
        layout: vertical;
        padding: 0 1;
        #run { height: auto; max-height: 4; margin-top: 1; }
    }
    """
    KEYS_TO = "ParallelPlot"

    def compose(self) -> ComposeResult:
        yield ParallelPlot()
        yield Static("", id="run", markup=False)

    def show(self, compared: Compared, eyes: Eyes) -> None:
        self.query_one(ParallelPlot).show(compared, eyes)
        self._tell()

    @on(ParallelPlot.Moved)
    def _moved(self, event: ParallelPlot.Moved) -> None:
        event.stop()
        self._tell()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._tell)

    def _tell(self) -> None:
        self.query_one("#run", Static).update(run_words(self.query_one(ParallelPlot)))


def run_words(plot: ParallelPlot) -> Content:
    """The run at the cursor: its values on all axes, and its place."""
    compared, current = plot.compared, plot.eyes.current
    if compared is None or current not in compared.places:
        return Content("")
    place, ranking = compared.places[current], plot.ranking
    lane = compared.lanes[place]
    parts: list[tuple[str, str]] = [
        (f"{lane.letter} ━ ", f"bold {lane.color}"),
        (f"{clean_line(lane.run.name)}  ", "bold"),
    ]
    for axis in plot.axes:
        if axis.key != ranking:
            parts += [(f"{clean_line(axis.title)} ", "$text-muted"), (f"{axis.words[place]}   ", "")]
    if ranking:
        figures = compared.figures(ranking)
        known = sum(figure is not None for figure in figures)
        rank = [one.run.id for one in plot.ranks()].index(current) + 1
        told = NONE
        if figures[place] is not None:
            told = f"{figure_words(ranking, figures[place])}, place {rank} of {known}"
        parts += [(f"→\N{NO-BREAK SPACE}{metric_title(ranking)} ", "$text-muted"), (told, "bold")]
    if plot.hidden:
        parts.append((f"   {plot.hidden} more axes: ← → go there", "$text-muted"))
    if plot.away:
        parts.append((f"   {plot.away} put away: Z brings them back", "$text-muted"))
    return Content.assemble(*parts)
