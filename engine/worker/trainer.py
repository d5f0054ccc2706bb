"""TRL's trainers, with checkpoints that are committed and a resume that is exact.

Stock resume is not exact with QLoRA: TRL trains the adapter in bfloat16, PEFT loads it from a checkpoint in float32,
and the optimiser's state follows. Here each weight keeps the type it trains in. The random state is put back at the
first step resumed within an epoch, because filling the first batches has used it by then.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState
from trl import SFTTrainer

from engine.runs.failure_codes import FailureCode
from engine.runs.rundir import RunDir
from engine.worker import checkpoints
from engine.worker.refusal import Refusal
from engine.worker.stages import LengthSampler, row_lengths, stage_sampler

OnCheckpoint = Callable[[Path, int, int | None], None]
"""Called with the committed checkpoint's folder, its step, and the best step so far."""


class RunTraining:
    """What a run adds to one of TRL's trainers, which comes second among the bases.

    Saves into the run's folder: `checkpoints/step-000050/`, marked when whole, rotated around the best one. Takes the
    rows stage by stage where they have stages, and by length where `by_length` says so.
    """

    # What it finds in the trainer that it is put before.
    accelerator: Any
    args: Any
    model: Any
    model_wrapped: Any
    state: Any
    train_dataset: Any
    _total_train_tokens: int

    def __init__(
        self, *args: Any, run: RunDir, keep: int, on_checkpoint: OnCheckpoint, by_length: bool = False, **kwargs: Any
    ) -> None:
        self._run = run
        self._keep = keep
        self._on_checkpoint = on_checkpoint
        self._by_length = by_length
        self._last_saved: int | None = None
        given = _adapter_weights(kwargs["model"])
        super().__init__(*args, **kwargs)
        if not (self.args.bf16 or self.args.fp16):
            # TRL turns a QLoRA adapter into bfloat16; beside a float32 compute (a CPU) that is ten times slower, and
            # an adapter that goes on from another would be rounded.
            for name, weight in self.model.named_parameters():
                if weight.requires_grad:
                    weight.data = given.get(name, weight.data).float()

    def train_from(self, checkpoint: Path | None, *, over: bool = False) -> None:
        """Train from the start, or from a committed checkpoint; `over` where that is the last, whatever its step."""
        if checkpoint is None:
            self.train()  # type: ignore[attr-defined]
            return
        _refuse_pickles(checkpoint)
        reached = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        if over or reached.global_step >= reached.max_steps:  # killed between the last step and its end
            self.state = reached
            self._last_saved = reached.global_step
            return
        self._total_train_tokens = reached.num_input_tokens_seen  # TRL counts each attempt from 0
        self.add_callback(_RestoreRandomState(self, checkpoint))  # type: ignore[attr-defined]
        self.train(resume_from_checkpoint=str(checkpoint))  # type: ignore[attr-defined]

    def save_now(self) -> None:
        """Save the present step, unless it is saved already."""
        if self._last_saved != self.state.global_step:
            self._save_checkpoint(self.model_wrapped, None)

    def _send_telemetry(self) -> None:
        """Nothing: TRL would tell its makers what is trained on."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Stage by stage where the rows have stages. The dataset that is handed in has lost that column."""
        stages = stage_sampler(self.train_dataset, self.args.seed)
        if stages is not None:
            return stages
        if self._by_length:
            group = self.args.per_device_train_batch_size * self.args.world_size
            return LengthSampler(row_lengths(self.train_dataset), group, self.args.seed)
        return super()._get_train_sampler(train_dataset)  # type: ignore[misc]

    def _save_checkpoint(self, model: torch.nn.Module, trial: None) -> None:
        if self._last_saved == self.state.global_step:
            return
        self.state.num_input_tokens_seen = self._total_train_tokens
        Trainer._save_checkpoint(self, model, trial)
        step = self.state.global_step
        self._last_saved = step
        self.state.best_model_checkpoint = None  # the run knows its best by step; this folder is about to be renamed
        self.accelerator.wait_for_everyone()  # each process saves its random state
        if self.args.should_save:
            saved = Path(self.args.output_dir) / f"checkpoint-{step}"
            self._tidy(saved)
            self.state.save_to_json(str(saved / TRAINER_STATE_NAME))
            folder = checkpoints.commit(self._run, saved, step)
            best_step = self.state.best_global_step or None
            checkpoints.rotate(self._run, keep=self._keep, best_step=best_step)
            self._on_checkpoint(folder, step, best_step)
        self.accelerator.wait_for_everyone()

    def _tidy(self, saved: Path) -> None:
        """Take out of a checkpoint what does not belong there; called before it is committed."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        types = {name: weight.dtype for name, weight in self.model.named_parameters() if weight.requires_grad}
        super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
        for name, weight in self.model.named_parameters():
            if name in types:
                weight.data = weight.data.to(types[name])


def _adapter_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights of an adapter that is on the model already, by name; none where there is no adapter yet."""
    if not hasattr(model, "peft_config"):
        return {}
    return {name: weight.data for name, weight in model.named_parameters() if weight.requires_grad}


