"""Row 21: the API as `finetui serve` starts it, asked by those who may not, by too much and too slowly, all at once.

Each kind on its own is in `tests/serving/test_guard.py` and `test_served.py`, `finetui web` in `tests/web/`.
"""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from engine.home import Home
from engine.serving.guard import MOST_BODY_BYTES
from tests.engine.models_made import make_model

SERVE = [sys.executable, "-c", "import sys; from tui.cli import main; sys.exit(main())", "serve"]


class Served:
    """`finetui serve` in a process of its own; the model is one that nobody will wait for."""

    def __init__(self, home: Home) -> None:
        make_model(home.models / "tiny")
        self.process = subprocess.Popen(
            [*SERVE, "--home", str(home.root), "--base", "tiny", "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"FINETUI_HOME": str(home.root)},
        )
        assert self.process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = self.process.stdout.readline()
            assert line, "it has ended"
            text += line
        told = json.loads(text)
        self.url, self.token_file = str(told["url"]), Path(told["token_file"])
        self.port = int(self.url.rpartition(":")[2])
        self.token = {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}


@pytest.fixture
def served(home: Home) -> Iterator[Served]:
    home.ensure()
    started = Served(home)
    yield started
    started.process.send_signal(signal.SIGTERM)
    try:
        assert started.process.wait(30) == 0
    finally:
        started.process.kill()


def test_row_21_whoever_may_not_ask_is_refused_and_others_are_answered_meanwhile(served: Served, home: Home) -> None:
    listening = [one for one in psutil.Process(served.process.pid).net_connections() if one.status == "LISTEN"]
    assert {one.laddr.ip for one in listening} == {"127.0.0.1"}, "the loopback, unless asked otherwise"
    assert stat.S_IMODE(served.token_file.stat().st_mode) == 0o600 and served.token_file.parent == home.root
    server = psutil.Process(served.process.pid)
    secret = served.token_file.read_text().strip()
    lines = [" ".join(one.cmdline()) for one in (server, *server.children(recursive=True))]
    assert lines and not [line for line in lines if secret in line], "anybody may list processes"

    slow = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
    for number, one in enumerate(slow):
        head = b"POST /ask HTTP/1.1\r\nHost: localhost\r\n"
        one.sendall(head + (b"Content-Length: 100\r\n\r\n{" if number % 2 else b"X-Slow: "))
    with httpx.Client(base_url=served.url, timeout=20) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": served.token["Authorization"][:-1]}):
            assert client.get("/v1/models", headers=headers).status_code == 401
        for foreign in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            answer = client.get("/v1/models", headers=served.token | foreign)
            assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
        # What a page of another site may send without asking first: no preflight gets it further.
        assert client.options("/v1/chat/completions", headers={"Origin": "http://evil.example"}).status_code == 403
        too_large = b"x" * (MOST_BODY_BYTES + 1)
        assert client.post("/ask", content=too_large, headers=served.token).status_code == 413
        assert client.post("/ask", content=b"[" * 100_000, headers=served.token).status_code == 400
        began = time.monotonic()
        names = [one["id"] for one in client.get("/v1/models", headers=served.token).json()["data"]]
        assert names == ["base"]
        assert time.monotonic() - began < 5, "those who are slow hold nobody up"
    for one in slow:
        one.close()
    assert served.process.poll() is None


@pytest.mark.long  # the limits are as users have them: 10 s for the headers, 30 s for the body
def test_row_21_slow_clients_are_closed(served: Served) -> None:
    ends = []
    for head, limit_s in ((b"GET /health HT", 10), (b"POST /ask HTTP/1.1\r\nHost: localhost\r\n", 10)):
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as one:
            one.sendall(head)
            began = time.monotonic()
            while one.recv(65536):
                pass
            ends.append((time.monotonic() - began, limit_s))
    assert all(took < limit_s + 10 for took, limit_s in ends)
