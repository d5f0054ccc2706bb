"""What is said of runs that ended other than well, and what is offered for each reason of the closed list."""

from pathlib import Path
from typing import Any

import pytest

from engine.insight.failure_words import change_words
from engine.insight.failures import Action, Failure, explain, failure_code, fixed_recipe
from engine.recipe import make_recipe
from engine.runs.failure_codes import HIGHEST_RATE, MEMORY, FailureCode
from engine.runs.rundir import COMMITTED, RunDir, checkpoint_name, write_json
from store.records import EventRow, Latest, Run, Status

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "failures.md"
PLANNED = {
    "dataset": "support",
    "max_length": 2048,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 4,
    "gradient_checkpointing": False,
    "optim": "adamw_torch",
}
ASKED = {"dataset": "support", "learning_rate": 2e-4}


def make_run(
    folder: Path,
    failure: str,
    *,
    status: Status = Status.FAILED,
    planned: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    **fields: Any,
) -> Run:
    """A run that ended, with its folder: `planned` is the recipe it was trained with, `asked` the one of the launch."""
    folder.mkdir(parents=True, exist_ok=True)
    rundir = RunDir(folder)
    recipe = make_recipe(PLANNED | (planned or {}))
    rundir.recipe.write_text(recipe.to_toml(), encoding="utf-8")
    write_json(rundir.inputs, {"asked": make_recipe(ASKED | (asked or {})).model_dump(mode="json")})
    values: dict[str, Any] = {
        "id": "r1",
        "name": "support-qlora",
        "status": status,
        "reason": "it said so",
        "model": "starter",
        "method": recipe.method,
        "dataset": "support",
        "dataset_id": "d1",
        "created": 1.0,
        "started": 2.0,
        "ended": 3.0,
        "attempt": 1,
        "step": 212,
        "total_steps": 500,
        "eta_s": None,
        "tokens_per_s": None,
        "peak_vram_bytes": None,
        "cost": None,
        "phase": "",
        "phase_progress": None,
        "heartbeat": 3.0,
        "best_step": None,
        "tags": (),
        "notes": "",
        "recipe": recipe.model_dump(mode="json"),
        "dir": str(folder),
        "failure": failure,
    }
    return Run(**(values | fields))


def explained(run: Run, *events: EventRow) -> Failure:
    found = explain(run, events, RunDir(Path(run.dir)))
    assert found is not None
    return found


def end(**body: Any) -> EventRow:
    return EventRow("r1", 9, 3.0, 1, "end", {"status": "failed", **body})


@pytest.mark.parametrize("code", FailureCode)
def test_every_reason_is_explained_with_a_suggestion_that_can_be_carried_out(code: FailureCode, tmp_path: Path) -> None:
    run = make_run(tmp_path, code, status=Status.STOPPED if code is FailureCode.STOPPED else Status.FAILED)
    found = explained(run)
    assert found.code is code
    assert found.title and found.suggestion.endswith(".") and "it said so" in found.why
    assert found.offer
    assert bool(found.changes) <= (found.action is Action.LAUNCH)
    changed = fixed_recipe(run, found)
    assert (changed != make_recipe(ASKED)) == bool(found.changes)


@pytest.mark.parametrize("code", FailureCode)
def test_every_reason_is_documented(code: FailureCode) -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{code}` ")]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert len(cells) == 5 and all(cells)


def test_no_reason_is_documented_that_there_is_not() -> None:
    named = [line.split("`")[1] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(FailureCode)


def test_what_is_documented_of_the_key_is_what_it_does(tmp_path: Path) -> None:
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):
            continue
        code = line.split("`")[1]
        status = Status.STOPPED if code == "stopped" else Status.FAILED
        action = explained(make_run(tmp_path, code, status=status)).action
        assert line.rstrip("| ").rsplit("|", 1)[1].strip().split(":")[0] == action, code


def test_the_two_memories_are_two_reasons_with_a_change_each(tmp_path: Path) -> None:
    gpu = explained(make_run(tmp_path, "cuda_out_of_memory", planned={"optim": "paged_adamw_8bit"}))
    host = explained(make_run(tmp_path, "host_out_of_memory", planned={"optim": "paged_adamw_8bit"}))
    assert gpu.title == "CUDA out of memory at step 212"
    assert gpu.changes == {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 8}
    assert gpu.offer == "launch with batch 2 × 8"
    assert host.title == "The machine's memory ran out at step 212"
    assert host.changes["optim"] == "adamw_8bit"


@pytest.mark.parametrize("code", sorted(MEMORY))
def test_a_run_that_was_planned_smaller_stays_as_small_in_all_else(tmp_path: Path, code: str) -> None:
    found = explained(make_run(tmp_path, code, planned={"per_device_train_batch_size": 1}))
    assert found.changes == {
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 4,
        "gradient_checkpointing": True,
    }, "else the next plan might raise the batch again"
    assert found.offer == "launch with batch 1 × 4 and checkpointing"


