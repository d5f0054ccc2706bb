"""What is done with registered adapters: promote, roll back, describe, refresh, remove, check, read in again."""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.registry.evaluated import evaluations_info
from engine.registry.folder import NameDir
from engine.registry.form import in_form
from engine.registry.naming import checked_description, checked_tags
from engine.registry.registering import find_version, write_words
from engine.runs.fields import finite, text
from engine.runs.rundir import RunDir, read_json, write_json
from engine.withheld import without_secrets
from store import Store
from store.evaluation_records import RegistryVersion
from store.registry import Promotion, RegisteredName

ROLLED_BACK = "rolled back"
"""The note of a promotion that went back to what was promoted before."""


def find_name(store: Store, name: str) -> RegisteredName:
    """Raises `NotFound`."""
    found = store.registry.name(name)
    if found is None:
        names = [one.name for one in store.registry.names()]
        raise NotFound(
            f"Nothing is registered as {name[:80]!r}.",
            why=f"There are: {', '.join(names[:20])}." if names else "Nothing is registered yet.",
            fix="`finetui register RUN NAME` registers the adapter of a run.",
        )
    return found


def promote(home: Home, store: Store, name: str, version: int, note: str = "") -> Promotion:
    """From now on `name` means this version. Raises `BadInput` where it does already, `FinetuiError` where the version
    is not what was registered."""
    wanted = find_version(store, name, version)
    if find_name(store, name).promoted == version:
        raise BadInput(f"{name} means version {version} already.")
    checked(home, wanted)
    return _promote(home, store, name, version, without_secrets(note.strip()[:500]))


def roll_back(home: Home, store: Store, name: str) -> Promotion:
    """Back to the version that was promoted before; again, to the one before that.

    Raises `BadInput` where there is none.
    """
    before = version_before(store, name)
    if before is None:
        raise BadInput(
            f"There is nothing that {name} could go back to.",
            why="No other version was promoted before.",
            fix=f"`finetui registry promote {name} VERSION` chooses one.",
        )
    checked(home, find_version(store, name, before))
    return _promote(home, store, name, before, ROLLED_BACK)


def version_before(store: Store, name: str) -> int | None:
    """The version that a roll-back goes to; `None` where there is none."""
    find_name(store, name)
    there = {one.version for one in store.registry.versions(name)}
    stack: list[int] = []
    for promotion in store.registry.promotions(name):
        if promotion.note == ROLLED_BACK and promotion.version in stack[:-1]:
            while stack[-1] != promotion.version:
                stack.pop()
        else:
            stack.append(promotion.version)
    earlier = [version for version in stack[:-1] if version in there and version != stack[-1]]
    return earlier[-1] if earlier else None


def describe(
    home: Home,
    store: Store,
    version: RegistryVersion,
    *,
    description: str | None = None,
    tags: Sequence[str] | None = None,
) -> RegistryVersion:
    """Other words about a version; what is `None` stays. Its adapter, recipe and figures stay as they are."""
    shown = version.description if description is None else without_secrets(checked_description(description))
    marks = version.tags if tags is None else tuple(without_secrets(tag) for tag in checked_tags(list(tags)))
    info = version.info | {"description": shown, "tags": list(marks)}
    return _changed(home, store, replace(version, description=shown, tags=marks, info=info))


def refresh(
    home: Home, store: Store, version: RegistryVersion, evaluations: Sequence[str] | None = None
) -> RegistryVersion:
    """Take in evaluations of the run that came since; `evaluations` are ids, without them the newest of each kind.

    Evaluations that are on the card and no longer in the store stay on it.
    """
    found = evaluations_info(store, version.run, evaluations)
    if evaluations is None:
        on = {(one["kind"], one.get("data"), one.get("split")) for one in found}
        old = version.info.get("evaluations") or []
        found += [one for one in old if (one.get("kind"), one.get("data"), one.get("split")) not in on]
    return _changed(home, store, replace(version, info=version.info | {"evaluations": found}))


