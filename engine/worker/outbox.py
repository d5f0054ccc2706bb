"""Carries what one thread says to queues of the event loop, waking the loop once for what comes together."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """Made in the loop; `put` is for any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[tuple[asyncio.Queue[Item], Item]] = deque()
        self._woken = False

    def put(self, queue: asyncio.Queue[Item], item: Item) -> None:
        """Let `item` come out of `queue`."""
        self._items.append((queue, item))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # before the first is taken, so that none is left lying
        while self._items:
            queue, item = self._items.popleft()
            queue.put_nowait(item)


async def together(queue: asyncio.Queue[Item]) -> list[Item]:
    """The next item of `queue`, and all that is there with it."""
    items = [await queue.get()]
    while not queue.empty():
        items.append(queue.get_nowait())
    return items
