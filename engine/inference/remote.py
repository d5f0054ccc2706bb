"""Speaks to any OpenAI-compatible endpoint. httpx is imported with the first request."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.errors import FinetuiError
from engine.inference.client import Chunk, Prompt, Sampling
from engine.inference.endpoint import endpoint, without_key
from engine.inference.event_stream import BadStream, EventStream
from engine.inference.remote_errors import broken_off, no_answer, refusal, unreachable
from engine.inference.replies import Usage, error_in, finish_of, text_of, usage_of
from engine.runs.fields import text as storable

if TYPE_CHECKING:
    import ssl

    import httpx

CONNECT_S = 10.0
SILENCE_S = 180.0
"""Longest wait for the next byte: a long prompt, or a model that is loaded for it."""
TRIES = 3
PAUSE_S = 1.0
"""Before the second try; twice that before the third."""
LONGEST_PAUSE_S = 15.0
BUSY = (429, 502, 503, 529)
"""What passes: too many requests, or a server that is being started."""
MOST_BYTES = 16_000_000
"""Of a reply that is not streamed."""
LONGEST_ANSWER = 2_000_000
"""Characters of an answer; a server that does not stop would fill the memory."""


class RemoteClient:
    """The endpoint at `url`. `key` is sent as a bearer token and is in no error, no log and no `repr`.

    Raises `BadInput` for what is no web address.
    """

    def __init__(self, url: str, key: str = "", *, silence_s: float = SILENCE_S, pause_s: float = PAUSE_S) -> None:
        self.endpoint = endpoint(url)
        self._key = key
        self._silence_s = silence_s
        self._pause_s = pause_s

    async def models(self) -> list[str]:
        """The names of the models there, sorted. Raises `FinetuiError`."""
        body = await self.call("GET", "models")
        entries = body.get("data")
        if not isinstance(entries, list):
            raise no_answer(self.endpoint, "The list of its models has no `data`.")
        return sorted({storable(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id")})

    async def answers(
        self, model: str, prompt: Prompt, sampling: Sampling, *, pieces: bool = True
    ) -> AsyncGenerator[Chunk, None]:
        """The answer of `model` to a conversation, or what it goes on with after a text.

        It comes as it is written, or in one piece without `pieces` and where the server does not stream.

        The last chunk is `done`; its figures are the server's, and None where it counts nothing. Raises `FinetuiError`.
        Leaving the iterator (`aclose`) closes the connection, at which servers stop generating.
        """
        chat = not isinstance(prompt, str)
        path = "chat/completions" if chat else "completions"
        body = {"model": model, "messages" if chat else "prompt": prompt} | _fields(sampling)
        if pieces:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        began = time.monotonic()
        first: float | None = None
        length, finish, usage = 0, None, Usage()
        async with self._reply("POST", path, body) as response:
            reading = _Reading(response)
            async for event in reading.events():
                problem = error_in(event)
                if problem is not None:
                    raise FinetuiError(
                        f"{self.endpoint.base} could not answer.", why=without_key(problem, self._key)[:600]
                    )
                text = text_of(event)
                finish = finish_of(event) or finish
                usage = usage_of(event) or usage
                if not text:
                    continue
                first = first or time.monotonic()
                length += len(text)
                if length > LONGEST_ANSWER:
                    raise broken_off(self.endpoint, f"It does not stop: more than {LONGEST_ANSWER} characters.")
                yield Chunk(0, text)
            if not length and reading.malformed:
                raise no_answer(self.endpoint, "What it sends are no events of an answer.")
            if not reading.whole and finish is None:
                raise broken_off(self.endpoint, "The stream ended without an end of the answer.")
        last = time.monotonic()
        yield Chunk(
            0,
            "",
            True,
            usage.completion_tokens,
            first - began if first is not None else None,
            _speed(usage.completion_tokens, first, last),
            finish_reason=finish,
            prompt_tokens=usage.prompt_tokens,
        )

    async def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request whose reply is a JSON object; an empty one for words that are none. Raises `FinetuiError`."""
        async with self._reply(verb, path, body) as response:
            content = await _whole(response)
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = {} if verb == "POST" else None
        if not isinstance(value, dict):
            raise no_answer(self.endpoint, "It is not JSON.")
        return value

    @asynccontextmanager
    async def _reply(self, verb: str, path: str, body: dict[str, Any] | None) -> "AsyncGenerator[httpx.Response, None]":
        """An open reply with status 200. What passes is tried again, and fields are named as this server wants them."""
        import httpx

        headers = {"User-Agent": "finetui"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        timeout = httpx.Timeout(self._silence_s, connect=CONNECT_S)
        try:
            async with httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=not self.endpoint.local) as client:
                tries = 0
                while True:
                    async with client.stream(verb, self.endpoint.at(path), json=body) as response:
                        if response.status_code == 200:
                            yield response
                            return
                        said = await _whole(response)
                        error = refusal(self.endpoint, response.status_code, said, self._key, response.headers)
                    changed = _otherwise(body, error.why) if response.status_code in (400, 422) else None
                    if changed is not None:
                        body = changed
                        continue
                    tries += 1
                    if response.status_code not in BUSY or tries == TRIES:
                        raise error
                    await asyncio.sleep(_pause(response, self._pause_s * tries))
        except (httpx.TransportError, httpx.DecodingError, OSError) as failure:
            raise unreachable(self.endpoint, failure, self._silence_s) from None
        except httpx.HTTPError as failure:
            raise no_answer(self.endpoint, type(failure).__name__) from None
        except BadStream as failure:
            raise no_answer(self.endpoint, f"{failure}.") from None


