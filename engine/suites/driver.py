"""Asks a suite run in a process of its own, which outlives the terminal.

`python -m engine.suites.driver HOME ID CLAIM`
"""

import subprocess
import sys
import time
from pathlib import Path

from engine.errors import FinetuiError
from engine.home import Home
from engine.runs.claim import accept
from engine.suites.folder import SuiteDir


def start_driver(home: Home, suite_run: str) -> "subprocess.Popen[bytes]":
    """Ask what is missing of a suite run, in a session of its own, its output in the run's log.

    Raises `BadInput` while a process is at it, `FinetuiError` where the system refuses.
    """
    folder = SuiteDir.of(home, suite_run)
    with folder.begun() as claim:
        folder.say(doing="starting")
        return folder.start(home, claim)


def main(root: str, suite_run: str, claim: str) -> int:
    """Exit status 0 where everything was asked or it was stopped, else 1; why is in the folder's exit record."""
    from engine.datasets.library import DatasetLibrary
    from engine.suites.running import drive, find_suite_run
    from store import open_store

    home = Home(Path(root))
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    try:
        drive(home, store, library, find_suite_run(store, suite_run), claim=accept(int(claim)))
    except FinetuiError as error:
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {error}\n")
        return 1
    finally:
        library.close()
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
