"""What an endpoint elsewhere sends as an answer: text that can be stored, or an error in words, within bounds."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FinetuiError
from engine.inference import remote
from engine.inference.client import Chunk, Sampling
from engine.inference.event_stream import BadStream, EventStream
from engine.inference.remote import RemoteClient
from store.records import LAST_STEP
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, as_json, document, mutated, text

PIECE: dict[str, Any] = {"choices": [{"delta": {"content": "hi"}, "finish_reason": None, "index": 0}]}
LAST: dict[str, Any] = {
    "choices": [{"message": {"content": [{"type": "text", "text": "hi"}]}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
ERROR: dict[str, Any] = {"error": {"message": "no", "code": 5}, "detail": [{"loc": ["body", 1], "msg": "wrong"}]}
WRONG: dict[str, Any] = {"detail": [{"loc": ["body", 1], "msg": "wrong"}]}
MODELS: dict[str, Any] = {"data": [{"id": "m"}]}
STREAM = b"data: " + as_json(PIECE) + b"\n\n: kept\n\ndata: " + as_json(LAST) + b"\n\ndata: [DONE]\n\n"

documents = st.sampled_from([PIECE, LAST, ERROR, WRONG, MODELS]).flatmap(document).map(as_json)
replies = st.one_of(
    st.lists(documents | st.binary(max_size=20), max_size=6).map(lambda found: b"data: " + b"\n\ndata: ".join(found)),
    documents,
    mutated([STREAM, as_json(LAST), as_json(MODELS)]),
    st.sampled_from([*DEEP, *(b"data: " + one for one in DEEP)]),
)
kinds = st.sampled_from(
    ["text/event-stream", "application/json", "application/x-ndjson", "text/plain", "text/html", ""]
)
statuses = st.sampled_from([200, 200, 200, 200, 400, 401, 404, 422, 429, 500, 503])
waits = st.sampled_from(["0", "nan", "inf", "-1", "1e-9"]) | text.filter(
    lambda found: found.isascii() and found.isprintable()
)


class Elsewhere(httpx.AsyncBaseTransport):
    """An endpoint that says the same whatever it is asked, in pieces of some size."""

    def __init__(self, body: bytes, kind: str, status: int, wait: str, size: int) -> None:
        self._body, self._kind, self._status, self._wait, self._size = body, kind, status, wait, size

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {"content-type": self._kind, "retry-after": self._wait}
        return httpx.Response(self._status, headers=headers, content=self._pieces())

    async def _pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]


def check_reply(monkeypatch: pytest.MonkeyPatch, reply: Elsewhere) -> list[Chunk]:
    """Ask for an answer and for the models; whatever comes is text that can be kept, or an error for people."""
    plain = httpx.AsyncClient
    monkeypatch.setattr(remote, "LONGEST_PAUSE_S", 0.0)
    monkeypatch.setattr(httpx, "AsyncClient", lambda **options: plain(transport=reply, **options))
    client, found = RemoteClient("http://example.org/v1", "a-key", pause_s=0.0), []

    async def asked() -> None:
        async for chunk in client.answers("m", [{"role": "user", "content": "hello"}], Sampling()):
            chunk.text.encode()
            assert all(count is None or count <= LAST_STEP for count in (chunk.tokens, chunk.prompt_tokens))
            found.append(chunk)

    async def listed() -> None:
        for name in await client.models():
            name.encode()

    for work in (asked, listed):
        try:
            asyncio.run(work())
        except FinetuiError as error:
            assert str(error).encode()
    monkeypatch.undo()
    return found


@examples(25)
@given(replies, kinds, statuses, waits, st.integers(1, 64))
def test_any_reply_is_an_answer_or_an_error_in_words(body: bytes, kind: str, status: int, wait: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        check_reply(patch, Elsewhere(body, kind, status, wait, max(size, len(body) // 500)))


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
@pytest.mark.parametrize("case", cases("answers"), ids=lambda path: path.name)
def test_replies_that_were_found(monkeypatch: pytest.MonkeyPatch, case: Path, kind: str) -> None:
    for status in (200, 400):
        check_reply(monkeypatch, Elsewhere(case.read_bytes(), kind, status, "nan", 64))


def test_a_good_reply_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_reply(monkeypatch, Elsewhere(STREAM, "text/event-stream", 200, "0", 7))
    assert "".join(chunk.text for chunk in found) == "hihi" and found[-1].done


async def test_an_event_that_is_never_whole_is_given_up() -> None:
    """Lines that belong together are kept until they are whole: a server that sends no end of them is left."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 2_000:
            sent += 1
            yield b'data: {"a": "' + b"x" * 1_000 + b'",\n'

    with pytest.raises(BadStream):
        async for _ in EventStream(endless()).events():
            pass
    assert sent < 200
