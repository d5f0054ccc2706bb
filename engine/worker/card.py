"""The model card that lies beside an adapter: what is known about it, and nothing made up."""

from typing import Any

import yaml

from engine.recipe import Recipe


def model_card(
    recipe: Recipe,
    inputs: dict[str, Any],
    *,
    step: int,
    total_steps: int,
    eval_loss: float | None,
    versions: dict[str, str],
) -> str:
    """A Hugging Face model card, front matter included."""
    kind = "fine-tuned model" if recipe.method == "full" else f"{recipe.method} adapter"
    front: dict[str, Any] = {
        "base_model": inputs["model"]["name"],
        "library_name": "transformers" if recipe.method == "full" else "peft",
        "pipeline_tag": "text-generation",
        "tags": ["finetui", recipe.method, "sft"],
    }
    dataset = inputs["dataset"]
    facts = [
        ("base model", f"{inputs['model']['name']}{f' at {recipe.revision}' if recipe.revision else ''}"),
        ("dataset", f"{dataset['name']} v{dataset['version']} ({dataset['id']})"),
        (
            "method",
            kind if recipe.method == "full" else f"{recipe.method}, r {recipe.lora_r}, alpha {recipe.lora_alpha}",
        ),
        ("step", f"{step} of {total_steps}"),
        ("validation loss", "not measured" if eval_loss is None else f"{eval_loss:.4f}"),
        ("learning rate", f"{recipe.learning_rate:g}, {recipe.lr_scheduler_type}"),
        ("effective batch", str(recipe.batches_per_step)),
        ("seed", str(recipe.seed)),
        ("made with", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    rows = "\n".join(f"| {name} | {text} |" for name, text in facts)
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# {inputs['name']}\n\nA {kind} trained with finetui.\n\n"
        f"| | |\n|---|---|\n{rows}\n\n## Recipe\n\n```toml\n{recipe.to_toml()}```\n"
    )
