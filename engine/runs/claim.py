"""The claim on work that outlives the terminal: a lock, taken by who starts a process and handed on to that process.

So there is no moment in which somebody is about to be at work and nobody can tell, however long a start may take and
whatever becomes of the clock. The kernel lets go of it when the last process that has it ends. Standard library only.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import BadInput, FinetuiError
from engine.runs.leases import try_lock

SETTLE_S = 3.0
"""Time for the last processes of what has ended to be gone, and for who only looks to have looked."""

WAIT = "Wait for it to end, or stop it first."


def take(lock: Path, patience_s: float = SETTLE_S) -> int | None:
    """A file descriptor that is the claim, or `None` while another process keeps it. Raises `OSError`."""
    give_up = time.monotonic() + patience_s
    while (claim := try_lock(lock)) is None:
        if time.monotonic() > give_up:
            return None
        time.sleep(0.05)
    return claim


def is_taken(lock: Path) -> bool:
    """Whether a process has the claim. Any number may look at a time; none is held up by that for longer."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place is not waited for
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: nobody has one there
        return False
    finally:
        os.close(fd)
    return False


def accept(claim: int) -> int:
    """The claim that this process was started with; what it starts in turn gets it only where it is handed on."""
    os.set_inheritable(claim, False)
    return claim


@contextmanager
def claimed(lock: Path, taken: str, patience_s: float = SETTLE_S) -> Iterator[int]:
    """The claim, for as long as it takes to hand it to a process: `pass_fds`.

    Raises `BadInput` with the words `taken` while another process keeps it, `FinetuiError` where nothing can be locked.
    """
    try:
        claim = take(lock, patience_s)
    except OSError as error:
        raise FinetuiError(
            f"{lock} cannot be locked.",
            why=f"The system says: {error.strerror or error}.",
            fix="`finetui doctor` looks into the home. Choose another with --home DIR or $FINETUI_HOME.",
        ) from error
    if claim is None:
        raise BadInput(taken, fix=WAIT)
    try:
        yield claim
    finally:
        os.close(claim)
