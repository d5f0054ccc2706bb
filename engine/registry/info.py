"""What is known about a run's adapter, as `model_info.json` says it. What is not known is left out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.home import Home
from engine.prices import read_prices
from engine.registry.evaluated import evaluations_info
from engine.registry.licences import hub_name_of, licence_of_dataset, licence_of_model
from engine.runs.cost import count_of
from engine.runs.measures import figure, lower_is_better, ranked
from engine.runs.rundir import RunDir, read_json
from engine.withheld import open_settings, without_secrets
from store import Store
from store.records import Run

VERSION = 1
Info = dict[str, Any]


def info_of(
    home: Home, store: Store, run: Run, *, evaluations: Sequence[str] | None = None, size_bytes: int | None = None
) -> Info:
    """What is known about the adapter of `run`: its origin, recipe, figures, evaluations, and what it took.

    `evaluations` are ids; without them, the newest of each kind and data. Keys: docs/registry.md. Reads the store and
    small files: use it from a thread.
    """
    inputs = _table(read_json(RunDir(Path(run.dir)).inputs))
    plan, end = _event(store, run, "plan"), _event(store, run, "end")
    said = _table(end.get("summary"))
    return _known(
        {
            "v": VERSION,
            "kind": "model" if run.method == "full" else "adapter",
            "run": _run(run, said),
            "base": _base(run, inputs),
            "dataset": _dataset(store, run, inputs),
            "method": run.method,
            "recipe": open_settings({name: value for name, value in run.recipe.items() if value not in (None, "", [])})
            | {"model": public_name(run.model)},
            "rows": _known({"train": plan.get("train_rows"), "validation": plan.get("eval_rows")}),
            "train_tokens": plan.get("train_tokens"),
            "parameters": _known({"trained": plan.get("trainable_parameters"), "total": plan.get("total_parameters")}),
            "training": _training(run),
            "effect": _table(said.get("adapter_effect")),
            "evaluations": evaluations_info(store, run.id, evaluations),
            "votes": {"win_rate": run.win_rate, "votes": run.win_votes} if run.win_votes else None,
            "took": _took(home, run, plan),
            "size_bytes": size_bytes if size_bytes is not None else folder_bytes(RunDir(Path(run.dir)).adapter),
            "template_hash": said.get("template_hash") or inputs.get("template_hash"),
            "versions": plan.get("versions") or inputs.get("versions"),
        }
    )


def kept_loss(info: Mapping[str, Any]) -> float | None:
    """The validation loss of the adapter that was kept."""
    loss = _table(_table(info.get("training")).get("eval/loss"))
    value = loss.get("best", loss.get("last"))
    return float(value) if isinstance(value, (int, float)) else None


def public_name(name: str) -> str:
    """A base model's name as others may read it: of a folder on this machine, its own name alone."""
    is_folder = name.startswith(("/", "./", "../", "~")) or name.count("/") > 1
    return without_secrets(Path(name).name if is_folder else name)


def folder_bytes(folder: Path) -> int | None:
    """The size of the files in it; `None` where there is none."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return sum(sizes) if sizes else None


def date_of(t: float | None) -> str | None:
    """A moment as `2026-11-21T22:03:00Z`."""
    return None if t is None else f"{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _run(run: Run, said: Mapping[str, Any]) -> Info:
    return _known(
        {
            "id": run.id,
            "name": without_secrets(run.name),
            "status": str(run.status),
            "created": date_of(run.created),
            "ended": date_of(run.ended),
            "step": said.get("step") or run.best_step or run.step,
            "total_steps": run.total_steps,
            "kept_step": run.best_step if _table(said.get("adapter_effect")).get("is_best_checkpoint") else None,
            "parent": run.parent,
        }
    )


def _base(run: Run, inputs: Mapping[str, Any]) -> Info:
    recorded = _table(inputs.get("model"))
    path, revision = str(recorded.get("path") or ""), recorded.get("revision") or run.recipe.get("revision")
    return _known(
        {
            "name": public_name(run.model),
            "kind": recorded.get("kind"),
            "revision": revision,
            "licence": licence_of_model(path, str(revision or "")) if path else "",
        }
    )


def _dataset(store: Store, run: Run, inputs: Mapping[str, Any]) -> Info:
    recorded = _table(inputs.get("dataset"))
    dataset = store.datasets.get(run.dataset_id) if run.dataset_id else None
    if dataset is None:
        known = {"id": run.dataset_id, "name": recorded.get("name") or run.dataset, "version": recorded.get("version")}
        return _known(known)
    card = _table(read_json(Path(dataset.dir) / "card.json"))
    source = _table(card.get("source"))
    return _known(
        {
            "id": dataset.id,
            "name": without_secrets(dataset.name),
            "version": dataset.version,
            "rows": dataset.rows,
            "splits": dataset.splits,
            "shape": dataset.shape,
            "hub": hub_name_of(source),
            "sha256": source.get("sha256"),
            "licence": licence_of_dataset(source),
            "grade": dataset.grade,
        }
    )


def _training(run: Run) -> Info:
    """By metric: `last`, and the `best` with its step where one side is better."""
    found = {}
    for name in ranked(name for name in run.metrics if not name.endswith("tokens_per_s")):
        latest = run.metrics[name]
        best = figure(name, latest)
        found[name] = _known(
            {
                "last": latest.last if latest.last == latest.last else None,
                "best": best if lower_is_better(name) is not None else None,
                "best_step": latest.min_step if lower_is_better(name) and name.startswith("eval/") else None,
            }
        )
    return _known(found)


def _took(home: Home, run: Run, plan: Mapping[str, Any]) -> Info:
    """Time in seconds, energy in joules, money in `currency`."""
    elapsed = run.ended - run.started if run.ended is not None and run.started is not None else None
    prices = read_prices(home)
    return _known(
        {
            "time_s": run.busy_s if run.busy_s is not None else elapsed,
            "device": plan.get("device_title") or plan.get("device"),
            "devices": count_of(run.recipe.get("devices")) * count_of(run.recipe.get("nodes")),
            "precision": plan.get("precision"),
            "peak_memory_bytes": run.peak_vram_bytes,
            "tokens_per_s": run.tokens_per_s,
            "energy_j": run.energy_j,
            "electricity": prices.of_energy(run.energy_j),
            "cost": run.cost or None,
            "currency": prices.currency if run.cost or prices.of_energy(run.energy_j) else "",
        }
    )


def _event(store: Store, run: Run, kind: str) -> dict[str, Any]:
    """What the last event of that kind says; empty where there is none."""
    found = store.runs.events(run.id, [kind], limit=1)
    return dict(found[-1].body) if found else {}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _known(values: Mapping[str, Any]) -> Info:
    """The values that are known."""
    return {name: value for name, value in values.items() if value is not None and value != "" and value != {}}
