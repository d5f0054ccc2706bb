"""What the app's threads take their memory from."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from tui.allocator import keep_together
if "together" in sys.argv:
    keep_together()
together = threading.Barrier(4)
def read():
    held = [bytes(2_000) for _ in range(1_000)]
    together.wait()
threads = [threading.Thread(target=read) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="the C library is not glibc")
@pytest.mark.parametrize(("asked", "more"), [("apart", True), ("together", False)])
def test_all_threads_take_it_from_one_place(asked: str, more: bool) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, asked], capture_output=True, text=True, check=True)
    assert "Arena 0" in done.stderr
    assert ("Arena 1" in done.stderr) is more
