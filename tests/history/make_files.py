"""Makes the files under `tests/history/files` with the libraries that write such files in real life.

    python tests/history/make_files.py

One Trainer run reports to TensorBoard, W&B (offline), Trackio and MLflow at once; a second, written by hand with each
library, holds what real life has besides: values that are no numbers, pictures, nested values, steps that jump. What
was logged is beside the files, in `expected.json`. Needs transformers, torch, wandb, trackio, mlflow-skinny with
sqlalchemy and alembic, tensorboard and tensorboardX; none of them is needed by finetui or its tests.
"""

# mypy: disable-error-code="import-not-found, import-untyped"
# (the libraries that it needs are not among finetui's)

import gzip
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

FILES = Path(__file__).parent / "files"
STEPS = 12
TENSORBOARD = "events.out.tfevents"
PLACES = ("mlflow.source.%", "mlflow.user")
"""Tags that say where and by whom the files were made."""


def main() -> None:
    work = Path(tempfile.mkdtemp(prefix="history-"))
    os.environ |= {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(work),
        "WANDB_PROJECT": "support",
        "WANDB_SILENT": "true",
        "WANDB_DISABLE_GIT": "true",
        "WANDB_X_DISABLE_META": "true",
        "WANDB_HOST": "host",
        "WANDB_USERNAME": "somebody",
        "TRACKIO_DIR": str(work / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{work / 'mlflow.db'}",
        "MLFLOW_EXPERIMENT_NAME": "support",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_OFFLINE": "1",
        "HF_MLFLOW_LOG_ARTIFACTS": "0",
    }
    os.chdir(work)
    expected = {
        "trainer": by_trainer(work),
        "wandb": by_wandb(work),
        "trackio": by_trackio(),
        "mlflow": by_mlflow(work),
        "tensorboard": by_tensorboard(work),
    }
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    keep(work)
    (FILES / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    shutil.rmtree(work)
    sizes = {path: path.stat().st_size for path in sorted(FILES.rglob("*")) if path.is_file()}
    lines = [f"{size:>8}  {path.relative_to(FILES)}" for path, size in sizes.items()]
    sys.stdout.write("\n".join([*lines, f"{sum(sizes.values()):>8}  together\n"]))


def by_trainer(work: Path) -> list[dict[str, Any]]:
    """A few steps of a tiny model, reported everywhere. Returns the Trainer's own history."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    config._name_or_path = "tiny/llama"
    rows = [{"input_ids": (ids := torch.randint(0, 64, (12,))), "labels": ids} for _ in range(24)]
    arguments = TrainingArguments(
        output_dir=str(work / "trainer"),
        run_name="support-first",
        max_steps=STEPS,
        per_device_train_batch_size=2,
        learning_rate=5e-3,
        logging_steps=2,
        eval_strategy="steps",
        eval_steps=4,
        save_steps=4,
        save_total_limit=2,
        use_cpu=True,
        project="support",
        report_to=["tensorboard", "wandb", "trackio", "mlflow"],
        hub_token="hf_" + "a1B2" * 8,
    )
    trainer = Trainer(LlamaForCausalLM(config), arguments, train_dataset=rows, eval_dataset=rows[:6])
    trainer.train()
    import wandb

    wandb.finish()
    return list(trainer.state.log_history)


def by_wandb(work: Path) -> dict[str, Any]:
    """A run with a step of its own, nested values, what is no number, media, an alert, and a bad end."""
    import numpy as np
    import wandb

    run = wandb.init(
        project="support",
        name="by hand",
        id="handmade",
        notes="tried by hand",
        tags=["first", "emoji"],
        config={
            "learning_rate": 2e-4,
            "model_name_or_path": "tiny/llama",
            "peft_config": {"default": {"r": 8, "lora_alpha": 16, "peft_type": "LORA"}},
            "betas": [0.9, 0.999],
            "api_key": "sk-" + "z9Y8" * 10,
        },
    )
    run.define_metric("batch")
    run.define_metric("own/*", step_metric="batch")
    logged = []
    for step in range(10):
        values: dict[str, Any] = {"loss": 2.0 / (step + 1), "own/speed": 100.0 + step, "batch": step * 10}
        if step == 3:
            values |= {"loss": float("nan"), "odd/inf": float("inf"), "odd/-inf": float("-inf")}
        if step == 4:
            values |= {"nested": {"deep": {"value": 0.25}}, "words": "no number", "yes": True}
        if step == 5:
            values |= {"spread": wandb.Histogram(np.arange(20.0)), "picture": wandb.Image(np.zeros((2, 2, 3)))}
        if step % 3 == 0:
            values["eval_loss"] = 1.5 - step / 20
        run.log(values)
        logged.append({key: repr(value) for key, value in values.items() if isinstance(value, (int, float))})
    run.alert(title="slow", text="it is slow", level=wandb.AlertLevel.WARN)
    sys.stdout.write("a line of the console\n")
    run.finish(exit_code=3)
    return {"rows": logged}


def by_trackio() -> dict[str, Any]:
    import trackio

    logged = []
    for name in ("one", "two"):
        trackio.init(project="by-hand", name=name, config={"learning_rate": 1e-4, "hub_token": "hf_" + "Zz90" * 8})
        for step in range(6):
            values: dict[str, Any] = {"train/loss": 1.0 / (step + 1), "val_loss": 2.0 - step / 10}
            if step == 2:
                values |= {"train/loss": float("nan"), "odd": float("inf"), "spread": trackio.Histogram([1, 2, 3])}
            trackio.log(values, step=step * 5)
            logged.append({"run": name, "step": step * 5} | {k: repr(v) for k, v in values.items() if k != "spread"})
        trackio.log_system({"gpu/0/utilization": 55, "gpu/0/allocated_memory": 1.5, "gpu/0/power": 120.5, "cpu/x": 1})
        if name == "two":
            trackio.alert("it diverges", text="loss went up", level=trackio.AlertLevel.ERROR)
        trackio.finish()
    return {"rows": logged}


def by_mlflow(work: Path) -> dict[str, Any]:
    """Runs with each status, in the SQLite store and in the store of files."""
    import mlflow
    from mlflow.entities import Metric

    logged: list[dict[str, Any]] = []
    for uri in (f"sqlite:///{work / 'mlflow.db'}", f"file://{work / 'mlruns'}"):
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("by hand")
        for status in ("FINISHED", "FAILED", "KILLED", "RUNNING"):
            run = mlflow.start_run(run_name=f"it is {status.lower()}", tags={"team": "support"})
            mlflow.log_params({"learning_rate": 3e-4, "lora_r": 8, "hf_token": "hf_" + "q7W8" * 8})
            for step in range(5):
                values = {"loss": 1.0 / (step + 2), "eval_loss": 1.4 - step / 10}
                if step == 2:
                    values |= {"loss": float("nan"), "odd": float("inf")}
                mlflow.log_metrics(values, step=step * 7)
                logged.append({"status": status, "step": step * 7} | {k: repr(v) for k, v in values.items()})
            client = mlflow.MlflowClient()
            for count in range(4):  # as people do who give no step
                client.log_batch(run.info.run_id, metrics=[Metric("stepless", count / 4, 1763712391000 + count, 0)])
            if status == "RUNNING":
                mlflow.tracking.fluent._active_run_stack.get().clear()
            else:
                mlflow.end_run(status)
    return {"rows": logged}


def by_tensorboard(work: Path) -> dict[str, Any]:
    """Scalars as floats and as tensors, hparams, text, a picture, a histogram, NaN, in one folder."""
    import numpy as np
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams import summary_v2 as hparams
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboardX import SummaryWriter

    folder = work / "tensorboard" / "mixed"
    writer = SummaryWriter(str(folder))
    logged: list[dict[str, Any]] = []
    for step in range(0, 40, 4):
        value = float("nan") if step == 12 else 3.0 / (step + 1)
        writer.add_scalar("train/loss", value, step)
        logged.append({"tag": "train/loss", "step": step, "value": repr(value)})
    writer.add_histogram("weights", np.arange(50.0), 1)
    writer.add_image("picture", np.zeros((3, 2, 2), dtype=np.uint8), 1)
    writer.add_text("about", "some words", 0)
    writer.close()

    second = EventFileWriter(str(folder), filename_suffix=".tensors")
    start = 1763712391.25
    settings = hparams.hparams_pb({"lr": 0.003, "batch": 8, "optim": "adam"}, start_time_secs=start)
    second.add_event(Event(wall_time=start, step=0, summary=settings))
    for step in range(0, 40, 8):
        value = 2.5 / (step + 1)
        second.add_event(Event(wall_time=start + step, step=step, summary=scalar_pb("val/loss", value)))
        logged.append({"tag": "val/loss", "step": step, "value": repr(value)})
    second.close()
    return {"rows": logged}


def keep(work: Path) -> None:
    """Copy what is history, and small: no weights, no caches; databases packed."""
    for checkpoint in sorted((work / "trainer").glob("checkpoint-*")):
        target = FILES / "trainer" / checkpoint.name
        target.mkdir(parents=True)
        for name in ("trainer_state.json", "config.json"):
            shutil.copy(checkpoint / name, target / name)
    for path in sorted((work / "trainer" / "runs").glob("*/events*")):
        (FILES / "trainer" / "runs" / "first").mkdir(parents=True)
        shutil.copy(path, FILES / "trainer" / "runs" / "first" / f"{TENSORBOARD}.1763712391.host.1.0")
    (FILES / "tensorboard" / "mixed").mkdir(parents=True)
    for number, path in enumerate(sorted((work / "tensorboard" / "mixed").iterdir(), key=lambda path: len(path.name))):
        shutil.copy(path, FILES / "tensorboard" / "mixed" / f"{TENSORBOARD}.176371239{number}.host")
    for path in sorted((work / "wandb").glob("offline-run-*/*.wandb")):
        (FILES / "wandb" / path.parent.name).mkdir(parents=True)
        shutil.copy(path, FILES / "wandb" / path.parent.name / path.name)
    for path in (work / "mlflow.db", *sorted((work / "trackio").glob("*.db"))):
        with closing(sqlite3.connect(path)) as connection:
            if path.name == "mlflow.db":
                connection.execute(f"DELETE FROM tags WHERE {' OR '.join('key LIKE ?' for _ in PLACES)}", PLACES)
                connection.commit()
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("VACUUM")
        folder = FILES / ("mlflow" if path.name == "mlflow.db" else "trackio")
        folder.mkdir(exist_ok=True)
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    places = shutil.ignore_patterns(*(place.replace("%", "*") for place in PLACES))
    shutil.copytree(work / "mlruns", FILES / "mlflow" / "mlruns", ignore=places)


if __name__ == "__main__":
    main()
