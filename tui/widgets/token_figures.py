"""The token counts of a dataset as words and tables."""

from typing import Any

from textual.content import Content

from tui.format import fmt_count
from tui.text import clean_line
from tui.widgets.gauge import styled_bar
from tui.widgets.histogram import histogram

LABEL = 10
MUTED = "$text-muted"


def summary_content(figures: dict[str, Any], rows: int) -> Content:
    """Total and lengths, the answer to “how long are they?”."""
    total = int(figures.get("total") or 0)
    lengths = [
        f"{name} {figures[name]:,.0f}" for name in ("mean", "p50", "p95", "max") if figures.get(name) is not None
    ]
    return Content.assemble(
        (f"{total:,} tokens", "bold"),
        f" in {rows:,} rows   ",
        " · ".join(lengths),
        ("   a row", MUTED),
    )


def lengths_content(figures: dict[str, Any], width: int, height: int, cut: int) -> Content:
    """The histogram of lengths."""
    bins = [(int(low), int(high), int(count)) for low, high, count in figures.get("histogram") or []]
    return histogram(bins, width, cut=cut, height=height)


def cut_content(figures: dict[str, Any], rows: int, chosen: int) -> Content:
    """How many rows each `max_length` cuts; the one at hand is marked. Ends with the first length that cuts none."""
    cuts = {int(length): int(count) for length, count in (figures.get("cut") or {}).items()}
    none = min((length for length, count in cuts.items() if not count), default=chosen)
    lines = [Content(f"{'max_length':>12}  {'rows cut':>9}").stylize(MUTED)]
    for length, count in sorted(cuts.items()):
        if length > none and length != chosen:
            continue
        share = f"{count / rows:>7.1%}".replace("%", " %") if rows else ""
        mark = "▸" if length == chosen else " "
        style = "bold" if length == chosen else "" if count else MUTED
        lines.append(Content.assemble((f"{mark}{length:>11,}  {count:>9,}  {share}", style)))
    return Content("\n").join(lines)


def warning_words(figures: dict[str, Any]) -> list[str]:
    """What is wrong with what would be trained, and the rows that the template refuses."""
    words = [str(one) for one in figures.get("warnings") or []]
    if refused := figures.get("refused"):
        words.append(f"Refused: rows {', '.join(f'{row:,}' for row in refused[:8])}{' …' * (len(refused) > 8)}")
    return words


def shares_content(figures: dict[str, Any], width: int) -> Content:
    """What is trained, whose the tokens are, what padding would waste."""
    total = max(1, int(figures.get("total") or 0))
    room = max(6, min(24, width - LABEL - 22))
    lines: list[Content] = []

    def share(label: str, value: float, words: str, style: str = "$primary") -> None:
        lines.append(
            Content.assemble(
                (fitted_label(label), MUTED), styled_bar(value, room, style), f" {_percent(value):>6}  ", (words, MUTED)
            )
        )

    trained = figures.get("trained")
    if trained is not None:
        style = "$text-success" if trained else "$text-error"
        share("trained", int(trained) / total, f"{fmt_count(int(trained))} tokens", style)
    for role, count in sorted((figures.get("by_role") or {}).items(), key=lambda one: -int(one[1])):
        share(clean_line(str(role)), int(count) / total, f"{fmt_count(int(count))}")
    if figures.get("padding_waste") is not None:
        share("padding", float(figures["padding_waste"]), "is wasted", "$text-warning")
    if figures.get("packing_fill") is not None:
        share("packing", float(figures["packing_fill"]), "is full")
    return Content("\n").join(lines)


def fitted_label(label: str) -> str:
    """`label` in the width of the labels' column."""
    return f"{label[: LABEL - 1]:<{LABEL}}"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.1f} %"
