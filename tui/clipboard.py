"""Copying out of the terminal: by OSC 52, which goes through SSH, and into tmux's own buffer where there is one."""

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from tui.text import clean

if TYPE_CHECKING:
    from textual.app import App

PATIENCE_S = 2.0
MOST_BYTES = 74_000
"""Many terminals drop an OSC 52 sequence with more text than that."""


def copy(app: "App[Any]", text: str) -> str:
    """Copy `text`, cleaned, and say so in words for a notice.

    tmux swallows OSC 52 of what runs in it unless it is told otherwise, but passes on what is put into its buffer.
    """
    text = clean(text)
    app.copy_to_clipboard(text)
    if os.environ.get("TMUX") and (tmux := shutil.which("tmux")):
        app.run_worker(lambda: _into_tmux(tmux, text), thread=True, group="copy", exit_on_error=False)
    size = len(text.encode())
    words = f"Copied {len(text):,} characters."
    return words if size <= MOST_BYTES else f"{words} That is more than some terminals take."


def _into_tmux(tmux: str, text: str) -> None:
    subprocess.run([tmux, "load-buffer", "-w", "-"], input=text.encode(), timeout=PATIENCE_S, capture_output=True)
