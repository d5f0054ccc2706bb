"""The model server as a process of its own, asked over its socket."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from engine.inference.client import Chunk, ModelClient, Sampling
from engine.worker.model_host import ModelHost
from engine.worker.serve import _end_when_unwanted, parse_arguments
from engine.worker.server_api import make_app
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "hi"}]


class Server:
    """A server process and a client for it."""

    def __init__(self, base: Path, socket: Path, *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "engine.worker.serve", "--base", str(base), "--socket", str(socket)]
        self.socket = socket
        self.log = socket.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            )
        self.http = httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://server", timeout=120)

    def wait(self, status: str = "ready") -> dict[str, Any]:
        """The first /health that says `status`."""

        def answer() -> dict[str, Any] | None:
            body = self.health()
            if body is None or body["status"] != status:
                assert body is None or body["status"] != "failed", body
                return None
            return body

        ready: dict[str, Any] = until(answer)
        return ready

    def health(self) -> dict[str, Any] | None:
        """What /health says, or `None` before the server listens."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            body: dict[str, Any] = self.http.get("/health").json()
        except httpx.TransportError:
            return None
        return body

    def chat(self, **body: Any) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json={"messages": HELLO, "max_tokens": 12} | body)

    def stream(self, **body: Any) -> list[dict[str, Any]]:
        """The events of a streamed answer."""
        request = {"messages": HELLO, "max_tokens": 12, "stream": True} | body
        with self.http.stream("POST", "/v1/chat/completions", json=request) as response:
            assert response.status_code == 200 and response.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in response.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    def end(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def said(body: dict[str, Any]) -> list[str]:
    """The texts of a whole answer."""
    return [choice["message"]["content"] for choice in body["choices"]]


def until(condition: Callable[[], Any], limit_s: float = 120.0) -> Any:
    """What `condition` gives once that is true."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it never came to be")


@pytest.fixture(scope="module")
def server(tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tiny_model.base,
        tmp_path_factory.mktemp("s") / "s",
        *("--method", "lora", "--parent-pid", str(os.getpid())),
        *("--adapter", f"formal={tiny_model.adapters['formal']}"),
    )
    yield server
    server.end()


def test_health_answers_while_the_model_loads(server: Server) -> None:
    first = until(server.health)
    assert first["status"] == "loading"
    early = server.chat(model="base")
    assert early.status_code in (200, 503)  # 200 only on a machine that loads torch within a moment
    assert "4-bit" in server.wait()["detail"]


def test_only_the_owner_may_open_the_socket(server: Server) -> None:
    server.wait()
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600


def test_base_and_adapter_answer_in_one_request(server: Server) -> None:
    server.wait()
    assert [model["id"] for model in server.http.get("/v1/models").json()["data"]] == ["base", "formal"]
    both = server.chat(models=["base", "formal"]).json()
    texts = [choice["message"]["content"] for choice in both["choices"]]
    assert texts == [server.chat(model=name).json()["choices"][0]["message"]["content"] for name in ("base", "formal")]
    assert texts[0] != texts[1]
    figures = both["choices"][0]["finetui"]
    assert figures["tokens"] == 12 and figures["first_token_s"] > 0 and figures["tokens_per_s"] > 0
    assert both["choices"][0]["finish_reason"] == "length" and both["usage"]["completion_tokens"] == 24


def test_a_stream_says_what_the_whole_answer_says(server: Server) -> None:
    server.wait()
    whole = server.chat(models=["formal", "base"]).json()
    events = server.stream(models=["formal", "base"])
    for row in (0, 1):
        own = [event for event in events if event["choices"][0]["index"] == row]
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in own)
        assert text == whole["choices"][row]["message"]["content"]
        assert own[-1]["choices"][0]["finish_reason"] == "length" and own[-1]["finetui"]["tokens"] == 12
        assert {event["model"] for event in own} == {("formal", "base")[row]}


def test_each_model_may_have_a_conversation_of_its_own(server: Server) -> None:
    server.wait()
    other = [{"role": "user", "content": [{"type": "text", "text": "on its way?"}]}]
    both = server.chat(models=["base", "base"], messages=[HELLO, other]).json()["choices"]
    alone = server.chat(model="base", messages=other).json()["choices"]
    assert both[1]["message"] == alone[0]["message"] != both[0]["message"]


def test_adapters_are_loaded_and_removed_while_it_runs(server: Server, tiny_model: TinyModel) -> None:
    server.wait()
    body = {"name": "terse", "path": str(tiny_model.adapters["terse"])}
    for _ in range(2):
        assert server.http.post("/v1/adapters", json=body).json()["warnings"] == []
    assert server.chat(model="terse").status_code == 200
    assert server.http.delete("/v1/adapters/terse").status_code == 200
    assert server.http.delete("/v1/adapters/terse").status_code == 404
    assert server.chat(model="terse").status_code == 404
    refused = server.http.post("/v1/adapters", json={"name": "none", "path": "/nowhere"})
    assert refused.status_code == 400 and refused.json()["error"]["what"] == "/nowhere is not an adapter."
    assert server.http.post("/v1/adapters", content=b"[]").status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "gone"}, 404, "there are: base, formal"),
        ({}, 400, "Name the model"),
        ({"model": "base", "messages": []}, 400, "at least one message"),
        ({"model": "base", "messages": [{"content": "x"}]}, 400, "Message 0 has no role"),
        ({"models": ["base"], "messages": [HELLO, HELLO]}, 400, "2 conversations for 1 models"),
        ({"model": "base", "temperature": -1}, 400, "`temperature` must be a number from 0 to 5"),
        ({"model": "base", "max_tokens": "many"}, 400, "`max_tokens`"),
        ({"model": "base", "stop": ["x"] * 9}, 400, "8 is the most"),
        ({"model": "base", "stop": [""]}, 400, "`stop` must be"),
        ({"model": "base", "messages": [{"role": "user", "content": "zq" * 300}]}, 400, "too long by"),
        ({"model": "base", "messages": [{"role": "user", "content": "zq" * 300}], "stream": True}, 400, "too long by"),
    ],
)
def test_what_cannot_be_answered_is_said_in_openais_form(
    server: Server, body: dict[str, Any], status: int, said: str
) -> None:
    server.wait()
    response = server.chat(**body)
    assert response.status_code == status
    error = response.json()["error"]
    assert said in error["message"] and error["type"] == "invalid_request_error"


def test_a_client_that_leaves_ends_the_generation(server: Server) -> None:
    server.wait()
    long = {"models": ["base"] * 16, "messages": HELLO, "max_tokens": 230, "stream": True}
    began = time.monotonic()
    server.chat(models=["base"] * 16, max_tokens=230)
    whole_s = time.monotonic() - began
    took: list[float] = []
    while len(took) < 5 and min(took, default=whole_s) >= whole_s / 2:  # a machine may be busy with something else
        with server.http.stream("POST", "/v1/chat/completions", json=long) as response:
            next(response.iter_lines())
        began = time.monotonic()
        server.chat(model="base", max_tokens=1)
        took.append(time.monotonic() - began)
    assert min(took) < whole_s / 2


def test_requests_at_once_are_answered_together_each_in_its_own_way(server: Server) -> None:
    server.wait()
    asked: list[dict[str, Any]] = [
        {"model": "base", "max_tokens": 200},
        {"model": "formal", "max_tokens": 200, "temperature": 1.5, "seed": 4},
        {"models": ["formal", "base"], "max_tokens": 150, "top_k": 5, "temperature": 0.8, "seed": 5},
        {"model": "base", "max_tokens": 3},
    ]
    alone = [said(server.chat(**body).json()) for body in asked]
    with ThreadPoolExecutor(len(asked)) as threads:
        assert list(threads.map(lambda body: said(server.chat(**body).json()), asked)) == alone


def test_requests_that_wait_share_a_batch_and_the_short_one_is_not_kept_waiting(server: Server) -> None:
    server.wait()
    ended: list[int] = []

    def ask(tokens: int) -> None:
        server.stream(model="base", max_tokens=tokens)
        ended.append(tokens)

    def waiting(count: int) -> bool:
        return bool((server.health() or {})["waiting_rows"] == count)

    before = {"models": ["base"] * 32, "messages": HELLO, "max_tokens": 230, "stream": True}
    with (
        ThreadPoolExecutor(2) as threads,
        server.http.stream("POST", "/v1/chat/completions", json=before) as response,
    ):
        lines = response.iter_lines()  # kept: without it the stream is closed
        next(lines)
        threads.submit(ask, 230)
        until(lambda: waiting(1))
        threads.submit(ask, 2)
        until(lambda: waiting(2))
        response.close()
    assert ended == [2, 230]


def test_usage_counts_the_tokens_of_prompts_and_answers(server: Server) -> None:
    server.wait()
    one, two = server.chat(model="base").json(), server.chat(models=["base", "formal"]).json()
    prompt = one["usage"]["prompt_tokens"]
    assert prompt > 5 and one["choices"][0]["finetui"]["prompt_tokens"] == prompt
    assert two["usage"] == {"prompt_tokens": 2 * prompt, "completion_tokens": 24, "total_tokens": 2 * prompt + 24}
    events = server.stream(models=["base", "formal"], stream_options={"include_usage": True})
    assert events[-1]["choices"] == [] and events[-1]["usage"] == two["usage"]
    assert all(event["usage"] is None for event in events[:-1])
    assert all("usage" not in event for event in server.stream(model="base"))


@pytest.mark.parametrize("many", [False, True])
def test_a_stop_text_ends_the_answer_and_no_part_of_it_is_sent(server: Server, many: bool) -> None:
    server.wait()
    whole = said(server.chat(model="base", max_tokens=40).json())[0]
    stop = whole[5:8]
    events = server.stream(model="base", max_tokens=40, stop=["never said", stop] if many else stop)
    pieces = [event["choices"][0]["delta"].get("content", "") for event in events]
    assert "".join(pieces) == whole[: whole.index(stop)]
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


def test_plain_text_is_gone_on_from_without_a_template(server: Server) -> None:
    server.wait()

    def complete(**body: Any) -> httpx.Response:
        return server.http.post("/v1/completions", json={"max_tokens": 6} | body)

    both = complete(models=["base", "formal"], prompt="the answer").json()
    assert both["object"] == "text_completion" and both["usage"]["prompt_tokens"] < 20
    texts = [choice["text"] for choice in both["choices"]]
    assert texts[0] != texts[1]
    assert complete(model="formal", prompt="the answer").json()["choices"][0]["text"] == texts[1]
    several = complete(model="base", prompt=["the answer", "on its way"]).json()["choices"]
    assert [choice["index"] for choice in several] == [0, 1] and several[0]["text"] == texts[0] != several[1]["text"]
    lines = complete(model="base", prompt="the answer", stream=True).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    assert "".join(event["choices"][0]["text"] for event in events) == texts[0]
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    assert complete(model="gone", prompt="x").json()["error"]["message"].endswith("there are: base, formal.")
    assert "too long by" in complete(model="base", prompt="zq" * 300).json()["error"]["message"]
    assert complete(model="base", prompt=[1, 2]).status_code == 400


def test_an_adapter_with_a_template_of_its_own_is_asked_by_it(
    server: Server, tiny_model: TinyModel, tmp_path: Path
) -> None:
    server.wait()
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_model.adapters["formal"], folder)
    (folder / "chat_template.jinja").write_text("Q: {{ messages[0]['content'] }} A:")
    loaded = server.http.post("/v1/adapters", json={"name": "own", "path": str(folder)}).json()
    assert loaded["warnings"] == [] and loaded["trust"]["delta"] > 1
    both = server.chat(models=["own", "formal", "base"]).json()["choices"]
    assert both[0]["message"]["content"] != both[1]["message"]["content"]
    plain = server.http.post("/v1/completions", json={"model": "own", "prompt": "Q: hi A:", "max_tokens": 12}).json()
    assert plain["choices"][0]["text"].strip() == both[0]["message"]["content"].strip()
    assert server.chat(model="formal").json()["choices"][0]["message"] == both[1]["message"]
    server.http.delete("/v1/adapters/own")


def test_the_clients_of_a_server_get_what_it_says(server: Server, tiny_model: TinyModel) -> None:
    server.wait()
    client = ModelClient(server.socket)

    async def ask() -> list[Chunk]:
        return [chunk async for chunk in client.answers(["base", "formal"], [HELLO, HELLO], Sampling(4, stop=("zzz",)))]

    loaded = asyncio.run(client.load_adapter("formal", tiny_model.adapters["formal"]))
    assert loaded.warnings == [] and loaded.trust.words().startswith("adapter on (Δ ")
    ends = [chunk for chunk in asyncio.run(ask()) if chunk.done]
    assert [(end.finish_reason, end.tokens, end.error) for end in ends] == [("length", 4, None)] * 2
    assert ends[0].prompt_tokens == server.chat(model="base").json()["usage"]["prompt_tokens"]


async def test_it_ends_when_nobody_asks_and_not_before() -> None:
    host = ModelHost(parse_arguments(["--base", "none", "--socket", "none"]))
    server = uvicorn.Server(uvicorn.Config(make_app(host)))
    host.status = "ready"
    with host.in_use():
        watch = asyncio.create_task(_end_when_unwanted(server, host, 0.1, None))
        await asyncio.sleep(0.4)
        assert not watch.done()
    async with asyncio.timeout(5):
        await watch
    assert server.should_exit


def test_a_signal_ends_it_and_removes_the_socket(tiny_model: TinyModel, tmp_path: Path) -> None:
    server = Server(tiny_model.base, tmp_path / "s", "--method", "lora")
    try:
        until(server.health)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert not server.socket.exists()
    finally:
        server.end()


def test_it_ends_with_the_process_that_started_it(tiny_model: TinyModel, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    server = Server(tiny_model.base, tmp_path / "s", "--method", "lora", "--parent-pid", str(parent.pid))
    try:
        until(server.health)
        parent.kill()
        parent.wait()
        assert server.process.wait(60) == 0 and not server.socket.exists()
    finally:
        parent.kill()
        server.end()


def test_a_model_that_cannot_be_loaded_is_explained_and_then_it_ends_idle(tmp_path: Path) -> None:
    server = Server(tmp_path, tmp_path / "s", "--idle-s", "2")
    try:
        error = server.wait("failed")["error"]
        assert error["what"] == f"{tmp_path} is not a model folder." and error["fix"]
        assert server.chat(model="base").status_code == 503
        assert server.process.wait(60) == 0
    finally:
        server.end()
