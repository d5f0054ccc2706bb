"""What a process prints goes into its run's log, and a disk that is full must not end it. Standard library only."""

import io
import sys


class _Forgiving(io.FileIO):
    """Takes what cannot be written as written: a line of the log is worth less than the run."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def print_regardless() -> None:
    """From now on nothing that this process prints raises `OSError`. For the start of a program, before it prints."""
    for name, fd, errors in (("stdout", 1, "replace"), ("stderr", 2, "backslashreplace")):
        raw = _Forgiving(fd, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=True, write_through=True
        )
        setattr(sys, name, stream)
