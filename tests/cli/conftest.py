"""Commands called as a person would, and run folders as workers leave them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, write_json
from tui.cli.root import app

Cli = Callable[..., "Outcome"]
MakeRun = Callable[..., RunDir]


@dataclass(frozen=True)
class Outcome:
    """What a call came to."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@pytest.fixture
def home(home: Home) -> Home:
    """The home of this test, ready to use."""
    return home.ensure()


@pytest.fixture
def cli(home: Home) -> Cli:
    """Call a command in this process. An exception that gets out of it fails the test."""

    def call(*words: str, input: str | None = None) -> Outcome:
        result: Result = CliRunner().invoke(app, list(words), input=input, prog_name="finetui")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def finetui(home: Home) -> Cli:
    """Call a command in a process of its own."""

    def call(*words: str, python: Sequence[str] = (), **environment: str) -> Outcome:
        start = python or ["-c", "import sys; from tui.cli import main; sys.exit(main())"]
        done = subprocess.run(
            [sys.executable, *start, *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"FINETUI_HOME": str(home.root)} | environment,
            timeout=120,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def make_run(home: Home, cli: Cli) -> MakeRun:
    """Leave a run's folder as a worker does that ended, and let `store rebuild` find it."""

    def make(
        run_id: str = "r0aaa",
        name: str = "first",
        *,
        status: str = "succeeded",
        train: Sequence[float] = (3.0, 2.0, 1.0),
        evals: Sequence[tuple[int, float]] = ((0, 3.1), (2, 2.2), (3, 1.2)),
        tags: Sequence[str] = (),
        dataset_id: str = "d0123456789",
        model: str = "starter",
        failure: str = "",
        **recipe: Any,
    ) -> RunDir:
        run = RunDir(home.runs / run_id)
        run.path.mkdir()
        run.recipe.write_text(make_recipe({"dataset": "support", "model": model} | recipe).to_toml())
        now = time.time()
        write_json(
            run.inputs,
            {
                "id": run_id,
                "name": name,
                "tags": list(tags),
                "created": now - 60,
                "model": {"name": model, "path": model, "revision": None, "kind": "starter"},
                "dataset": {"id": dataset_id, "name": "support", "version": 1, "dir": str(home.datasets / dataset_id)},
                "devices": ["cpu"],
                "leases": str(home.root / "leases"),
                "versions": {},
                "prepare": [],
            },
        )
        run.log.write_text("loading the model\ntraining\x1b[31m in red\ndone\n")
        writer = EventWriter(run.events, 1, clock=iter(_ticks(now - 50)).__next__)
        writer.write("state", status="queued", from_step=0)
        writer.write("state", status="starting", phase="building the starter model", progress=0.5)
        writer.write("state", status="starting", phase="loading the model")
        writer.write("plan", total_steps=len(train), linear4bit=28, device="cpu")
        writer.write("state", status="training")
        losses = dict(evals)
        for step in range(len(train) + 1):
            if step:
                values = {"train/loss": train[step - 1], "train/tokens_per_s": 100.0 + step}
                writer.write("metrics", step=step, epoch=1.0, total_steps=len(train), eta_s=1.0, values=values)
            if step in losses:
                best = min((loss, at) for at, loss in evals if at <= step)[1]
                writer.write(
                    "evaluation",
                    step=step,
                    values={"eval/loss": losses[step]},
                    best=best == step,
                    best_step=best or None,
                )
        told = {"code": failure} if failure else {}
        reason = "as asked" if status != "succeeded" else ""
        writer.write("end", status=status, reason=reason, best_step=len(train), **told)
        writer.close()
        code = 0 if status in ("succeeded", "stopped") else 1
        write_json(
            run.exit,
            {"attempt": 1, "code": code, "signal": None, "started": now - 50, "ended": now, "requested": None}
            | {"oom_killed": False},
        )
        if status == "succeeded":
            run.adapter.mkdir()
            (run.adapter / "adapter_model.safetensors").write_bytes(b"")
        write_json(run.process, {"host": socket.gethostname(), "boot_id": "", "supervisor": None, "worker": None})
        assert cli("store", "rebuild").status == 0
        return run

    return make


def _ticks(start: float) -> list[float]:
    return [start + 0.1 * tick for tick in range(10_000)]


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """A file of ten conversations, with what must not reach a terminal in one of them."""
    file = tmp_path / "chats.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"question {index}"},
                {"role": "assistant", "content": "\x1b]0;owned\x07plain" if index == 0 else f"answer {index}"},
            ],
            "metadata": {"intent": f"intent-{index:02d}"},
        }
        for index in range(10)
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file
