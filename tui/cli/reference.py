"""`docs/cli.md`, written from the commands themselves: `python -m tui.cli.reference > docs/cli.md`."""

import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

WIDTH = 100
HEAD = """\
# The command line

`finetui` alone opens the app. Everything a screen can do, a command can do.

Every command takes `--json` (one JSON document on stdout, nothing else; progress and warnings go to stderr),
`--home DIR` (over `$FINETUI_HOME`) and `--help`. Exit status: 0 done, 1 failed, 2 bad input. With `--json`, a call that
failed prints `{"error": {"what", "why", "fix"}}`. Runs and datasets go by name, by id, or by the start of an id.
`FINETUI_DEBUG=1` shows the traceback of an error; `NO_COLOR=1` leaves out colours.

This page is made from the commands: `python -m tui.cli.reference > docs/cli.md`.
"""


def commands(app: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Every command with its full name (`finetui runs ls`), groups left out, in the order of the help."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if children is None:
            yield name, command
            return
        for child, below in children.items():
            yield from walk(f"{name} {child}", below)

    yield from walk("finetui", get_command(app))


def help_text(name: str, command: Any, width: int = WIDTH) -> str:
    """What `--help` prints, `width` columns wide whatever the terminal."""
    with command.make_context(
        name, [], resilient_parsing=True, terminal_width=width, max_content_width=width
    ) as context:
        return "\n".join(line.rstrip() for line in str(command.get_help(context)).splitlines())


def reference(app: typer.Typer) -> str:
    """The page, as Markdown."""
    parts = [f"## {name}\n\n```\n{help_text(name, command)}\n```\n" for name, command in commands(app)]
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    from tui.cli.root import app

    sys.stdout.write(reference(app))
