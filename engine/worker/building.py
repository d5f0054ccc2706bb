"""From a recipe to a trainer that is ready to go: the data, the base model, the adapter, the settings."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from engine.worker import settings
from engine.worker.attention import check_isolation, check_kernels
from engine.worker.continuing import parent_adapter, put_on
from engine.worker.data import TrainingData, load_data
from engine.worker.dpo import PreferenceTrainer, check_preference, reference_model
from engine.worker.loading import DTYPES, LoadError, load_base, load_tokenizer
from engine.worker.pairs import check_pairs, load_pairs
from engine.worker.refusal import Refusal
from engine.worker.reports import prepare_reports
from engine.worker.row_attention import attend_row_by_row
from engine.worker.sharding import quantised_storage
from engine.worker.stages import refuse_packed_stages
from engine.worker.supervision import TokenCount, check_supervision, require_generation_block
from engine.worker.targets import linear_layers, resolve_targets
from engine.worker.templates import use_template
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

    trainer: RunTrainer | PreferenceTrainer
    tokenizer: Any
    data: TrainingData
    tokens: TokenCount


def build(job: Job, on_checkpoint: OnCheckpoint) -> Built:
    """Raises `Refusal` for what cannot be trained."""
    recipe = job.recipe
    check_kernels(recipe, job.device)
    if recipe.objective == "dpo":
        check_preference(recipe)
    prepare_reports(recipe.report_to, job.run.path)
    if recipe.optim in settings.UNPAGED and not job.device.startswith("cuda"):
        job.writer.write(
            "alert",
            level="warning",
            code="optimiser_replaced",
            message=f"{recipe.optim} pages between a GPU and the machine's memory; without a GPU "
            f"{settings.UNPAGED[recipe.optim]} is used.",
            fix="Nothing: it computes the same.",
        )
    try:
        return _build(job, on_checkpoint)
    except LoadError as error:
        raise Refusal(f"{error.what} {error.why}".strip(), code=error.code, fix=error.fix) from error


def _build(job: Job, on_checkpoint: OnCheckpoint) -> Built:
    recipe, model, writer = job.recipe, job.inputs["model"], job.writer
    tokenizer = load_tokenizer(model["path"], revision=recipe.revision, trust_remote_code=recipe.trust_remote_code)
    use_template(tokenizer, recipe.chat_template, model["name"], writer)
    prefers = recipe.objective == "dpo"
    data, answers_only = _data(job, tokenizer)
    if data.staged:
        refuse_packed_stages(recipe.packing is True)
    parent = parent_adapter(job.inputs, recipe)
    peft_config = None
    if recipe.method != "full" and parent is None:
        layers = linear_layers(model["path"], revision=recipe.revision, trust_remote_code=recipe.trust_remote_code)
        targets, transposed = resolve_targets(recipe, layers)
        peft_config = settings.adapter_settings(recipe, targets=targets, transposed=transposed)

    writer.write("state", status="starting", phase=f"loading {model['name']}")
    load = partial(
        load_base,
        model["path"],
        revision=recipe.revision,
        method=recipe.method,
        # Full training keeps its weights in float32 and computes in `precision`: half-precision weights lose small
        # updates, and fp16 gradients cannot be unscaled.
        precision="fp32" if recipe.method == "full" else job.precision,
        attention=recipe.attn_implementation,
        trust_remote_code=recipe.trust_remote_code,
        device=job.device,
        storage=quantised_storage(recipe, DTYPES[job.precision]),
    )
    base = load()
    together = recipe.packing is True or recipe.padding_free is True
    if together and not attend_row_by_row(base, job.precision, int(recipe.max_length)):
        check_isolation(base, job.precision)

    writer.write("state", status="starting", phase="tokenising")
    common: dict[str, Any] = {
        "model": base if parent is None else put_on(base, parent, recipe),
        "train_dataset": data.train,
        "eval_dataset": data.validation,
        "processing_class": tokenizer,
        "peft_config": peft_config,
        "run": job.run,
        "keep": recipe.save_total_limit,
        "on_checkpoint": on_checkpoint,
        "by_length": recipe.train_sampling_strategy == "group_by_length",
    }
    facts: dict[str, Any] = {
        "name": job.inputs["name"],
        "precision": job.precision,
        "evaluates": data.validation is not None,
        "resumes": job.resume is not None,
    }
    trainer: RunTrainer | PreferenceTrainer
    if prefers:
        arguments = settings.preference_settings(recipe, job.run, **facts)
        trainer = PreferenceTrainer(args=arguments, ref_model=reference_model(recipe, load), **common)
        tokens = check_pairs(trainer.train_dataset, writer, given=len(data.train), left_out=data.left_out)
    else:
        arguments = settings.answer_settings(recipe, job.run, answers_only=answers_only, **facts)
        trainer = RunTrainer(args=arguments, longest=settings.unpacked_limit(recipe), **common)
        tokens = check_supervision(trainer.train_dataset, writer, given=len(data.train), left_out=data.left_out)
    if data.validation is not None and not len(trainer.eval_dataset):
        raise Refusal(
            "No validation row would be measured: all of their answers are cut off.",
            code=FailureCode.NOTHING_TO_LEARN,
            fix="Raise max_length, or look at the validation rows.",
        )
    return Built(trainer, tokenizer, data, tokens)


def _data(job: Job, tokenizer: Any) -> tuple[TrainingData, bool]:
    """The rows, and whether the loss is on the assistant's words alone."""
    recipe, folder = job.recipe, Path(job.inputs["dataset"]["dir"])
    if recipe.objective == "dpo":
        return load_pairs(folder, tokenizer), False
    data = load_data(folder, tokenizer, assistant_only=recipe.assistant_only_loss)
    answers_only = recipe.assistant_only_loss and data.conversational
    if answers_only:
        require_generation_block(tokenizer, job.inputs["model"]["name"])
    return data, answers_only
