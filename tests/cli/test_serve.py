"""`finetui serve` as a process: what it prints, who may ask it, how it ends."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest
from typer.testing import CliRunner

from engine.errors import BadInput
from engine.home import Home
from engine.knowledge.library import KnowledgeLibrary
from engine.serving.token_file import read_or_make
from store.talk_records import Passage
from tests.cli.conftest import MakeRun
from tests.worker.conftest import TinyModel, tiny_model
from tui.cli import serve
from tui.cli.command import Session

__all__ = ["tiny_model"]


class Serving:
    """The command at work, and the document that it printed."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, errors.read_text()
            text += line
        self.document: dict[str, Any] = json.loads(text)
        self._errors = errors

    def end(self, number: signal.Signals) -> str:
        """Ask it to end; gives what it said on stderr."""
        behind = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        assert self.process.wait(20) == 0, self._errors.read_text()
        assert not [child for child in behind if child.is_running()], "nothing is left behind"
        return self._errors.read_text()


@contextmanager
def serving(home: Home, folder: Path, *words: str) -> Iterator[Serving]:
    errors = folder / "stderr"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from tui.cli.serve import app; app(prog_name='finetui')", *words, "--json"],
            env=os.environ | {"FINETUI_HOME": str(home.root), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield Serving(process, errors)
    finally:
        process.kill()
        process.wait()


@pytest.mark.long  # the demo's adapter is served in tests/acceptance
@pytest.mark.train
def test_a_real_model_is_served_to_openais_client(home: Home, tiny_model: TinyModel, tmp_path: Path) -> None:
    with serving(home, tmp_path, "--base", str(tiny_model.base), "--port", "0") as server:
        url, file = server.document["url"], Path(server.document["token_file"])
        assert server.document["models"] == ["base"] and file == home.root / "serve-token"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert httpx.get(f"{url}/v1/models").status_code == 401
        with openai.OpenAI(base_url=f"{url}/v1", api_key=file.read_text().strip(), max_retries=0) as client:
            messages: Any = [{"role": "user", "content": "hi"}]
            whole = client.chat.completions.create(model="base", messages=messages, max_tokens=8)
            pieces = client.chat.completions.create(model="base", messages=messages, max_tokens=8, stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in pieces)
            assert text and text == whole.choices[0].message.content and whole.choices[0].finish_reason == "length"
            assert whole.usage and whole.usage.completion_tokens == 8 and whole.usage.prompt_tokens > 1
            with pytest.raises(openai.BadRequestError, match=r"too long by \d+ tokens") as caught:
                client.completions.create(model="base", prompt="zq" * 300)
            assert caught.value.code == "context_length_exceeded"
        assert "The models are loaded." in server.end(signal.SIGINT)


def test_over_a_unix_socket_no_token_is_needed(
    home: Home, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s"
    with serving(home, tmp_path, "--run", "first", "--socket", "s") as server:
        assert server.document == {"url": f"unix:{path}", "token_file": None, "models": ["base", "first", "r0aaa"]}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and not (home.root / "serve-token").exists()
        with httpx.Client(transport=httpx.HTTPTransport(uds="s"), base_url="http://finetui") as client:
            assert client.get("/v1/models").status_code == 200
        server.end(signal.SIGTERM)
        assert not path.exists()


def test_notes_are_looked_up_in_the_threads_that_answer(home: Home, tmp_path: Path) -> None:
    (tmp_path / "parcels.md").write_text("# Parcels\n\nParcels come on Tuesday.\n")
    session = Session(home, as_json=True)
    KnowledgeLibrary(session.store).add("Notes", [tmp_path / "parcels.md"])
    names, look_up = serve._noted(session, ["notes"])
    assert names == ["Notes"]

    async def ask() -> list[Sequence[Passage]]:
        return await asyncio.gather(*(asyncio.to_thread(look_up, "Notes", "When do parcels come?") for _ in range(8)))

    found = asyncio.run(ask())
    session.close()
    assert len(found) == 8 and all("Tuesday" in passages[0].text for passages in found)


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(serve.app, list(words), prog_name="finetui")
    return result.exit_code, result.stderr


def test_what_cannot_be_served_is_said(home: Home, make_run: MakeRun, tmp_path: Path) -> None:
    status, said = invoke()
    assert status == 2 and "No run has an adapter" in said
    make_run()
    open_file = tmp_path / "token"
    open_file.write_text("a-token-of-some-length")
    open_file.chmod(0o644)
    status, said = invoke("--token-file", str(open_file))
    assert status == 2 and "Others can read the token" in said and "chmod 600" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, said = invoke("--port", str(taken.getsockname()[1]))
    assert status == 2 and "cannot be listened on" in said
    status, said = invoke("--knowledge", "nothing")
    assert status == 2 and "no collection of notes called 'nothing'" in said


def test_what_it_prints_is_ready_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve._url("0.0.0.0", 8000) == "http://127.0.0.1:8000" and serve._url("::1", 80) == "http://[::1]:80"
    place = serve.Place("http://127.0.0.1:8000", Path("/tmp/it's here/token"))
    words = subprocess.run(
        ["bash", "-c", place.example("it's").replace("curl", "printf '%s\\n'")], capture_output=True, text=True
    ).stdout
    assert '{"model": "it\'s", "messages": [{"role": "user", "content": "Hello"}]}' in words


def test_other_interfaces_are_warned_of(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run()
    seen: list[Sequence[object]] = []

    async def run(*given: object) -> None:
        seen.append(given)

    monkeypatch.setattr(serve, "_serve", run)
    assert "Warning: 0.0.0.0 is not the loopback." in invoke("--host", "0.0.0.0", "--port", "0")[1]
    assert invoke("--port", "0") == (0, "") and len(seen) == 2


def test_what_many_requests_wait_for_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    tell = serve._Telling()
    for line in ("loading m", "loading m", "\x1b[2Jready", "loading m"):
        tell(line)
    assert capsys.readouterr().err == "loading m\nready\nloading m\n"


def test_a_token_is_made_once_and_kept(home: Home, tmp_path: Path) -> None:
    token, file = read_or_make(home)
    assert len(token) > 30 and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_make(home) == (token, file)
    for content in ("", "short", "two words that are long", "é" * 20):
        own = tmp_path / "own"
        own.write_text(content)
        own.chmod(0o600)
        with pytest.raises(BadInput, match="holds no token"):
            read_or_make(home, own)
    with pytest.raises(BadInput, match="cannot be used"):
        read_or_make(home, tmp_path / "no" / "such" / "folder")
