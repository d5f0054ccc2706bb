"""Opening the app from the command line. Nothing heavy is imported before the app's own first frame."""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import BadInput
from engine.home import Home, find_home
from tui import allocator, garbage
from tui.cli import INTERRUPTED

if TYPE_CHECKING:
    from tui.app import FinetuiApp

ESCAPE_DELAY_MS = "25"
"""So long a lone Esc is held back: it may be the beginning of another key, whose bytes come together even over SSH."""

SWITCH_S = 0.001
"""So long a thread that takes in events may keep the one that answers keys waiting; Python's own is 5 ms."""


def open_app(home: str | None = None, run: str | None = None) -> int:
    """Open the app on `home`, at once on the run of that name or id where one is given; its exit status at the end."""
    place = find_home(home)
    try:
        needs_terminal()
        return show_app(place, open_run=_run_id(place, run) if run is not None else None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from tui.cli.failure import report

        return report(error, place)


def show_app(home: Home, *, open_run: str | None = None, first: "Callable[[FinetuiApp], object] | None" = None) -> int:
    """Run the app until it is closed; its exit status. `first` is called with it once its services are there.

    Raises `BadInput` without a terminal, or a home to write in.
    """
    needs_terminal()
    return run_app(home, open_run=open_run, first=first)


def run_app(home: Home, *, open_run: str | None = None, first: "Callable[[FinetuiApp], object] | None" = None) -> int:
    """`show_app` with whatever driver Textual is told to use."""
    os.environ.setdefault("ESCDELAY", ESCAPE_DELAY_MS)  # Textual reads it when it is imported
    garbage.hold()
    allocator.keep_together()
    sys.setswitchinterval(SWITCH_S)
    home.ensure()
    from tui.app import FinetuiApp

    app = FinetuiApp(home, open_run=open_run)
    if first is not None:
        app.when_ready(partial(first, app))
    app.run()
    return app.return_code or 0


def _run_id(home: Home, text: str) -> str:
    """Raises `NotFound` and `BadInput` where it is not clear which run is meant."""
    from engine.runs.resolve import find_run
    from store import open_store

    store = open_store(home.ensure().db)
    try:
        return find_run(store, text).id
    finally:
        store.close()


def needs_terminal() -> None:
    """Raises `BadInput` where there is no terminal for the app."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput(
            "The app needs a terminal to draw on.",
            why="Its input or its output is a file or a pipe.",
            fix="Start it in a terminal (over SSH: `ssh -t HOST finetui`). `finetui --help` lists what works without.",
        )
