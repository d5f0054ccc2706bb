"""Markdown for a pull request: the sentence, the figures with the best in bold, what differs, what it took."""

import re

from engine.figures import NONE
from engine.reports.content import Report
from engine.reports.remarks import Remark
from engine.reports.tables import MOST_COLUMNS, Cell, Table
from engine.text import clean_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#!|~@&$])")
_SIGNS = {"error": "🛑", "warning": "⚠️", "info": "ℹ️"}


def markdown(report: Report) -> str:
    """The report in GitHub's Markdown. Nothing in it is live: names, notes and reasons are escaped."""
    parts = [f"### {_escaped(report.title)}", _escaped(report.sentence)]
    parts += [_table("", report.figures, report), _table("what differs", report.differing, report, code=True)]
    if not report.differing and len(report.lanes) > 1:
        parts.append("Their recipes are the same.")
    parts.append(_table("what it took", report.took, report))
    remarks = [remark for remark in report.remarks if not remark.dismissed]
    parts.append("\n".join(_remark(remark) for remark in remarks))
    if len(report.lanes) > 1 and report.figures:
        name = _escaped(report.lanes[report.baseline].name)
        parts.append(f"<sub>**Best** in bold; in brackets the distance to {name}. Made with finetui.</sub>")
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(corner: str, table: Table, report: Report, *, code: bool = False) -> str:
    """Runs as columns; as lines where there are many. With `code`, names are those of settings."""
    if not table:
        return ""
    names = [_escaped(lane.name) for lane in report.lanes]
    if len(names) > 1:
        names[report.baseline] += " (baseline)"
    named = _code if code else _escaped
    lines = [[named(name), *map(_cell, cells)] for name, cells in table.lines.items()]
    head = [corner, *names]
    if len(names) > MOST_COLUMNS:
        head, *lines = [list(row) for row in zip(*[head, *lines], strict=True)]
    ruler = ["---", *(["---" if corner else "---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ruler, *lines])


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text) or NONE
    text = f"**{text}**" if cell.best else text
    return f"{text} ({cell.change})" if cell.change else text


def _remark(remark: Remark) -> str:
    said = " ".join(part for part in (remark.why, remark.act and f"To do: {remark.act}") if part)
    title = remark.title.rstrip(".")
    line = f"- {_SIGNS[remark.level]} **{_escaped(remark.lane.name)}**: {_escaped(title)}"
    return f"{line}. {_escaped(said)}" if said else line


def _code(name: str) -> str:
    return "`" + clean_line(name).replace("`", "'").replace("|", "\\|") + "`"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", clean_line(text))
