"""The API as an ASGI application: OpenAI's endpoints, the plain ones of older scripts, its own document and a page."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import FinetuiError
from engine.serving import replies, web_page
from engine.serving.answering import Answering, LookUp, Pool, Wanted
from engine.serving.asked import ChatAsked, CompletionAsked, GenerateAsked, QuestionAsked, Streamed, read_body
from engine.serving.guard import Guard, Rules
from engine.serving.offers import Offer, Offers
from engine.serving.openapi import document
from engine.serving.refusals import Refusal, refusal_of
from engine.serving.streaming import EventStream, unless_gone

Say = Callable[[str], None]


def make_app(
    pool: Pool, offers: Offers, rules: Rules | None = None, look_up: LookUp | None = None, say: Say | None = None
) -> Guard:
    """The application. `say` gets a line for whoever runs the server when an answer failed."""
    api = Api(Answering(pool, look_up), offers, say or (lambda line: None))
    handlers: dict[Any, Any] = {
        Refusal: api.failed,
        FinetuiError: api.failed,
        Exception: api.failed,
        HTTPException: api.unknown,
        ClientDisconnect: api.left,
    }
    return Guard(Starlette(routes=api.routes(), exception_handlers=handlers), rules or Rules())


class Api:
    """The endpoints."""

    def __init__(self, answering: Answering, offers: Offers, say: Say) -> None:
        self._answering = answering
        self._offers = offers
        self._say = say
        self._started = int(time.time())

    def routes(self) -> Sequence[Route]:
        return [
            Route("/", self.page),
            Route("/health", self.health),
            Route("/openapi.json", self.openapi),
            Route("/v1/models", self.models),
            Route("/v1/models/{name:path}", self.model),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/api/v1/generate", self.generate, methods=["POST"]),
            Route("/ask", self.ask, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        page = web_page.page()
        headers = {"Content-Security-Policy": page.policy, "X-Frame-Options": "DENY"}
        return Response(page.text, headers=headers, media_type="text/html")

    async def health(self, request: Request) -> Response:
        return _json({"status": "healthy"})

    async def openapi(self, request: Request) -> Response:
        return _json(document())

    async def models(self, request: Request) -> Response:
        return _json({"object": "list", "data": [self._card(offer) for offer in self._offers]})

    async def model(self, request: Request) -> Response:
        return _json(self._card(self._offers.find(request.path_params["name"])))

    async def chat(self, request: Request) -> Response:
        asked = read_body(ChatAsked, await request.body())
        wanted = Wanted(self._offers.find(asked.model), asked.conversation(), asked.sampling())
        return await self._reply(request, asked, wanted, replies.Reply(wanted, chat=True, with_usage=asked.wants_usage))

    async def complete(self, request: Request) -> Response:
        asked = read_body(CompletionAsked, await request.body())
        wanted = Wanted(self._offers.find(asked.model), asked.text, asked.sampling())
        reply = replies.Reply(wanted, chat=False, with_usage=asked.wants_usage)
        return await self._reply(request, asked, wanted, reply)

    async def generate(self, request: Request) -> Response:
        asked = read_body(GenerateAsked, await request.body())
        offer = self._named(asked.model_id, "model_id")
        wanted = Wanted(offer, [{"role": "user", "content": asked.prompt}], asked.sampling())
        answer = await unless_gone(request.receive, self._answering.whole(wanted))
        return _json(replies.generated(wanted, answer))

    async def ask(self, request: Request) -> Response:
        asked = read_body(QuestionAsked, await request.body())
        offer = self._named(asked.model, "model")
        wanted = Wanted(offer, [{"role": "user", "content": asked.question}], asked.sampling())
        answer = await unless_gone(request.receive, self._answering.whole(wanted))
        return _json(replies.responded(asked.question, wanted, answer))

    async def failed(self, request: Request, error: Exception) -> Response:
        refusal = self._told(error)
        return _json(refusal.body, refusal.status, refusal.headers)

    async def unknown(self, request: Request, error: HTTPException) -> Response:
        """No such path, or not with that method."""
        refusal = Refusal(error.status_code, f"{error.detail}: {request.method} {request.url.path[:200]}.")
        return _json(refusal.body, refusal.status, dict(error.headers or {}))

    async def left(self, request: Request, error: ClientDisconnect) -> Response:
        """Nobody hears this."""
        return Response(status_code=204)

    async def _reply(self, request: Request, asked: Streamed, wanted: Wanted, reply: replies.Reply) -> Response:
        if asked.stream:
            return EventStream(self._events(wanted, reply), self._told)
        return _json(reply.whole(await unless_gone(request.receive, self._answering.whole(wanted))))

    async def _events(self, wanted: Wanted, reply: replies.Reply) -> AsyncGenerator[bytes, None]:
        began = False
        async with aclosing(self._answering.pieces(wanted)) as pieces:
            async for delta, answer in pieces:
                events = [] if began else reply.first()
                began = True
                events += reply.piece(delta)
                if delta.done:
                    events += reply.last(answer)
                if events:
                    yield b"".join(replies.event(one) for one in events)
        yield replies.DONE

    def _told(self, error: Exception) -> Refusal:
        """What the client is told; whoever runs the server reads the rest."""
        if isinstance(error, Refusal):
            return error
        if not isinstance(error, FinetuiError):
            self._say(f"An answer failed: {type(error).__name__}: {error}")
            return Refusal(500, "finetui has a fault; it is shown where `finetui serve` runs.")
        refusal = refusal_of(error)
        if refusal.status >= 500:
            self._say(str(error))
        return refusal

    def _named(self, name: str | None, param: str) -> Offer:
        return self._offers.default if name is None else self._offers.find(name, param)

    def _card(self, offer: Offer) -> dict[str, Any]:
        return {
            "id": offer.name,
            "object": "model",
            "created": self._started,
            "owned_by": "finetui",
            "finetui": {"run": offer.pane.run_id, "knowledge": offer.knowledge},
        }


def _json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(replies.dumps(document), status, headers, "application/json")
