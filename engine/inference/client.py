"""Speaks to one model server over its unix socket. httpx is imported with the first request."""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput, FinetuiError
from engine.inference.trust import Trust

if TYPE_CHECKING:
    import httpx

Prompt = list[dict[str, str]] | str
"""A conversation that is to be answered, or a text to go on from without a template."""

SHORT_S = 5.0
"""For what is answered at once."""


@dataclass(frozen=True)
class Sampling:
    """How answers are written. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 leave every token in."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Texts that end an answer; they are left out of it."""

    def fields(self) -> dict[str, Any]:
        """The fields of a request."""
        return {
            "max_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "seed": self.seed,
            "stop": list(self.stop),
        }


@dataclass(frozen=True)
class Chunk:
    """A piece of the answer of one row; the last one of a row is `done` and carries its figures.

    `error` is why this row has no whole answer, where the others of the request have theirs.
    """

    row: int
    text: str
    done: bool = False
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    finish_reason: str | None = None
    """`stop` at an end token or a stop text, `length` at the limit."""
    prompt_tokens: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Loaded:
    """What a server says of an adapter that it has loaded."""

    warnings: list[str]
    trust: Trust


@dataclass(frozen=True)
class Health:
    """How the server is: `loading`, `ready` or `failed`, and what it is at."""

    status: str
    detail: str
    error: FinetuiError | None = None
    trust: Trust | None = None
    """What was checked of the base, where that is what a run has trained as a whole."""


class ServerGone(Exception):
    """Nobody answers at the socket, or the server went away in the middle of an answer."""


class ModelClient:
    """The server at `socket`. Every call opens its own connection, so any event loop may use it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def health(self) -> Health:
        """How the server is. Raises `ServerGone`."""
        body = await self._call("GET", "/health", timeout_s=SHORT_S)
        error, trust = body.get("error"), body.get("trust")
        return Health(
            body["status"],
            body["detail"],
            _server_error(error) if error else None,
            Trust.from_json(trust) if trust else None,
        )

    async def models(self) -> list[str]:
        """The names that may be asked. Raises `ServerGone`."""
        body = await self._call("GET", "/v1/models", timeout_s=SHORT_S)
        return [entry["id"] for entry in body["data"]]

    async def load_adapter(self, name: str, folder: Path) -> Loaded:
        """Load the adapter in `folder` as `name`, and what was checked of it. Raises `BadInput`, `ServerGone`."""
        body = await self._call("POST", "/v1/adapters", {"name": name, "path": str(folder)})
        return Loaded([str(warning) for warning in body["warnings"]], Trust.from_json(body["trust"]))

    async def remove_adapter(self, name: str) -> None:
        """Unload an adapter. Raises `BadInput` where there is none of that name, `ServerGone`."""
        await self._call("DELETE", f"/v1/adapters/{name}")

    async def answers(
        self, models: Sequence[str], prompts: Sequence[Prompt], sampling: Sampling, *, pieces: bool = True
    ) -> AsyncGenerator[Chunk, None]:
        """Answers of `models` to a prompt each, all of them conversations or all of them texts to go on from.

        They come as they are written, or each whole without `pieces`. Raises `FinetuiError`, `ServerGone`. Leaving the
        iterator (`aclose`) cancels the generation.
        """
        import httpx

        chat = not isinstance(prompts[0], str)
        path = "/v1/chat/completions" if chat else "/v1/completions"
        body = {"models": list(models), "messages" if chat else "prompt": list(prompts)} | sampling.fields()
        if not pieces:
            for choice in (await self._call("POST", path, body))["choices"]:
                yield _whole(choice)
            return
        body["stream"] = True
        ended = 0
        try:
            async with (
                self._client(None) as client,
                client.stream("POST", path, json=body) as response,
            ):
                if response.status_code != 200:
                    await response.aread()
                    raise _refusal(response)
                async for line in response.aiter_lines():
                    if not line.startswith("data: ") or line == "data: [DONE]":
                        continue
                    event = json.loads(line.removeprefix("data: "))
                    if "choices" not in event:
                        raise FinetuiError("The model server could not answer.", why=event["error"]["message"])
                    chunk = _chunk(event)
                    ended += chunk.done
                    yield chunk
        except httpx.TransportError as error:
            raise ServerGone(str(error) or type(error).__name__) from error
        if ended < len(models):
            raise ServerGone("the answer broke off")

    async def _call(
        self, verb: str, path: str, body: Any | None = None, timeout_s: float | None = None
    ) -> dict[str, Any]:
        import httpx

        try:
            async with self._client(timeout_s) as client:
                response = await client.request(verb, path, json=body)
        except httpx.TransportError as error:
            raise ServerGone(str(error) or type(error).__name__) from error
        if response.status_code != 200:
            raise _refusal(response)
        answer: dict[str, Any] = response.json()
        return answer

    def _client(self, timeout_s: float | None) -> "httpx.AsyncClient":
        import httpx

        transport = httpx.AsyncHTTPTransport(uds=str(self._socket), verify=False)  # no TLS: no certificates to read
        return httpx.AsyncClient(
            transport=transport, base_url="http://finetui", timeout=httpx.Timeout(timeout_s, connect=SHORT_S)
        )


def _chunk(event: dict[str, Any]) -> Chunk:
    choice, figures = event["choices"][0], event.get("finetui")
    text = choice["delta"].get("content", "") if "delta" in choice else choice["text"]
    if figures is None:
        return Chunk(choice["index"], text)
    return _end(choice, text, figures, event.get("error"))


def _whole(choice: dict[str, Any]) -> Chunk:
    """One of a whole answer's choices."""
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    return _end(choice, text, choice["finetui"], choice["finetui"].get("error"))


def _end(choice: dict[str, Any], text: str, figures: dict[str, Any], error: dict[str, Any] | None) -> Chunk:
    return Chunk(
        choice["index"],
        text,
        True,
        figures["tokens"],
        figures["first_token_s"],
        figures["tokens_per_s"],
        choice["finish_reason"],
        figures["prompt_tokens"],
        error["message"] if error else None,
    )


def _refusal(response: "httpx.Response") -> FinetuiError:
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return FinetuiError("The model server gave an answer that is none.", why=f"Status {response.status_code}.")
    if "what" in error:
        return BadInput(error["what"], why=error["why"], fix=error["fix"])
    kind = BadInput if response.status_code < 500 else FinetuiError
    return kind(error["message"])


def _server_error(error: dict[str, str]) -> FinetuiError:
    return FinetuiError(error["what"], why=error["why"], fix=error["fix"])
