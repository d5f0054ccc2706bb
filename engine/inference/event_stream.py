"""The events of a streamed answer, as servers really send them.

Asked of a stream by the standard: `data:` lines, comments that keep the connection open, an empty line behind an event.
Seen in the field besides: no empty lines, bare JSON without `data:`, bytes that are no UTF-8, events cut in half.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import codecs
import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

LONGEST_LINE = 4_000_000
"""Characters of one line; a server that sends more without an end would fill the memory."""
LONGEST_EVENT = 100_000
"""Characters of an event that is spread over several lines and not whole yet."""
DONE = "[DONE]"


class BadStream(ValueError):
    """The stream is none that can be read."""


class EventStream:
    """Reads `pieces` of bytes. `malformed` counts the events that were skipped, `finished` is set by `[DONE]`."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = pieces
        self._held = ""
        self.malformed = 0
        self.finished = False

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of the stream. Raises `BadStream` for a line, or an event, that has no end."""
        async for line in self._lines():
            event = self._event(line)
            if self.finished:
                return
            if event is not None:
                yield event
        self._drop()

    async def _lines(self) -> AsyncIterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        async for piece in self._pieces:
            rest += decoder.decode(piece)
            *whole, rest = rest.replace("\r\n", "\n").split("\n")
            for line in whole:
                yield line.rstrip("\r")
            if len(rest) > LONGEST_LINE:
                raise BadStream(f"a line of more than {LONGEST_LINE // 1_000_000} million characters")
        if rest:
            yield rest

    def _event(self, line: str) -> dict[str, Any] | None:
        """The event that `line` completes, if it does."""
        if not line:
            self._drop()
            return None
        if line.startswith("data:"):
            text = line.removeprefix("data:").strip()
        elif line.startswith(("{", "[")):
            text = line
        else:
            return None  # a comment, or `event:`, `id:`, `retry:`
        if text == DONE:
            self.finished = True
            return None
        # An event may be spread over several `data:` lines; most servers send one a line, some without an end to it.
        for candidate in (text, f"{self._held}\n{text}") if self._held else (text,):
            try:
                value = json.loads(candidate)
            except (ValueError, RecursionError):
                continue
            self._held = ""
            if isinstance(value, list) and value:
                value = value[0]
            if isinstance(value, dict):
                return value
            self.malformed += 1
            return None
        self._held = f"{self._held}\n{text}" if self._held else text
        if len(self._held) > max(LONGEST_EVENT, len(text)):
            raise BadStream(f"an event of more than {LONGEST_EVENT:,} characters without an end")
        return None

    def _drop(self) -> None:
        """Give up what was not completed."""
        self.malformed += bool(self._held)
        self._held = ""
