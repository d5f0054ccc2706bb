"""The report as one self-contained web page: nothing is fetched, nothing in it is executed but its own scripts."""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.reports.content import Report
from engine.reports.curves import Plot, best_point, is_marked, scales_of
from engine.reports.lanes import COLORS, Lane
from engine.reports.tables import MOST_COLUMNS
from store import Store

_FOLDER = Path(__file__).parent
_DIGITS = 5
"""Significant ones of a value in a plot; tables have their own."""
_SCALE_DIGITS = 7
_MOST_CHECKPOINTS = 100
_CARDS = 8
"""With more runs than that, tables alone say what they came to."""

_SCRIPTS = ("page/curves.js", "page/marks.js", "page/report.js")
"""In this order: each stands on those before it."""
_AXES = ("step", "epoch", "time", "tokens")


def page(store: Store, report: Report) -> str:
    """The whole page as text."""
    scripts = [_asset(name) for name in ("uplot/uPlot.iife.min.js", *_SCRIPTS)]
    styles = [_asset("uplot/uPlot.min.css"), _asset("page/report.css")]
    learning = [(index, plot) for index, plot in enumerate(report.plots) if not plot.family.machine]
    text: str = _template().render(
        report=report,
        policy=_policy(scripts, styles),
        scripts=[Markup(script) for script in scripts],
        styles=[Markup(style) for style in styles],
        data=_embedded(_data(store, report)),
        learning=learning,
        machine=[(index, plot) for index, plot in enumerate(report.plots) if plot.family.machine],
        by_lines=len(report.lanes) > MOST_COLUMNS,
        cards=len(report.lanes) <= _CARDS,
        colors=COLORS,
        made=f"{datetime.fromtimestamp(report.made):%Y-%m-%d %H:%M}",
        version=metadata.version("finetui"),
    )
    return text


@cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """A Content-Security-Policy that lets exactly these scripts and styles run, and nothing be fetched or sent."""

    def hashes(texts: Sequence[str]) -> str:
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes(styles)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _embedded(data: Any) -> Markup:
    """JSON for a script element that is not executed: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _data(store: Store, report: Report) -> dict[str, Any]:
    """What the plots are drawn from. Curves name their run and their steps by index; gaps are null."""
    steps: dict[tuple[int, ...], int] = {}
    runs = [_run(store, lane) for lane in report.lanes]
    plots = [_plot(plot, report, steps) for plot in report.plots]
    axes = [axis for axis in _AXES if axis == "step" or any(axis in run["scales"] for run in runs)]
    return {"runs": runs, "plots": plots, "steps": [list(one) for one in steps], "axes": axes}


def _run(store: Store, lane: Lane) -> dict[str, Any]:
    events = store.runs.events(lane.run.id, ["checkpoint"], limit=_MOST_CHECKPOINTS)
    return {
        "letter": lane.letter,
        "name": lane.name,
        "color": lane.color,
        "dashed": lane.slot >= COLORS,
        "checkpoints": sorted({step for event in events if type(step := event.body.get("step")) is int}),
        "scales": {
            axis: [steps, [_rounded(x, _SCALE_DIGITS) for x in values]]
            for axis, (steps, values) in scales_of(store, lane).items()
        },
    }


def _plot(plot: Plot, report: Report, steps: dict[tuple[int, ...], int]) -> dict[str, Any]:
    curves = []
    for curve in plot.curves:
        found: dict[str, Any] = {
            "run": curve.lane.slot,
            "part": curve.part,
            "steps": steps.setdefault(tuple(curve.steps), len(steps)),
            "values": [_rounded(value) for value in curve.values],
        }
        if curve.low:
            found |= {"low": [_rounded(value) for value in curve.low], "high": [_rounded(v) for v in curve.high]}
        curves.append(found)
    best = [(lane.slot, *point) for lane in report.lanes if (point := best_point(plot, lane))]
    return {
        "title": plot.title,
        "marked": is_marked(plot),
        "curves": curves,
        "best": [[run, step, _rounded(value)] for run, step, value in best],
    }


def _rounded(value: float, digits: int = _DIGITS) -> float | int | None:
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
