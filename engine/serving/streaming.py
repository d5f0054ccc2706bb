"""Answers that are written while somebody listens, and no longer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.serving.refusals import Refusal
from engine.serving.replies import dumps, event

Result = TypeVar("Result")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled when the client leaves. Raises `ClientDisconnect` then."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events. What fails before the first of them is answered with a status, later with an event.

    `told` says what the client is told of a failure.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], told: Callable[[Exception], Refusal]) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"X-Accel-Buffering": "no"})
        self._events = events
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_gone(receive, self._send(scope, receive, send))
        except ClientDisconnect:
            return

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False
        async with aclosing(self._events) as events:
            try:
                async for body in events:
                    if not began:
                        began = True
                        headers = [header for header in self.raw_headers if header[0] != b"content-length"]
                        await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            except Exception as error:
                refusal = self._told(error)
                if not began:
                    whole = Response(dumps(refusal.body), refusal.status, refusal.headers, "application/json")
                    await whole(scope, receive, send)
                    return
                await send({"type": "http.response.body", "body": event(refusal.body), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
