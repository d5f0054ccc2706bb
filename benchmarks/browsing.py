"""A large dataset in the app, in a terminal of 120×36: from a key to what it asked for on the screen."""

import random
import statistics
import time
from typing import Any

import psutil

from benchmarks.terminal import FINETUI, Terminal
from engine.datasets.library import DatasetLibrary
from engine.home import Home
from store import open_store

JUMPS = 30
SEARCHES = 5


def browse(home: Home, dataset_id: str, needle: str, first_hit: int) -> dict[str, Any]:
    """Jumps to rows anywhere, searches for a word that few rows have (`first_hit` is the first), and the app's memory.

    `jump_*` counts from Enter on a row's number to that row on the screen; `page_*` is what the
    library needs to hand out a page of rows. `empty_app_bytes` is the app's memory before the dataset was opened.
    """
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    dataset = library.resolve(dataset_id)
    chance = random.Random(3)
    pages = []
    for _ in range(JUMPS):
        began = time.perf_counter()
        library.rows(dataset.id, offset=chance.randrange(dataset.rows - 100), limit=100)
        pages.append(time.perf_counter() - began)
    library.close()
    store.close()
    total = f"{dataset.rows:,}".encode()
    jumps, searches = [], []
    with Terminal([FINETUI], home.root) as terminal:
        terminal.wait_for(b"finetui")
        time.sleep(2)
        terminal.press(b"2")
        terminal.wait_for(dataset.name.encode())
        terminal.settle(1.0)
        app = psutil.Process(terminal.pid)
        empty = app.memory_info().rss
        most = empty
        terminal.press(b"\r")
        terminal.wait_for(b"of " + total)
        terminal.settle(1.0)
        for _ in range(JUMPS):
            row = chance.randrange(dataset.rows)
            terminal.press(b":")
            terminal.wait_for(b"number of a row")
            terminal.press(str(row + 1).encode())
            terminal.settle(0.3)
            terminal.press(b"\r")
            jumps.append(terminal.wait_for(f"row {row + 1:,} of".encode()))
            terminal.settle(0.3)
            most = max(most, app.memory_info().rss)
        for _ in range(SEARCHES):
            terminal.press(b"/")
            terminal.settle(0.3)
            terminal.press(needle[:-1].encode())
            terminal.settle(1.5)
            terminal.press(needle[-1:].encode())
            searches.append(terminal.wait_for(f" {first_hit:,} ".encode()))
            most = max(most, app.memory_info().rss)
            terminal.settle(2.0)
            terminal.press(b"\x1b")
            terminal.settle(0.5)
            most = max(most, app.memory_info().rss)
    jumps.sort()
    pages.sort()
    return {
        "jump_median_ms": _ms(statistics.median(jumps)),
        "jump_p95_ms": _ms(jumps[int(0.95 * JUMPS)]),
        "page_median_ms": _ms(statistics.median(pages)),
        "page_p95_ms": _ms(pages[int(0.95 * JUMPS)]),
        "first_hits_median_ms": _ms(statistics.median(searches)),
        "first_hits_max_ms": _ms(max(searches)),
        "empty_app_bytes": empty,
        "app_bytes": most,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 1)
