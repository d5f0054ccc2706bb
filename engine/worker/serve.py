"""The model server: one base model and its adapters, over HTTP on a unix socket that only its owner may open.

`python -m engine.worker.serve --base PATH --socket PATH`; `docs/server.md` lists the endpoints. It ends itself when
nobody has asked anything for a while, or when the process that started it is gone.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.errors import FinetuiError
from engine.worker.openai_api import Answers, ChatRequest, RequestError, parse_chat, sse
from engine.worker.rows import BASE, RowRequest, RowResult

if TYPE_CHECKING:  # torch takes seconds to import: that happens in the model's thread, and /health answers meanwhile
    from engine.worker.adapters import AdapterShelf

log = logging.getLogger("finetui.serve")


class ModelHost:
    """The model, and the one thread in which everything that touches it happens: loading, adapters, answers."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.status = "loading"
        name = Path(options.base).name
        self.detail = f"loading {name} in 4-bit" if options.method == "qlora" else f"loading {name}"
        self.error: FinetuiError | None = None
        self.shelf: AdapterShelf | None = None
        self.tokenizer: Any = None
        self.busy = 0
        self.last_used = time.monotonic()
        self.stopping = threading.Event()
        self._options = options
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def start(self) -> None:
        self._thread.submit(self._load)

    async def run(self, work: Callable[[], Any]) -> Any:
        """`work()` in the model's thread, after what waits there already."""
        self.busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self.busy -= 1
            self.last_used = time.monotonic()

    def _load(self) -> None:
        options = self._options
        log.info(self.detail)
        try:
            from engine.worker.adapters import AdapterShelf
            from engine.worker.loading import count_linear4bit, load_base, load_tokenizer

            self.tokenizer = load_tokenizer(options.base, options.revision, options.trust_remote_code)
            model = load_base(
                options.base,
                revision=options.revision,
                method=options.method,
                precision=options.precision,
                trust_remote_code=options.trust_remote_code,
            )
            shelf = AdapterShelf(model, options.base)
            for text in options.adapter:
                adapter, _, folder = text.partition("=")
                self.detail = f"loading adapter {adapter}"
                for warning in self.add_adapter(adapter, Path(folder).absolute(), shelf):
                    log.warning(warning)
            self.detail = f"{Path(options.base).name} on {model.device}, {count_linear4bit(model)} layers in 4-bit"
            self.shelf = shelf
            self.status = "ready"
            log.info("ready: %s", self.detail)
        except FinetuiError as error:
            self._fail(error)
        except Exception as error:
            log.exception("loading failed")
            self._fail(
                FinetuiError(f"The model {options.base} cannot be loaded.", why=f"{type(error).__name__}: {error}")
            )
        finally:
            self.last_used = time.monotonic()

    def add_adapter(self, name: str, folder: Path, shelf: "AdapterShelf") -> list[str]:
        """Load an adapter; a base without a chat template takes the one that was saved with the adapter."""
        warnings = shelf.load(name, folder)
        template = folder / "chat_template.jinja"
        if not self.tokenizer.chat_template and template.is_file():
            self.tokenizer.chat_template = template.read_text(encoding="utf-8")
        return warnings

    def _fail(self, error: FinetuiError) -> None:
        log.error("%s", error)
        self.error, self.detail, self.status = error, error.what, "failed"