def test_the_effective_batch_is_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path, "cuda_out_of_memory")
    assert fixed_recipe(run, explained(run)).batches_per_step == make_recipe(PLANNED).batches_per_step


def test_memory_is_told_in_figures(tmp_path: Path) -> None:
    metrics = {"system/host_memory_percent": Latest(97.4, 10.0, 97.4, 3, 1)}
    run = make_run(tmp_path, "cuda_out_of_memory", peak_vram_bytes=23 << 30, metrics=metrics)
    inputs = {"plan": {"needs_bytes": 20 << 30, "device_bytes": 24 << 30}}
    write_json(RunDir(tmp_path).inputs, inputs)
    why = explained(run).why
    assert "20.0 GB of 24.0 GB" in why and "23.0 GB at most" in why and "97 % full" in why


def test_what_the_worker_itself_suggests_comes_first(tmp_path: Path) -> None:
    run = make_run(tmp_path, "loss_not_finite")
    told = end(code="loss_not_finite", fix="Halve it.", changes={"learning_rate": 1e-4})
    found = explained(run, told)
    assert (found.suggestion, found.changes) == ("Halve it.", {"learning_rate": 1e-4})
    assert explained(run, end(code="model", changes={"model": "x"})).changes == {"learning_rate": 5e-5}, "another's"
    nonsense = end(code="loss_not_finite", changes={"learning_rate": "red"})
    assert explained(run, nonsense).action is Action.EDIT, "what is no recipe is not launched"


def test_a_rate_that_is_far_too_high_becomes_one_that_can_work(tmp_path: Path) -> None:
    found = explained(make_run(tmp_path, "loss_not_finite", planned={"learning_rate": 100.0}))
    assert found.changes == {"learning_rate": HIGHEST_RATE}


@pytest.mark.parametrize(
    ("asked", "changes"),
    [({"max_length": 16}, {"max_length": "auto"}), ({"max_length": "auto"}, {"max_length": 32})],
    ids=["chosen by hand", "chosen by the plan"],
)
def test_answers_that_are_cut_off_get_more_room(tmp_path: Path, asked: dict[str, Any], changes: dict[str, Any]) -> None:
    run = make_run(tmp_path, "nothing_to_learn", planned={"max_length": 16}, asked=asked)
    assert explained(run).changes == changes


def test_code_from_elsewhere_is_asked_for_first(tmp_path: Path) -> None:
    found = explained(make_run(tmp_path, "needs_remote_code", model="some/model"))
    assert found.changes == {"trust_remote_code": True}
    assert "some/model" in found.question


def test_a_run_that_goes_on_says_from_where(tmp_path: Path) -> None:
    run = make_run(tmp_path, "killed")
    assert "starts again from step 0" in explained(run).suggestion
    folder = RunDir(tmp_path).checkpoints / checkpoint_name(200)
    folder.mkdir(parents=True)
    (folder / COMMITTED).touch()
    found = explained(run)
    assert found.action is Action.RESUME and "step 200" in found.suggestion


def test_runs_of_older_versions_are_told_by_their_reason(tmp_path: Path) -> None:
    def code(status: Status, reason: str) -> FailureCode:
        return failure_code(make_run(tmp_path, "", status=status, reason=reason))

    assert code(Status.FAILED, "RuntimeError: CUDA out of memory. Tried") is FailureCode.CUDA_OUT_OF_MEMORY
    assert code(Status.FAILED, "ValueError: red") is FailureCode.UNKNOWN
    assert code(Status.LOST, "the process is gone") is FailureCode.VANISHED
    assert code(Status.STOPPED, "stopped at step 2") is FailureCode.STOPPED


def test_a_run_that_is_well_has_no_failure(tmp_path: Path) -> None:
    for status in (Status.TRAINING, Status.SUCCEEDED):
        assert explain(make_run(tmp_path, "", status=status), (), RunDir(tmp_path)) is None


def test_a_run_without_its_folder_is_explained_all_the_same(tmp_path: Path) -> None:
    run = make_run(tmp_path / "gone", "cuda_out_of_memory")
    for file in (tmp_path / "gone").iterdir():
        file.unlink()
    found = explained(run)
    assert found.changes["per_device_train_batch_size"] == 2
    broken = make_run(tmp_path / "gone", "cuda_out_of_memory", recipe={"of": "another version"})
    RunDir(tmp_path / "gone").recipe.write_text("{")
    assert explained(broken).action is Action.EDIT


def test_changes_in_words() -> None:
    assert change_words({"learning_rate": 5e-5}) == "learning_rate 5e-05"
    assert change_words({"assistant_only_loss": False}) == "assistant_only_loss off"
    assert change_words({"gradient_checkpointing": True}) == "checkpointing"
    assert change_words({"gradient_accumulation_steps": 2}) == "gradient_accumulation_steps 2"
