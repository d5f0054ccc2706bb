"""Runs the API on a socket until it is asked to end."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import BadInput
from engine.serving.guard import App

GRACE_S = 2
"""Seconds that answers under way are given at the end."""


def listen_tcp(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises `BadInput` where that is not to be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BadInput(f"There is no interface {host} to listen on.", why=f"{error.strerror or error}.") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise BadInput(
            f"{host}:{port} cannot be listened on.",
            why=f"The system says: {error.strerror or error}.",
            fix="Name another with --port N; --port 0 takes any that is free.",
        ) from error
    return listener


def remove_socket(path: Path, own: os.stat_result | None) -> None:
    """Take away the socket that was `own`; another server may have put its own in its place meanwhile."""
    with suppress(FileNotFoundError):
        now = path.stat()
        if own is not None and os.path.samestat(now, own) and now.st_mtime_ns == own.st_mtime_ns:  # numbers come again
            path.unlink()


def listen_unix(path: Path) -> socket.socket:
    """A listening unix socket, mode 0600 from its first moment on. One that nobody answers any more is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _answers(path):
            path.unlink()
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise BadInput(
            f"{path} cannot be listened on.",
            why=f"The system says: {error.strerror or error}.",
            fix="Name another with --socket PATH; its folder must be there, and the path at most 107 bytes long.",
        ) from error
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


async def serve(app: App, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, or until cancelled; answers under way get a moment to end."""
    import uvicorn

    from engine.serving.connections import protocol

    config = uvicorn.Config(
        app,
        http=protocol(),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    with _ended_quietly():
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            while not server.started and not running.done():
                await asyncio.sleep(0.01)
            if server.started:
                on_ready()
            await asyncio.shield(running)
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await running


@contextmanager
def _ended_quietly() -> Iterator[None]:
    """uvicorn ends gracefully at a signal and then raises it again; that must not end what still tidies up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
