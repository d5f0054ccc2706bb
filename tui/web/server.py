"""Serves the app to browsers of this machine: a page, Textual's terminal for browsers, a web socket for each tab."""

import asyncio
import json
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import textual_serve
from aiohttp import WSMsgType, web
from textual_serve.download_manager import DownloadManager

from tui.web.door import Door, Refused
from tui.web.service import TabService

MOST_TABS = 8
MOST_MESSAGE_BYTES = 1 << 20
MOST_CELLS = 1000
HEARTBEAT_S = 15.0
PAGE = Path(__file__).parent / "page"
STATIC = Path(textual_serve.__file__).parent / "static"
FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
HEADERS = {
    # Textual's script makes its own <style>; nothing else is made from text, and nothing comes from elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self' ws://{host}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_TABS = web.AppKey("tabs", set[TabService])


def make_app(home: Path, door: Door) -> web.Application:
    """The web application for the finetui folder `home`."""

    @web.middleware
    async def guarded(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        try:
            hosts = request.headers.getall("Host", [])
            door.check_place(hosts[0] if len(hosts) == 1 else "", request.headers.get("Origin"))
            response = await handler(request)
        except Refused as refused:
            response = web.Response(status=refused.status, text=str(refused))
        except web.HTTPException as other:
            response = web.Response(status=other.status, text=other.reason)
        if not response.prepared:
            response.headers.update({name: value.replace("{host}", request.host) for name, value in HEADERS.items()})
        return response

    async def file(request: web.Request) -> web.Response:
        name, kind = FILES[request.path]
        return web.Response(text=(PAGE / name).read_text(encoding="utf-8"), content_type=kind)

    async def ticket(request: web.Request) -> web.Response:
        return web.Response(text=door.ticket(request.headers.get("Authorization", "")))

    async def tab(request: web.Request) -> web.StreamResponse:
        door.redeem(request.match_info["ticket"], request.headers.get("Origin"))
        if len(request.app[_TABS]) >= MOST_TABS:
            raise Refused(429, f"There are {MOST_TABS} tabs already. Close one.")
        return await _run_tab(request, home)

    app = web.Application(middlewares=[guarded], client_max_size=1024)
    app[_TABS] = set()
    app.router.add_post("/ticket", ticket)
    app.router.add_get("/ws/{ticket}", tab)
    for path in FILES:
        app.router.add_get(path, file)
    app.router.add_static("/static", STATIC)
    app.on_shutdown.append(_close_tabs)
    return app


async def serve(app: web.Application, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, or until cancelled; every tab's app has ended when this returns."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await web.SockSite(runner, listener).start()
        on_ready()
        await ended.wait()
    finally:
        await runner.cleanup()


async def _run_tab(request: web.Request, home: Path) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MOST_MESSAGE_BYTES)
    await websocket.prepare(request)

    async def close() -> None:
        await websocket.close()

    service = TabService(
        "",  # TabService has a command of its own
        write_bytes=websocket.send_bytes,
        write_str=websocket.send_str,
        close=close,
        download_manager=DownloadManager(),
    )
    service.home = home
    tabs = request.app[_TABS]
    tabs.add(service)
    try:
        await service.start(_cells(request.query.get("width"), 80), _cells(request.query.get("height"), 24))
        async for message in websocket:
            if message.type is WSMsgType.TEXT and not await _take(message.data, service, websocket):
                break
    finally:
        tabs.discard(service)
        await service.stop()
        await websocket.close()
    return websocket


async def _take(text: str, service: TabService, websocket: web.WebSocketResponse) -> bool:
    """Pass one message of the page on to the app; `False` for what no page of ours sends."""
    try:
        kind, *given = json.loads(text)
        match kind, given:
            case "stdin", [str(keys)]:
                await service.send_bytes(keys.encode("utf-8", "replace"))
            case "resize", [{"width": size_x, "height": size_y}]:
                await service.set_terminal_size(_cells(size_x, 80), _cells(size_y, 24))
            case "ping", [str(sent)]:
                await websocket.send_json(["pong", sent[:40]])
            case "blur", []:
                await service.blur()
            case "focus", []:
                await service.focus()
            case _:
                return False
    except (ValueError, TypeError, ConnectionError):
        return False
    return True


async def _close_tabs(app: web.Application) -> None:
    tabs = app[_TABS]
    for service in list(tabs):
        await service.stop()


def _cells(value: object, default: int) -> int:
    """A width or height that a terminal can have."""
    try:
        return min(MOST_CELLS, max(1, int(str(value))))
    except ValueError:
        return default
