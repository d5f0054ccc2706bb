"""Which of the closed list of failures an attempt ended in, told from its log and the signal that ended it.

For attempts whose worker could not say it itself: it was killed, or died before its own words were written.
"""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from engine.runs.failure_codes import FailureCode

LONGEST_REASON = 300
"""Characters of a line of the log that are kept as a reason."""

_TAIL_BYTES = 1 << 16
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS})

_SIGNS: dict[FailureCode, tuple[str, ...]] = {
    FailureCode.TIME_LIMIT: (r"slurmstepd: .*DUE TO TIME LIMIT",),
    FailureCode.PREEMPTED: (r"slurmstepd: .*DUE TO PREEMPTION",),
    FailureCode.NODE_FAILED: (r"slurmstepd: .*DUE TO NODE FAILURE",),
    FailureCode.CUDA_OUT_OF_MEMORY: (
        r"(CUDA|HIP) out of memory",
        r"CUDA error: out of memory",
        r"CUBLAS_STATUS_ALLOC_FAILED",
        r"torch\.\S*OutOfMemoryError",
    ),
    FailureCode.HOST_OUT_OF_MEMORY: (
        r"^MemoryError\b",
        r"Cannot allocate memory",
        r"can't allocate memory",
        r"std::bad_alloc",
        r"oom[-_]kill",
    ),
    FailureCode.DISK_FULL: (r"No space left on device", r"Disk quota exceeded"),
    FailureCode.DEVICE_LOST: (
        r"GPU is lost",
        r"has fallen off the bus",
        r"uncorrectable ECC",
        r"unspecified launch failure",
        r"no CUDA-capable device",
        r"CUDA driver (initialization failed|error)",
        r"CUDA unknown error",
    ),
    FailureCode.CANNOT_START: (r"^finetui: .* cannot be started: ",),
    FailureCode.INPUTS: (r"inputs\.json is missing or damaged",),
    FailureCode.NEEDS_REMOTE_CODE: (r"trust_remote_code",),
    FailureCode.GATED: (r"GatedRepoError", r"gated repo", r"401 Client Error", r"403 Client Error"),
    FailureCode.HUB_UNREACHABLE: (
        r"LocalEntryNotFoundError",
        r"OfflineModeIsEnabled",
        r"We couldn't connect to",
        r"Temporary failure in name resolution",
    ),
    FailureCode.LIBRARY: (r"^(ModuleNotFoundError|ImportError)\b", r"cannot open shared object file"),
}
"""What lines of a log say, in the order in which they count."""

_PATTERNS = {code: re.compile("|".join(signs)) for code, signs in _SIGNS.items()}

CAUSES = frozenset(
    {
        FailureCode.TIME_LIMIT,
        FailureCode.PREEMPTED,
        FailureCode.NODE_FAILED,
        FailureCode.CUDA_OUT_OF_MEMORY,
        FailureCode.HOST_OUT_OF_MEMORY,
        FailureCode.DISK_FULL,
        FailureCode.DEVICE_LOST,
    }
)
"""Failures whose line need not be the last word: what starts several workers has words of its own after theirs, and
what is killed has none.
"""


@dataclass(frozen=True)
class LastWords:
    """What the end of a log says: one line, and the failure that it means, if any."""

    line: str
    code: FailureCode | None


def code_in(line: str) -> FailureCode | None:
    """The failure that one line of a log, or the reason of a run, speaks of."""
    return next((code for code, pattern in _PATTERNS.items() if pattern.search(line)), None)


def code_of_signal(number: int) -> FailureCode:
    """What it means that this signal ended a worker that nobody had asked to end."""
    return FailureCode.CRASHED if number in _CRASHES else FailureCode.KILLED


def last_words(log: Path, offset: int = 0) -> LastWords:
    """What the log says went wrong: the last traceback's exception, else its last line.

    Where that means nothing, a line near the end that does. Without control characters, at most 300 characters.
    `offset`: where in the file to begin, in bytes.
    """
    lines = tail(log, offset)
    line = _exception(lines) or next((line.strip() for line in reversed(lines) if line.strip()), "")
    code = code_in(line)
    if code is None:
        said = next((line for line in reversed(lines) if code_in(line) in CAUSES), "")
        line, code = said.strip() or line, code_in(said)
    return LastWords(line[:LONGEST_REASON], code)


def tail(log: Path, offset: int = 0) -> list[str]:
    """The last lines of the log, 64 KB at most, without control characters; none where it cannot be read."""
    if not log.is_file():  # a pipe would be waited for
        return []
    try:
        with log.open("rb") as file:
            file.seek(max(offset, file.seek(0, 2) - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [_ESCAPE.sub("", line) for line in re.split(r"[\r\n]+", text)]


def _exception(lines: list[str]) -> str:
    """The line behind the last traceback that names its exception."""
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not starts:
        return ""
    return next((line for line in lines[starts[-1] + 1 :] if line and not line[0].isspace()), "")
