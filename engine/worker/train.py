"""A run, from its folder to its adapter. Reads the run's folder and writes only there.

`python -m engine.worker.train RUN_DIR`
"""

import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from engine.insight.steps import planned_interval, planned_steps
from engine.recipe import Recipe, load_recipe_values, make_recipe, without_auto
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, checkpoint_step, read_json
from engine.worker.interrupt import StopRequest
from engine.worker.refusal import Refusal


def main(folder: str) -> int:
    """Run to the end; 0 when it succeeded or was stopped on request, 1 when it failed. The `end` event says which."""
    run = RunDir(Path(folder))
    stop = StopRequest()
    writer = EventWriter(run.events, int(os.environ.get("FINETUI_ATTEMPT", "1")))
    try:
        inputs = read_json(run.inputs)
        if inputs is None:
            raise Refusal(f"{run.inputs} is missing or damaged.", code="inputs", fix="Launch the run anew.")
        recipe = without_auto(make_recipe(load_recipe_values(run.recipe)))
        writer.write("state", status="starting", phase="loading libraries")
        _train(run, recipe, inputs, writer, stop)
    except Refusal as refusal:
        writer.write("alert", level="error", code=refusal.code, message=refusal.reason, fix=refusal.fix)
        writer.write("end", status="failed", reason=refusal.reason, code=refusal.code, fix=refusal.fix)
        sys.stderr.write(f"{refusal.reason}\n{refusal.fix}\n")
        return 1
    except BaseException as error:
        traceback.print_exc()
        if stop.requested:
            writer.write("end", status="stopped", reason="stopped before training began")
            return 0
        text = str(error).strip()
        writer.write("end", status="failed", reason=f"{type(error).__name__}: {text}" if text else type(error).__name__)
        return 1
    return 0


def _train(run: RunDir, recipe: Recipe, inputs: dict[str, Any], writer: EventWriter, stop: StopRequest) -> None:
    import torch
    from transformers import EarlyStoppingCallback, PrinterCallback

    from engine.worker import checkpoints
    from engine.worker.building import Job, build
    from engine.worker.callback import EventCallback
    from engine.worker.card import model_card
    from engine.worker.data import sample_conversations
    from engine.worker.loading import count_linear4bit, default_device, precision_name
    from engine.worker.samples import Sampler
    from engine.worker.system import SystemMonitor
    from engine.worker.versions import library_versions

    _end_if_asked(stop)
    # It warns that the best model is not loaded at the end; the run publishes the best checkpoint itself.
    logging.getLogger("transformers.trainer_callback").setLevel(logging.ERROR)

    # Where to start from
    checkpoints.drop_unfinished(run)
    committed = run.committed_checkpoints()
    resume = committed[-1] if committed else None
    writer.write(
        "state", status="starting", phase="reading the dataset", from_step=checkpoint_step(resume) if resume else 0
    )

    # Data, model, trainer
    device = default_device()
    precision = precision_name(recipe.precision, device)
    job = Job(run, recipe, inputs, writer, resume, device, precision)
    built = build(
        job,
        lambda saved, step, best: writer.write(
            "checkpoint", step=step, path=str(saved.relative_to(run.path)), best=step == best
        ),
    )
    _end_if_asked(stop)
    trainer, tokenizer, tokens = built.trainer, built.tokenizer, built.tokens
    train_rows, validation_rows = built.data.train, built.data.validation
    trainer.remove_callback(PrinterCallback)
    steps = planned_steps(recipe, len(trainer.train_dataset))
    interval = planned_interval(recipe, steps)
    trainer.args.eval_steps = trainer.args.save_steps = interval
    versions = library_versions()
    trained = sum(weight.numel() for weight in trainer.model.parameters() if weight.requires_grad)
    writer.write(
        "plan",
        total_steps=steps,
        trainable_parameters=trained,
        total_parameters=trainer.model.num_parameters(),
        linear4bit=count_linear4bit(trainer.model),
        train_rows=len(train_rows),
        eval_rows=len(validation_rows) if validation_rows is not None else 0,
        train_tokens=tokens.total,
        trained_tokens=tokens.trained,
        eval_steps=interval,
        device=device,
        precision=precision,
        versions=versions,
    )

    # Training
    monitor = SystemMonitor(writer)
    try:
        sampler = Sampler(
            tokenizer,
            sample_conversations(recipe.sample_prompts, validation_rows, train_rows) if tokenizer.chat_template else [],
            recipe.sample_max_new_tokens,
        )
        trainer.add_callback(EventCallback(writer, stop, monitor, sampler, interval))
        if recipe.early_stopping_patience and validation_rows is not None:
            trainer.add_callback(EarlyStoppingCallback(recipe.early_stopping_patience, recipe.early_stopping_threshold))
        trainer.train_from(resume)
        monitor.sample()
    except torch.cuda.OutOfMemoryError as error:
        raise Refusal(
            f"The GPU ran out of memory: {str(error).splitlines()[0]}",
            code="cuda_out_of_memory",
            fix="Halve per_device_train_batch_size and double gradient_accumulation_steps, "
            "or turn gradient_checkpointing on.",
        ) from error
    finally:
        monitor.stop()

    # What it leaves
    trainer.save_now()
    step = trainer.state.global_step
    best_step = trainer.state.best_global_step or step
    best_loss = trainer.state.best_metric
    source = run.checkpoints / f"step-{best_step:06d}"
    checkpoints.publish(
        run,
        source if source.is_dir() else run.committed_checkpoints()[-1],
        model_card(recipe, inputs, step=best_step, total_steps=steps, eval_loss=best_loss, versions=versions),
    )
    stopped_early = step < steps and not stop.requested
    reason = f"stopped at step {step}" if stop.requested else ""
    if stopped_early:
        reason = f"early stop at step {step}: no better validation loss in {recipe.early_stopping_patience} evaluations"
    writer.write(
        "end",
        status="stopped" if stop.requested else "succeeded",
        reason=reason,
        best_step=best_step,
        summary={"step": step, "best_eval_loss": best_loss, "adapter": "adapter"},
    )


def _end_if_asked(stop: StopRequest) -> None:
    if stop.requested:
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
