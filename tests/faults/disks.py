"""A disk of a few megabytes that becomes full and is freed again."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class SmallDisk:
    """A file system of its own at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no room: what goes on growing has at most the rest of a page that it has begun."""
        handle = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (1 << 20, PAGE_BYTES, 1):
                self._write_all(handle, size)
        finally:
            os.close(handle)

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink()

    def _write_all(self, handle: int, size: int) -> None:
        try:
            while os.write(handle, b"x" * size) == size:
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A file system in memory, mounted at `path`. Skips the test where nobody but root may mount one."""
    path.mkdir()
    options = f"size={size_bytes},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "finetui-test", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no disk can be made here ({done.stderr.strip()}); test_no_room.py does without")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
