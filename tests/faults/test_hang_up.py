"""Row 2: the line drops. A shell with the app in front of it, and a run that was launched from that very shell.

Its terminal goes away as it does in life: the other end of the pseudo-terminal is closed (a window, a serial line),
tmux is told to end its session or itself, an SSH client vanishes. The run goes on, and the next app shows it without a
gap.
"""

import contextlib
import getpass
import os
import pty
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home
from engine.runs.identity import Identity, identity_of, is_alive
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir
from store import open_store
from store.records import Status
from tests.engine.runs_at_work import PROJECT, ending, import_support, reached, wait_for
from tests.faults.watched import Watched

STEPS, HELD = 20, 10
"""Of the run, and the step at which it waits for its shell to be gone."""

Ends = Callable[[], object]
Opening = contextlib.AbstractContextManager[Ends]
"""A terminal in which a line of shell runs; what is given is what ends that terminal."""


@contextlib.contextmanager
def window(line: str) -> Iterator[Ends]:
    """A shell that leads the session of a pseudo-terminal."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", line])
    os.set_blocking(master, False)
    closed = False

    def close() -> None:
        nonlocal closed
        if not closed:
            closed = True
            os.close(master)

    try:
        yield close
    finally:
        close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def tmux(line: str, *ends: str) -> Iterator[Ends]:
    """A session of a tmux server of its own; `ends` is tmux's command that ends it."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    name = f"finetui-{os.getpid()}"
    environment = {name: value for name, value in os.environ.items() if name != "TMUX"}

    def call(*words: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(["tmux", "-L", name, "-f", "/dev/null", *words], check=False, env=environment)

    assert (
        call("new-session", "-d", "-s", "work", "-x", "120", "-y", "36", f"sh -c {shlex.quote(line)}").returncode == 0
    )
    try:
        yield lambda: call(*ends)
    finally:
        call("kill-server")


@contextlib.contextmanager
def ssh(line: str, folder: Path) -> Iterator[Ends]:
    """A login over the loopback, to a server and by a key that are made for it; its end is a client that is killed."""
    server = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("no SSH server is installed (apt-get install openssh-server)")
    folder.mkdir(mode=0o700)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    shutil.copy(folder / "user.pub", folder / "allowed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the server wants it; usually its service makes it
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "allowed",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    daemon = subprocess.Popen([server, "-D", "-f", "/dev/null", *options], stderr=subprocess.DEVNULL)
    login = [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        f"UserKnownHostsFile={folder / 'known'}",
        "-i",
        str(folder / "user"),
    ]
    client_words = ["ssh", "-F", "/dev/null", "-q", *login, "-p", str(port), f"{getpass.getuser()}@127.0.0.1"]
    wait_for(lambda: answers(port))
    if subprocess.run([*client_words, "true"], stdin=subprocess.DEVNULL, check=False).returncode:
        daemon.terminate()
        daemon.wait()
        pytest.skip("the SSH server lets this user in by no key: the account may be locked")
    master, slave = pty.openpty()
    client = subprocess.Popen(
        [*client_words, "-tt", line], stdin=slave, stdout=subprocess.DEVNULL, start_new_session=True
    )
    os.close(slave)
    try:
        yield client.kill
    finally:
        client.kill()
        client.wait()
        daemon.terminate()
        daemon.wait()
        os.close(master)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize(
    "how",
    [
        "window-closed",
        pytest.param("tmux-session", marks=pytest.mark.long),
        pytest.param("tmux-server", marks=pytest.mark.long),
        "ssh-client",
    ],
)
def test_row_2_a_run_outlives_the_terminal_that_it_was_launched_from(home: Home, tmp_path: Path, how: str) -> None:
    store = open_store(home.db)
    import_support(home, store)
    given = {"FINETUI_HOME": home.root, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": PROJECT, "TERM": "xterm-256color"}
    here = f"cd {PROJECT} && export " + " ".join(f"{name}={value}" for name, value in given.items())
    launch = f"STAND_IN='--steps {STEPS} --hold-at {HELD}' {sys.executable} -m tests.faults.as_finetui train"
    # $$ is the shell's, and then the app's
    line = (
        f"{here}; {launch} --dataset support --name goes-on && echo $$ > {tmp_path}/app && exec {FINETUI} open goes-on"
    )
    openings: dict[str, Callable[[], Opening]] = {
        "window-closed": lambda: window(line),
        "tmux-session": lambda: tmux(line, "kill-session", "-t", "work"),
        "tmux-server": lambda: tmux(line, "kill-server"),
        "ssh-client": lambda: ssh(line, tmp_path / "ssh"),
    }
    with openings[how]() as end:
        app = wait_for(lambda: app_of(tmp_path / "app"))
        [run] = store.runs.list()
        rundir = RunDir(home.runs / run.id)
        reached(rundir, HELD)
        end()
        wait_for(lambda: not is_alive(app))
    assert not rundir.exit.exists()
    (rundir.path / "go").touch()
    assert ending(rundir)["code"] == 0
    if how == "window-closed":  # the next app sees the same, however the one before ended
        with Terminal([FINETUI, "open", "goes-on"], home.root) as terminal:
            Watched(terminal).sees("goes-on", f"step {STEPS}/{STEPS}")
    manager = RunManager(home, store)
    manager.refresh()
    manager.close()
    series = store.metrics.series(run.id, "train/loss")
    found = store.runs.get(run.id)
    store.close()
    assert series is not None and series.steps == [*range(1, STEPS + 1)]
    assert found is not None and (found.status, found.attempt, found.warnings) == (Status.SUCCEEDED, 1, 0)


def app_of(file: Path) -> Identity | None:
    """The app whose pid the shell left, once it is the app."""
    if not file.exists() or not (text := file.read_text()).strip():
        return None
    pid = int(text)
    with contextlib.suppress(OSError):
        if b"open" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return identity_of(pid)
    return None
