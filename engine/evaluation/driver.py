"""Makes an evaluation in a process of its own, which outlives the terminal.

`python -m engine.evaluation.driver HOME ID CLAIM`
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.errors import FinetuiError
from engine.evaluation.folder import EvaluationDir
from engine.home import Home
from engine.runs.claim import accept


def start_driver(home: Home, evaluation: str) -> "subprocess.Popen[bytes]":
    """Measure what is missing of an evaluation, in a session of its own, its output in the evaluation's log.

    Raises `BadInput` while a process is at it, `FinetuiError` where the system refuses.
    """
    folder = EvaluationDir.of(home, evaluation)
    with folder.begun() as claim:
        folder.say("starting")
        return folder.start(home, claim)


def main(root: str, evaluation: str, claim: str) -> int:
    """Exit status 0 where it came to its end or was stopped, else 1; why is in the folder's exit record."""
    from engine.evaluation.running import drive, find_evaluation
    from store import open_store

    home = Home(Path(root))
    folder = EvaluationDir.of(home, evaluation)
    signal.signal(signal.SIGTERM, lambda _number, _frame: folder.stop.touch())
    store = open_store(home.db)
    try:
        drive(home, store, find_evaluation(store, evaluation), claim=accept(int(claim)))
    except FinetuiError as error:
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {error}\n")
        return 1
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
