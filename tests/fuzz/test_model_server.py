"""Any body to the model server and to `finetui serve`: an answer or a refusal in words, never an internal error."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inference.trust import Trust
from engine.serving.guard import rules_for
from engine.worker.model_host import ModelHost
from engine.worker.openai_api import AnswerRequest
from engine.worker.rows import RowRequest, RowResult
from engine.worker.server_api import make_app
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, FEW, SHARP, as_json, changes, document, mutated
from tests.serving.stand_in import TOKEN, Api, client_of

CHAT: dict[str, Any] = {
    "model": "base",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 4,
    "seed": 1,
    "max_tokens": 5,
    "stop": ["x"],
    "stream": False,
    "stream_options": {"include_usage": True},
}
COMPLETION = {name: value for name, value in CHAT.items() if name != "messages"} | {"prompt": ["a", "b"]}
SEVERAL = {name: value for name, value in CHAT.items() if name != "model"} | {"models": ["base", "one"]}
ADAPTER = {"name": "one", "path": "/runs/r1/adapter"}
GENERATE = {"model_id": "base", "prompt": "hello", "max_tokens": 3}
QUESTION = {"model": "base", "question": "hello"}

INSIDE = {
    "/v1/chat/completions": [CHAT, SEVERAL],
    "/v1/completions": [COMPLETION],
    "/v1/adapters": [ADAPTER],
}
OUTSIDE = {
    "/v1/chat/completions": [CHAT],
    "/v1/completions": [COMPLETION | {"prompt": "a"}],
    "/api/v1/generate": [GENERATE],
    "/ask": [QUESTION],
}


class Row:
    """One that has been answered."""

    def cancel(self) -> None:
        pass


class Host:
    """A loaded model that says what it was asked; texts must be such that a tokenizer takes them."""

    status, detail, error, trust = "ready", "", None, None
    names = ("base", "one")
    batch_rows = waiting_rows = 0

    @contextmanager
    def in_use(self) -> Iterator[None]:
        yield

    async def add_adapter(self, name: str, folder: Path) -> Trust:
        folder.is_dir()
        return Trust(True, True, 1.0, True, ())

    def requests(self, asked: AnswerRequest) -> list[RowRequest]:
        for prompt in asked.prompts:
            for text in [prompt] if isinstance(prompt, str) else [turn["content"] for turn in prompt]:
                text.encode()
        for stop in asked.stop:
            stop.encode()
        assert all(0 <= one <= 2**63 - 1 for one in (asked.sampling.seed, asked.max_new_tokens, asked.sampling.top_k))
        return [RowRequest(None, [1], asked.max_new_tokens, asked.sampling, asked.stop) for _ in asked.models]

    def submit(
        self, rows: Sequence[RowRequest], on_text: Callable[[int, str], None], on_done: Callable[[int, RowResult], None]
    ) -> list[Row]:
        for place in range(len(rows)):
            on_text(place, "yes")
            on_done(place, RowResult("yes", 1, 1, 0.1, None, "stop"))
        return [Row() for _ in rows]


def bodies(documents: list[Any]) -> st.SearchStrategy[bytes]:
    wholes = [as_json(one) for one in documents]
    return (
        st.sampled_from(documents).flatmap(document).map(as_json) | mutated(wholes) | st.sampled_from([*DEEP, *wholes])
    )


def check_answer(response: httpx.Response) -> None:
    assert response.status_code in (200, 400, 404, 413, 422), (response.status_code, response.text)
    if "event-stream" in response.headers["content-type"]:
        assert response.text.endswith("data: [DONE]\n\n")
        return
    answer = orjson.loads(response.content)
    assert (response.status_code == 200) is not ("error" in answer)


async def post_inside(path: str, body: bytes) -> httpx.Response:
    transport = httpx.ASGITransport(app=make_app(cast(ModelHost, Host())), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post(path, content=body)


async def post_outside(path: str, body: bytes) -> httpx.Response:
    api = Api(rules_for("localhost", TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    async with client_of(api.app) as client:
        return await client.post(path, content=body, headers=headers)


@pytest.mark.parametrize("path", INSIDE)
def test_any_body_to_the_model_server(path: str) -> None:
    @examples(20)
    @given(bodies(INSIDE[path]))
    def tried(body: bytes) -> None:
        check_answer(asyncio.run(post_inside(path, body)))

    tried()


@pytest.mark.parametrize("path", OUTSIDE)
def test_any_body_from_outside(path: str) -> None:
    @examples(12)
    @given(bodies(OUTSIDE[path]))
    def tried(body: bytes) -> None:
        check_answer(asyncio.run(post_outside(path, body)))

    tried()


@pytest.mark.parametrize("path", INSIDE)
def test_every_field_may_be_anything(path: str) -> None:
    async def posted() -> None:
        transport = httpx.ASGITransport(app=make_app(cast(ModelHost, Host())), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for body in INSIDE[path]:
                for changed in changes(body, FEW if body is SEVERAL else SHARP):
                    check_answer(await client.post(path, content=as_json(changed)))

    asyncio.run(posted())


@pytest.mark.parametrize("case", cases("bodies"), ids=lambda path: path.name)
def test_bodies_that_were_found(case: Path) -> None:
    """Each to all addresses, and refused there or answered."""
    for path in INSIDE:
        check_answer(asyncio.run(post_inside(path, case.read_bytes())))
    for path in OUTSIDE:
        check_answer(asyncio.run(post_outside(path, case.read_bytes())))


@pytest.mark.parametrize(("path", "body"), [(path, body) for path, whole in INSIDE.items() for body in whole])
def test_the_originals_are_answered(path: str, body: dict[str, Any]) -> None:
    response = asyncio.run(post_inside(path, as_json(body)))
    assert response.status_code == 200, response.text
