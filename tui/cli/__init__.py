"""The command line: `finetui` alone opens the app, everything else is a command.

The bare call imports neither typer nor pydantic: the app's first frame waits for nothing that it does not need.
"""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status: 0 done, 1 failed, 2 bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    bare, home = _bare(words)
    if bare:
        from tui.cli.opening import open_app

        return open_app(home)
    from tui.cli.root import run

    return run(words)


def _bare(words: list[str]) -> tuple[bool, str | None]:
    """Whether nothing but `--home DIR` was asked for, and that folder."""
    match words:
        case []:
            return True, None
        case ["--home", folder] if not folder.startswith("-"):
            return True, folder
        case [word] if word.startswith("--home=") and word != "--home=":
            return True, word.removeprefix("--home=")
    return False, None
