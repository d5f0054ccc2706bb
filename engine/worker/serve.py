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
import time
from pathlib import Path

import psutil
import uvicorn

from engine.worker.model_host import ModelHost
from engine.worker.server_api import make_app

log = logging.getLogger("finetui.serve")


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
        elif host.broken:
            log.info("the model cannot answer any more; ending")
            server.should_exit = True
        elif not working and time.monotonic() - host.last_used > idle_s:
            log.info("nobody asked anything for %g s; ending", idle_s)
            server.should_exit = True
    host.stop()


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
        host.stop()
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
