"""Opening the app from the command line. Nothing heavy is imported before the app's own first frame."""

import sys

from engine.errors import BadInput
from engine.home import Home, find_home


def open_app(home: str | None = None, *, open_run: str | None = None) -> int:
    """Open the app on `home`; its exit status once it is closed."""
    place = find_home(home)
    try:
        return show_app(place, open_run=open_run)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from tui.cli.failure import report

        return report(error, place)


def show_app(home: Home, *, open_run: str | None = None) -> int:
    """Run the app until it is closed; its exit status. Raises `BadInput` without a terminal, or a home to write in."""
    needs_terminal()
    home.ensure()
    from tui.app import FinetuiApp

    app = FinetuiApp(home, open_run=open_run)
    app.run()
    return app.return_code or 0


def needs_terminal() -> None:
    """Raises `BadInput` where there is no terminal for the app."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput(
            "The app needs a terminal to draw on.",
            why="Its input or its output is a file or a pipe.",
            fix="Start it in a terminal (over SSH: `ssh -t HOST finetui`). `finetui --help` lists what works without.",
        )
