"""Connections that nobody uses are closed: a client that is slow to ask, or that does not read, holds nothing up."""

import asyncio
from functools import cache
from typing import Any

HEAD_S = 10.0
"""From the connection, or the first byte of another request, to the end of its headers."""
UNREAD_S = 30.0
"""So long may a client leave an answer unread that no longer fits the buffers."""


@cache
def protocol() -> type[asyncio.Protocol]:
    """uvicorn's protocol with these limits. uvicorn is imported with the first call."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class PatientProtocol(H11Protocol):
        """Waits, but not for ever."""

        _heads: asyncio.TimerHandle | None = None
        _reads: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._heads = self.loop.call_later(HEAD_S, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            cycle: Any = self.cycle  # None before the first request
            if cycle and not cycle.response_complete:
                self._stop_waiting_for_head()
            elif self._heads is None and not self.transport.is_closing():
                self._heads = self.loop.call_later(HEAD_S, self.transport.abort)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reads = self.loop.call_later(UNREAD_S, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._reads is not None:
                self._reads.cancel()
                self._reads = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting_for_head()
            if self._reads is not None:
                self._reads.cancel()
            super().connection_lost(exc)

        def _stop_waiting_for_head(self) -> None:
            if self._heads is not None:
                self._heads.cancel()
                self._heads = None

    return PatientProtocol
