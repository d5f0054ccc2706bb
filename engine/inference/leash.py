"""Runs a program that must not outlive the one who started it: `python -m engine.inference.leash PARENT -- COMMAND…`.

The standard library alone. It leads a session of its own, so that all the program starts is in one group; it ends that
group when its parent is gone, or when it is asked to.
"""

import os
import signal
import subprocess
import sys
import time
from types import FrameType

POLL_S = 0.3
GRACE_S = 10.0
"""So long the program has to end by itself."""

asked = False


def main(parent: int, command: list[str]) -> int:
    """Run `command` for the process `parent`; its exit status, as a shell gives it."""
    signal.signal(signal.SIGTERM, _ask)
    child = subprocess.Popen(command)
    deadline = None
    while True:
        try:
            code = child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            pass
        else:
            return code if code >= 0 else 128 - code
        if deadline is None and (asked or os.getppid() != parent):
            os.killpg(0, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_S
        if deadline is not None and time.monotonic() > deadline:
            os.killpg(0, signal.SIGKILL)


def _ask(number: int, frame: FrameType | None) -> None:
    global asked
    asked = True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[sys.argv.index("--") + 1 :]))
