"""Starting the watcher of an attempt. Standard library only: this is the supervisor's part."""

import subprocess
import sys
from contextlib import suppress

from engine.errors import BadInput
from engine.notices.settings import read_notice_settings, settings_of
from engine.runs.rundir import RunDir


def start_watching(rundir: RunDir, attempt: int) -> None:
    """Start the watcher of an attempt, where the settings name anybody to tell. Never raises.

    In a session of its own, its words in the run's log; whoever starts it need not wait for it.
    """
    with suppress(OSError, BadInput):  # the app says what is wrong with the settings
        if not read_notice_settings(settings_of(rundir.path)).leaves_the_app:
            return
        argv = [sys.executable, "-P", "-m", "engine.notices.watch", str(rundir.path), "--attempt", str(attempt)]
        with rundir.log.open("ab") as log:
            subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=True, start_new_session=True
            )