class Api:
    """The endpoints. What goes wrong comes back in OpenAI's form with the status that fits."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/adapters", self.add_adapter, methods=["POST"]),
            Route("/v1/adapters/{name}", self.remove_adapter, methods=["DELETE"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        host = self._host
        body: dict[str, Any] = {"status": host.status, "detail": host.detail}
        if host.error is not None:
            body["error"] = {"what": host.error.what, "why": host.error.why, "fix": host.error.fix}
        return JSONResponse(body)

    async def models(self, request: Request) -> Response:
        names = _known(self._shelf())
        return JSONResponse(
            {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "finetui"} for name in names]}
        )

    async def add_adapter(self, request: Request) -> Response:
        shelf = self._shelf()
        try:
            body = await request.json()
            name, folder = str(body["name"]), Path(str(body["path"])).absolute()
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(400, "The body must be a JSON object with `name` and `path`.") from error
        warnings = await self._host.run(lambda: self._host.add_adapter(name, folder, shelf))
        return JSONResponse({"name": name, "path": str(folder), "warnings": warnings})

    async def remove_adapter(self, request: Request) -> Response:
        shelf, name = self._shelf(), request.path_params["name"]
        try:
            await self._host.run(lambda: shelf.remove(name))
        except KeyError as error:
            raise RequestError(404, f"There is no adapter {name!r}.", param="name") from error
        return JSONResponse({"name": name, "deleted": True})

    async def chat(self, request: Request) -> Response:
        shelf = self._shelf()
        asked = parse_chat(await request.body(), _known(shelf))
        # Everything that can be refused is refused here, before the first byte of a stream goes out.
        await self._host.run(lambda: self._check(asked, shelf))
        answers = Answers(asked)
        if asked.stream:
            return StreamingResponse(self._stream(asked, answers, shelf), media_type="text/event-stream")
        cancel = threading.Event()
        work = asyncio.ensure_future(self._host.run(lambda: self._answer(asked, shelf, cancel, _ignore, _ignore)))
        try:
            while not work.done():
                await asyncio.wait([work], timeout=0.25)
                if await request.is_disconnected():
                    cancel.set()
        finally:
            cancel.set()
        return JSONResponse(answers.whole(await work))

    async def _stream(self, asked: ChatRequest, answers: Answers, shelf: "AdapterShelf") -> AsyncIterator[bytes]:
        loop, cancel = asyncio.get_running_loop(), threading.Event()
        events: asyncio.Queue[Any] = asyncio.Queue()

        def put(event: Any) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        work = asyncio.ensure_future(
            self._host.run(
                lambda: self._answer(
                    asked,
                    shelf,
                    cancel,
                    lambda row, text: put(answers.chunk(row, text)),
                    lambda row, result: put(answers.last_chunk(row, result)),
                )
            )
        )
        work.add_done_callback(lambda done: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield sse(event)
            failure = work.exception()
            if failure is not None:
                log.error("the answer failed", exc_info=failure)
                yield sse(RequestError(500, f"{type(failure).__name__}: {failure}").body)
            yield sse("[DONE]")
        finally:
            cancel.set()  # the client went away: the next step of the generation is its last

    def _check(self, asked: ChatRequest, shelf: "AdapterShelf") -> None:
        from engine.worker.generate import encode

        for messages in asked.conversations:
            encode(shelf.model, self._host.tokenizer, messages)

    def _answer(
        self,
        asked: ChatRequest,
        shelf: "AdapterShelf",
        cancel: threading.Event,
        on_token: Callable[[int, str], None],
        on_done: Callable[[int, RowResult], None],
    ) -> list[RowResult]:
        """In the model's thread."""
        from engine.worker.generate import answer_batch

        rows = [
            RowRequest(None if name == BASE else name, messages, asked.max_new_tokens)
            for name, messages in zip(asked.models, asked.conversations, strict=True)
        ]
        return answer_batch(
            shelf.model,
            self._host.tokenizer,
            rows,
            asked.sampling,
            on_token,
            lambda: cancel.is_set() or self._host.stopping.is_set(),
            on_done,
        )

    def _shelf(self) -> "AdapterShelf":
        """The loaded model. Raises `RequestError` while there is none."""
        if self._host.shelf is None:
            raise RequestError(503, f"The model is not ready ({self._host.status}): {self._host.detail}.")
        return self._host.shelf


def make_app(host: ModelHost) -> Starlette:
    """The application over `host`."""
    return Starlette(
        routes=Api(host).routes(),
        exception_handlers={RequestError: _bad_request, FinetuiError: _refused, Exception: _failed},
    )


def _known(shelf: "AdapterShelf") -> list[str]:
    return [BASE, *shelf.names]


def _ignore(row: int, value: Any) -> None:
    """Nobody listens: the answer is wanted whole."""


async def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse(error.body, error.status)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, FinetuiError)
    body = RequestError(400, str(error)).body
    body["error"] |= {"what": error.what, "why": error.why, "fix": error.fix}
    return JSONResponse(body, 400)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse(RequestError(500, f"{type(error).__name__}: {error}").body, 500)


async def _end_when_unwanted(
    server: uvicorn.Server, host: ModelHost, idle_s: float, parent: psutil.Process | None
) -> None:
    """Ask the server to end once it was idle for `idle_s`, or its parent is gone."""
    while not server.should_exit:
        await asyncio.sleep(min(0.5, idle_s / 4))
        working = host.busy or host.status == "loading"
        if parent is not None and not _alive(parent):
            log.info("the process that started this server is gone; ending")
            server.should_exit = True
        elif not working and time.monotonic() - host.last_used > idle_s:
            log.info("nobody asked anything for %g s; ending", idle_s)
            server.should_exit = True
    host.stopping.set()


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _listen(path: Path) -> socket.socket:
    """A listening unix socket, mode 0600 from its first moment on."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


async def serve(options: argparse.Namespace) -> None:
    """Serve until asked to end, unwanted, or orphaned."""
    try:
        parent = psutil.Process(options.parent_pid) if options.parent_pid else None
    except psutil.NoSuchProcess:
        return
    # uvicorn ends gracefully at a signal and then raises it again; without this that would be the end of the process
    # before the socket is removed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    host = ModelHost(options)
    config = uvicorn.Config(
        make_app(host), lifespan="off", log_level="warning", access_log=False, timeout_graceful_shutdown=2, ws="none"
    )
    server = uvicorn.Server(config)
    listener = _listen(options.socket)
    host.start()
    watch = asyncio.create_task(_end_when_unwanted(server, host, options.idle_s, parent))
    try:
        await server.serve(sockets=[listener])
    finally:
        host.stopping.set()
        watch.cancel()
        options.socket.unlink(missing_ok=True)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.worker.serve", description=__doc__)
    parser.add_argument("--base", required=True, help="model folder or hub name")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--method", choices=["qlora", "lora", "full"], default="qlora", help="qlora: base in 4-bit")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp16", "fp32"], default="auto")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--idle-s", type=float, default=900.0, help="end after so many seconds without a request")
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    return parser.parse_args(arguments)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(serve(parse_arguments(sys.argv[1:])))
    finally:
        logging.shutdown()
    os._exit(0)  # the model's thread may be in the middle of loading; nobody waits for it any more


if __name__ == "__main__":
    main()
