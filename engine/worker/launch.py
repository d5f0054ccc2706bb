"""`torch.distributed.run` for runs: starts a process for each device and ends with the first that fails.

`python -m engine.worker.launch OPTIONS -m engine.worker.train RUN_DIR`

torchrun ends its processes on SIGTERM, thirty seconds later by force. A run stops by the file `stop` in its folder, all
processes at the same step, and saves first, however long that takes; so the launcher ignores SIGTERM. It has the last
word on a run of which a process failed: the others fail after it, for no reason of their own.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.runs.failure_codes import FailureCode, remedy
from engine.runs.oom import OomWatch
from engine.runs.printing import print_regardless
from engine.runs.protocol import END_FOR_S, EventWriter
from engine.runs.recognise import code_of_signal
from engine.runs.rundir import RunDir
from engine.worker.distributed import first_failure, forget_failures


def main(arguments: Sequence[str]) -> int:
    """torchrun's own arguments; the last one is the run's folder. 0 when all processes ended well."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run

    folder = RunDir(Path(arguments[-1]))
    speaks = os.environ.get("SLURM_NODEID", "0") == "0"
    if speaks:
        forget_failures(folder)
    oom = OomWatch()
    try:
        run(["--signals-to-handle=SIGINT,SIGQUIT", *arguments])
    except ChildFailedError as error:
        if speaks:
            number, failed = error.get_first_failure()
            _tell(folder, number, failed.exitcode, oom_killed=oom.happened())
        return 1
    return 0


def _tell(run: RunDir, number: int, code: int, *, oom_killed: bool) -> None:
    """The end of a run of which process `number` failed: `code` is its exit code, or a signal's number below zero."""
    told = first_failure(run)
    reason, fields = told if told else _of_exit(number, code, oom_killed)
    writer = EventWriter(run.events, int(os.environ.get("FINETUI_ATTEMPT", "1")), end_for_s=END_FOR_S)
    writer.write("alert", level="error", message=reason, **fields)
    writer.write("end", status="failed", reason=reason, **fields)
    writer.close()
    sys.stderr.write(f"{reason}\n")


def _of_exit(number: int, code: int, oom_killed: bool) -> tuple[str, dict[str, Any]]:
    if oom_killed and code == -signal.SIGKILL:
        what, failure = "was killed by the system: out of memory", FailureCode.HOST_OUT_OF_MEMORY
    elif code < 0:
        what, failure = f"was killed by signal {-code}", code_of_signal(-code)
    else:
        what, failure = f"ended with exit code {code}", FailureCode.UNKNOWN
    return f"process {number} {what}", {"code": failure.value, "fix": remedy(failure, None).fix}


if __name__ == "__main__":
    print_regardless()
    sys.exit(main(sys.argv[1:]))
