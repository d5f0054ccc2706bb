"""The leash: a program under it ends when it is asked to, with all it has started, and tells its exit status."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def leashed(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "engine.inference.leash", str(os.getpid()), "--", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(("code", "status"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_status_is_the_programs(code: str, status: int) -> None:
    with leashed("sh", "-c", code) as leash:
        assert leash.wait(10) == status


def test_what_the_program_started_ends_with_it() -> None:
    with leashed("sh", "-c", "sleep 60 & echo $!; wait") as leash:
        assert leash.stdout is not None
        child = psutil.Process(int(leash.stdout.readline()))
        leash.send_signal(signal.SIGTERM)
        leash.wait(10)
        child.wait(10)
