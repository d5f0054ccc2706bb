"""TRL's `SFTTrainer`, with checkpoints that are committed and a resume that is exact.

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

from engine.runs.rundir import RunDir
from engine.worker import checkpoints
from engine.worker.stages import stage_sampler

OnCheckpoint = Callable[[Path, int, int | None], None]
"""Called with the committed checkpoint's folder, its step, and the best step so far."""


class RunTrainer(SFTTrainer):
    """Saves into the run's folder: `checkpoints/step-000050/`, marked when whole, rotated around the best one."""

    def __init__(self, *args: Any, run: RunDir, keep: int, on_checkpoint: OnCheckpoint, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not (self.args.bf16 or self.args.fp16):
            # TRL turns a QLoRA adapter into bfloat16; beside a float32 compute (a CPU) that is ten times slower.
            for weight in self.model.parameters():
                if weight.requires_grad:
                    weight.data = weight.data.float()
        self._run = run
        self._keep = keep
        self._on_checkpoint = on_checkpoint
        self._last_saved: int | None = None

    def train_from(self, checkpoint: Path | None) -> None:
        """Train from the start, or from a committed checkpoint."""
        if checkpoint is None:
            self.train()
            return
        reached = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        if (
            reached.global_step >= reached.max_steps
        ):  # killed between the last step and its end: nothing is left to train
            self.state = reached
            self._last_saved = reached.global_step
            return
        self.add_callback(_RestoreRandomState(self, checkpoint))
        self.train(resume_from_checkpoint=str(checkpoint))

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Stage by stage where the rows have stages. The dataset that is handed in has lost that column."""
        return stage_sampler(self.train_dataset, self.args.seed) or super()._get_train_sampler(train_dataset)

    def save_now(self) -> None:
        """Save the present step, unless it is saved already."""
        if self._last_saved != self.state.global_step:
            self._save_checkpoint(self.model_wrapped, None)

    def _save_checkpoint(self, model: torch.nn.Module, trial: None) -> None:
        if self._last_saved == self.state.global_step:
            return
        Trainer._save_checkpoint(self, model, trial)
        step = self.state.global_step
        saved = Path(self.args.output_dir) / f"checkpoint-{step}"
        self.state.best_model_checkpoint = None  # the run knows its best by step; this folder is about to be renamed
        self.state.save_to_json(str(saved / TRAINER_STATE_NAME))
        folder = checkpoints.commit(self._run, saved, step)
        self._last_saved = step
        best_step = self.state.best_global_step or None
        checkpoints.rotate(self._run, keep=self._keep, best_step=best_step)
        self._on_checkpoint(folder, step, best_step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        types = {name: weight.dtype for name, weight in self.model.named_parameters() if weight.requires_grad}
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for name, weight in self.model.named_parameters():
            if name in types:
                weight.data = weight.data.to(types[name])


class _RestoreRandomState(TrainerCallback):
    def __init__(self, trainer: RunTrainer, checkpoint: Path) -> None:
        self._trainer = trainer
        self._checkpoint: Path | None = checkpoint

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # At an epoch's end the trainer restores it in the right place itself: before the next order is drawn.
        if self._checkpoint is not None and not state.epoch.is_integer():
            self._trainer._load_rng_state(str(self._checkpoint))
        self._checkpoint = None
