"""One step tried before the first: the longest batch forwards, backwards and through the optimiser, the longest
evaluation batch, a save and a load. What would fail in hour four fails now, and what it takes is measured.

It leaves no trace. The optimiser steps with a learning rate, decay and gradients of zero: its state is allocated as in
truth and no weight changes, without a second copy of either. Afterwards the state is dropped (or read again from the
checkpoint that is resumed from), and random numbers, gradients and TRL's running figures are as they were.
"""

import copy
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import get_peft_model_state_dict
from safetensors import safe_open
from transformers import TrainerCallback

from engine.runs.failure_codes import FailureCode, less_memory
from engine.worker.building import Job
from engine.worker.checkpoints import rehearsal_folder
from engine.worker.failures import explain
from engine.worker.memory_meter import MemoryMeter
from engine.worker.refusal import Refusal
from engine.worker.stages import row_lengths

ESTIMATE_OFF = 0.25
"""Share by which a measured peak may differ from the estimate before it is said."""

WORTH_SAYING_BYTES = 256 << 20
"""An estimate that is off by less than this is never said: nobody's device is that full."""


@dataclass
class Rehearsed:
    """What a rehearsal measured. `parts` are seconds."""

    parts: dict[str, float] = field(default_factory=dict)
    longest_tokens: int = 0
    trained_tokens: int = 0

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time of the block to `parts`; work that is under way on a GPU counts."""
        began = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.parts[part] = self.parts.get(part, 0.0) + time.perf_counter() - began


class Rehearsal(TrainerCallback):
    """Rehearses when training is about to begin: model, optimiser and checkpoint are in place, no row has been drawn.

    Add it before any other callback. Raises `Refusal` (code `rehearsal_memory`) for a run that does not fit.
    """

    def __init__(self, trainer: Any, job: Job, meter: MemoryMeter) -> None:
        """`meter` knows the memory as it was before the model was loaded."""
        self._trainer = trainer
        self._recipe = job.recipe
        self._folder = rehearsal_folder(job.run)
        self._resume = job.resume
        self._writer = job.writer
        self._meter = meter
        self._estimated_bytes = estimated_bytes(job.inputs)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._writer.write("state", status="rehearsing", phase="trying the longest batch")
        began = time.perf_counter()
        measured = Rehearsed()
        self._meter.restart()
        try:
            with _no_trace(self._trainer):
                self._rehearse(measured)
            self._forget_optimizer_state()
        except (MemoryError, RuntimeError) as error:
            if not _is_memory(error):
                raise
            raise self._out_of_memory(measured) from error
        finally:
            if args.should_save:
                shutil.rmtree(self._folder, ignore_errors=True)
        self._report(measured, time.perf_counter() - began)

    # the rehearsal itself

    def _rehearse(self, measured: Rehearsed) -> None:
        trainer = self._trainer
        model = trainer.model_wrapped
        batch = longest_batch(trainer, trainer.train_dataset, trainer.args.train_batch_size)
        measured.longest_tokens = batch["input_ids"].numel()
        # A preference pair has no labels: its loss is on both answers.
        trained = batch["labels"] != -100 if "labels" in batch else batch["completion_mask"]
        measured.trained_tokens = int(trained.sum())
        with measured.timed("forward_backward_s"):
            trainer.accelerator.gradient_state._set_sync_gradients(True)
            trainer.current_gradient_accumulation_steps = 1
            items = trainer._get_num_items_in_batch([batch], trainer.args.device)
            trainer.training_step(model, batch, items)
        with measured.timed("optimizer_s"):
            _still_step(trainer.optimizer.optimizer)
        if trainer.eval_dataset is not None:
            batch = longest_batch(trainer, trainer.eval_dataset, trainer.args.eval_batch_size)
            with measured.timed("evaluation_s"):
                trainer.model.eval()
                trainer.prediction_step(trainer.model, batch, prediction_loss_only=True)
        with measured.timed("save_s"):
            trainer.save_model(str(self._folder), _internal_call=True)
            trainer._save_optimizer_and_scheduler(str(self._folder))
            trainer.accelerator.wait_for_everyone()
        with measured.timed("load_s"):
            if trainer.args.should_save and not trainer.is_fsdp_enabled:
                check_saved(self._folder, trainer.model)

    def _forget_optimizer_state(self) -> None:
        trainer = self._trainer
        trainer.optimizer.optimizer.state.clear()
        if self._resume is not None:
            trainer._load_optimizer_and_scheduler(str(self._resume))

    # what it says

    def _report(self, measured: Rehearsed, seconds: float) -> None:
        peak, free = self._meter.peak_bytes(), self._meter.free_bytes_at_peak()
        self._meter.release()
        fits = free >= 0
        self._writer.write(
            "rehearsal",
            ok=fits,
            seconds=round(seconds, 3),
            parts={name: round(value, 4) for name, value in measured.parts.items()},
            step_s=round(measured.parts["forward_backward_s"] + measured.parts["optimizer_s"], 4),
            peak_bytes=peak,
            estimated_bytes=self._estimated_bytes,
            free_bytes=free,
            longest_tokens=measured.longest_tokens,
            trained_tokens=measured.trained_tokens,
        )
        if not fits:
            raise self._does_not_fit(
                f"The longest batch ({measured.longest_tokens:,} tokens) needs {_gb(peak)}, "
                f"{_gb(-free)} more than {self._meter.device} has free."
            )
        self._compare(peak)

    def _compare(self, peak: int) -> None:
        estimated = self._estimated_bytes
        if not estimated or abs(peak - estimated) < WORTH_SAYING_BYTES:
            return
        if abs(peak - estimated) > ESTIMATE_OFF * estimated:
            self._writer.write(
                "alert",
                level="warning",
                code="estimate_off",
                message=f"The rehearsal took {_gb(peak)} of memory; {_gb(estimated)} had been estimated.",
                fix="Nothing: what was measured counts from now on, for this run and the next estimates.",
            )

    def _out_of_memory(self, measured: Rehearsed) -> Refusal:
        done = len(measured.parts)
        part = _PARTS[done] if done < len(_PARTS) else "afterwards"
        peak = self._meter.peak_bytes()
        self._writer.write(
            "rehearsal",
            ok=False,
            parts=measured.parts,
            peak_bytes=peak,
            estimated_bytes=self._estimated_bytes,
            longest_tokens=measured.longest_tokens,
            trained_tokens=measured.trained_tokens,
        )
        return self._does_not_fit(
            f"The memory of {self._meter.device} ran out at the longest batch ({measured.longest_tokens:,} tokens), "
            f"{part}: {_gb(peak)} were in use of {_gb(self._meter.total_bytes)}."
        )

    def _does_not_fit(self, reason: str) -> Refusal:
        help_ = less_memory(self._recipe, host=self._meter.device == "the machine")
        return Refusal(reason, code=FailureCode.REHEARSAL_MEMORY, fix=help_.fix, changes=help_.changes)


_PARTS = ("forwards and backwards", "in the optimiser", "in the evaluation", "while saving", "while loading")
"""What was under way when so many parts were done."""


def _is_memory(error: BaseException) -> bool:
    return explain(error, None).code in (FailureCode.CUDA_OUT_OF_MEMORY, FailureCode.HOST_OUT_OF_MEMORY)


def estimated_bytes(inputs: dict[str, Any]) -> int | None:
    """The peak that was planned at launch, in bytes; `None` where nobody planned.

    Without what libraries and driver keep for themselves, which the meter does not count.
    """
    needs = inputs.get("needs_bytes")
    if not isinstance(needs, int) or needs <= 0:
        return None
    parts = (inputs.get("plan") or {}).get("memory_bytes") or {}
    return max(1, needs - int(parts.get("overhead") or 0))


def longest_batch(trainer: Any, rows: Any, size: int) -> dict[str, Any]:
    """The batch of the `size` longest of `rows`, as the trainer collates it: packed, end to end or padded."""
    lengths = np.asarray(row_lengths(rows))
    longest = np.argsort(-lengths, kind="stable")[:size].tolist()
    kept = trainer._remove_unused_columns(rows, description="Rehearsal")
    batch: dict[str, Any] = trainer.data_collator([kept[place] for place in longest])
    return batch


def check_saved(folder: Path, model: Any) -> None:
    """Load what was saved into `folder`, tensor by tensor. Raises `OSError` where it is not what `model` has."""
    live = get_peft_model_state_dict(model) if hasattr(model, "peft_config") else model.state_dict()
    seen = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as saved:
            for name in saved.keys():  # noqa: SIM118
                if name not in live:  # saved under another name, as Transformers does it for some architectures
                    continue
                seen += 1
                if not torch.equal(saved.get_tensor(name), live[name].cpu()):
                    raise OSError(f"what was saved as {name} is not what the model has")
    if not seen:
        raise OSError(f"no weights were saved in {folder}")
    states = folder / "optimizer.pt"
    if states.exists():
        torch.load(states, map_location="cpu", weights_only=True, mmap=True)


def _still_step(optimizer: torch.optim.Optimizer) -> None:
    """A step that allocates what a step does and changes no weight, whatever the gradients are."""
    before = [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group["weight_decay"] = 0.0
        for weight in group["params"]:
            if weight.grad is not None:
                weight.grad.zero_()
    try:
        optimizer.step()
    finally:
        for group, (rate, decay) in zip(optimizer.param_groups, before, strict=True):
            group["lr"], group["weight_decay"] = rate, decay


@contextmanager
def _no_trace(trainer: Any) -> Iterator[None]:
    """Put back afterwards: random numbers, gradients, the loss scale, the mode, and TRL's running figures."""
    python, numbers, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    figures, tokens = copy.deepcopy(trainer._metrics), trainer._total_train_tokens
    scaler = trainer.accelerator.scaler
    scale = scaler.state_dict() if scaler is not None else None
    training = trainer.model.training
    try:
        yield
    finally:
        trainer.model_wrapped.zero_grad(set_to_none=True)
        trainer.model.train(training)
        trainer._metrics, trainer._total_train_tokens = figures, tokens
        if scaler is not None and scale:
            scaler.load_state_dict(scale)
        random.setstate(python)
        np.random.set_state(numbers)
        torch.set_rng_state(cpu)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)


def _gb(count: float) -> str:
    return f"{count / 1e9:.2f} GB"
