"""An answer that is being written: its tokens, its text as it comes, its end. No torch."""

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from engine.errors import FinetuiError
from engine.worker.rows import RowRequest, RowResult
from engine.worker.stop_texts import StopTexts
from engine.worker.text_stream import TextStream


class LiveRow:
    """A row at work. `on_text` gets its text piece by piece, `on_done` its result, both in the model's thread.

    A row whose batch failed goes on from its `tokens`, so that nothing is said twice. `cancel` is for any thread.
    """

    def __init__(
        self,
        request: RowRequest,
        tokenizer: Any,
        on_text: Callable[[str], None],
        on_done: Callable[[RowResult], None],
    ) -> None:
        self.request = request
        self.tokens: list[int] = []
        self.result: RowResult | None = None
        self._text = ""
        self._stream = TextStream(tokenizer, request.prompt[-1:] if request.goes_on else ())
        self._stops = StopTexts(request.stop)
        self._on_text = on_text
        self._on_done = on_done
        self._cancelled = threading.Event()
        self._why: FinetuiError | None = None
        self._started: float | None = None
        self._first: float | None = None
        self._last: float | None = None

    @property
    def done(self) -> bool:
        return self.result is not None

    @property
    def left(self) -> int:
        """Tokens that may still come."""
        return self.request.max_new_tokens - len(self.tokens)

    def cancel(self, error: FinetuiError | None = None) -> None:
        """Let the next token be the last; with an `error`, what was written is no answer."""
        self._why = error
        self._cancelled.set()

    def begin(self) -> bool:
        """Start the clock, once. False where there is nothing to write any more."""
        self._started = self._started or time.monotonic()
        if self._cancelled.is_set() and not self.done:
            self._finish("error" if self._why else "cancelled", self._why)
        return not self.done

    def take(self, token: int, ends: Collection[int]) -> None:
        """The next token; `ends` are those that end an answer."""
        if not self.begin():
            return
        if token in ends:
            self._finish("stop")
            return
        self._last = time.monotonic()
        self._first = self._first or self._last
        self.tokens.append(token)
        self._say(self._stops.push(self._stream.push(token)))
        if self._stops.hit:
            self._finish("stop")
        elif self.left <= 0:
            self._finish("length")

    def fail(self, error: FinetuiError) -> None:
        """End it with an error of its own."""
        if not self.done:
            self._finish("error", error)

    def _say(self, text: str) -> None:
        if text:
            self._text += text
            self._on_text(text)

    def _finish(self, reason: str, error: FinetuiError | None = None) -> None:
        self._say(self._stops.flush())
        tokens, first, speed = len(self.tokens), None, None
        if self._started is not None and self._first is not None and self._last is not None:
            first = self._first - self._started
            if tokens > 1 and self._last > self._first:
                speed = (tokens - 1) / (self._last - self._first)
            elif first > 0:
                speed = tokens / first
        self.result = RowResult(self._text, tokens, len(self.request.prompt), first, speed, reason, error)
        self._on_done(self.result)
