"""Starts the processes of distributed runs without importing the libraries for each: `python -m tests.worker.ranks`.

Reads lines `ATTEMPT RUN_DIR`, forks two workers for each, as torchrun would start them, and answers with their exit
codes.
"""

import os
import socket
import sys

PROCESSES = 2


def main() -> None:
    import bitsandbytes  # noqa: F401

    import engine.worker.building
    import engine.worker.proof
    import engine.worker.rehearse  # noqa: F401

    for line in sys.stdin:
        attempt, folder = line.strip().split(" ", 1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        pids = [_fork(rank, port, attempt, folder) for rank in range(PROCESSES)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        sys.stdout.write(f"{codes}\n")
        sys.stdout.flush()


def _fork(rank: int, port: int, attempt: str, folder: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(PROCESSES),
        "LOCAL_WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "FINETUI_ATTEMPT": attempt,
    }
    from engine.worker.train import main as train

    code = 1
    try:
        code = train(folder)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
