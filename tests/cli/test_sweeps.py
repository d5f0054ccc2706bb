"""`finetui sweep` and `finetui sweeps`: what is said before, and of a sweep as its driver left it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.home import Home
from engine.runs.rundir import write_json
from engine.sweeps.folder import SweepDir, Trial, TrialState
from engine.sweeps.spec import make_spec
from tests.cli.conftest import Cli, MakeRun
from tests.engine.runs_at_work import put_away

RATES = """
preset = "quick-look"
method = "grid"

[recipe]
dataset = "small"

[search]
lr = [1e-4, 2e-4]
lora_r = [8, 16, 32]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "rates.toml"
    file.write_text(RATES)
    return file


@pytest.fixture
def done(home: Home, make_run: MakeRun, cli: Cli) -> Iterator[SweepDir]:
    """A sweep of three trials that ended: one good, one pruned, one failed."""
    folder = SweepDir(home.sweeps / "s0aaa")
    folder.path.mkdir(parents=True)
    search = {"learning_rate": [1e-4, 2e-4, 3e-4], "lora_r": [8, 16]}
    spec = make_spec({"name": "rates", "search": search, "trials": 3, "recipe": {"dataset": "support"}})
    folder.spec.write_text(spec.to_toml())
    write_json(folder.about, {"id": "s0aaa", "name": "rates", "created": time.time()})
    write_json(folder.exit, {"status": "succeeded", "reason": "", "ended": time.time()})
    for number in (1, 2):
        make_run(f"r{number}aaa", f"rates-0{number}", learning_rate=1e-4 * number)
    folder.write_trials(
        [
            Trial(0, {"learning_rate": 1e-4, "lora_r": 8}, TrialState.COMPLETE, 1.2, 3, "r1aaa"),
            Trial(1, {"learning_rate": 2e-4, "lora_r": 8}, TrialState.PRUNED, 2.2, 2, "r2aaa", "pruned at step 2"),
            Trial(2, {"learning_rate": 3e-4, "lora_r": 16}, TrialState.FAILED, reason="out of \x1b[31mmemory"),
        ]
    )
    with put_away(home.sweeps):
        assert cli("store", "rebuild", "--json").json["sweeps"] == 1
        yield folder


def test_a_dry_run_says_every_trial(cli: Cli, file: Path, chats: Path, home: Home) -> None:
    assert cli("sweep", str(file), "--dry-run").status == 2, "the dataset is not there"
    cli("datasets", "import", str(chats), "--name", "small")
    shown = cli("sweep", str(file), "--dry-run")
    assert shown.status == 0
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["TRIAL", "learning_rate", "lora_r"]
    assert [line.split() for line in lines[1:7]] == [
        [str(number), rate, rank]
        for number, (rate, rank) in enumerate([(r, k) for r in ("1e-4", "2e-4") for k in ("8", "16", "32")], 1)
    ]
    assert "6 runs" in lines[-1]
    found = cli("sweep", str(file), "--dry-run", "--json", "--trials", "4", "--name", "ranks").json
    assert (
        found["runs"] == len(found["trials"]) == 4
        and found["spec"]["name"] == "ranks"
        and found["spec"]["recipe"]["max_steps"] == 40
    )
    assert not home.sweeps.exists() and not list(home.runs.iterdir())


def test_every_wrong_line_is_said_at_once(cli: Cli, file: Path) -> None:
    file.write_text('methd = "grid"\n[search]\nlora_rr = [1]\nlora_r = [0]\n[recipe]\nepochs = -1')
    failed = cli("sweep", str(file))
    assert failed.status == 2
    for text in ("did you mean method", "did you mean lora_r", "search.lora_r:", "num_train_epochs", "recipe.dataset"):
        assert text in failed.stderr


def test_what_came_of_it(cli: Cli, done: SweepDir) -> None:
    listed = cli("sweeps", "ls")
    assert "rates" in listed.stdout and "3/3" in listed.stdout and "rates-01" in listed.stdout
    shown = cli("sweeps", "show", "rates")
    assert shown.status == 0 and "\x1b" not in shown.stdout
    rows = shown.stdout.splitlines()[-3:]
    assert rows[0].split()[:4] == ["1", "★", "1e-4", "8"] and "complete" in rows[0]
    assert "pruned at step 2" in rows[1] and "out of memory" in rows[2]
    assert "too few trials: 2 of at least 4" in shown.stdout
    found = cli("sweeps", "show", "s0a", "--json").json
    assert found["best"]["run"] == "r1aaa" and found["best"]["value"] == 1.2
    assert [trial["state"] for trial in found["trials"]] == ["complete", "pruned", "failed"]
    assert cli("sweeps", "ls", "--json").json[0]["total"] == 3


def test_what_cannot_be_done(cli: Cli, done: SweepDir) -> None:
    assert "cannot be resumed: it is succeeded" in cli("sweeps", "resume", "rates").stderr
    assert "has ended already" in cli("sweeps", "stop", "rates").stderr
    assert cli("sweeps", "show", "nothing").status == 2
    assert cli("sweeps", "rm", "rates").status == 0
    assert not done.path.exists()
    assert cli("sweeps", "ls").stdout.startswith("No sweeps")
    assert len(cli("runs", "ls", "--json").json) == 2, "its runs stay"
