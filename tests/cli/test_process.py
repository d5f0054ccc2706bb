"""The command line as a process: status, streams, and what it imports."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home
from engine.runs.allot import Request
from engine.runs.leases import Ticket
from store import open_store
from tests.cli.conftest import Cli, MakeRun
from tests.engine.runs_at_work import wait_for

MAIN = "import sys; from tui.cli import main; sys.exit(main())"
HEAVY = "torch transformers trl peft datasets pyarrow pandas textual"


def test_one_document_on_stdout_and_the_status(finetui: Cli, make_run: MakeRun) -> None:
    make_run()
    listed = finetui("runs", "ls", "--json")
    assert listed.status == 0 and listed.stderr == "" and listed.json[0]["id"] == "r0aaa"
    missing = finetui("runs", "show", "nothing", "--json")
    assert missing.status == 2 and "nothing" in missing.json["error"]["what"]
    assert "Traceback" not in missing.stderr
    usage = finetui("runs", "ls", "--nope")
    assert usage.status == 2 and "Traceback" not in usage.stderr


def test_home_beats_the_environment(finetui: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert finetui("store", "path", "--home", str(other)).stdout.strip() == str(other / "finetui.db")
    assert finetui("--home", str(other), "store", "path").stdout.strip() == str(other / "finetui.db")
    assert not other.exists(), "asking where it is makes nothing"


def test_a_home_that_cannot_be_written(finetui: Cli, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    failed = finetui("runs", "ls", "--home", str(blocked / "home"))
    assert failed.status == 2 and "cannot write to its home" in failed.stderr and "Traceback" not in failed.stderr


def test_listing_imports_nothing_heavy(finetui: Cli, make_run: MakeRun) -> None:
    make_run()
    code = f"""
import sys
from tui.cli import main
status = main(["runs", "ls", "--json"])
print([name for name in "{HEAVY}".split() if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""
    done = finetui(python=["-c", code])
    assert done.status == 0 and done.json and done.stderr.strip() == "[]"


def test_the_bare_call_imports_no_command_line(finetui: Cli) -> None:
    code = """
import sys
from tui.cli import main
status = main([])
print(status, [name for name in "typer click pydantic sqlite_utils tui.cli.root".split() if name in sys.modules])
"""
    done = finetui(python=["-c", code])
    assert done.stdout.strip() == "2 []"
    assert "needs a terminal" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["open", "first"], ["--home=HOME", "open", "first"], ["open", "first", "--json"]])
def test_opening_on_a_run_needs_a_terminal(finetui: Cli, make_run: MakeRun, home: Home, words: list[str]) -> None:
    make_run()
    refused = finetui(*(word.replace("HOME", str(home.root)) for word in words))
    assert refused.status == 2 and "needs a terminal" in refused.stderr and "Traceback" not in refused.stderr


def test_opening_on_a_run_shows_it_at_once(make_run: MakeRun, home: Home) -> None:
    make_run()
    with Terminal([FINETUI, "open", "first"], home.root) as terminal:
        terminal.wait_for(b"Lineage")
    with Terminal([FINETUI, "open", "frist"], home.root) as terminal:
        terminal.wait_for(b"Did you mean first?")


def test_a_fault_of_finetui_is_one_line_and_a_log(finetui: Cli, home: Home) -> None:
    code = """
import sys
from engine.datasets.library import DatasetLibrary
def broken(self, query=""): raise ZeroDivisionError("on\\x1b[31m purpose")
DatasetLibrary.list = broken
from tui.cli import main
sys.exit(main(["datasets", "ls"]))
"""
    failed = finetui(python=["-c", code])
    assert failed.status == 1 and failed.stdout == ""
    assert len(failed.stderr.splitlines()) == 1 and "\x1b" not in failed.stderr
    assert "ZeroDivisionError: on purpose" in failed.stderr and "FINETUI_DEBUG=1" in failed.stderr
    log = home.root / "finetui.log"
    assert str(log) in failed.stderr and "def broken" not in failed.stderr
    assert "Traceback" in log.read_text()
    assert "Traceback" in finetui(python=["-c", code], FINETUI_DEBUG="1").stderr


