"""The chat for tests: a stand-in answers in place of the model servers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.inference.pool import Delta, Pane, Sampling, ServerPool
from engine.inference.trust import Trust
from engine.runs.rundir import RunDir, write_json
from store import Store
from store.records import Run
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.messages import ChatWith
from tui.widgets.prompt import Prompt

Messages = list[dict[str, str]]


class StandIn:
    """Answers what the test tells it to. `asked` holds every request; `closed` counts the ended ones."""

    def __init__(self) -> None:
        self.on_status: Callable[[str], None] | None = None
        self.asked: list[tuple[list[Pane], list[Messages], Sampling]] = []
        self.closed = 0
        self.trusted: dict[str, Trust] = {}
        self.script: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()

    def say(self, *items: Delta | Exception | None) -> None:
        """Yield deltas, raise an exception, end with `None`."""
        for item in items:
            self.script.put_nowait(item)

    def answer_whole(self, *texts: str) -> None:
        """An answer a pane, with figures."""
        for pane, text in enumerate(texts):
            half = len(text) // 2
            self.say(Delta(pane, text[:half]), Delta(pane, text[half:]), Delta(pane, "", True, 40 + pane, 0.213, 58.4))
        self.say(None)

    async def answer(
        self, panes: Sequence[Pane], conversations: Sequence[Messages], sampling: Sampling
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append((list(panes), [list(messages) for messages in conversations], sampling))
        try:
            while (item := await self.script.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1

    def trust(self, pane: Pane) -> Trust | None:
        return self.trusted.get(pane.label)

    async def close(self) -> None:
        """Nothing to end."""


@dataclass
class ChatDriver:
    """The app on the chat screen, and who answers in it."""

    driver: Driver
    pool: StandIn

    @property
    def writing(self) -> bool:
        """Whether the cursor is in the input."""
        return any(prompt.has_focus for prompt in self.driver.app.screen.query(Prompt))

    async def ask(self, text: str) -> None:
        await self.driver.wait(lambda: self.writing)
        await self.driver.type(text)
        await self.driver.press("enter")


OpenChat = Callable[..., AbstractAsyncContextManager[ChatDriver]]


def chat_opener(make_app: MakeApp) -> OpenChat:
    """`async with open_chat("r1", size=(120, 36)) as chat`: the chat with these runs, or the default ones."""

    @asynccontextmanager
    async def start(*run_ids: str, size: tuple[int, int] = (120, 36), theme: str = "") -> AsyncIterator[ChatDriver]:
        async with make_app(size, theme=theme) as driver:
            pool = StandIn()
            driver.app.services._made[ServerPool] = pool
            if run_ids:
                driver.app.screen.post_message(ChatWith(run_ids))
            else:
                await driver.press("5")
            await driver.wait(lambda: driver.app.current_mode == "chat")
            yield ChatDriver(driver, pool)

    return start


def with_adapter(runs: SampleRuns, run_id: str, name: str, model: str = "starter", **options: Any) -> Run:
    """A run that left an adapter."""
    run = runs.add(run_id, name, model=model, steps=10, **options)
    folder = RunDir(Path(run.dir))
    write_json(folder.inputs, {"id": run_id, "name": name, "model": {"name": model, "path": f"/models/{model}"}})
    folder.adapter.mkdir()
    (folder.adapter / "adapter_model.safetensors").touch()
    return run


async def talk(chat: ChatDriver, *questions: str) -> None:
    """Ask these, one after the other; the base answers `base QUESTION`, the adapter `adapter QUESTION`."""
    for question in questions:
        await chat.ask(question)
        chat.pool.answer_whole(f"base {question}", f"adapter {question}")
        await chat.driver.sees(f"adapter {question}")
        await settled(chat)


async def settled(chat: ChatDriver) -> None:
    """Wait until nobody answers any more."""
    await chat.driver.wait(lambda: "esc stop" not in chat.driver.text().splitlines()[-1] and chat.pool.script.empty())
    await chat.driver.wait(lambda: len(chat.pool.asked) == chat.pool.closed)


def asked(chat: ChatDriver, pane: int = 0) -> list[str]:
    """What a pane was told the last time."""
    return [message["content"] for message in chat.pool.asked[-1][1][pane]]


def texts(store: Store, chat_id: str) -> list[str]:
    return [message.text for message in store.chats.messages(chat_id)]
