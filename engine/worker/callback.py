"""What the trainer does, as events."""

import math
import time
from typing import Any

from transformers import TrainerCallback

from engine.runs.protocol import EventWriter
from engine.worker.interrupt import StopRequest
from engine.worker.samples import Sampler
from engine.worker.system import SystemMonitor

TRAIN_METRICS = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "mean_token_accuracy": "train/mean_token_accuracy",
    "num_tokens": "train/num_tokens",
    "epoch": "train/epoch",
}
EVAL_METRICS = {"eval_loss": "eval/loss", "eval_mean_token_accuracy": "eval/mean_token_accuracy"}
SPEED_MEMORY = 0.9
"""Weight of the past in the moving average of the time of a step."""


class EventCallback(TrainerCallback):
    """Writes metrics, evaluations and samples, and obeys a request to stop."""

    def __init__(
        self, writer: EventWriter, stop: StopRequest, monitor: SystemMonitor, sampler: Sampler | None, eval_steps: int
    ) -> None:
        self._writer = writer
        self._stop = stop
        self._monitor = monitor
        self._sampler = sampler
        self._eval_steps = eval_steps
        self._step_s: float | None = None
        self._evaluation_s = 0.0
        self._step_began = 0.0
        self._evaluation_began = 0.0
        self._busy_s = 0.0
        self._tokens = 0.0
        self._said_stopping = False
        self._flagged = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._writer.write("state", status="training")

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._step_began = time.perf_counter()

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._obey(control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        taken = time.perf_counter() - self._step_began
        self._busy_s += taken
        past = self._step_s if self._step_s is not None else taken
        self._step_s = SPEED_MEMORY * past + (1 - SPEED_MEMORY) * taken
        self._monitor.step = state.global_step
        if state.global_step >= state.max_steps:
            control.should_save = True
            control.should_evaluate = control.should_evaluate or args.eval_strategy != "no"
        self._obey(control)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs:
            return
        values = {name: float(logs[key]) for key, name in TRAIN_METRICS.items() if key in logs}
        tokens = values.get("train/num_tokens", 0.0)
        if self._busy_s and tokens > self._tokens:
            values["train/tokens_per_s"] = (tokens - self._tokens) / self._busy_s
        self._busy_s, self._tokens = 0.0, tokens
        self._writer.write(
            "metrics",
            step=state.global_step,
            epoch=values.get("train/epoch"),
            total_steps=state.max_steps,
            eta_s=self._eta_s(state),
            values=values,
        )
        self._flag_broken_loss(values["train/loss"], state.global_step)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self._evaluation_began:
            self._evaluation_began = time.perf_counter()
            self._writer.write("state", status="evaluating")

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **context: Any) -> None:
        values = {name: float(metrics[key]) for key, name in EVAL_METRICS.items() if key in metrics}
        loss = values["eval/loss"]
        values["eval/perplexity"] = math.exp(min(loss, 700.0)) if math.isfinite(loss) else loss
        # Step 0 is the model before any training: it is shown, and is no candidate for the best checkpoint.
        better = state.global_step > 0 and (state.best_metric is None or loss < state.best_metric)
        best_step = state.global_step if better else state.best_global_step or None
        self._writer.write("evaluation", step=state.global_step, values=values, best=better, best_step=best_step)
        if self._sampler is not None and not self._stop.requested:
            samples = self._sampler.answer(context["model"])
            if samples:
                self._writer.write("sample", step=state.global_step, samples=samples)
        self._evaluation_s = time.perf_counter() - self._evaluation_began
        self._evaluation_began = 0.0
        self._writer.write("state", status="training")
        self._obey(control)

    def _obey(self, control: Any) -> None:
        if self._stop.requested:
            control.should_save = True
            control.should_training_stop = True
            if not self._said_stopping:
                self._said_stopping = True
                self._writer.write("state", status="stopping", phase="saving a checkpoint")

    def _eta_s(self, state: Any) -> float | None:
        if self._step_s is None:
            return None
        left: int = state.max_steps - state.global_step
        return left * self._step_s + left // self._eval_steps * self._evaluation_s

    def _flag_broken_loss(self, loss: float, step: int) -> None:
        if not math.isfinite(loss) and not self._flagged:
            self._flagged = True
            self._writer.write(
                "alert",
                level="error",
                code="loss_not_finite",
                step=step,
                message=f"The training loss became {loss} at step {step}.",
                fix="Stop the run and launch it again with a lower learning rate.",
            )