def remove(home: Home, store: Store, name: str, version: int | None = None) -> None:
    """Remove a version, or all that is registered as `name`. Raises `BadInput` for the promoted version."""
    registered = find_name(store, name)
    folder = NameDir.of(home, name)
    if version is not None:
        find_version(store, name, version)
        if registered.promoted == version:
            raise BadInput(
                f"{name}@{version} is what {name} means now.",
                fix=f"Promote another version first, or go back: `finetui registry rollback {name}`.",
            )
    if version is None or registered.versions == 1:
        with folder.held():
            gone = home.registry / f".{name}.gone.{os.getpid()}"
            folder.path.rename(gone)
            store.registry.delete(name)
        shutil.rmtree(gone, ignore_errors=True)
        return
    with folder.held():
        place = folder.version(version).path
        gone = folder.path / f".v{version}.gone.{os.getpid()}"
        if place.exists():
            place.rename(gone)
        store.registry.delete(name, version)
        shutil.rmtree(gone, ignore_errors=True)


def checked(home: Home, version: RegistryVersion) -> None:
    """Raises `FinetuiError` where the version's files are not what was registered. Reads all of them."""
    if problems := problems_of(home, version):
        raise FinetuiError(
            f"{version.name}@{version.version} is not what was registered.",
            why="; ".join(problems[:5]) + ".",
            fix="Bring the files back from a backup, or register the run again.",
        )


def problems_of(home: Home, version: RegistryVersion) -> list[str]:
    """What is not as it was registered, in words."""
    return NameDir.of(home, version.name).version(version.version).problems()


def rebuild(home: Home, store: Store) -> int:
    """Enter anew what the folders of the registry hold; how many versions that is."""
    count = 0
    for path in sorted(home.registry.glob("[!.]*/")) if home.registry.is_dir() else []:
        folder = NameDir(path)
        versions = [one for one in (_read(folder, number) for number in folder.versions()) if one is not None]
        if versions:
            store.registry.replace(path.name, versions, _promotions(folder))
            count += len(versions)
    return count


def _promote(home: Home, store: Store, name: str, version: int, note: str) -> Promotion:
    promotion = Promotion(time.time(), version, note)
    folder = NameDir.of(home, name)
    with folder.held():
        find_version(store, name, version)  # checking its files took a while: it may have been removed
        told = folder.read()
        entry = {"t": promotion.t, "version": version, "note": note}
        write_json(folder.about, told | {"promotions": [*_entries(told), entry]})
        store.registry.promote(name, promotion)
    return promotion


def _changed(home: Home, store: Store, version: RegistryVersion) -> RegistryVersion:
    folder = NameDir.of(home, version.name)
    with folder.held():
        if not folder.version(version.version).path.is_dir():
            raise NotFound(
                f"The folder of {version.name}@{version.version} is gone.",
                why=f"There is no {folder.version(version.version).path}.",
                fix=f"`finetui registry rm {version.name}@{version.version}` forgets it.",
            )
        write_words(folder.version(version.version), version)
        store.registry.set_about(version)
    return version


def _read(folder: NameDir, number: int) -> RegistryVersion | None:
    """A version as its folder tells it; `None` where that is not whole."""
    place = folder.version(number)
    told, inputs = read_json(place.info), read_json(RunDir(place.path).inputs)
    if not isinstance(told, dict) or not isinstance(inputs, dict) or not place.digests.is_file():
        return None
    try:
        info = in_form(told)
    except ValueError:
        return None
    model = inputs.get("model")
    named = text(model.get("name") or "") if isinstance(model, dict) else ""
    return RegistryVersion(
        folder.path.name,
        number,
        _seconds(info.get("created")) or place.info.stat().st_mtime,
        text(info.get("run", {}).get("id") or inputs.get("id") or ""),
        str(named or info.get("base", {}).get("name") or ""),
        str(info.get("base", {}).get("revision") or ""),
        str(info.get("dataset", {}).get("id") or ""),
        str(info.get("description") or ""),
        tuple(str(tag) for tag in info.get("tags") or ()),
        info,
    )


def _promotions(folder: NameDir) -> list[Promotion]:
    return [Promotion(one["t"], one["version"], text(one.get("note", ""))) for one in _entries(folder.read())]


def _entries(told: dict[str, Any]) -> list[dict[str, Any]]:
    found = told.get("promotions")
    if not isinstance(found, list):
        return []
    tables = [one for one in found if isinstance(one, dict)]
    return [one for one in tables if finite(one.get("t")) is not None and type(one.get("version")) is int]


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
