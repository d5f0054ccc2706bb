"""`finetui web`: the app drawn in a browser, and closed to everybody else."""

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web as aiohttp_web

from engine.home import Home
from tests.engine.reported import needs_browser
from tests.web.browser import browser

PROGRAM = "import sys; from tui.cli import main; sys.exit(main())"


class Web:
    """`finetui web --port 0` as a process."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "web", "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"FINETUI_HOME": str(home.root), "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=folder,
        )
        assert self.process.stdout is not None
        self.document: dict[str, str] = json.loads("".join(iter(self._line, "}\n")) + "}")
        self.url = self.document["url"]
        self.token_file = Path(self.document["token_file"])
        self.token = self.token_file.read_text().strip()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return line

    def tabs(self) -> list[psutil.Process]:
        """The apps of its tabs."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in below if "tui.web.tab" in one.cmdline()]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One server for most tests; it stands in a folder whose name would do harm in a shell."""
    folder = tmp_path_factory.mktemp("web")
    served = Web(Home(folder / "a; touch owned; $(touch owned)"), folder)
    yield served
    assert served.end() == 0
    assert served.process.communicate() == ("", "")
    assert not list(folder.rglob("owned"))


@asynccontextmanager
async def asking(web: Web) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=web.url) as session:
        yield session


async def ticket(session: aiohttp.ClientSession, web: Web) -> str:
    async with session.post("/ticket", headers={"Authorization": f"Bearer {web.token}"}) as answer:
        assert answer.status == 200
        return await answer.text()


def origin(web: Web) -> dict[str, str]:
    return {"Origin": web.url.rstrip("/")}


async def gone(processes: list[psutil.Process]) -> bool:
    return not (await asyncio.to_thread(psutil.wait_procs, processes, 15))[1]


@needs_browser
async def test_the_app_is_drawn_and_answers_keys(web: Web, tmp_path: Path) -> None:
    async with browser(tmp_path / "browser") as open_tab:
        tab = await open_tab(f"{web.url}#{web.token}")
        await tab.until("document.body.classList.contains('-first-byte') && heard.includes('Datasets')")
        assert await tab.evaluate("location.href") == web.url, "the token is in no history"
        assert await tab.evaluate("document.fonts.check('16px \"Roboto Mono\"') && document.fonts.size") == 2
        await tab.until("getComputedStyle(document.getElementById('terminal')).visibility === 'visible'")
        await tab.until("document.querySelectorAll('#terminal canvas').length > 0")
        picture = await tab.picture()
        assert len(picture.getcolors(1 << 24) or []) > 50, "text is drawn"

        await tab.until("document.activeElement.tagName === 'TEXTAREA'")
        await tab.until("heard.includes('No runs yet')")
        await tab.press("2")
        await tab.until("heard.includes('No datasets yet')")
        [app] = web.tabs()
        await tab.press("q")
        await tab.until("document.body.classList.contains('-closed')")
        assert await gone([app])
        assert not [line for line in tab.said if "WebGL" not in line and "CLOSED" not in line]


@needs_browser
async def test_without_the_token_there_is_a_form_for_it(web: Web, tmp_path: Path) -> None:
    async with browser(tmp_path / "browser") as open_tab:
        tab = await open_tab(f"{web.url}#wrong")
        await tab.until("document.querySelector('.error').textContent.includes('not the token')")
        assert not web.tabs()
        await tab.evaluate(f"document.getElementById('token').value = {json.dumps(web.token)}")
        await tab.evaluate("unlock.requestSubmit()")
        await tab.until("document.body.classList.contains('-first-byte')")
        [app] = web.tabs()
    assert await gone([app]), "the browser was closed"


async def test_nobody_comes_in_by_another_way(web: Web) -> None:
    async with asking(web) as session:
        own = origin(web)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {web.token}"}):
            async with session.post("/ticket", headers=headers) as answer:
                assert answer.status == 401
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            for path in ("/", "/static/js/textual.js", "/ws/x"):
                async with session.get(path, headers=headers) as answer:
                    assert answer.status == 403, (path, headers)
        for given in (own, {}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect("/ws/guessed", headers=given)
            assert refused.value.status in (401, 403)
        one = await ticket(session, web)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"/ws/{one}", headers={"Origin": "http://127.0.0.1:1"})
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"/ws/{one}")  # no page
        async with session.get("/static/") as answer:
            assert answer.status in (403, 404), "nothing is listed"
        async with session.get("/static/../server.py") as answer:
            assert answer.status == 404
    assert not web.tabs()


