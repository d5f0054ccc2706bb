"""Run folders as workers leave them, with the real event writer, taken into a real store."""

import json
import math
import random
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.identity import boot_id, identity_of
from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import COMMITTED, RunDir, checkpoint_name, write_json
from store import Store
from store.records import NewRun, Run

GIB = 2**30


class SampleRuns:
    """Makes runs of one home. Live ones have a process of their own (`sleep`), so that they are not taken for lost."""

    def __init__(self, home: Home, store: Store) -> None:
        self.home = home
        self.store = store
        self._processes: list[subprocess.Popen[bytes]] = []
        self._clocks: dict[str, float] = {}
        self._writers: dict[str, EventWriter] = {}

    def add(
        self,
        run_id: str,
        name: str = "",
        *,
        status: str = "succeeded",
        steps: int = 60,
        total_steps: int = 60,
        start_loss: float = 3.0,
        tags: Sequence[str] = (),
        age_s: float = 3600.0,
        model: str = "starter",
        dataset: str = "support",
        reason: str = "",
        failure: str = "",
        alert: str = "",
        samples: Sequence[dict[str, str]] = ({"prompt": "How do I reset my password?", "text": "Open settings."},),
        log: str = "loading the model\n",
        **recipe: Any,
    ) -> Run:
        """A run that took `steps` steps and is in `status` now; `recipe` changes fields of its recipe."""
        rundir = RunDir(self.home.runs / run_id)
        rundir.path.mkdir(parents=True)
        made = make_recipe({"model": model, "dataset": dataset, **recipe})
        rundir.recipe.write_text(made.to_toml(), encoding="utf-8")
        rundir.log.write_text(log, encoding="utf-8", newline="")
        created = time.time() - age_s
        write_json(rundir.inputs, {"id": run_id, "name": name or run_id, "created": created, "tags": list(tags)})
        self.store.runs.add(
            NewRun(
                id=run_id,
                name=name or run_id,
                model=model,
                method=made.method,
                dataset=dataset,
                dataset_id="",
                created=created,
                recipe=made.model_dump(mode="json"),
                dir=str(rundir.path),
                tags=tuple(tags),
            )
        )
        self._clocks[run_id] = created
        self._writers[run_id] = EventWriter(rundir.events, 1, clock=lambda: self._clocks[run_id])
        live = status not in ("succeeded", "failed", "stopped", "lost")
        if live:
            self._start_process(rundir)
        if status == "queued":
            return self.take_in(run_id)
        self.write(run_id, "state", status="training" if status != "starting" else "starting", from_step=0)
        self.write(
            run_id,
            "plan",
            total_steps=total_steps,
            trainable_parameters=1_200_000,
            total_parameters=30_000_000,
            linear4bit=24,
            train_rows=426,
            eval_rows=48,
            train_tokens=120_000,
            device="cpu",
            precision="bf16",
        )
        self.train(run_id, 1, steps, total_steps=total_steps, start_loss=start_loss, samples=samples)
        if alert:
            self.write(run_id, "alert", level="warning", code="overfit", message=alert, fix="Stop it and keep step 30.")
        if not live:
            self._clocks[run_id] += 2
            told = {"code": failure} if failure else {}
            self.write(
                run_id, "end", status=status, reason=reason or status, best_step=steps // 10 * 10 or None, **told
            )
        elif status not in ("training", "starting"):
            self.write(run_id, "state", status=status)
        return self.take_in(run_id)

    def train(
        self,
        run_id: str,
        first: int,
        last: int,
        *,
        total_steps: int,
        start_loss: float = 3.0,
        samples: Sequence[dict[str, str]] = (),
    ) -> None:
        """Write the events of steps `first` to `last`: a falling loss, an evaluation every tenth step."""
        noise = random.Random(run_id)
        for step in range(first, last + 1):
            self._clocks[run_id] += 1.5
            loss = 0.9 + start_loss * math.exp(-step / (total_steps / 3)) + noise.gauss(0, 0.05)
            rate = 2e-4 * min(1.0, step / 5) * (1 - step / (total_steps + 1))
            self.write(
                run_id,
                "metrics",
                step=step,
                total_steps=total_steps,
                eta_s=(total_steps - step) * 1.5,
                values={
                    "train/loss": loss,
                    "train/learning_rate": rate,
                    "train/grad_norm": abs(noise.gauss(1, 0.3)),
                    "train/tokens_per_s": 1200 + noise.random() * 100,
                },
            )
            if step % 5 == 0:
                used = (2.0 + 0.3 * noise.random()) * GIB
                self.write(run_id, "system", step=step, values={"system/rss_bytes": used, "system/cpu_percent": 96.0})
            if step % 10 == 0:
                self.write(
                    run_id,
                    "evaluation",
                    step=step,
                    epoch=step / total_steps * 3,
                    values={"eval/loss": loss + 0.1, "eval/perplexity": math.exp(loss + 0.1)},
                    best=True,
                    best_step=step,
                )
                if samples:
                    self.write(run_id, "sample", step=step, samples=[dict(sample) for sample in samples])
            if step % 20 == 0:
                folder = RunDir(self.home.runs / run_id).checkpoints / checkpoint_name(step)
                folder.mkdir(parents=True)
                (folder / COMMITTED).touch()
                self.write(run_id, "checkpoint", step=step, path=f"checkpoints/{folder.name}", best=True)

    def write(self, run_id: str, kind: str, **fields: Any) -> None:
        """Append an event to the run's log; the store does not know of it yet."""
        self._writers[run_id].write(kind, **fields)

    def append_raw(self, run_id: str, line: str) -> None:
        """Append a line that is no event."""
        with RunDir(self.home.runs / run_id).events.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def take_in(self, run_id: str) -> Run:
        """Take what is in the run's log into the store."""
        ingest_run(self.store, run_id, RunDir(self.home.runs / run_id))
        run = self.store.runs.get(run_id)
        assert run is not None
        return run

    def add_many(self, count: int) -> None:
        """Runs without events: for long lists."""
        now = time.time()
        recipe = make_recipe({"model": "starter", "dataset": "support"}).model_dump(mode="json")
        with self.store.transaction():
            for number in range(count):
                self.store.runs.add(
                    NewRun(
                        id=f"many{number:05d}",
                        name=f"run-{number:05d}",
                        model="starter",
                        method="qlora",
                        dataset="support",
                        dataset_id="",
                        created=now - number - 10_000,
                        recipe=recipe,
                        dir=str(self.home.runs / f"many{number:05d}"),
                    )
                )

    def close(self) -> None:
        """End the processes and close the logs."""
        for process in self._processes:
            process.kill()
            process.wait()
        for writer in self._writers.values():
            writer.close()

    def _start_process(self, rundir: RunDir) -> None:
        process = subprocess.Popen(["sleep", "600"], start_new_session=True)
        self._processes.append(process)
        identity = identity_of(process.pid)
        assert identity is not None
        record = {
            "host": socket.gethostname(),
            "boot_id": boot_id(),
            "attempt": 1,
            "backend": "local",
            "supervisor": identity.to_json(),
            "worker": None,
        }
        rundir.process.write_text(json.dumps(record), encoding="utf-8")


def fill(runs: SampleRuns) -> None:
    """A home as it looks after a week: one of each kind."""
    runs.add("r1done00000", "emoji-r8-lr1e4", tags=["emoji", "baseline"], age_s=90_000, dataset="emoji-chat")
    runs.add("r2failed000", "support-qlora", status="failed", steps=12, reason="out of memory", age_s=260_000)
    runs.add("r3stopped00", "support-dora", status="stopped", steps=33, reason="stopped; 20 steps kept", age_s=9_000)
    runs.add(
        "r4live00000",
        "emoji-r16-lr2e4",
        status="training",
        steps=42,
        tags=["emoji"],
        age_s=120,
        dataset="emoji-chat",
        alert="Eval loss has risen for 3 evaluations while train loss fell.",
    )
    runs.add("r5start0000", "starter-first-try", status="starting", steps=0, age_s=20)
    runs.write("r5start0000", "state", status="starting", phase="building starter", progress=0.4)
    runs.take_in("r5start0000")
    runs.add("r6queue0000", "emoji-next", status="queued", age_s=5, dataset="emoji-chat")
