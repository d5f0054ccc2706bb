"""From a recipe to a trainer that is ready to go: the data, the base model, the adapter, the settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.recipe import Recipe
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from engine.worker import settings
from engine.worker.data import TrainingData, load_data
from engine.worker.loading import LoadError, load_base, load_tokenizer
from engine.worker.refusal import Refusal
from engine.worker.stages import refuse_packed_stages
from engine.worker.supervision import TokenCount, check_supervision, require_generation_block
from engine.worker.trainer import OnCheckpoint, RunTrainer


@dataclass(frozen=True)
class Job:
    """What one attempt is to do. `recipe` has no `auto` left but those of the evaluation; `resume` is a checkpoint."""

    run: RunDir
    recipe: Recipe
    inputs: dict[str, Any]
    writer: EventWriter
    resume: Path | None
    device: str
    precision: str
    """`bf16`, `fp16` or `fp32`."""


@dataclass(frozen=True)
class Built:
    """A trainer that waits for its first step, and what it was made of."""

    trainer: RunTrainer
    tokenizer: Any
    data: TrainingData
    tokens: TokenCount


def build(job: Job, on_checkpoint: OnCheckpoint) -> Built:
    """Raises `Refusal` for what cannot be trained."""
    recipe, inputs, writer = job.recipe, job.inputs, job.writer
    path = inputs["model"]["path"]
    try:
        tokenizer = load_tokenizer(path, revision=recipe.revision, trust_remote_code=recipe.trust_remote_code)
        data = load_data(Path(inputs["dataset"]["dir"]), tokenizer, assistant_only=recipe.assistant_only_loss)
        answers_only = recipe.assistant_only_loss and data.conversational
        if answers_only:
            require_generation_block(tokenizer, inputs["model"]["name"])
        if data.staged:
            refuse_packed_stages(recipe.packing is True)
        writer.write("state", status="starting", phase=f"loading {inputs['model']['name']}")
        model = load_base(
            path,
            revision=recipe.revision,
            method=recipe.method,
            # Full training keeps its weights in float32 and computes in `precision`: half-precision weights lose small
            # updates, and fp16 gradients cannot be unscaled.
            precision="fp32" if recipe.method == "full" else job.precision,
            trust_remote_code=recipe.trust_remote_code,
            device=job.device,
        )
    except LoadError as error:
        raise Refusal(f"{error.what} {error.why}".strip(), code=error.code, fix=error.fix) from error

    writer.write("state", status="starting", phase="tokenising")
    trainer = RunTrainer(
        model=model,
        args=settings.trainer_settings(
            recipe,
            job.run,
            precision=job.precision,
            answers_only=answers_only,
            evaluates=data.validation is not None,
            resumes=job.resume is not None,
        ),
        train_dataset=data.train,
        eval_dataset=data.validation,
        processing_class=tokenizer,
        peft_config=settings.adapter_settings(recipe),
        run=job.run,
        keep=recipe.save_total_limit,
        on_checkpoint=on_checkpoint,
    )
    tokens = check_supervision(trainer.train_dataset, writer, given=len(data.train), left_out=data.left_out)
    return Built(trainer, tokenizer, data, tokens)