async def test_a_ticket_opens_one_tab_and_the_app_ends_with_it(web: Web) -> None:
    async with asking(web) as session:
        one = await ticket(session, web)
        socket_ = await session.ws_connect(f"/ws/{one}?width=100&height=30", headers=origin(web))
        assert (await socket_.receive()).type is aiohttp.WSMsgType.BINARY
        [app] = web.tabs()
        assert web.token not in " ".join(app.cmdline())
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"/ws/{one}", headers=origin(web))
        await socket_.close()
        assert await gone([app])


async def test_what_no_page_of_ours_sends_ends_the_tab(web: Web) -> None:
    odd = ["no json", "[]", '{"a": 1}', '["stdin", 7]', '["resize", {"width": 1}]', '["run", "ls"]']
    async with asking(web) as session:
        sockets = [await session.ws_connect(f"/ws/{await ticket(session, web)}", headers=origin(web)) for _ in odd]
        apps = web.tabs()
        for socket_, sent in zip(sockets, odd, strict=True):
            await socket_.send_str('["resize", {"width": 1e99, "height": -5}]')
            await socket_.send_str(sent)
        async with asyncio.timeout(30):
            for socket_ in sockets:
                async for _ in socket_:
                    pass
    assert await gone(apps)


async def test_tabs_are_counted(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.web import server
    from tui.web.door import Door

    monkeypatch.setattr(server, "MOST_TABS", 0)
    door = Door("t" * 20)
    runner = aiohttp_web.AppRunner(server.make_app(Path("/nowhere"), door))
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await aiohttp_web.SockSite(runner, listener).start()
    try:
        async with aiohttp.ClientSession(base_url=url) as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"/ws/{door.ticket('Bearer ' + door.token)}", headers={"Origin": url})
            assert refused.value.status == 429
    finally:
        await runner.cleanup()


async def test_the_apps_end_with_the_server_even_when_it_is_killed(home: Home, tmp_path: Path) -> None:
    web = Web(home, tmp_path)
    async with asking(web) as session:
        socket_ = await session.ws_connect(f"/ws/{await ticket(session, web)}", headers=origin(web))
        await socket_.receive()
        apps = web.tabs()
        assert len(apps) == 1
        assert await asyncio.to_thread(web.end, signal.SIGKILL) == -signal.SIGKILL
        assert await gone(apps)
    web.process.communicate()


def test_it_listens_on_the_loopback_alone_and_keeps_its_token(web: Web) -> None:
    doors = [one for one in psutil.Process(web.process.pid).net_connections() if one.status == psutil.CONN_LISTEN]
    assert {one.laddr.ip for one in doors} == {"127.0.0.1"}
    assert stat.S_IMODE(web.token_file.stat().st_mode) == 0o600 and web.token_file.parent == web.home.root
    assert web.token not in json.dumps(web.document) and not re.search(
        web.token, str(psutil.Process(web.process.pid).cmdline())
    )


async def test_the_page_lets_nothing_else_in(web: Web) -> None:
    async with asking(web) as session, session.get("/") as answer:
        page = answer.headers
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        text = await answer.text()
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == "'self'" and "http" not in policy["connect-src"]
    assert answer.headers["X-Frame-Options"] == "DENY" and answer.headers["Cache-Control"] == "no-store"
    assert "http:" not in text and "https:" not in text and web.token not in text
    assert not [name for name in page if name.lower().startswith("access-control-")]


async def test_the_token_is_in_no_cookie(web: Web) -> None:
    async with asking(web) as session:
        async with session.get("/") as answer:
            assert "Set-Cookie" not in answer.headers
        async with session.get("/page.js") as answer:
            assert "cookie" not in (await answer.text()).lower()
        async with session.post("/ticket", headers={"Authorization": f"Bearer {web.token}"}) as answer:
            assert answer.status == 200 and "Set-Cookie" not in answer.headers
        for name in ("token", "web-token", "Authorization"):
            async with session.post("/ticket", headers={"Cookie": f"{name}={web.token}"}) as answer:
                assert answer.status == 401, "a browser would send it for any page"
