"""Training that goes on from what another run left."""

from pathlib import Path
from typing import Any

from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode
from engine.worker.adapters import read_adapter, same_model
from engine.worker.loading import LoadError
from engine.worker.refusal import Refusal
from engine.worker.settings import continued_settings


def parent_adapter(inputs: dict[str, Any], recipe: Recipe) -> Path | None:
    """The folder of the adapter that the run goes on from, or `None`.

    What the adapter is, it stays: raises `Refusal` where the recipe says otherwise, and `LoadError` for a folder that
    holds no adapter that may be read.
    """
    parent = inputs.get("parent")
    if not parent:
        return None
    folder = Path(parent["adapter"])
    if recipe.method == "full":
        raise Refusal(
            "continue_from: full training has no adapter to go on from.",
            code=FailureCode.RECIPE,
            fix="Choose a method with an adapter, or give the other run's folder `adapter` as the model.",
        )
    config = read_adapter(folder)
    theirs = {
        "lora_r": config.get("r"),
        "lora_alpha": config.get("lora_alpha"),
        "method": "dora" if config.get("use_dora") else recipe.method if recipe.method != "dora" else "lora",
    }
    other = {name: value for name, value in theirs.items() if value != getattr(recipe, name)}
    if other:
        said = ", ".join(f"{name} = {getattr(recipe, name)} (there {value})" for name, value in other.items())
        raise Refusal(
            f"continue_from: the adapter of {parent.get('name') or folder} was made otherwise: {said}.",
            code=FailureCode.RECIPE,
            fix="Set " + ", ".join(f"{name} = {value}" for name, value in other.items()) + ".",
        )
    trained_on = str(config.get("base_model_name_or_path") or "")
    if trained_on and not same_model(trained_on, str(inputs["model"]["path"])):
        raise Refusal(
            f"continue_from: that adapter was trained on {trained_on}, and the base model here is another.",
            code=FailureCode.MODEL,
            fix="Choose the same base model.",
        )
    return folder


def put_on(model: Any, adapter: Path, recipe: Recipe) -> Any:
    """The base model with the adapter on it, to be trained on. Raises `LoadError`."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(
            model,
            str(adapter),
            is_trainable=True,
            config=continued_settings(adapter, recipe),
            torch_device=str(model.device),
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise LoadError(
            f"The adapter {adapter} does not fit the base model.",
            " ".join(str(error).split()[:60]) or type(error).__name__,
            "Use it with the base model that it was trained on.",
        ) from error
