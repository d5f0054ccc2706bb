"""A Slurm of one node for the tests that need one; they are skipped, with the reason, where it cannot be started."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.conftest import tiny_model

__all__ = ["slurm", "tiny_model"]

CLUSTER = Path(__file__).with_name("cluster.sh")
NOT_HERE = 3
"""Exit status of the script where Slurm is not installed, or this is not root."""


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running Slurm; `$SLURM_CONF` names it as long as the tests last."""
    folder = tmp_path_factory.mktemp("slurm")
    done = subprocess.run([str(CLUSTER), "start", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == NOT_HERE:
        pytest.skip(f"no Slurm: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = done.stdout.strip()
    yield folder
    subprocess.run([str(CLUSTER), "stop", str(folder)], check=True, timeout=60)
    if before is None:
        del os.environ["SLURM_CONF"]
    else:
        os.environ["SLURM_CONF"] = before