def _refuse_pickles(checkpoint: Path) -> None:
    """Raise `Refusal` where a checkpoint has weights that can run code when they are read.

    Whatever else it holds (optimiser, schedule, random state) Transformers reads as data alone.
    """
    pickled = [file.name for name in ("adapter_model", "pytorch_model") for file in checkpoint.rglob(f"{name}*.bin")]
    if pickled:
        raise Refusal(
            f"The checkpoint {checkpoint.name} has pickled weights ({pickled[0]}), which can run code when read.",
            code=FailureCode.PICKLED_WEIGHTS,
            fix="Resume from a checkpoint that finetui wrote: it keeps weights as safetensors.",
        )


class RunTrainer(RunTraining, SFTTrainer):
    """Learns answers. Rows are padded, or laid end to end: packed beforehand, or as the batch has them."""

    def __init__(self, *args: Any, longest: int | None = None, **kwargs: Any) -> None:
        """`longest` limits rows, in tokens, where the settings leave `max_length` open."""
        self._longest = longest
        self._evaluated = torch.zeros(2, dtype=torch.float64)  # summed loss, tokens that carry it
        super().__init__(*args, **kwargs)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL has no limit for rows that are laid end to end as the batch has them: they are cut here, as it would."""
        rows = super()._prepare_dataset(dataset, *args, **kwargs)
        if self._longest is None:
            return rows
        end = slice(None, self._longest)
        cut = rows.map(lambda row: {"input_ids": row["input_ids"][end], "labels": row["labels"][end]})
        return cut.filter(lambda row: any(label != -100 for label in row["labels"]))

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> Any:
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        tokens = (inputs["labels"][:, 1:] != -100).sum().double().cpu()
        self._evaluated += torch.stack([loss.double().cpu() * tokens, tokens])
        return loss, logits, labels

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """The loss is the mean over the tokens of all rows.

        Transformers has the mean over batches of their means, which depends on how rows are put into batches: runs
        that pack could not be compared with runs that pad.
        """
        self._evaluated.zero_()
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        summed, tokens = self.accelerator.reduce(self._evaluated.to(self.accelerator.device), "sum").tolist()
        if tokens:
            output.metrics[f"{metric_key_prefix}_loss"] = summed / tokens
        return output


class _RestoreRandomState(TrainerCallback):
    def __init__(self, trainer: Any, checkpoint: Path) -> None:
        self._trainer = trainer
        self._checkpoint: Path | None = checkpoint

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # At an epoch's end the trainer restores it in the right place itself: before the next order is drawn.
        if self._checkpoint is not None and not state.epoch.is_integer():
            self._trainer._load_rng_state(str(self._checkpoint))
        self._checkpoint = None
