"""What a test's own process has started and what of it still runs."""

from contextlib import suppress

import psutil


def running(words: str) -> list[psutil.Process]:
    """The processes below this one, at any depth, with `words` in their command.

    What has ended runs no more, even where nobody has asked yet how it ended: other tests leave such.
    """
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie is one
            if words in " ".join(child.cmdline()):
                found.append(child)
    return found
