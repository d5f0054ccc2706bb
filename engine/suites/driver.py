"""Asks a suite run in a process of its own, which outlives the terminal: `python -m engine.suites.driver HOME ID`."""

import subprocess
import sys
import time
from pathlib import Path

from engine.errors import FinetuiError
from engine.home import Home
from engine.runs.backends.local import own_environment
from engine.suites.folder import SuiteDir


def start_driver(home: Home, suite_run: str) -> "subprocess.Popen[bytes]":
    """Ask what is missing of a suite run, in a session of its own, its output in the run's log.

    Raises `BadInput` while a process is at it, `FinetuiError` where the system refuses.
    """
    folder = SuiteDir.of(home, suite_run)
    folder.begin()
    folder.say(doing="starting", began=time.time())
    try:
        with folder.log.open("ab") as log:
            return subprocess.Popen(
                # -P: what lies in the working directory cannot stand in for a module.
                [sys.executable, "-P", "-m", "engine.suites.driver", str(home.root), suite_run],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                close_fds=True,
                start_new_session=True,
                cwd=folder.path,
                env=own_environment(),
            )
    except OSError as error:
        raise FinetuiError(
            "The process that asks the suite could not be started.", why=f"The system says: {error.strerror or error}."
        ) from error


def main(root: str, suite_run: str) -> int:
    """Exit status 0 where everything was asked or it was stopped, else 1; why is in the folder's exit record."""
    from engine.datasets.library import DatasetLibrary
    from engine.suites.running import drive, find_suite_run
    from store import open_store

    home = Home(Path(root))
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    try:
        drive(home, store, library, find_suite_run(store, suite_run))
    except FinetuiError as error:
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {error}\n")
        return 1
    finally:
        library.close()
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
