"""The command line: `finetui` alone opens the app, `finetui open RUN` opens it there, everything else is a command.

These two import neither typer nor pydantic: the app's first frame waits for nothing that it does not need.
"""

import os
import sys
from collections.abc import Sequence

from engine.private import keep_private

INTERRUPTED = 130
"""Exit status after Ctrl+C, as shells have it."""

COMPLETING = "_FINETUI_COMPLETE"
"""Set by shells that ask what could come next; then nothing is opened."""

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status: 0 done, 1 failed, 2 bad input."""
    keep_private()
    words = list(sys.argv[1:] if arguments is None else arguments)
    opening = None if COMPLETING in os.environ else _opening(words)
    if opening is not None:
        from tui.cli.opening import open_app

        return open_app(*opening)
    try:
        from tui.cli.root import run
    except KeyboardInterrupt:  # Ctrl+C while the commands are loaded
        return INTERRUPTED
    return run(words)


def _opening(words: list[str]) -> tuple[str | None, str | None] | None:
    """The home and the run to open the app on, where nothing else is asked for."""
    home = None
    match words:
        case ["--home", folder, *rest] if not folder.startswith("-"):
            home, words = folder, rest
        case [word, *rest] if word.startswith("--home=") and word != "--home=":
            home, words = word.removeprefix("--home="), rest
    match words:
        case []:
            return home, None
        case ["open", run] if not run.startswith("-"):
            return home, run
    return None
