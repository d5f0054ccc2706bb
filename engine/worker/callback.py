"""What the trainer does, as events."""

import math
import time
from typing import Any

from transformers import TrainerCallback

from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode, remedy
from engine.runs.protocol import EventWriter
from engine.worker.distributed import agreed
from engine.worker.interrupt import StopRequest
from engine.worker.samples import Sampler
from engine.worker.system import SystemMonitor
from engine.worker.time_left import TimeLeft, evaluations_left

TRAIN_METRICS = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "mean_token_accuracy": "train/mean_token_accuracy",
    "num_tokens": "train/num_tokens",
    "epoch": "train/epoch",
    "rewards/margins": "train/rewards_margin",
    "rewards/accuracies": "train/rewards_accuracy",
    "rewards/chosen": "train/rewards_chosen",
    "rewards/rejected": "train/rewards_rejected",
}
EVAL_METRICS = {
    "eval_loss": "eval/loss",
    "eval_mean_token_accuracy": "eval/mean_token_accuracy",
    "eval_rewards/margins": "eval/rewards_margin",
    "eval_rewards/accuracies": "eval/rewards_accuracy",
}
PATIENCE_BROKEN = 3
"""Losses in a row that are no number, after which a run ends: it will not recover."""


class EventCallback(TrainerCallback):
    """Writes metrics, evaluations and samples, obeys a request to stop, and ends a run whose loss is broken.

    A stop is obeyed at a step's end, never within: what is resumed from then equals what an uninterrupted run had.
    """

    def __init__(
        self,
        recipe: Recipe,
        writer: EventWriter,
        stop: StopRequest,
        monitor: SystemMonitor,
        sampler: Sampler | None,
        eval_steps: int,
    ) -> None:
        self._recipe = recipe
        self._writer = writer
        self._stop = stop
        self._monitor = monitor
        self._sampler = sampler
        self._eval_steps = eval_steps
        self._time_left = TimeLeft()
        self._evaluation_s: float | None = None  # of one that no step came after yet
        self._step_began = 0.0
        self._step_ended: float | None = None
        self._pause_s = 0.0
        self._evaluation_began = 0.0
        self._busy_s = 0.0
        self._tokens = 0.0
        self._said_stopping = False
        self._flagged = False
        self._broken_losses = 0
        self._spoilt = False

    @property
    def broken(self) -> bool:
        """Whether the run ended because its loss stayed NaN or infinite."""
        return self._broken_losses >= PATIENCE_BROKEN

    @property
    def spoilt(self) -> bool:
        """Whether the last loss or gradient that was looked at is no number: such weights are not worth saving."""
        return self._spoilt

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tokens = float(state.num_input_tokens_seen)  # of the attempts before
        self._writer.write("state", status="training")

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.perf_counter()
        # Between two steps batches are made ready, and after some of them the run evaluates and saves.
        self._pause_s = 0.0 if self._step_ended is None else now - self._step_ended
        if self._evaluation_s is not None:
            self._time_left.evaluations.add(max(self._evaluation_s, self._pause_s))
            self._evaluation_s, self._pause_s = None, 0.0
        self._step_began = now

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._stop.requested:
            self._say_stopping("finishing the step")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._step_ended = time.perf_counter()
        taken = self._step_ended - self._step_began
        self._busy_s += taken
        self._time_left.steps.add(self._pause_s + taken)
        self._monitor.step = state.global_step
        if state.global_step >= state.max_steps:
            control.should_save = True
            control.should_evaluate = control.should_evaluate or args.eval_strategy != "no"
        self._obey(args, control)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs:
            return
        values = {name: float(logs[key]) for key, name in TRAIN_METRICS.items() if key in logs}
        tokens = values.get("train/num_tokens", 0.0)
        if self._busy_s and tokens > self._tokens:
            values["train/tokens_per_s"] = (tokens - self._tokens) / self._busy_s
        self._busy_s, self._tokens = 0.0, tokens
        step, steps = state.global_step, state.max_steps
        eta_s, eta_error_s = self._time_left.of(steps - step, evaluations_left(step, steps, self._eval_steps))
        self._writer.write(
            "metrics",
            step=state.global_step,
            epoch=values.get("train/epoch"),
            total_steps=state.max_steps,
            eta_s=eta_s,
            eta_error_s=eta_error_s,
            values=values,
        )
        self._note_broken_loss(args, values, state.global_step, control)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self._evaluation_began:
            self._evaluation_began = time.perf_counter()
            self._writer.write("state", status="evaluating")

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **context: Any) -> None:
        values = {name: float(metrics[key]) for key, name in EVAL_METRICS.items() if key in metrics}
        loss = values["eval/loss"]
        if self._recipe.objective == "sft":  # of preferences the loss is no likelihood of tokens
            values["eval/perplexity"] = math.exp(min(loss, 700.0)) if math.isfinite(loss) else loss
        # Step 0 is the model before any training: it is shown, and is no candidate for the best checkpoint.
        finite = math.isfinite(loss)
        better = state.global_step > 0 and finite and (state.best_metric is None or loss < state.best_metric)
        best_step = state.global_step if better else state.best_global_step or None
        self._writer.write("evaluation", step=state.global_step, values=values, best=better, best_step=best_step)
        if self._sampler is not None and not self._stop.requested:
            samples = self._sampler.answer(context["model"])
            if samples:
                self._writer.write("sample", step=state.global_step, samples=samples)
        self._evaluation_s = time.perf_counter() - self._evaluation_began
        self._evaluation_began = 0.0
        self._writer.write("state", status="training")
        self._obey(args, control)

    def _obey(self, args: Any, control: Any) -> None:
        if agreed(self._stop.requested):
            control.should_save = True
            control.should_training_stop = True
            self._say_stopping("saving a checkpoint")
        if self._spoilt:
            control.should_save = False

    def _say_stopping(self, phase: str) -> None:
        if not self._said_stopping:
            self._said_stopping = True
            self._writer.write("state", status="stopping", phase=phase)

    def _note_broken_loss(self, args: Any, values: dict[str, float], step: int, control: Any) -> None:
        loss = values["train/loss"]
        # With fp16 a gradient that overflows is no harm: that step is left out and the loss scaled less.
        spoilt_gradient = not args.fp16 and not math.isfinite(values.get("train/grad_norm", 0.0))
        self._spoilt = not math.isfinite(loss) or spoilt_gradient
        self._broken_losses = 0 if math.isfinite(loss) else self._broken_losses + 1
        if self._spoilt:
            control.should_save = False
        if self.broken:
            control.should_training_stop = True
        if not math.isfinite(loss) and not self._flagged:
            self._flagged = True
            help_ = remedy(FailureCode.LOSS_NOT_FINITE, self._recipe)
            self._writer.write(
                "alert",
                level="error",
                code=FailureCode.LOSS_NOT_FINITE,
                step=step,
                message=f"The training loss became {loss} at step {step}.",
                fix=help_.fix,
                changes=help_.changes,
            )
