"""Row 25: secrets in the environment and in the settings are in nothing that finetui keeps or passes on.

A run that trains is looked at in the same way by `tests/acceptance/test_demo.py`; this one has a stand-in for the
worker, which is given the same environment. Settings of imported runs: `tests/history/test_values.py`. Secrets in
notes, names and reasons: `tests/engine/test_reports.py` and `test_registry.py`.
"""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.home import Home
from engine.insight.doctor_bundle import write_bundle
from store import Store
from tests.engine.runs_at_work import wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe
from tests.security.secret_values import HOOK, SECRETS, leaks
from tui.cli import main


@pytest.fixture
def secrets(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """A webhook's address, with a secret in it, and the paths that were posted to. It refuses each."""
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/services/{HOOK}", asked
    server.shutdown()
    server.server_close()


def test_row_25_secrets_reach_no_file_of_a_run_and_nothing_that_is_passed_on(
    secrets: None,
    hook: tuple[str, list[str]],
    home: Home,
    store: Store,
    managers: Managers,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    address, asked = hook
    settings = home.root / "settings.toml"
    password = SECRETS["MY_OWN_PASSWORD"]
    settings.write_text(f'[alerts]\nwebhook = "{address}"\ncommand = "false --password {password}"\n')
    manager = managers("--steps", "3", "--crash-at", "2")
    assert set(SECRETS.values()) <= set(os.environ.values()), "supervisor and worker are given them, too"
    run = ended(manager, store, manager.launch(recipe(), name="one"))
    wait_for(lambda: "alert could not be posted" in folder(home, run).log.read_text())
    assert asked == [f"/services/{HOOK}"]

    out = tmp_path / "out"
    out.mkdir()
    for kind in ("html", "csv", "markdown", "curves"):
        assert main(["--home", str(home.root), "runs", "compare", "one", f"--{kind}", str(out / f"report.{kind}")]) == 0
    assert main(["--home", str(home.root), "runs", "show", "one", "--json"]) == 0
    assert main(["--home", str(home.root), "runs", "log", "one"]) == 0
    write_bundle(out / "bundle.zip", home, [], "0.1.0")
    said = capfd.readouterr()
    (out / "said.txt").write_text(said.out + said.err)

    assert leaks([home.root, out], but=[settings]) == []
    assert len(list(out.iterdir())) == 6
    assert len(leaks([settings])) == 2, "the search finds what there is"
    (out / "told.txt").write_text(SECRETS["DATABASE_URL"])
    assert leaks([out]) == [f"DATABASE_URL in {out / 'told.txt'}"]


@pytest.mark.long  # it starts the libraries of the hub
def test_row_25_what_cannot_be_reached_is_told_without_the_password_of_the_proxy(
    secrets: None, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert main(["--home", str(home.root), "datasets", "import", "hub:nobody/nothing"]) == 2
    said = capfd.readouterr()
    told = tmp_path / "said.txt"
    told.write_text(said.out + said.err)
    assert "hub" in told.read_text()
    assert leaks([told, home.root]) == []
