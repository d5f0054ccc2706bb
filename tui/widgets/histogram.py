"""Bars lying down, one a line, drawn to an eighth of a cell."""

from collections.abc import Sequence

from textual.content import Content

BLOCKS = " ▏▎▍▌▋▊▉█"

Bin = tuple[int, int, int]
"""From, to (exclusive), how many."""


def eighths(share: float, width: int) -> str:
    """A bar of at most `width` cells. What is more than nothing shows at least an eighth."""
    units = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0:
        units = max(1, units)
    return "█" * (units // 8) + (BLOCKS[units % 8] if units % 8 else "")


def merged(bins: Sequence[Bin], most: int) -> list[Bin]:
    """The same counts in at most `most` bins: neighbours put together, as many to each."""
    step = -(-len(bins) // max(1, most))
    groups = [bins[place : place + step] for place in range(0, len(bins), max(1, step))]
    return [(group[0][0], group[-1][1], sum(count for *_, count in group)) for group in groups]


def histogram(bins: Sequence[Bin], width: int, *, cut: int | None = None, height: int = 16) -> Content:
    """Counts by length in `width` cells. A rule stands where `cut` falls; bars beyond it are in amber.

    Where `cut` falls inside a bin, the rule stands above that bin: some of its rows are cut.
    """
    bins = merged(bins, height)
    if not bins:
        return Content("")
    most = max(count for *_, count in bins)
    labels = [f"{low:,}–{max(low, high - 1):,}" for low, high, _ in bins]
    space = max(len(label) for label in labels)
    figures = max(len(f"{count:,}") for *_, count in bins)
    room = max(4, width - space - figures - 4)
    lines: list[Content] = []
    ruled = cut is None
    for label, (_, high, count) in zip(labels, bins, strict=True):
        beyond = cut is not None and high - 1 > cut
        if beyond and not ruled:
            words = f" cut at {cut:,} "
            lines.append(Content((words + "┄" * width)[:width]).stylize("$text-warning"))
            ruled = True
        bar = eighths(count / most if most else 0, room)
        lines.append(
            Content.assemble(
                (f"{label:>{space}}  ", "$text-muted"),
                (bar.ljust(room), "$text-warning" if beyond else "$primary"),
                (f"  {count:>{figures},}", "" if count else "$text-muted"),
            )
        )
    return Content("\n").join(lines)
