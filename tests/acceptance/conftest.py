"""One home for all acceptance tests, with the demo's run in it: the starter model is built and trained on once."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.security.secret_values import SECRETS

FINETUI = str(Path(sys.executable).with_name("finetui"))


@dataclass(frozen=True)
class Installed:
    """finetui as a user has it: the command, and a home."""

    home: Path

    def run(self, *arguments: str, timeout_s: float = 400) -> subprocess.CompletedProcess[str]:
        """Call it in an environment full of secrets, as a user who lets everybody read what they write."""
        environment = os.environ | SECRETS | {"FINETUI_HOME": str(self.home), "HF_HUB_OFFLINE": "1"}
        return subprocess.run(
            [FINETUI, *arguments], env=environment, umask=0, capture_output=True, text=True, timeout=timeout_s
        )

    def json(self, *arguments: str, timeout_s: float = 400) -> Any:
        """The document that a command prints with `--json`. Fails where the command does."""
        done = self.run(*arguments, "--json", timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


@dataclass(frozen=True)
class Demo:
    """A home in which the demo has run, and what it said."""

    finetui: Installed
    document: dict[str, Any]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`finetui demo --headless --json` in a fresh home."""
    finetui = Installed(tmp_path_factory.mktemp("acceptance") / "home")
    return Demo(finetui, finetui.json("demo", "--headless", timeout_s=1800))
