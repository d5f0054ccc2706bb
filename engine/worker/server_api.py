"""The model server's endpoints. What goes wrong comes back in OpenAI's form with the status that fits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.errors import FinetuiError
from engine.worker.model_host import ModelHost
from engine.worker.openai_answers import Answers, error_body, sse
from engine.worker.openai_api import AnswerRequest, RequestError, parse_chat, parse_completion
from engine.worker.outbox import Outbox, together
from engine.worker.rows import RowRequest, RowResult

LOOK_S = 0.25
"""How often it is looked whether the client of an answer without `stream` is still there."""

Event = tuple[int, str | RowResult]
"""A row's place, and a piece of its text or its end."""


class Api:
    """The endpoints over a host."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host
        self._outbox: Outbox[Event] | None = None

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/adapters", self.add_adapter, methods=["POST"]),
            Route("/v1/adapters/{name}", self.remove_adapter, methods=["DELETE"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.complete, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        host = self._host
        rows = {"batch_rows": host.batch_rows, "waiting_rows": host.waiting_rows}
        body: dict[str, Any] = {"status": host.status, "detail": host.detail, **rows}
        if host.trust is not None:
            body["trust"] = host.trust.to_json()
        if host.error is not None:
            body["error"] = {"what": host.error.what, "why": host.error.why, "fix": host.error.fix}
        return JSONResponse(body)

    async def models(self, request: Request) -> Response:
        data = [{"id": name, "object": "model", "owned_by": "finetui"} for name in self._ready().names]
        return JSONResponse({"object": "list", "data": data})

    async def add_adapter(self, request: Request) -> Response:
        host = self._ready()
        try:
            body = orjson.loads(await request.body())
            name, folder = str(body["name"]), Path(str(body["path"]).replace("\0", "")).absolute()
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(400, "The body must be a JSON object with `name` and `path`.") from error
        try:
            trust = await host.add_adapter(name, folder)
        except OSError as error:
            raise RequestError(400, f"The adapter cannot be read: {error.strerror or error}.", param="path") from error
        return JSONResponse(
            {"name": name, "path": str(folder), "warnings": list(trust.warnings), "trust": trust.to_json()}
        )

    async def remove_adapter(self, request: Request) -> Response:
        host, name = self._ready(), request.path_params["name"]
        try:
            await host.remove_adapter(name)
        except KeyError as error:
            raise RequestError(404, f"There is no adapter {name!r}.", param="name") from error
        return JSONResponse({"name": name, "deleted": True})

    async def chat(self, request: Request) -> Response:
        return await self._completions(request, parse_chat)

    async def complete(self, request: Request) -> Response:
        return await self._completions(request, parse_completion)

    async def _completions(
        self, request: Request, parse: Callable[[bytes, Collection[str]], AnswerRequest]
    ) -> Response:
        host = self._ready()
        with host.in_use():
            asked = parse(await request.body(), host.names)
            # Everything that can be refused is refused here, before the first byte of a stream goes out.
            rows = await asyncio.to_thread(host.requests, asked)
            if not asked.stream:
                return await self._whole(request, asked, rows)
        return StreamingResponse(self._stream(asked, rows), media_type="text/event-stream")

    async def _whole(self, request: Request, asked: AnswerRequest, rows: list[RowRequest]) -> Response:
        async def watch() -> None:
            while not await request.is_disconnected():
                await asyncio.sleep(LOOK_S)
            work.cancel()

        async def answer() -> list[RowResult]:
            results: dict[int, RowResult] = {}
            async with aclosing(self._answers(rows)) as pieces:
                async for events in pieces:
                    results |= {place: item for place, item in events if isinstance(item, RowResult)}
            return [results[place] for place in range(len(rows))]

        work = asyncio.ensure_future(answer())
        watching = asyncio.ensure_future(watch())
        try:
            results = await work
        except asyncio.CancelledError:
            if not watching.done():
                raise
            return Response(status_code=499)  # nobody is there to read it
        finally:
            watching.cancel()
            work.cancel()
        errors = [result.error for result in results if result.error is not None]
        if errors and len(errors) == len(results):
            return JSONResponse(error_body(errors[0]), 503)
        return JSONResponse(Answers(asked).whole(results))

    async def _stream(self, asked: AnswerRequest, rows: list[RowRequest]) -> AsyncIterator[bytes]:
        answers, results = Answers(asked), []
        async with aclosing(self._answers(rows)) as pieces:
            async for events in pieces:
                written = []
                for place, item in events:
                    if isinstance(item, str):
                        written.append(sse(answers.chunk(place, item)))
                    else:
                        results.append(item)
                        written.append(sse(answers.last_chunk(place, item)))
                yield b"".join(written)
        if asked.include_usage:
            yield sse(answers.usage_chunk(results))
        yield sse("[DONE]")

    async def _answers(self, requests: list[RowRequest]) -> AsyncGenerator[list[Event], None]:
        """What comes of the rows, as it comes, up to the end of the last. Leaving it ends them at the next token."""
        if self._outbox is None:
            self._outbox = Outbox()
        outbox, queue = self._outbox, asyncio.Queue[Event]()

        def put(place: int, item: str | RowResult) -> None:
            outbox.put(queue, (place, item))

        with self._host.in_use():
            rows = self._host.submit(requests, put, put)
            try:
                going = len(rows)
                while going:
                    events = await together(queue)
                    going -= sum(isinstance(item, RowResult) for _, item in events)
                    yield events
            finally:
                for row in rows:
                    row.cancel()

    def _ready(self) -> ModelHost:
        """The host with its model loaded. Raises `RequestError` while there is none."""
        if self._host.status != "ready":
            raise RequestError(503, f"The model is not ready ({self._host.status}): {self._host.detail}.")
        return self._host


def make_app(host: ModelHost) -> Starlette:
    """The application over `host`."""
    return Starlette(
        routes=Api(host).routes(),
        exception_handlers={RequestError: _bad_request, FinetuiError: _refused, Exception: _failed},
    )


async def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse(error.body, error.status)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, FinetuiError)
    return JSONResponse(error_body(error, "invalid_request_error"), 400)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse(RequestError(500, f"{type(error).__name__}: {error}").body, 500)
