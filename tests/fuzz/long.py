"""The fuzz tests for as long as somebody has time: `make fuzz MINUTES=30`. Each turn tries other things.

What fails is shown with its input. Keep that under `tests/fuzz/corpus/TARGET/`, with a name that says what it is: from
then on it is tried in every run of the tests, before and after the fault is mended.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.effort import LONG

TIMES = 50
"""So many times the examples of the short form in one turn."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz for some minutes.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("tests", nargs="*", default=[str(Path(__file__).parent)])
    given = parser.parse_args()
    ends, turn = time.monotonic() + given.minutes * 60, 0
    while time.monotonic() < ends:
        seed = given.seed + turn
        command = [sys.executable, "-m", "pytest", "-x", "--timeout=0", f"--hypothesis-seed={seed}", *given.tests]
        sys.stdout.write(f"turn {turn + 1}, seed {seed}\n")
        sys.stdout.flush()
        status = subprocess.run(command, env=os.environ | {LONG: str(TIMES)}, check=False).returncode
        if status:
            return status
        turn += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