def test_a_reader_that_goes_away(home: Home, make_run: MakeRun) -> None:
    run = make_run()
    with run.log.open("a") as log:
        log.write("a long line to fill the pipe with\n" * 100_000)
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -c '{MAIN}' runs log first | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env=os.environ | {"FINETUI_HOME": str(home.root)},
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "loading the model" and done.stdout.splitlines()[1] != "0"


def test_a_command_beside_an_open_app_loses_nothing(finetui: Cli, make_run: MakeRun, home: Home) -> None:
    """A process that ends must not take the write-ahead log from one that goes on."""
    make_run()
    store = open_store(home.db)
    store.data_version()  # a second connection of this process
    store.runs.set_note("r0aaa", "before")
    assert finetui("runs", "ls", "--json").json[0]["notes"] == "before"
    assert finetui("runs", "tag", "r0aaa", "from-outside").status == 0
    store.runs.set_note("r0aaa", "after")
    run = store.runs.get("r0aaa")
    assert run is not None and run.tags == ("from-outside",)
    assert finetui("runs", "ls", "--json").json[0]["notes"] == "after"
    store.close()


def test_an_ascii_terminal(finetui: Cli, make_run: MakeRun, cli: Cli) -> None:
    make_run(name="emoji 🙂")
    shown = finetui("runs", "ls", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert shown.status == 0 and "emoji ?" in shown.stdout
    document = finetui("runs", "ls", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert document.json[0]["name"] == "emoji 🙂"


EARLY = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "tui.cli.root":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
"""


def test_ctrl_c_while_the_commands_are_loaded_is_quiet() -> None:
    command = [sys.executable, "-c", EARLY + MAIN, "runs", "ls"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("wait", [True, False], ids=["wait", "log -f"])
def test_ctrl_c_leaves_the_run_going(wait: bool, home: Home, cli: Cli, chats: Path) -> None:
    """A run that waits for its device is followed, and the one who follows gives up."""
    cli("datasets", "import", str(chats), "--name", "small")
    lease = Ticket(home.root / "leases", Request("other", ("cpu",))).try_take()
    assert lease is not None
    environment = os.environ | {"FINETUI_HOME": str(home.root), "CUDA_VISIBLE_DEVICES": ""}
    words = ["train", "--preset", "quick-look", "--dataset", "small", "--name", "patient"]
    command = [sys.executable, "-c", MAIN, *words, *(["--wait"] if wait else [])]
    if not wait:
        assert subprocess.run(command, env=environment, capture_output=True, timeout=60).returncode == 0
        command = [sys.executable, "-c", MAIN, "runs", "log", "patient", "-f"]
    follower = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a background job of a shell ignores Ctrl+C, and its children would, too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        if wait:
            assert follower.stderr is not None
            line = follower.stderr.readline()
            while "waiting for" not in line:
                assert line, "the run never waited"
                line = follower.stderr.readline()
        else:
            assert cli("runs", "ls", "--filter", "status:running", "--json").json
            process = psutil.Process(follower.pid)
            wait_for(lambda: any(one.path == str(home.db) for one in process.open_files()))
        with pytest.raises(subprocess.TimeoutExpired):
            follower.wait(1.0)
        follower.send_signal(signal.SIGINT)
        _, errors = follower.communicate(timeout=30)
        assert follower.returncode == 130 and "Traceback" not in errors
        if wait:
            assert "goes on" in errors
        [run] = cli("runs", "ls", "--filter", "status:running", "--json").json
        assert run["name"] == "patient" and run["status"] == "queued"
        assert cli("runs", "rm", "patient").status == 2, "a live run stays"
        assert cli("runs", "stop", "patient", "--json").status == 0
        ended = json.loads(
            subprocess.run(
                [sys.executable, "-c", MAIN, "runs", "log", "patient", "-f", "--json"],
                env=environment,
                capture_output=True,
                timeout=60,
                check=True,
            ).stdout
        )
        assert ended["name"] == "patient"
        assert cli("runs", "show", "patient", "--json").json["status"] == "stopped"
    finally:
        follower.kill()
        follower.wait()
        cli("runs", "stop", "patient", "--now")
        lease.release()
