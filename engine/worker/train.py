"""A run, from its folder to its adapter. Reads the run's folder and writes only there.

`python -m engine.worker.train RUN_DIR`
"""

import logging
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.insight.steps import planned_interval, planned_steps
from engine.recipe import Recipe, load_recipe_values, make_recipe, without_auto
from engine.runs.failure_codes import FailureCode
from engine.runs.printing import print_regardless
from engine.runs.processes import is_taken_away
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, checkpoint_step, read_json
from engine.worker import distributed
from engine.worker.failures import explain
from engine.worker.interrupt import StopRequest
from engine.worker.libraries import import_quickly
from engine.worker.refusal import Refusal


class StoppedEarlyError(Exception):
    """The run was asked to stop before training began."""


def main(folder: str) -> int:
    """Run to the end; 0 when it succeeded or was stopped on request, 1 when it failed. The `end` event says which."""
    run = RunDir(Path(folder))
    stop = StopRequest(run.stop)
    writer = distributed.event_writer(run, int(os.environ.get("FINETUI_ATTEMPT", "1")))
    recipe: Recipe | None = None
    inputs: dict[str, Any] | None = None
    try:
        inputs = read_json(run.inputs)
        if inputs is None:
            raise Refusal(f"{run.inputs} is missing or damaged.", code=FailureCode.INPUTS)
        recipe = without_auto(make_recipe(load_recipe_values(run.recipe)))
        writer.write("state", status="starting", phase="loading libraries")
        import_quickly()
        _train(run, recipe, inputs, writer, stop)
    except StoppedEarlyError:
        _say_stopped(run, inputs or {}, writer, reason="stopped before training began")
    except BaseException as error:
        failure = explain(error, recipe)
        if not isinstance(error, Refusal):
            traceback.print_exc()
        if failure.code is FailureCode.DISK_FULL:
            _make_room(run)
        if distributed.world_size() > 1:  # the launcher tells which was the first
            distributed.leave_failure(run, time.time(), failure.reason, failure.fields())
        else:
            writer.write("alert", level="error", message=failure.reason, **failure.fields())
            writer.write("end", status="failed", reason=failure.reason, **failure.fields())
        sys.stderr.write(f"{failure.reason}\n{failure.fix}\n")
        return 1
    return 0


def _make_room(run: RunDir) -> None:
    """Delete what was being saved when the disk became full: it is of no use, and the end must be written."""
    from engine.worker import checkpoints

    with suppress(OSError):
        checkpoints.drop_unfinished(run)


