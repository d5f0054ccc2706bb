"""A headless Chromium, driven as a person would: keys pressed, the screen looked at."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

from tests.engine.reported import CHROMIUM

PATIENCE_S = 60.0
HEARD = """
(() => {
  const Plain = window.WebSocket;
  window.heard = "";
  window.WebSocket = function (...given) {
    const socket = new Plain(...given);
    socket.addEventListener("message", (event) => {
      if (typeof event.data !== "string") window.heard += new TextDecoder().decode(event.data);
    });
    return socket;
  };
})();
"""
"""Keeps what the server sends to be drawn: a canvas has no text to look for."""


class Tab:
    """One page. `said` are the lines on its console and errors of its scripts."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.said: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")
        await self.ask("Page.addScriptToEvaluateOnNewDocument", source=HEARD)
        await self.ask("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until a condition of the page holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.05)

    async def press(self, key: str) -> None:
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> Image.Image:
        shot = await self.ask("Page.captureScreenshot", format="png")
        return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(answer, PATIENCE_S)

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            waiting = self._waiting.pop(told.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(told.get("result") or {})
            parameters = told.get("params", {})
            if told.get("method") == "Runtime.exceptionThrown":
                self.said.append(str(parameters["exceptionDetails"]))
            elif told.get("method") == "Log.entryAdded":
                self.said.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")


@asynccontextmanager
async def browser(folder: Path, *options: str) -> AsyncIterator[Callable[[str], Any]]:
    """A browser with its data in `folder`; call what is given with an address for a new tab."""
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,900", "--no-first-run"),
        *("--remote-debugging-port=0", f"--user-data-dir={folder}", *options, "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port_file = folder / "DevToolsActivePort"
        async with asyncio.timeout(PATIENCE_S):
            while not (port_file.exists() and port_file.read_text().strip()):
                await asyncio.sleep(0.05)
        debug = f"127.0.0.1:{port_file.read_text().split()[0]}"
        async with aiohttp.ClientSession() as session:
            tabs: list[Tab] = []

            async def open_tab(url: str) -> Tab:
                async with session.put(f"http://{debug}/json/new?about:blank") as answer:
                    target = await answer.json()
                tab = Tab(await session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
                tabs.append(tab)
                await tab.open(url)
                return tab

            yield open_tab
            for tab in tabs:
                tab.reading.cancel()
    finally:
        process.terminate()
        await process.wait()
