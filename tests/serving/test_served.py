"""The API on a real socket: OpenAI's own client, and clients that are slow, greedy or gone."""

import json
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest

from engine.errors import BadInput
from engine.serving import connections
from engine.serving.guard import rules_for
from engine.serving.running import listen_tcp, listen_unix, remove_socket
from tests.serving.stand_in import HELLO, TOKEN, Api, served


@pytest.fixture
def api() -> Api:
    return Api(rules_for("127.0.0.1", TOKEN))


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with served(api.app) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=TOKEN, max_retries=0, timeout=20) as client:
        yield client


def until(condition: Callable[[], object], limit_s: float = 15) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def test_openais_client_works_unchanged(client: openai.OpenAI) -> None:
    assert "support" in [model.id for model in client.models.list()]
    assert client.models.retrieve("support+notes").owned_by == "finetui"
    answer = client.chat.completions.create(
        model="support", messages=[{"role": "user", "content": "grüß dich 🙂"}], temperature=0.2, seed=1, stop=["\n"]
    )
    assert answer.choices[0].message.content == "support: grüß dich 🙂" and answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    pieces = client.chat.completions.create(
        model="support",
        messages=[{"role": "user", "content": "hello you"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(pieces)
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "support: hello you"
    assert chunks[-1].usage and chunks[-2].choices[0].finish_reason == "stop"
    text = client.completions.create(model="base", prompt="hello", max_tokens=5)
    assert text.choices[0].text == "base: hello"
    assert "".join(one.choices[0].text for one in client.completions.create(model="base", prompt="a b", stream=True))


def test_openais_client_knows_what_went_wrong(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError, match="there are: base"):
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.BadRequestError, match="not supported") as caught:
        client.chat.completions.create(model="base", messages=[{"role": "user", "content": "x"}], n=2)
    assert caught.value.param == "n"
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_ends_the_generation(api: Api, url: str, stream: bool) -> None:
    api.pool.endless = True
    body = {"model": "base", "messages": HELLO, "stream": stream}
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20) as client:
        if stream:
            with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
                next(response.iter_lines())
            until(lambda: api.pool.ended == ["cancelled"])
            return
    asked, port = json.dumps(body).encode(), int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as leaves:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        leaves.sendall(f"{head}Content-Length: {len(asked)}\r\n\r\n".encode() + asked)
        until(lambda: api.pool.asked)
    until(lambda: api.pool.ended == ["cancelled"])


def test_a_socket_that_another_server_took_over_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = listen_unix(path)
    own = path.stat()
    first.close()  # it does not answer any more, and takes a while to end
    second = listen_unix(path)
    remove_socket(path, own)
    assert path.exists()
    remove_socket(path, path.stat())
    assert not path.exists()
    remove_socket(path, own)
    second.close()


def test_a_body_too_large_is_answered_and_not_only_cut_off(url: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(f"{url}/ask", content=b"x" * (6 << 20), headers=headers).status_code == 413
    pieces = (b"x" * 65536 for _ in range(100))
    assert httpx.post(f"{url}/ask", content=pieces, headers=headers).status_code == 413
    assert httpx.post(f"{url}/ask", content=b"x" * (6 << 20)).status_code == 401


def test_slow_clients_are_closed_and_others_are_answered_meanwhile(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 2.0)
    with served(api.app) as url:
        port = int(url.rpartition(":")[2])
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
        for number, connection in enumerate(slow):
            if number % 2:
                connection.sendall(b"POST /ask HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        assert httpx.get(f"{url}/health").status_code == 200
        assert select.select(slow, [], [], 0)[0] == [], "while none of the slow ones is closed yet"
        for connection in slow:
            connection.settimeout(10)
            with connection:
                assert closed(connection)
        # A connection that was used, and is slow with its next request, is none the better for it.
        with socket.create_connection(("127.0.0.1", port)) as again:
            again.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            again.settimeout(10)
            assert again.recv(4096).startswith(b"HTTP/1.1 200")
            again.sendall(b"GET /hea")
            assert closed(again)


def closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return True


def test_an_answer_that_nobody_reads_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.3)
    api.pool.endless = True
    body = json.dumps({"model": "base", "messages": HELLO, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    with served(api.app) as url, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: api.pool.ended == ["cancelled"])


def test_over_a_unix_socket_its_mode_is_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path = Path("s")
    api = Api()
    with served(api.app, listen_unix(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with httpx.Client(transport=httpx.HTTPTransport(uds="s"), base_url="http://anything") as client:
            assert client.post("/ask", json={"question": "Who?"}).json()["response"] == "support: Who?"
        with pytest.raises(BadInput, match="cannot be listened on"):
            listen_unix(path)
    listen_unix(path).close()  # what a server left that was killed is no obstacle


def test_a_port_that_is_taken_says_so() -> None:
    with listen_tcp("127.0.0.1", 0) as taken, pytest.raises(BadInput, match="cannot be listened on") as caught:
        listen_tcp("127.0.0.1", taken.getsockname()[1])
    assert "--port" in caught.value.fix
    with pytest.raises(BadInput, match="no interface"):
        listen_tcp("no.such.interface.invalid", 0)


def test_the_end_does_not_wait_for_answers_that_have_none(api: Api) -> None:
    api.pool.endless = True
    reading = threading.Event()

    def read(url: str) -> None:
        body = {"model": "base", "messages": HELLO, "stream": True}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers, timeout=20) as response:
                for _ in response.iter_raw():
                    reading.set()
        except httpx.TransportError:
            pass

    with served(api.app) as url:
        reader = threading.Thread(target=read, args=[url])
        reader.start()
        assert reading.wait(10)
        began = time.monotonic()
    reader.join(10)
    assert time.monotonic() - began < 8 and api.pool.ended == ["cancelled"]


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    import subprocess
    import sys

    program = (
        "import sys, tui.cli.serve\n"
        "heavy = {'torch', 'transformers', 'peft', 'httpx', 'starlette', 'uvicorn', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
