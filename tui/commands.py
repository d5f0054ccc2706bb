"""What the command palette offers: the actions of the screen at hand, the modes, and every run by its name."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.messages import OpenRun, OpenSweeps
from tui.text import clean_line
from tui.widgets.header import MODE_TITLES

if TYPE_CHECKING:
    from store.records import Run
    from tui.app import FinetuiApp

MOST_RUNS = 100
"""So many are read at once."""

OTHERS = (
    ("Arena", "ctrl+b in the chat", "tui.screens.arena", "ArenaScreen"),
    ("Prompt suites", "ctrl+t in the chat", "tui.screens.suites", "SuitesScreen"),
    ("Notes", "what a chat can look things up in", "tui.screens.knowledge", "KnowledgeScreen"),
    ("Evaluations", "whether runs are better than their base", "tui.screens.evaluations", "EvaluationsScreen"),
    ("Registry", "named versions of adapters", "tui.screens.registry", "RegistryScreen"),
)
"""Screens that are no mode's first: title, what they are or where else they are reached, module, class."""


class ScreenCommands(Provider):
    """The bindings of the screen at hand and the modes; a command calls the same action as its key."""

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        seen: set[str] = set()
        for node, binding, enabled, tooltip in self.screen.active_bindings.values():
            if not enabled or binding.system or not binding.description or binding.action in seen:
                continue
            seen.add(binding.action)
            if binding.id and (node is self.screen or binding.id.startswith("app.")):
                key = self.app.get_key_display(binding)
                text = tooltip or binding.description
                yield text[:1].upper() + text[1:], f"key {key}", partial(self.app.run_action, binding.action, node)
        for number, (mode, title) in enumerate(MODE_TITLES.items(), 1):
            yield f"Go to {title}", f"key {number}", partial(self.app.run_action, f"mode('{mode}')", self.app)
        yield "Go to Sweeps", "key w on the queue", partial(self.app.post_message, OpenSweeps())
        for title, about, module, name in OTHERS:
            yield f"Go to {title}", about, partial(_open, cast("FinetuiApp", self.app), module, name)

    async def discover(self) -> Hits:
        for title, about, command in self._commands():
            yield DiscoveryHit(Content(title), command, title, about)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, about, command in self._commands():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), command, title, about)


async def _open(app: "FinetuiApp", module: str, name: str) -> None:
    screen = getattr(import_module(module), name)()
    await app.show_in(screen.MODE, screen)


class RunCommands(Provider):
    """Opens a run by its name: the newest ones by a few of its letters, all others by a part of it."""

    async def startup(self) -> None:
        self._newest = await self._read("")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        seen: set[str] = set()
        for run in (*self._newest, *await self._read(f'name:"{query.replace(chr(34), " ")}"')):
            title = f"Open run {clean_line(run.name)}"
            score = matcher.match(title)
            if score > 0 and run.id not in seen:
                seen.add(run.id)
                command = partial(self.app.post_message, OpenRun(run.id))
                yield Hit(
                    score, matcher.highlight(title), command, title, f"{run.status.value}, {clean_line(run.model)}"
                )

    async def _read(self, query: str) -> "list[Run]":
        app = cast("FinetuiApp", self.app)
        if not app.is_ready:
            return []
        return await asyncio.to_thread(partial(app.services.store.runs.list, query, limit=MOST_RUNS))
