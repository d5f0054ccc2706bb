"""The process of one model server: started, watched and ended."""

import hashlib
import os
import secrets
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.logged_process import LoggedProcess
from engine.inference.panes import Pane

LONGEST_SOCKET = 100
"""Bytes of a unix socket's path; the system allows 108, some 104."""


class ServerProcess(LoggedProcess):
    """A server for the base model of `pane`. It has a session of its own and ends with this process or `stop`."""

    def __init__(self, home: Home, pane: Pane, idle_s: float) -> None:
        if find_spec("torch") is None or find_spec("uvicorn") is None:
            raise FinetuiError(
                "Models cannot answer here.",
                why="The training side (torch and what goes with it) is not installed.",
                fix="Install it with: pip install 'finetui[train]'",
            )
        home.ensure()
        key = hashlib.sha256(repr(pane.server).encode()).hexdigest()[:10]
        # One process may have two servers of the same model: a chat's, and a judge's that ends with what it judges.
        self.socket = home.sockets / f"{key}-{secrets.token_hex(3)}-{os.getpid()}.sock"
        self.was_ready = False
        """Whether it has answered yet. One that ended before that would end again."""
        self.adapters: set[str] = set()
        """What it calls the adapters that were loaded; nobody else loads or removes any."""
        self._spare: Path | None = None
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET:
            self._spare = Path(tempfile.mkdtemp(prefix="finetui-"))  # mode 0700
            self.socket = self._spare / "s"
        super().__init__(self._command(pane, idle_s), home.sockets / f"{key}.log", module_environment())

    def stop(self) -> None:
        """End the server, within a few seconds, and remove its socket."""
        super().stop()
        self.socket.unlink(missing_ok=True)
        if self._spare is not None and self._spare.exists():
            self._spare.rmdir()

    def _command(self, pane: Pane, idle_s: float) -> list[str]:
        command = [sys.executable, "-P", "-m", "engine.worker.serve", "--base", pane.model]
        command += ["--method", "qlora" if pane.quantised else "lora", "--precision", pane.precision]
        command += ["--socket", str(self.socket), "--idle-s", f"{idle_s:g}", "--parent-pid", str(os.getpid())]
        command += ["--revision", pane.revision] if pane.revision else []
        command += ["--trust-remote-code"] if pane.trust_remote_code else []
        return command


def module_environment() -> dict[str, str]:
    """The environment of a process that runs a module of finetui's.

    `-P` keeps the folder the user happens to be in off the import path; the package's own folder must be on it.
    """
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
    environment.setdefault("GOMP_SPINCOUNT", "5000")  # as for a run: see the supervisor
    return environment
