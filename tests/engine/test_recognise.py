"""Failures that no worker could name: told by what the log and the signal say."""

import signal
from pathlib import Path

import pytest

from engine.runs.failure_codes import FailureCode
from engine.runs.recognise import code_in, code_of_signal, last_words

LINES = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.": FailureCode.CUDA_OUT_OF_MEMORY,
    "RuntimeError: CUDA error: out of memory": FailureCode.CUDA_OUT_OF_MEMORY,
    "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to": "host_out_of_memory",
    "MemoryError": FailureCode.HOST_OUT_OF_MEMORY,
    "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.": FailureCode.HOST_OUT_OF_MEMORY,
    "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***": "time_limit",
    "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO PREEMPTION ***": "preempted",
    "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT x DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***": "node_failed",
    "OSError: [Errno 28] No space left on device": FailureCode.DISK_FULL,
    "RuntimeError: CUDA error: unspecified launch failure": FailureCode.DEVICE_LOST,
    "finetui: /nowhere/python cannot be started: [Errno 2] No such file": FailureCode.CANNOT_START,
    "FileNotFoundError: /runs/r1/inputs.json is missing or damaged": FailureCode.INPUTS,
    "ValueError: x/y contains custom code; please pass the argument `trust_remote_code=True`": "needs_remote_code",
    "huggingface_hub.errors.GatedRepoError: 403 Client Error.": FailureCode.GATED,
    "OSError: We couldn't connect to 'https://huggingface.co' to load the files": FailureCode.HUB_UNREACHABLE,
    "ModuleNotFoundError: No module named 'flash_attn'": FailureCode.LIBRARY,
}


@pytest.mark.parametrize(("line", "code"), LINES.items())
def test_lines_that_say_which_failure_it_was(line: str, code: str) -> None:
    assert code_in(line) == code


def test_most_lines_say_nothing() -> None:
    assert code_in("ValueError: the loss is red") is None
    assert code_in("") is None


def test_a_worker_among_several_is_heard_through_what_started_them(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(
        "Traceback (most recent call last):\n  File 'a'\ntorch.OutOfMemoryError: CUDA out of memory.\n"
        "Traceback (most recent call last):\n  File 'b'\nChildFailedError: worker 1 failed\n"
    )
    said = last_words(log)
    assert (said.line, said.code) == ("torch.OutOfMemoryError: CUDA out of memory.", FailureCode.CUDA_OUT_OF_MEMORY)


def test_a_warning_on_the_way_is_not_the_cause(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(
        "ModuleNotFoundError: No module named 'wandb' (ignored)\n"
        "Traceback (most recent call last):\n  File 'b'\nValueError: it\n"
    )
    assert last_words(log).code is None


def test_crashes_are_told_from_kills() -> None:
    assert code_of_signal(signal.SIGSEGV) is FailureCode.CRASHED
    assert code_of_signal(signal.SIGKILL) is code_of_signal(signal.SIGHUP) is FailureCode.KILLED
