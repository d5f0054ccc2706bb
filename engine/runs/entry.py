"""What the store is told of a run, from its folder. That may be damaged, of another version, or somebody else's."""

import json
from collections.abc import Mapping
from typing import Any

from engine.runs.fields import finite, text
from engine.runs.rundir import RunDir
from engine.toml import read_toml
from store.records import NewRun


def new_run(rundir: RunDir, inputs: Mapping[str, Any]) -> NewRun:
    """The run in `rundir`. Raises `OSError` or `ValueError` for a damaged one, and for one that is in another's place.

    An imported run has the settings of others in its inputs where finetui's own have a recipe beside them.
    """
    if inputs.get("id") != rundir.path.name:
        raise ValueError("its inputs.json is that of another run")
    source = inputs.get("source") or ""
    if not source and not rundir.recipe.is_file():  # a pipe would be waited for
        raise ValueError("it has no recipe.toml")
    recipe = _stored(inputs.get("config") if source else read_toml(rundir.recipe))
    dataset, created, tags = _table(inputs, "dataset"), finite(inputs.get("created")), inputs.get("tags")
    if created is None or not isinstance(tags, list):
        raise ValueError(f"its inputs.json has no {'tags' if created is not None else 'time'}")
    return NewRun(
        id=rundir.path.name,
        name=_word(inputs, "name"),
        model=_word(_table(inputs, "model"), "name"),
        method=_word(inputs if source else recipe, "method"),
        dataset=_word(dataset, "name"),
        dataset_id=_word(dataset, "id"),
        created=created,
        recipe=recipe,
        dir=str(rundir.path),
        tags=tuple(text(tag) for tag in tags),
        parent=_id_in(inputs, "parent"),
        sweep=_id_in(inputs, "sweep"),
        source=text(source),
    )


def _stored(recipe: Any) -> dict[str, Any]:
    """Settings as a store can hold them: JSON's values, and no halves of surrogate pairs."""
    if not isinstance(recipe, dict):
        raise ValueError("it has no settings")
    try:
        return dict(json.loads(text(json.dumps(recipe, ensure_ascii=False, allow_nan=False, default=str))))
    except RecursionError:
        raise ValueError("its settings are nested too deeply") from None


def _table(inputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = inputs.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is missing")
    return value


def _word(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is missing")
    return text(value)


def _id_in(inputs: Mapping[str, Any], name: str) -> str:
    """The id of what the run belongs to, empty where it belongs to none."""
    told = inputs.get(name)
    value = told.get("id") if isinstance(told, dict) else None
    return text(value) if isinstance(value, str) else ""
