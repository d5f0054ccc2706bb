"""Why a run failed, and the way on, from the command line."""

from typing import Any

import pytest

from engine.runs.manager import RunManager
from tests.cli.conftest import Cli, MakeRun

Done = list[Any]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Done:
    """What was launched and resumed, instead of doing it."""
    done: Done = []

    def launch(self: RunManager, recipe: object, *, name: str, tags: object) -> object:
        done.append((recipe, name, tags))
        return self._store.runs.list()[0]

    monkeypatch.setattr(RunManager, "launch", launch)
    monkeypatch.setattr(RunManager, "resume", lambda self, run_id: done.append(run_id))
    return done


def test_show_says_why_and_what_to_do(cli: Cli, make_run: MakeRun) -> None:
    make_run(status="failed", failure="cuda_out_of_memory", per_device_train_batch_size=4)
    text = cli("runs", "show", "first").stdout
    assert "CUDA out of memory at step 3 (cuda_out_of_memory)" in text
    assert "finetui runs fix r0aaa   (launch with batch 2)" in text
    failure = cli("runs", "show", "first", "--json").json["failure"]
    assert failure["code"] == "cuda_out_of_memory" and failure["action"] == "launch"
    assert failure["changes"]["per_device_train_batch_size"] == 2
    assert failure["why"] and failure["suggestion"] and failure["title"]
    [document] = cli("runs", "ls", "--json").json
    assert (document["failure_code"], document["stalled"]) == ("cuda_out_of_memory", None)


def test_fix_launches_the_changed_run_and_a_dry_run_does_not(cli: Cli, make_run: MakeRun, launched: Done) -> None:
    make_run(status="failed", failure="loss_not_finite", tags=["t"], learning_rate=2e-4)
    dry = cli("runs", "fix", "first", "--dry-run", "--json").json
    assert dry["failure"]["changes"] == {"learning_rate": 5e-5}
    assert "learning_rate 5e-05" in cli("runs", "fix", "first", "--dry-run").stdout
    assert not launched
    assert "with learning_rate 5e-05" in cli("runs", "fix", "first").stdout
    [(recipe, name, tags)] = launched
    assert (recipe.learning_rate, name, tags) == (5e-5, "first", ("t",))


def test_fix_resumes_what_was_killed(cli: Cli, make_run: MakeRun, launched: Done) -> None:
    make_run(status="failed", failure="killed")
    assert "resumed" in cli("runs", "fix", "first").stdout
    assert launched == ["r0aaa"]


def test_what_only_the_user_can_mend_is_refused_with_the_way(cli: Cli, make_run: MakeRun, launched: Done) -> None:
    run = make_run(status="failed", failure="no_rows")
    refused = cli("runs", "fix", "first")
    assert refused.status == 2 and "only you can make" in refused.stderr
    assert f"finetui train {run.path}/recipe.toml" in cli("runs", "show", "first").stdout
    assert not launched


def test_code_from_elsewhere_runs_only_after_a_yes(cli: Cli, make_run: MakeRun, launched: Done) -> None:
    make_run(status="failed", failure="needs_remote_code")
    assert cli("runs", "fix", "first", input="n\n").status == 2
    assert cli("runs", "fix", "first", "--json").status == 2
    assert not launched
    assert cli("runs", "fix", "first", input="y\n").status == 0
    assert cli("runs", "fix", "first", "--yes", "--json").status == 0
    assert [recipe.trust_remote_code for recipe, _, _ in launched] == [True, True]


def test_there_is_nothing_to_fix_in_a_run_that_succeeded(cli: Cli, make_run: MakeRun) -> None:
    make_run()
    assert cli("runs", "show", "first", "--json").json["failure"] is None
    assert cli("runs", "fix", "first").status == 2


def test_a_variant_of_a_variant_is_numbered_on(cli: Cli, make_run: MakeRun, launched: Done) -> None:
    make_run()
    make_run("r0bbb", "first-2", status="failed", failure="inputs")
    make_run("r0ccc", "lr-100", status="failed", failure="inputs")
    assert cli("runs", "fix", "first-2").status == cli("runs", "fix", "lr-100").status == 0
    assert [name for _, name, _ in launched] == ["first", "lr-100"]
