"""A small OpenAI-compatible server on a real socket, which says what a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = bytes | Callable[["Request"], Iterator[bytes]]


@dataclass
class Request:
    """What was asked."""

    verb: str
    path: str
    headers: dict[str, str]
    body: Any

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass
class Reply:
    """What is said to it."""

    body: Body = b""
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Endpoint:
    """The server's address and what it was asked."""

    url: str
    requests: list[Request]

    def asked(self, path: str = "/v1/chat/completions") -> list[Request]:
        return [request for request in self.requests if request.path == path]


def event(text: str | None = None, **more: Any) -> bytes:
    """One event of a stream."""
    choice: dict[str, Any] = {"index": 0, "delta": {} if text is None else {"content": text}}
    if "finish_reason" in more:
        choice["finish_reason"] = more.pop("finish_reason")
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice]} | more).encode() + b"\n\n"


def stream(*pieces: bytes) -> Reply:
    """A reply of events as they are."""
    return Reply(lambda _: iter(pieces), kind="text/event-stream")


def says(*texts: str, tokens: int = 4, prompt_tokens: int = 9) -> Reply:
    """A whole streamed answer as the standard has it."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": tokens}
    end = [event(finish_reason="stop"), b'data: {"choices": [], "usage": ' + json.dumps(usage).encode() + b"}\n\n"]
    return stream(*(event(text) for text in texts), *end, b"data: [DONE]\n\n")


def document(value: Any, status: int = 200, **headers: str) -> Reply:
    """A reply in one piece of JSON."""
    return Reply(json.dumps(value).encode(), status, headers=headers)


@contextmanager
def serving(answer: Callable[[Request], Reply] | Sequence[Reply]) -> Iterator[Endpoint]:
    """A server that replies with what `answer` makes of the request, or with the replies one after the other."""
    requests: list[Request] = []
    waiting = iter(answer) if isinstance(answer, Sequence) else None

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            requests.append(request)
            reply = next(waiting) if waiting is not None else answer(request)  # type: ignore[operator]
            self.send_response(reply.status)
            self.send_header("content-type", reply.kind)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                if isinstance(reply.body, bytes):
                    self.wfile.write(reply.body)
                else:
                    for piece in reply.body(request):
                        self.wfile.write(piece)
                        self.wfile.flush()
            except OSError:
                pass  # the client went away

        do_GET = do_POST = _reply

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        server.server_close()
