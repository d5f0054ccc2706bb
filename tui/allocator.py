"""How the C library keeps memory for an app that reads in many threads and stays open for days."""

from contextlib import suppress

_SETTINGS = {-8: 1, -3: 1 << 16, -1: 1 << 17}
"""glibc's `M_ARENA_MAX`, `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` (mallopt(3)).

By default each thread takes an arena of its own, and what becomes free in one is of no use to another: with eight live
runs the app grew by one and a half megabytes a minute, of which it used none.
"""


def keep_together() -> None:
    """Let all threads of this process take memory from one place; to be called before any starts. glibc only."""
    import ctypes  # which commands that open no app need not load

    with suppress(OSError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        for option, value in _SETTINGS.items():
            set_option(option, value)
