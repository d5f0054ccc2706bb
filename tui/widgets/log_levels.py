"""Which lines of a log tell of an error, and which of a warning. Works on bytes: logs are long."""

import re

ERROR, WARNING = "error", "warning"

SIGNS: tuple[bytes, ...] = (
    *(b"rror", b"RROR", b"xception", b"raceback", b"CRITICAL", b"FATAL", b"fatal", b"Interrupt"),
    *(b"Segmentation", b"core dumped", b"Killed", b"out of memory", b"oom", b"WARN", b"Warning", b"warning"),
)
"""A line without any of these is neither: looking for them is many times as fast as asking line by line."""
MOST_TRACEBACK = 400
"""Lines; a traceback that is longer is cut off from its end, or is none."""

_ERROR = re.compile(
    rb"Traceback \(most recent call last\)"
    rb"|(?:^|[^\w.'\"])(?:ERROR|CRITICAL|FATAL)\b"
    rb"|^(?:\w+\.)*\w*(?:Error|Exception|Interrupt)(?::|\s*$)"
    rb"|(?:^|[:\]] )(?:fatal )?(?:error|fatal) ?:"
    rb"|Segmentation fault|core dumped|^Killed\b|(?:CUDA|HIP) (?:error|out of memory)|oom[-_]kill"
)
_WARNING = re.compile(rb"(?:^|[^\w.'\"])WARN(?:ING)?\b|\b\w*Warning\b(?::|\s*$)|(?:^|[:\]] )warning ?:")
_TRACEBACK = b"Traceback (most recent call last)"
_BETWEEN = (b"During handling of the above", b"The above exception was the direct")
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_PREFIX = re.compile(rb"^\[[^\]\n]{1,24}\]:? ?")
"""What launchers of several processes put before each line: `[rank0]: `."""


def plain(line: bytes) -> bytes:
    """A line as a terminal shows it: what a carriage return wrote over is gone, and colours are."""
    line = line.rstrip(b"\r").rpartition(b"\r")[2]
    return _ESCAPES.sub(b"", line) if b"\x1b" in line else line


def level_of(line: bytes) -> str:
    """`error`, `warning`, or empty, of one line by itself."""
    line = plain(line)
    bare = _PREFIX.sub(b"", line)
    if _ERROR.search(bare) or (bare is not line and _ERROR.search(line)):
        return ERROR
    return WARNING if _WARNING.search(bare) or _WARNING.search(line) else ""


def begins_traceback(line: bytes) -> bool:
    """Whether the lines after this one belong to it."""
    return _TRACEBACK in line


def ends_traceback(line: bytes) -> bool:
    """Whether this line of a traceback is its last: the one that names the exception."""
    bare = _PREFIX.sub(b"", plain(line))
    return bool(bare.strip()) and not bare[:1].isspace() and not bare.startswith(_BETWEEN) and _TRACEBACK not in bare
