"""A run's adapter made into the next version of a name."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.registry.card import model_card
from engine.registry.folder import NameDir, VersionDir, copied, digest_of, sealed
from engine.registry.info import date_of, info_of
from engine.registry.naming import checked_description, checked_name, checked_tags
from engine.runs.rundir import RunDir, read_json, write_json
from engine.withheld import without_secrets
from store import Store
from store.evaluation_records import RegistryVersion
from store.records import Run

_KEPT = ("id", "name", "created", "model", "versions", "template_hash")
"""What a model server asks a run's `inputs.json`, and where the adapter comes from."""


def register(
    home: Home,
    store: Store,
    run: Run,
    name: str,
    *,
    description: str = "",
    tags: Sequence[str] = (),
    evaluations: Sequence[str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> RegistryVersion:
    """Copy the adapter of `run` as the next version of `name`, with its card. Nothing is kept where that fails.

    `evaluations` are ids; without them, the newest of each kind and data go onto the card. Raises `BadInput` for a run
    without an adapter or at work, for a name that cannot be, and where this adapter is the name's newest version
    already; `FinetuiError` where the disk is full.
    """
    name, description, tags = checked_name(name), checked_description(description), checked_tags(list(tags))
    source = _source(run)
    folder = NameDir.of(home, name)
    with folder.held():
        told = folder.read()
        number = max([int(told.get("last") or 0), *folder.versions()]) + 1
        _refuse_twice(folder, number - 1, name, source)
        beside = folder.path / f".v{number}.{os.getpid()}"
        shutil.rmtree(beside, ignore_errors=True)
        try:
            info = info_of(home, store, run, evaluations=evaluations)
            digests = copied(source, beside, progress)
            write_json(RunDir(beside).inputs, _inputs(run))
            digests["inputs.json"] = {
                "bytes": RunDir(beside).inputs.stat().st_size,
                "sha256": digest_of(RunDir(beside).inputs),
            }
            sealed(beside, digests)
            created = float(int(time.time()))  # as its file says it
            version = _version(run, name, number, created, info, description, tags)
            write_words(VersionDir(beside), version)
            target = folder.version(number).path
            beside.rename(target)
            try:
                write_json(folder.about, {"promotions": [], "created": created} | told | {"last": number})
                store.registry.add(version)
            except BaseException:
                target.rename(beside)
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return version


def write_words(folder: VersionDir, version: RegistryVersion) -> None:
    """Write `model_info.json` and the card anew; the adapter is not touched."""
    write_json(folder.info, version.info)
    temporary = folder.card.with_name(f".{folder.card.name}.{os.getpid()}")
    temporary.write_text(model_card(version.info), encoding="utf-8")
    temporary.replace(folder.card)


def _version(
    run: Run, name: str, number: int, created: float, info: dict[str, Any], description: str, tags: tuple[str, ...]
) -> RegistryVersion:
    shown, marks = without_secrets(description), [without_secrets(tag) for tag in tags]
    about = {
        "name": name,
        "version": number,
        "created": date_of(created),
        "description": shown,
        "tags": marks,
    }
    base = info.get("base", {})
    return RegistryVersion(
        name,
        number,
        created,
        run.id,
        run.model,
        str(base.get("revision") or ""),
        run.dataset_id,
        shown,
        tuple(marks),
        about | info,
    )


def _source(run: Run) -> RunDir:
    """The run's folder, with an adapter (or a whole model) that stays what it is."""
    folder = RunDir(Path(run.dir))
    if run.status.live:
        raise BadInput(
            f"Run {run.name} is at work: what it has learned so far may be replaced.",
            fix="Wait for the run, or stop it: what it has learned by then is saved.",
        )
    if not any(folder.adapter.glob("*.safetensors")):
        raise BadInput(
            f"Run {run.name} has no adapter to register.",
            why=f"There are no .safetensors in {folder.adapter}.",
            fix="Resume the run, or choose one that succeeded.",
        )
    return folder


def _refuse_twice(folder: NameDir, newest: int, name: str, source: RunDir) -> None:
    """Raises `BadInput` where the name's newest version is this adapter already."""
    told = read_json(folder.version(newest).digests)
    files = told.get("files") if isinstance(told, dict) else None
    weights = sorted(source.adapter.glob("*.safetensors"))
    if not isinstance(files, dict) or not all(f"adapter/{path.name}" in files for path in weights):
        return
    if all(files[f"adapter/{path.name}"].get("sha256") == digest_of(path) for path in weights):
        raise BadInput(
            f"This adapter is {name}@{newest} already.",
            fix=f"`finetui registry describe {name}@{newest}` changes what is said about it, `refresh` takes in new "
            "evaluations.",
        )


def _inputs(run: Run) -> dict[str, Any]:
    recorded = read_json(RunDir(Path(run.dir)).inputs)
    if not isinstance(recorded, dict) or not isinstance(recorded.get("model"), dict):
        raise FinetuiError(
            f"The base model of run {run.name} is not known.",
            why=f"{run.dir}/inputs.json is missing or damaged.",
            fix="Restore that file; it names the model that the adapter was trained on.",
        )
    kept = {name: recorded[name] for name in _KEPT if recorded.get(name) is not None}
    dataset = recorded.get("dataset")
    if isinstance(dataset, dict):
        kept["dataset"] = {name: dataset.get(name) for name in ("id", "name", "version")}
    return kept


def find_version(store: Store, name: str, number: int) -> RegistryVersion:
    """Raises `NotFound`."""
    version = store.registry.get(name, number)
    if version is None:
        known = ", ".join(str(one.version) for one in store.registry.versions(name)[::-1])
        raise NotFound(
            f"There is no version {number} of {name[:80]}." if known else f"Nothing is registered as {name[:80]!r}.",
            why=f"There are: {known}." if known else "",
            fix="`finetui registry ls` lists the names, `finetui registry show NAME` the versions.",
        )
    return version
