"""The process behind one tab: `python -m tui.web.tab HOME`. The server has its stdin and stdout."""

import os
import sys
from pathlib import Path

from engine.home import find_home
from engine.private import keep_private

LOG = "finetui.log"


def main(folder: str) -> int:
    """Run the app on the home `folder` until the tab is closed; its exit status."""
    keep_private()
    home = find_home(folder).ensure()
    log_errors(home.root / LOG)
    from tui.cli.opening import run_app

    return run_app(home)


def log_errors(path: Path) -> None:
    """Let what is written to stderr go to the end of `path`: the server's terminal is no place for it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
