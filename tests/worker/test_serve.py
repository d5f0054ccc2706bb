"""The model server as a process of its own, asked over its socket."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

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
    with server.http.stream("POST", "/v1/chat/completions", json=long) as response:
        next(response.iter_lines())
    began = time.monotonic()
    server.chat(model="base", max_tokens=1)
    assert time.monotonic() - began < whole_s / 2


def test_two_requests_at_once_are_both_answered(server: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server.wait()
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda name: server.chat(model=name), ("base", "formal")))
    assert [answer.status_code for answer in answers] == [200, 200]


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