def _train(run: RunDir, recipe: Recipe, inputs: dict[str, Any], writer: EventWriter, stop: StopRequest) -> None:
    from transformers import PrinterCallback

    from engine.worker import checkpoints
    from engine.worker.building import Job, build
    from engine.worker.callback import EventCallback
    from engine.worker.card import model_card
    from engine.worker.data import sample_conversations
    from engine.worker.early_stop import early_stopping, is_over
    from engine.worker.loading import count_linear4bit, default_device, precision_name
    from engine.worker.memory_meter import MemoryMeter
    from engine.worker.proof import prove
    from engine.worker.rehearse import Rehearsal
    from engine.worker.samples import Sampler
    from engine.worker.sharding import is_sharded
    from engine.worker.system import Gpus, SystemMonitor, device_title
    from engine.worker.versions import library_versions

    distributed.join()
    _end_if_asked(stop)
    # It warns that the best model is not loaded at the end; the run publishes the best checkpoint itself.
    logging.getLogger("transformers.trainer_callback").setLevel(logging.ERROR)

    # Where to start from
    with distributed.main_first() as main:
        if main:
            checkpoints.drop_unfinished(run)
        resume = _resume_from(run, writer)
    writer.write(
        "state", status="starting", phase="reading the dataset", from_step=checkpoint_step(resume) if resume else 0
    )

    # Data, model, trainer
    device = default_device()
    precision = precision_name(recipe.precision, device, inputs.get("probe"))
    meter = MemoryMeter(device)
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
        sequences=len(trainer.train_dataset),
        train_tokens=tokens.total,
        trained_tokens=tokens.trained,
        eval_steps=interval,
        device=device,
        device_title=device_title(device),
        gpus=Gpus().cards() if device.startswith("cuda") else [],
        precision=precision,
        per_device_train_batch_size=recipe.per_device_train_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        processes=trainer.args.world_size,
        cost_per_hour=recipe.cost_per_hour,
        versions=versions,
    )

    # Training
    monitor = SystemMonitor(writer)
    try:
        # What is shared out answers only when all processes ask, which they do not while process 0 writes.
        alone = main and not is_sharded(recipe)
        sampler = Sampler(
            tokenizer,
            sample_conversations(recipe.sample_prompts, validation_rows, train_rows) if tokenizer.chat_template else [],
            recipe.sample_max_new_tokens,
        )
        if recipe.rehearse:
            trainer.add_callback(Rehearsal(trainer, job, meter))
        told = EventCallback(recipe, writer, stop, monitor, sampler if alone else None, interval)
        trainer.add_callback(told)
        over = False
        if recipe.early_stopping_patience and validation_rows is not None:
            stopper = early_stopping(recipe, resume)
            trainer.add_callback(stopper)
            over = is_over(stopper)
        trainer.train_from(resume, over=over)
        monitor.sample()
    finally:
        monitor.stop()
    if told.spoilt and not stop.requested:
        raise Refusal("The training loss became NaN or infinite and stayed so.", code=FailureCode.LOSS_NOT_FINITE)

    # What it leaves
    if not told.spoilt:
        trainer.save_now()
    step = trainer.state.global_step
    best_step = trainer.state.best_global_step or step
    best_loss = trainer.state.best_metric
    summary: dict[str, Any] = {"step": step, "best_eval_loss": best_loss, "peak_bytes": meter.peak_bytes()}
    source = checkpoints.best_or_latest(run, best_step)
    if source is not None and trainer.args.should_save:
        card = model_card(recipe, inputs, step=best_step, total_steps=steps, eval_loss=best_loss, versions=versions)
        checkpoints.publish(run, source, card)
        summary |= {"adapter": "adapter"}
        if alone:
            summary |= prove(trainer, tokenizer, run, source, job.inputs, writer)
    distributed.leave()
    if stop.requested and step < steps:
        _say_stopped(run, inputs, writer, reason=f"stopped at step {step}", best_step=best_step, summary=summary)
        return
    reason = ""
    if step < steps:
        reason = f"early stop at step {step}: no better validation loss in {recipe.early_stopping_patience} evaluations"
    writer.write("end", status="succeeded", reason=reason, best_step=best_step, summary=summary)


def _say_stopped(run: RunDir, inputs: dict[str, Any], writer: EventWriter, *, reason: str, **fields: Any) -> None:
    """The end of a run that was asked to stop. Where its cluster asked, it is no end: it goes on when it may."""
    if is_taken_away(run, inputs):
        writer.write("state", status="queued", phase=f"{reason}: Slurm takes its devices away")
    else:
        writer.write("end", status="stopped", reason=reason, **fields)


def _resume_from(run: RunDir, writer: EventWriter) -> Path | None:
    """The checkpoint to go on from, if any. One whose files are damaged is said and passed over."""
    from engine.worker import checkpoints

    resume, damaged = checkpoints.latest_whole(run)
    for folder in damaged:
        writer.write(
            "alert",
            level="warning",
            code="checkpoint_damaged",
            message=f"The checkpoint {folder.name} is damaged: its files are not whole. It is not used.",
            fix=f"Nothing: the run goes on from {resume.name if resume else 'the start'}. Look at the disk.",
        )
        checkpoints.discard(folder)
    return resume


def _end_if_asked(stop: StopRequest) -> None:
    if distributed.agreed(stop.requested):
        raise StoppedEarlyError


if __name__ == "__main__":
    print_regardless()
    sys.exit(main(sys.argv[1]))
