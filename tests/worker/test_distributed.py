"""Two processes that train one model: real torchrun, gloo on the CPU, QLoRA with 4-bit weights on the tiny model."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.recipe import make_recipe
from engine.runs.processes import worker_command
from engine.runs.rundir import RunDir, read_json, write_json
from engine.worker import distributed, launch, sharding
from engine.worker.loading import count_linear4bit, load_base
from engine.worker.refusal import Refusal
from tests.engine.runs_at_work import PROJECT, wait_for
from tests.worker.conftest import TinyModel
from tests.worker.runs import end, events, losses, make_run

pytestmark = pytest.mark.train

STEPS = 4


def make(folder: Path, model: Path, **recipe: Any) -> RunDir:
    values = {"devices": 2, "max_steps": STEPS, "eval_steps": 2, "rehearse": False, "assistant_only_loss": False}
    run = make_run(folder, model, rows=20, **(values | recipe))
    write_json(run.inputs, (read_json(run.inputs) or {}) | {"processes": 2})
    return run


class Ranks:
    """Pairs of workers, forked by a process that has the libraries loaded."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, run: RunDir, attempt: int = 1) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{attempt} {run.path}\n")
        self._process.stdin.flush()

    def wait(self) -> str:
        """The exit codes of the two."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    log = tmp_path_factory.mktemp("ranks") / "log.txt"
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.worker.ranks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=PROJECT,
        ) as process,
    ):
        yield Ranks(process)
        process.kill()


@pytest.fixture(scope="session")
def finished(ranks: Ranks, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run over two processes that has come to its end."""
    run = make(tmp_path_factory.mktemp("distributed") / "run", tiny_model.base)
    ranks.start(run)
    assert ranks.wait() == "[0, 0]"
    return run


def test_one_log_one_adapter_and_checkpoints_that_are_committed_once(finished: RunDir) -> None:
    log = events(finished, "metrics")
    assert [event["step"] for event in log] == [1, 2, 3, 4], "one process writes"
    assert all(0 < loss < 20 for loss in losses(finished).values())
    assert [event["step"] for event in events(finished, "checkpoint")] == [2, 4]
    plan = events(finished, "plan")[0]
    assert (plan["total_steps"], plan["processes"], plan["linear4bit"]) == (STEPS, 2, 14)
    assert [event["step"] for event in events(finished, "sample")] == [0, 2, 4], "process 0 samples, the other waits"
    assert end(finished)["status"] == "succeeded"
    names = {file.name for file in finished.committed_checkpoints()[-1].iterdir()}
    assert {"rng_state_0.pth", "rng_state_1.pth", "optimizer.pt", "COMMITTED"} <= names
    adapter = load_file(finished.adapter / "adapter_model.safetensors")
    assert any(weight.abs().sum() > 0 for name, weight in adapter.items() if "lora_B" in name)
    assert not {file.name for file in finished.adapter.iterdir()} & {"rng_state_0.pth", "rng_state_1.pth"}


def test_the_rows_of_all_processes_count(finished: RunDir) -> None:
    values = events(finished, "metrics")[-1]["values"]
    rows = STEPS * 2 * 2  # steps, rows at once, processes
    assert values["train/epoch"] == pytest.approx(rows / 17, abs=0.3)
    tokens = events(finished, "plan")[0]["train_tokens"] / 17 * rows
    assert values["train/num_tokens"] == pytest.approx(tokens, rel=0.25)
    assert values["train/tokens_per_s"] > 0


def test_a_stop_ends_both_at_one_step_and_a_resume_is_exact(
    finished: RunDir, ranks: Ranks, tiny_model: TinyModel, tmp_path: Path
) -> None:
    run = make(tmp_path / "run", tiny_model.base)
    ranks.start(run)
    wait_for(lambda: run.events.exists() and '"status":"training"' in run.events.read_text(), 100)
    run.stop.touch()
    assert ranks.wait() == "[0, 0]"
    stopped = end(run)
    step = int(stopped["summary"]["step"])
    assert (stopped["status"], stopped["reason"]) == ("stopped", f"stopped at step {step}")
    assert 0 < step < STEPS
    run.stop.unlink()
    ranks.start(run, attempt=2)
    assert ranks.wait() == "[0, 0]"
    assert end(run)["status"] == "succeeded"
    assert losses(run) == losses(finished), "to the last bit, the dropout of each process included"


def test_the_first_process_that_fails_says_why(ranks: Ranks, tiny_model: TinyModel, tmp_path: Path) -> None:
    run = make(tmp_path / "run", tiny_model.base)
    (tmp_path / "run" / "dataset" / "data.parquet").write_bytes(b"no parquet")
    ranks.start(run)
    assert ranks.wait() == "[1, 1]"
    assert not events(run, "end"), "that is for the launcher to say"
    launch._tell(run, 1, 1, oom_killed=False)
    told = end(run)
    assert (told["status"], told["code"]) == ("failed", "dataset_missing")
    distributed.forget_failures(run)
    launch._tell(run, 1, -signal.SIGKILL, oom_killed=False)
    assert (end(run)["reason"], end(run)["code"]) == ("process 1 was killed by signal 9", "killed")
    launch._tell(run, 1, -signal.SIGKILL, oom_killed=True)
    assert end(run)["code"] == "host_out_of_memory"


def test_the_launcher_outlives_a_sigterm_and_tells_how_a_process_died(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "run = pathlib.Path(sys.argv[1])\n"
        "(run / os.environ['RANK']).touch()\n"
        "while not (run / 'stop').exists(): time.sleep(0.02)\n"
        "os.environ['RANK'] == '1' and os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    command = worker_command(("python", str(program)), {"processes": 2}, str(run.path))
    with subprocess.Popen([sys.executable, *command[1:]], cwd=PROJECT, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: (run.path / "0").exists() and (run.path / "1").exists(), 60)
        process.terminate()
        run.stop.touch()
        assert process.wait(60) == 1
    assert (end(run)["reason"], end(run)["code"]) == ("process 1 was killed by signal 11", "crashed")


def test_a_model_is_shared_out_as_the_libraries_want_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.utils import FullyShardedDataParallelPlugin
    from transformers import TrainingArguments

    recipe = make_recipe({"dataset": "d", "devices": 2, "distributed": "fsdp", "gradient_checkpointing": True})
    assert sharding.sharding_settings(recipe) == {}, "one process has nothing to share"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(Refusal) as refused:
        sharding.sharding_settings(recipe)
    assert refused.value.changes == {"distributed": "ddp"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    settings = sharding.sharding_settings(recipe)
    monkeypatch.undo()
    plugin = FullyShardedDataParallelPlugin(**TrainingArguments(str(tmp_path), **settings).fsdp_plugin_args)
    assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.activation_checkpointing) == (2, True, True)
    assert "FULL" in str(plugin.state_dict_type)
    assert not settings["gradient_checkpointing"], "the plugin's own takes its place"


def test_shared_out_four_bit_weights_look_like_floats(monkeypatch: pytest.MonkeyPatch, tiny_model: TinyModel) -> None:
    recipe = make_recipe({"dataset": "d", "devices": 2, "distributed": "fsdp"})
    assert sharding.quantised_storage(recipe, torch.bfloat16) is torch.uint8
    monkeypatch.setenv("WORLD_SIZE", "2")
    storage = sharding.quantised_storage(recipe, torch.bfloat16)
    model = load_base(tiny_model.base, precision="bf16", storage=storage)
    kinds = {weight.dtype for weight in model.parameters()}
    assert kinds == {torch.bfloat16}, "all of one type, as a shared-out layer must be"
    assert count_linear4bit(model) == 14
