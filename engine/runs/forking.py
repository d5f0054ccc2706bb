"""A command as a child that is on record before it does anything. Standard library only."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from engine.runs.signals import SignalQueue


def fork_gated(argv: Sequence[str], environment: Mapping[str, str], keep: Sequence[int]) -> tuple[int, int]:
    """Fork a child that runs `argv` once a byte is written to the gate. Returns its pid and the gate.

    Between the two its identity is put on record, so that no worker can ever be at work unrecorded: a supervisor
    killed before it opened the gate takes the child with it. The child leads a process group of its own and
    inherits the files `keep`.
    """
    ready, gate = os.pipe()
    with SignalQueue.held_back():
        pid = os.fork()
        if pid:
            with suppress(OSError):  # as the child does: whoever comes first
                os.setpgid(pid, pid)
            os.close(ready)
            return pid, gate
        return _become(argv, environment, keep, ready, gate)


def _become(
    argv: Sequence[str], environment: Mapping[str, str], keep: Sequence[int], ready: int, gate: int
) -> NoReturn:
    """In the child: wait at the gate, then be `argv`."""
    try:
        os.setpgid(0, 0)
        os.close(gate)
        SignalQueue.restore()
        if os.read(ready, 1):
            for fd in keep:
                os.set_inheritable(fd, True)
            program = sys.executable if argv[0] == "python" else argv[0]
            os.execvpe(program, [program, *argv[1:]], environment)
    except BaseException as error:
        os.write(2, f"finetui: {argv[0]} cannot be started: {error}\n".encode())
    finally:
        os._exit(127)