class _Reading:
    """A reply as events: of a stream, or one for a reply in one piece."""

    def __init__(self, response: "httpx.Response") -> None:
        self._response = response
        self._stream = EventStream(response.aiter_bytes())
        self._json = "event-stream" not in response.headers.get("content-type", "") and (
            "json" in response.headers.get("content-type", "")
            and "ndjson" not in response.headers.get("content-type", "")
        )
        self._read = False
        if "html" in response.headers.get("content-type", ""):
            raise BadStream("it is a web page")

    @property
    def whole(self) -> bool:
        """Whether the reply came to its end."""
        return self._read or self._stream.finished

    @property
    def malformed(self) -> int:
        return self._stream.malformed

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        if not self._json:
            async for event in self._stream.events():
                yield event
            return
        content = await _whole(self._response)  # its own refusal is a ValueError, too
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            raise BadStream("what should be JSON is none") from None
        self._read = True
        if not isinstance(value, dict) or ("choices" not in value and error_in(value) is None):
            raise BadStream("it has no `choices`")
        yield value


@cache
def _tls() -> "ssl.SSLContext":
    """The certificates that are trusted, with those of $SSL_CERT_FILE and $SSL_CERT_DIR."""
    import httpx

    return httpx.create_ssl_context()


def _fields(sampling: Sampling) -> dict[str, Any]:
    """The sampling as fields of a request; what would change nothing is left out, since not every server knows it."""
    fields = sampling.fields()
    idle: dict[str, Any] = {"top_p": 1.0, "top_k": 0, "seed": None, "stop": []}
    return {name: value for name, value in fields.items() if name not in idle or value != idle[name]}


def _otherwise(body: dict[str, Any] | None, said: str) -> dict[str, Any] | None:
    """The request in the words of a server that refused ours; `None` where that is not what it refused."""
    if body is None:
        return None
    if "max_tokens" in body and "max_completion_tokens" in said:
        changed = dict(body)
        changed["max_completion_tokens"] = changed.pop("max_tokens")
        return changed
    if "stream_options" in body and "stream_options" in said:
        return {name: value for name, value in body.items() if name != "stream_options"}
    return None


def _pause(response: "httpx.Response", otherwise_s: float) -> float:
    """So long the server asks to wait, within reason. (It may name a date instead; then `otherwise_s`.)"""
    try:
        asked = float(response.headers.get("retry-after", ""))
    except ValueError:
        asked = otherwise_s
    return min(max(asked if asked == asked else otherwise_s, 0.0), LONGEST_PAUSE_S)


def _speed(tokens: int | None, first: float | None, last: float) -> float | None:
    """Tokens a second after the first token."""
    if tokens is None or first is None or tokens < 2 or last <= first:
        return None
    return (tokens - 1) / (last - first)


async def _whole(response: "httpx.Response") -> bytes:
    """The reply's bytes. Raises `BadStream` for one that has no end."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise BadStream(f"it is longer than {MOST_BYTES // 1_000_000} MB")
    return b"".join(parts)
