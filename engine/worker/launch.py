"""`torch.distributed.run` for runs: starts a process for each device and ends with the first that fails.

`python -m engine.worker.launch OPTIONS -m engine.worker.train RUN_DIR`

torchrun ends its processes on SIGTERM, thirty seconds later by force. A run stops by the file `stop` in its folder, all
processes at the same step, and saves first, however long that takes; so the launcher ignores SIGTERM.
"""

import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from torch.distributed.run import main as run

    run(["--signals-to-handle=SIGINT,SIGQUIT", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
