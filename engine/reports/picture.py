"""The report's curves as one picture: small multiples, drawn by matplotlib without a display."""

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput
from engine.figures import fmt_count, fmt_setting
from engine.reports.content import Report
from engine.reports.curves import Curve, Plot, best_point
from engine.reports.families import TRAINING
from engine.reports.lanes import COLORS, Lane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PLOTS = 12
"""The first of them: a picture of more is none that one reads."""
_INK = ("#0b62c4", "#d0490c", "#0a7d5d", "#9a35ad", "#a07000", "#c2185b", "#0a7a8c", "#5c6470")
_TEXT, _QUIET, _LINE, _GRID = "#12161c", "#56606d", "#c6ccd4", "#eceff3"
_WIDTH, _HEIGHT = 4.9, 2.9
"""Of a plot, in inches."""
_DPI = 160
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans")
"""Those that are there: a name may be in any script."""
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a name with a dollar in it is no formula
    "axes.unicode_minus": True,
    "text.color": _TEXT,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _QUIET,
    "axes.titlecolor": _TEXT,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _QUIET,
    "ytick.labelcolor": _QUIET,
    "font.size": 9.0,
}


def picture(report: Report) -> bytes:
    """A PNG. Raises `BadInput` where there is no curve to draw."""
    plots = [plot for plot in report.plots if not plot.family.machine] or report.plots
    if not plots:
        raise BadInput(
            "There is no curve to draw yet.", why="The runs have no metrics.", fix="Wait until one of them trains."
        )
    from matplotlib import font_manager, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    installed = {font.name for font in font_manager.fontManager.ttflist}
    with (
        rc_context(_STYLE | {"font.family": [name for name in _FONTS if name in installed]}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        shown = plots[:MOST_PLOTS]
        columns = min(len(shown), 2 if len(shown) <= 4 else 3)
        rows = -(-len(shown) // columns)
        names = _legend_lines(report)
        heading = textwrap.wrap(report.sentence, 62 * columns) or [""]
        top, bottom = 0.72 + 0.2 * len(heading), 0.12 + 0.2 * len(names) if names else 0.1
        width, height = _WIDTH * columns, _HEIGHT * rows + top + bottom
        figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            rows,
            columns,
            left=0.62 / width,
            right=1 - 0.35 / width,
            top=1 - (top + 0.12) / height,
            bottom=(bottom + 0.42) / height,
            wspace=0.26,
            hspace=0.42,
        )
        figure.text(0.2 / width, 1 - 0.32 / height, _short(report.title, 60 * columns - 36))
        figure.texts[0].set(fontsize=13, fontweight="bold", va="center")
        figure.text(0.2 / width, 1 - 0.52 / height, "\n".join(heading), fontsize=9.5, va="top", linespacing=1.45)
        if any(len({curve.part for curve in plot.curves}) > 1 for plot in shown):
            key = "thick: validation · thin: training · ★ best step"
            figure.text(1 - 0.35 / width, 1 - 0.32 / height, key, fontsize=8, color=_QUIET, ha="right", va="center")
        for index, plot in enumerate(shown):
            _draw(figure.add_subplot(grid[divmod(index, columns)]), plot, report.lanes)
        _legend(figure, names, width, height)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": "finetui", "Title": report.title})
    return file.getvalue()


def _draw(axes: "Axes", plot: Plot, lanes: Sequence[Lane]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    training_alone = all(curve.part == TRAINING for curve in plot.curves)
    ends: list[tuple[float, float, Lane]] = []
    for curve in plot.curves:
        main = curve.part != TRAINING or training_alone
        _line(axes, curve, main)
        own = [other for other in plot.curves if other.lane is curve.lane]
        if curve is max(own, key=lambda one: one.part != TRAINING):
            last = next(
                (p for p in zip(reversed(curve.steps), reversed(curve.values), strict=True) if p[1] == p[1]), None
            )
            if last is not None:
                ends.append((*last, curve.lane))
    for lane in lanes:
        if point := best_point(plot, lane):
            axes.plot(*point, "*", ms=11, mfc=_INK[lane.color], mec="white", mew=0.8, zorder=5)
    axes.set_title(plot.title, loc="left", fontsize=10, fontweight="bold", pad=6)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, labelsize=8)
    axes.margins(x=0.02, y=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _at: fmt_count(round(value))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _at: fmt_setting(float(f"{value:.6g}"))))
    axes.set_xlabel("step", fontsize=8, labelpad=2)
    if len(lanes) > 1:
        _letters(axes, ends)


def _line(axes: "Axes", curve: Curve, main: bool) -> None:
    color = _INK[curve.lane.color]
    style = "--" if curve.lane.slot >= COLORS or curve.part not in ("", "gpu0", TRAINING, "validation") else "-"
    few = sum(math.isfinite(value) for value in curve.values) <= 40
    axes.plot(
        curve.steps,
        curve.values,
        style,
        color=color,
        linewidth=1.8 if main and len(curve.steps) <= 200 else 1.0,
        alpha=1.0 if main else 0.5,
        marker="o" if few and main else "",
        markersize=3.2,
        zorder=3 if main else 2,
    )
    if curve.low:
        axes.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.12, linewidth=0, zorder=1)


def _letters(axes: "Axes", ends: list[tuple[float, float, Lane]]) -> None:
    """Each run's letter at the end of its curve, moved apart where two would lie over each other."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    left, right = axes.get_xlim()
    gap = (high - low) * 0.065
    columns: dict[int, list[tuple[float, float, Lane]]] = {}
    for end in sorted(ends, key=lambda end: end[1]):
        columns.setdefault(round((end[0] - left) / (right - left) * 20), []).append(end)
    for column in columns.values():
        heights = list(accumulate((value for _, value, _ in column), lambda below, value: max(value, below + gap)))
        moved = (sum(heights) - sum(value for _, value, _ in column)) / len(column)
        for (step, _, lane), height in zip(column, heights, strict=True):
            _letter(axes, lane, step, max(height - moved, low + gap / 2))


def _letter(axes: "Axes", lane: Lane, step: float, height: float) -> None:
    axes.annotate(
        lane.letter,
        (step, height),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        fontweight="bold",
        color=_INK[lane.color],
        annotation_clip=False,
    )


def _legend_lines(report: Report) -> list[list[Lane]]:
    """Runs in rows of the legend, as many as fit at their longest name."""
    if len(report.lanes) < 2:
        return []
    plots = min(3, max(1, len(report.plots)))
    longest = max(len(_short(lane.name)) for lane in report.lanes)
    each = max(1, int(_WIDTH * plots / (0.085 * longest + 0.6)))
    return [report.lanes[start : start + each] for start in range(0, len(report.lanes), each)]


def _legend(figure: Any, rows: list[list[Lane]], width: float, height: float) -> None:
    if not rows:
        return
    each = len(rows[0])
    for row, lanes in enumerate(rows):
        y = (0.2 * (len(rows) - row) - 0.02) / height
        for column, lane in enumerate(lanes):
            x = (0.25 + column * (width - 0.4) / each) / width
            figure.text(x, y, lane.letter, fontsize=9, fontweight="bold", color=_INK[lane.color], va="center")
            figure.text(x + 0.2 / width, y, _short(lane.name), fontsize=9, va="center")


def _short(text: str, most: int = 48) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
