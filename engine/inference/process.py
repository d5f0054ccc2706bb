"""The process of one model server: started, watched and ended."""

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.panes import Pane

LONGEST_SOCKET = 100
"""Bytes of a unix socket's path; the system allows 108, some 104."""
LOG_TAIL_LINES = 12


class ServerProcess:
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
        self.log = home.sockets / f"{key}.log"
        self.socket = home.sockets / f"{key}-{os.getpid()}.sock"
        self.was_ready = False
        """Whether it has answered yet. One that ended before that would end again."""
        self._spare: Path | None = None
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET:
            self._spare = Path(tempfile.mkdtemp(prefix="finetui-"))  # mode 0700
            self.socket = self._spare / "s"
        self._process = _start(self._command(pane, idle_s), self.log)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def log_tail(self) -> str:
        """The last lines that the server wrote; of a progress bar only its last state."""
        try:
            lines = self.log.read_bytes().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        kept = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines if line.strip()]
        return "\n".join(kept[-LOG_TAIL_LINES:])

    def stop(self) -> None:
        """End the server, within a few seconds, and remove its socket."""
        if self.alive:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
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


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    # `-P` keeps the folder the user happens to be in off the import path; the package's own folder must be on it.
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
    environment.setdefault("GOMP_SPINCOUNT", "5000")  # as for a run: see the supervisor
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for the app; it ends the server itself
        )
    finally:
        os.close(descriptor)
