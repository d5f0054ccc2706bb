"""Ends an answer at the first stop text, and never lets a part of one out."""

from collections.abc import Sequence


class StopTexts:
    """Passes an answer's text on but for what may be the beginning of a stop text, which waits for what follows.

    The stop text that is complete first counts, of two the longer, however the text was cut into pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.hit = False

    def push(self, piece: str) -> str:
        """What may be shown now; `hit` is set once the answer is over."""
        if not self._stops or self.hit:
            return "" if self.hit else piece
        text = self._held + piece
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)[1]]
        shown = len(text) - self._possible(text)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """What was held back of an answer that ended otherwise: no stop text after all."""
        held, self._held = self._held, ""
        return held

    def _possible(self, text: str) -> int:
        """How many characters at the end of `text` a stop text could begin with."""
        longest = max(len(stop) for stop in self._stops) - 1
        return next(
            (size for size in range(min(longest, len(text)), 0, -1) if text[-size:] in self._beginnings(size)),
            0,
        )

    def _beginnings(self, size: int) -> set[str]:
        return {stop[:size] for stop in self._stops if len(stop) > size}
