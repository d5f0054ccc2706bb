"""A report on a dataset in words: its grade in large letters, why, and what its rows are like."""

from typing import TYPE_CHECKING, Any

from textual.content import Content

from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.row_list import Cells, RowList

if TYPE_CHECKING:
    from engine.datasets.quality import Check, Report

LETTERS = {
    "A": ("▄▀▄", "█▀█", "▀ ▀"),
    "B": ("█▀▄", "█▀▄", "▀▀ "),
    "C": ("█▀▀", "█  ", "▀▀▀"),
    "D": ("█▀▄", "█ █", "▀▀ "),
    "F": ("█▀▀", "█▀▀", "▀  "),
}
GRADE_STYLES = {"A": "$text-success", "B": "$text-success", "C": "$text-warning"}
GRADE_WORDS = {
    "A": "ready",
    "B": "ready, with little to mend",
    "C": "look at it first",
    "D": "mend it first",
    "F": "not fit to train on",
}
LEVELS = {"error": ("✗", "act"), "warning": ("⚠", "look"), "info": ("·", "dim")}
KEY_WORDS = {
    "duplicate": "o, then “remove exact duplicates”",
    "near-duplicate": "o, then “remove near duplicates”",
    "leak-exact": "o, then “split anew”",
    "leak-near": "o, then “remove near duplicates”, or “split anew”",
    "no-validation": "o, then “split anew”",
    "tiny-validation": "o, then “split anew”",
    "no-training": "o, then “split anew”",
}
"""Keys of the dataset's screen that mend what a check found."""
MUTED = "$text-muted"


def grade_style(grade: str) -> str:
    """The colour of a grade."""
    return GRADE_STYLES.get(grade, "$text-error")


def grade_content(report: "Report", width: int, most: int) -> Content:
    """The letter, three lines high, with what it means and at most `most` reasons beside it."""
    style = f"bold {grade_style(report.grade)}"
    letter = LETTERS.get(report.grade, (report.grade, "", ""))
    room = max(10, width - 8)
    words = [Content.assemble((GRADE_WORDS.get(report.grade, ""), style))]
    words += [Content(fitted(clean_line(reason), room).rstrip()) for reason in report.reasons[:most]]
    lines = []
    for number in range(max(len(letter), len(words))):
        left = letter[number] if number < len(letter) else ""
        right = words[number] if number < len(words) else Content("")
        lines.append(Content.assemble((f" {left:<5} ", style), right))
    return Content("\n").join(lines)


def figures_content(report: "Report") -> Content:
    """Lengths, turns, languages, and what was not looked at."""
    figures = report.figures
    found = [
        ("prompts", _lengths(figures.get("prompt_chars"))),
        ("answers", _lengths(figures.get("answer_chars"))),
        ("turns", f"{figures['turns_mean']:.3g} a row" if figures.get("turns_mean") else ""),
        ("languages", _languages(figures.get("languages"))),
    ]
    if figures.get("chosen_longer") is not None:
        found.append(("pairs", f"the chosen answer is longer in {_percent(figures['chosen_longer'])}"))
    if isinstance(figures.get("labels"), dict):
        found.append(("labels", ", ".join(f"{count:,} {name}" for name, count in figures["labels"].items())))
    lines = [Content.assemble((f"{title:<11}", MUTED), words) for title, words in found if words]
    lines += [Content(clean_line(note)).stylize(MUTED) for note in report.notes]
    return Content("\n").join(lines)


def _lengths(found: Any) -> str:
    if not isinstance(found, dict):
        return ""
    parts = [f"{name} {found[name]:,.0f}" for name in ("mean", "p50", "p95", "max") if name in found]
    return f"{' · '.join(parts)} characters" if parts else ""


def _languages(found: Any) -> str:
    from engine.datasets.quality import language_name

    if not isinstance(found, dict):
        return ""
    most = sorted(found.items(), key=lambda one: -float(one[1]))[:5]
    told = [(code, share) for code, share in most if share >= 0.01] or most[:1]
    return ", ".join(f"{clean_line(language_name(str(code)))} {_percent(float(share))}" for code, share in told)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def key_words_for(code: str) -> str:
    """What one can do here about a check, by its keys; empty where rows have to be looked at."""
    return KEY_WORDS.get(code, "")


def fault_count(report: "Report | None") -> int:
    """How many checks found an error, or something to be warned of."""
    return sum(check.level != "info" and check.count > 0 for check in report.checks) if report else 0


class CheckList(RowList):
    """The checks that found something, the gravest first; Enter goes to the rows of one."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.checks: list[Check] = []
        self._total = 0

    def show(self, report: "Report", total: int) -> None:
        """Show a report's checks. `total`: rows of the dataset."""
        order = list(LEVELS)
        self._total = total
        found = [check for check in report.checks if check.count or check.level != "info"]
        self.checks = sorted(found, key=lambda one: (order.index(one.level) if one.level in order else 9, -one.count))
        self.set_count(len(self.checks))

    @property
    def highlighted(self) -> "Check | None":
        return self.checks[self.cursor] if self.cursor < len(self.checks) else None

    def cells(self, row: int, width: int) -> Cells:
        check = self.checks[row]
        mark, tone = LEVELS.get(check.level, ("·", "dim"))
        count = f"{check.count:,}" if check.count else ""
        share = f"{check.count / self._total:.1%}".replace("%", " %") if check.count and self._total else ""
        title = min(32, max(16, width // 3))
        return [
            (f" {mark} ", tone),
            (fitted(clean_line(check.title), title), ""),
            (f" {count:>9} {share:>8}  ", tone),
            (fitted(clean_line(check.message), max(0, width - title - 24)), "dim"),
        ]
