"""Alerts by a program and to a web address, both real."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.notices.kinds import Kind
from engine.notices.notice import Notice, failed
from engine.notices.send import send
from engine.notices.settings import NoticeSettings

NOTICE = failed("r1", "emoji-r16", status="failed", reason="CUDA out of memory", code="cuda_out_of_memory", fix="Less.")


@contextmanager
def receiver(*answers: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """An address, and what is posted there; it answers these codes, then 200."""
    posted: list[tuple[dict[str, str], bytes]] = []
    codes = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(codes.pop(0) if codes else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/secret-topic", posted
    finally:
        server.shutdown()
        server.server_close()


def test_a_program_gets_the_notice_in_its_environment_and_its_input(tmp_path: Path) -> None:
    script = f'cat > {tmp_path}/input; echo "$FINETUI_TITLE|$FINETUI_KIND|$FINETUI_RUN" > {tmp_path}/environment'
    assert send(NOTICE, NoticeSettings(command=("sh", "-c", script))) == []
    assert json.loads((tmp_path / "input").read_text()) == NOTICE.to_json()
    words = (tmp_path / "environment").read_text().strip()
    assert words == "emoji-r16 failed: CUDA out of memory|failed|emoji-r16"


def test_a_program_gets_no_arguments_but_its_own(tmp_path: Path) -> None:
    """Others can list processes: what a notice says is in no command line."""
    script = "import json, sys; json.dump(sys.argv[1:], open(sys.argv[1], 'w'))"
    assert send(NOTICE, NoticeSettings(command=(sys.executable, "-c", script, str(tmp_path / "arguments")))) == []
    assert json.loads((tmp_path / "arguments").read_text()) == [str(tmp_path / "arguments")]


def test_a_program_that_fails_or_is_not_there_is_said() -> None:
    (problem,) = send(NOTICE, NoticeSettings(command=("sh", "-c", "echo no luck >&2; exit 3")))
    assert "ended with 3" in problem and "no luck" in problem
    (problem,) = send(NOTICE, NoticeSettings(command=("/no/such/program",)))
    assert "cannot be started" in problem


def test_what_is_not_wanted_is_not_sent(tmp_path: Path) -> None:
    settings = NoticeSettings(on=frozenset({Kind.ENDED}), command=("touch", str(tmp_path / "told")))
    assert send(NOTICE, settings) == [] and not (tmp_path / "told").exists()


def test_a_web_address_gets_json_that_chats_understand() -> None:
    with receiver() as (address, posted):
        assert send(NOTICE, NoticeSettings(webhook=address)) == []
    ((headers, body),) = posted
    told = json.loads(body)
    assert headers["Content-Type"] == "application/json" and told["code"] == "cuda_out_of_memory"
    assert told["text"] == told["content"] and told["text"].startswith("emoji-r16 failed")


def test_a_push_service_gets_plain_text() -> None:
    with receiver() as (address, posted):
        assert send(NOTICE, NoticeSettings(webhook=address, webhook_format="text")) == []
    ((headers, body),) = posted
    assert headers["Title"] == NOTICE.title and body.decode() == NOTICE.body


def test_it_tries_again_where_that_may_help_and_only_there() -> None:
    with receiver(503, 500) as (address, posted):
        assert send(NOTICE, NoticeSettings(webhook=address), pause_s=0.01) == [] and len(posted) == 3
    with receiver(404) as (address, posted):
        (problem,) = send(NOTICE, NoticeSettings(webhook=address), pause_s=0.01)
        assert "404" in problem and "secret" not in problem and len(posted) == 1


def test_an_address_where_nobody_listens_is_said_without_its_secret() -> None:
    with receiver() as (address, _):
        pass
    (problem,) = send(NOTICE, NoticeSettings(webhook=address), pause_s=0.01)
    assert "refused" in problem and "secret" not in problem


@pytest.mark.parametrize("name", ["\x1b]52;c;aGk=\x07evil", "a\nb\r\x00c", "x" * 500], ids=["escape", "lines", "long"])
def test_no_name_brings_control_characters(name: str) -> None:
    notice: Notice = failed("r1", name, status="lost", reason=name, fix=name)
    assert all(character.isprintable() for character in notice.line) and len(notice.title) <= 120
