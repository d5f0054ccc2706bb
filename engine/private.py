"""Who may read what finetui writes: its home is for its owner alone, files elsewhere are as their user makes files.

A process of finetui gives files mode 0600 and folders 0700 by its umask, and those that it starts inherit that: nothing
in the home has to think of it. What a user asks for somewhere else (a report, an exported model) and what others share
(the cache of the hub) are left as any other program would leave them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o077
USERS = "FINETUI_UMASK"
"""The variable by which processes know the user's own umask."""


def keep_private() -> None:
    """From here on this process, and those that it starts, make files and folders for their owner alone."""
    before = os.umask(PRIVATE)
    os.environ.setdefault(USERS, f"{before:03o}")


def users_umask() -> int:
    """The umask with which the user started finetui."""
    try:
        return int(os.environ[USERS], 8) & 0o777
    except (KeyError, ValueError):
        present = os.umask(PRIVATE)
        os.umask(present)
        return present


@contextmanager
def as_the_user() -> Iterator[None]:
    """Within it, files are made as the user makes files. It counts for all threads: keep others from writing then."""
    before = os.umask(users_umask())
    try:
        yield
    finally:
        os.umask(before)


def share(path: Path) -> None:
    """Give a file, or a folder with all that is in it, the mode that it has where its user makes it. Raises `OSError`.

    What may be executed stays so. Links are left alone, and so is all that lies in a folder which is its owner's alone.
    """
    if not path.parent.stat().st_mode & PRIVATE:
        return
    mask = users_umask()
    for one in [path, *(path.rglob("*") if path.is_dir() else ())]:
        if not one.is_symlink():
            runs = one.is_dir() or one.stat().st_mode & 0o100
            one.chmod((0o777 if runs else 0o666) & ~mask)


def make_shared_folder(path: Path) -> None:
    """Make a folder, and those missing above it, as its user makes folders. Raises `OSError`."""
    if not path.is_dir():
        make_shared_folder(path.parent)
        path.mkdir(exist_ok=True)
        share(path)
