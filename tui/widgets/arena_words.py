"""The arena in words: what was voted, how far one is, ratings as bars."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.content import Content

from store.talk_records import Vote, Winner
from tui.text import clean, clean_line, shorten

if TYPE_CHECKING:
    from engine.arena.matches import Progress, Question
    from engine.arena.ratings import Rating

SAID = {Winner.LEFT: "A", Winner.RIGHT: "B", Winner.TIE: "tie", Winner.BOTH_BAD: "both bad"}
"""What a vote is called; A is on the left."""


def reveal(vote: Vote, labels: Mapping[str, str]) -> Content:
    """Who it was, and what was voted: `A was support-3 · B was starter · you said A, overall`."""
    left, right = (shorten(clean_line(labels.get(model, model)), 28) for model in (vote.left, vote.right))
    tones = {
        Winner.LEFT: ("bold $text-success", "$text-muted"),
        Winner.RIGHT: ("$text-muted", "bold $text-success"),
    }
    tone_left, tone_right = tones.get(vote.winner, ("", ""))
    said = f" · you said {SAID[vote.winner]}, {clean_line(vote.criterion)}"
    parts = [("A was ", "$text-muted"), (left, tone_left), (" · B was ", "$text-muted"), (right, tone_right)]
    return Content.assemble(*parts, (said, "$text-muted"))


def question_words(question: "Question") -> Content:
    """The first turn, and how many there are."""
    text = Content(clean(question.text))
    if not question.more:
        return text
    return Content.assemble(text, (f"  turn 1 of {question.turns}", "not bold $text-muted"))


def passed_words(pairs: int) -> Content:
    """That pairs were passed over since the last vote; nothing for none."""
    if not pairs:
        return Content("")
    said = "Both said the same, passed over." if pairs == 1 else f"{pairs} pairs said the same, passed over."
    return Content(f"{said}  ").stylize("$text-primary")


def progress_words(progress: "Progress | None", criterion: str, voter: str, suite: str) -> str:
    """How far one is: `everyday · 3 of 20 pairs, 2 the same · 12 votes · by warm · ann`."""
    if progress is None:
        return ""
    pairs = f"{progress.judged:,} of {progress.total:,} pairs" if progress.total else ""
    pairs += f", {progress.same:,} the same" if progress.same else ""
    votes = f"{progress.votes:,} {'vote' if progress.votes == 1 else 'votes'}"
    parts = [shorten(clean_line(suite), 20), pairs, votes, f"by {clean_line(criterion)}", clean_line(voter)]
    return " · ".join(part for part in parts if part)


def rating_bar(rating: "Rating", low: float, high: float, width: int) -> str:
    """The score and its interval between `low` and `high`, in `width` cells: `  ├───●───┤   `."""
    span = max(high - low, 1e-9)

    def cell(score: float) -> int:
        return max(0, min(width - 1, round((score - low) / span * (width - 1))))

    start, at, end = cell(rating.low), cell(rating.score), cell(rating.high)
    line = [" "] * width
    line[start : end + 1] = "─" * (end - start + 1)
    line[start], line[end] = "├", "┤"
    line[at] = "●"
    return "".join(line)


def share_words(rating: "Rating") -> str:
    """The win rate with its interval and the number of votes: `0.64 (0.43-0.80, n 22)`."""
    if rating.win_rate is None or rating.win_low is None or rating.win_high is None:
        return ""
    return f"{rating.win_rate:.2f} ({rating.win_low:.2f}-{rating.win_high:.2f}, n {rating.votes})"
