"""What shells and `man` need of the program: completion, the version, the manual page."""

import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tui.cli.manual import manual
from tui.cli.reference import commands
from tui.cli.root import app

PAGE = Path(__file__).parents[2] / "docs" / "finetui.1"


def test_a_shell_that_completes_does_not_open_the_app(finetui: Cli) -> None:
    asked = {"_FINETUI_COMPLETE": "complete_bash", "COMP_WORDS": "finetui ru", "COMP_CWORD": "1"}
    done = finetui(**asked)
    assert (done.status, done.stdout.split(), done.stderr) == (0, ["runs"], "")
    below = finetui(**asked | {"COMP_WORDS": "finetui runs re", "COMP_CWORD": "2"})
    assert {"resume", "rename"} <= set(below.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_for_each_shell(finetui: Cli, shell: str) -> None:
    shown = finetui("--show-completion", shell)
    assert shown.status == 0 and "_FINETUI_COMPLETE" in shown.stdout


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version").stdout == f"finetui {metadata.version('finetui')}\n"


def test_the_manual_page_is_current_and_tells_every_command() -> None:
    page = manual(app)
    assert PAGE.read_text(encoding="utf-8") == page, "python -m tui.cli.manual > docs/finetui.1"
    for name, _ in commands(app):
        assert f'.SS "{name}"'.replace("-", "\\-") in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_the_manual_page_is_sound(tmp_path: Path) -> None:
    made = tmp_path / "finetui.1"
    made.write_text(manual(app), encoding="utf-8")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Kutf8", "-Tutf8", str(made)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "User Commands" in done.stdout
