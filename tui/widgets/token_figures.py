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


def cut_content(figures: dict[str, Any], rows: int, chosen: int, at_chosen: int | None = None) -> Content:
    """How many rows each `max_length` cuts; the one at hand is marked."""
    cuts = {int(length): int(count) for length, count in (figures.get("cut") or {}).items()}
    if at_chosen is not None:
        cuts[chosen] = at_chosen
    lines = [Content(f"{'max_length':>12}  {'rows cut':>9}").stylize(MUTED)]
    for length, count in sorted(cuts.items()):
        share = f"{count / rows:>7.1%}".replace("%", " %") if rows else ""
        mark = "▸" if length == chosen else " "
        style = "bold" if length == chosen else "" if count else MUTED
        lines.append(Content.assemble((f"{mark}{length:>11,}  {count:>9,}  {share}", style)))
    return Content("\n").join(lines)


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
        share("padding", float(figures["padding_waste"]), "of a padded batch is wasted", "$text-warning")
    if figures.get("packing_fill") is not None:
        share("packing", float(figures["packing_fill"]), "of a packed batch is full")
    return Content("\n").join(lines)


def fitted_label(label: str) -> str:
    """`label` in the width of the labels' column."""
    return f"{label[: LABEL - 1]:<{LABEL}}"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.1f} %"
