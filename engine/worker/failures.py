"""Any exception of a worker as one of the reasons for which a run fails.

No torch here: it may be what could not be imported. What the libraries raise is told by the names of its classes and
by its words, the causes behind it included.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.errors import FinetuiError
from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode, remedy
from engine.runs.recognise import CAUSES, code_in
from engine.worker.refusal import Refusal

LONGEST_REASON = 300
"""Characters of what a library said that are told; the log has all of it."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed, for its `end` event. `changes` are recipe fields with which it can be launched again."""

    code: FailureCode
    reason: str
    fix: str
    changes: dict[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """As fields of an event."""
        return {"code": self.code.value, "fix": self.fix, "changes": self.changes}


def explain(error: BaseException, recipe: Recipe | None) -> Failure:
    """The failure that `error` is. `recipe` is the run's, where it could be read."""
    code, reason = _recognise(error)
    usual = remedy(code, recipe)
    told = error if isinstance(error, Refusal | FinetuiError) else None
    changes = error.changes if isinstance(error, Refusal) else None
    return Failure(code, reason, (told.fix if told else "") or usual.fix, usual.changes if changes is None else changes)


def _recognise(error: BaseException) -> tuple[FailureCode, str]:
    if isinstance(error, Refusal):
        return FailureCode(error.code), error.reason
    if isinstance(error, FinetuiError):
        code = getattr(error, "code", FailureCode.RECIPE)
        return FailureCode(code), " ".join(f"{error.what} {error.why}".split())
    for link in _chain(error):
        code = _code_of(link)
        # What merely was under way when it was raised counts only where it explains everything after it.
        if code is not None and (code in CAUSES or link in (error, error.__cause__)):
            return code, f"{_TITLES.get(code, 'The run failed')}: {_words(link)}"
    return FailureCode.UNKNOWN, f"{type(error).__name__}: {_words(error)}" if str(error) else type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and what was being handled."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _code_of(error: BaseException) -> FailureCode | None:
    names = {kind.__name__ for kind in type(error).__mro__}
    number = error.errno if isinstance(error, OSError) else None
    if "OutOfMemoryError" in names:
        return FailureCode.CUDA_OUT_OF_MEMORY
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return FailureCode.HOST_OUT_OF_MEMORY
    if number in (errno.ENOSPC, errno.EDQUOT):
        return FailureCode.DISK_FULL
    if "GatedRepoError" in names:
        return FailureCode.GATED
    if names & _HUB_NAMES and not isinstance(error, ConnectionError):  # the last is the system's own
        return FailureCode.HUB_UNREACHABLE
    found = next((code for line in str(error).splitlines() if (code := code_in(line))), None)
    if found is not None:
        return found
    if names & _DEVICE_NAMES or any(part in str(error) for part in _DEVICE):
        return FailureCode.DEVICE_LOST
    if isinstance(error, ImportError) or "Failed to import" in str(error):
        return FailureCode.LIBRARY
    if "ArrowInvalid" in names:
        return FailureCode.DATASET_MISSING
    return FailureCode.DISK_FULL if any(part in str(error) for part in _UNWRITTEN) else None


def _words(error: BaseException) -> str:
    """The first paragraph of what was said, on one line and of bearable length."""
    said = " ".join(str(error).strip().split("\n\n")[0].split()) or type(error).__name__
    return said if len(said) <= LONGEST_REASON else said[: LONGEST_REASON - 1] + "…"


_HUB_NAMES = {"OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectionError", "ConnectError", "ConnectTimeout"}
_DEVICE_NAMES = {"AcceleratorError", "NVMLError", "DistBackendError"}
_DEVICE = ("CUDA error", "CUDNN_STATUS", "cuDNN error", "CUBLAS_STATUS", "NCCL error")
_UNWRITTEN = ("PytorchStreamWriter failed", "file write failed")
"""What torch says instead of the system's own words."""

_TITLES = {
    FailureCode.CUDA_OUT_OF_MEMORY: "The GPU ran out of memory",
    FailureCode.HOST_OUT_OF_MEMORY: "The machine ran out of memory",
    FailureCode.DISK_FULL: "The disk is full",
    FailureCode.DEVICE_LOST: "The GPU failed",
    FailureCode.GATED: "The model is gated on the hub",
    FailureCode.HUB_UNREACHABLE: "The hub does not answer",
    FailureCode.LIBRARY: "A package is missing or does not fit",
    FailureCode.DATASET_MISSING: "The dataset's file is damaged",
    FailureCode.NEEDS_REMOTE_CODE: "The model needs code of its own",
}
