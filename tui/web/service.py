"""One tab's app: a process of its own, started without a shell, ended with the tab."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path

from textual_serve.app_service import AppService

from engine.inference.process import module_environment

END_S = 10.0
"""Seconds an app is given to end by itself."""
DRIVER = "tui.web.driver:BrowserDriver"


class TabService(AppService):
    """Textual-serve's link between a web socket and an app, with another way to start and to end the app."""

    home: Path

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = module_environment() | self._build_environment(width=width, height=height)
        environment |= {"TEXTUAL_DRIVER": DRIVER, "COLORTERM": "truecolor", "TERM": "xterm-256color"}
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tui.web.tab", str(self.home)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            start_new_session=True,
        )
        self._stdin = process.stdin
        return process

    async def stop(self) -> None:
        """Ask the app to end; one that does not is killed."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(END_S):
                await super().stop()
        if self._process is not None:
            if self._process.returncode is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(END_S):
                        await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
