"""What `NAME` and `NAME@2` mean where a run is asked for: a registered adapter."""

from pathlib import Path

from engine.errors import NotFound
from engine.home import Home
from engine.inference.panes import Pane, panes_for
from engine.registry.folder import NameDir, VersionDir
from engine.registry.keeping import find_name
from engine.registry.naming import parse
from engine.registry.registering import find_version
from engine.runs.rundir import RunDir
from store import Store
from store.evaluation_records import RegistryVersion
from store.records import Run, Status


def find(home: Home, store: Store, text: str) -> RegistryVersion | None:
    """The version that `text` means: `NAME@2` that one, `NAME` the promoted one, else the newest.

    `None` where nothing is registered under that name. Raises `NotFound` for a version that is not there, and where its
    folder is gone.
    """
    wanted = parse(text)
    registered = store.registry.name(wanted.name) if wanted else None
    if wanted is None or registered is None:
        return None
    version = find_version(store, wanted.name, wanted.version or registered.current)
    folder = folder_of(home, version)
    if not folder.adapter.is_dir():
        raise NotFound(
            f"The files of {version.name}@{version.version} are gone.",
            why=f"There is no {folder.adapter}.",
            fix="Bring that folder back from a backup, or register the run again.",
        )
    return version


def find_registered(home: Home, store: Store, text: str) -> RegistryVersion:
    """As `find`, but raises `NotFound` where nothing is registered under that name."""
    version = find(home, store, text)
    if version is None:
        find_name(store, text.partition("@")[0])
        raise NotFound(f"{text[:80]!r} is no registered version.", fix="Write NAME or NAME@2.")
    return version


def folder_of(home: Home, version: RegistryVersion) -> VersionDir:
    """The version's folder."""
    return NameDir.of(home, version.name).version(version.version)


def as_run(home: Home, version: RegistryVersion) -> Run:
    """The version for those who ask runs: its folder has what a run's has, its name and id are `NAME@2`."""
    label = f"{version.name}@{version.version}"
    recipe = version.info.get("recipe")
    return Run(
        id=label,
        name=label,
        status=Status.SUCCEEDED,
        reason="",
        model=version.base,
        method=str(version.info.get("method") or ""),
        dataset=str(version.info.get("dataset", {}).get("name") or ""),
        dataset_id=version.dataset,
        created=version.created,
        started=None,
        ended=version.created,
        attempt=1,
        step=int(version.info.get("run", {}).get("step") or 0),
        total_steps=version.info.get("run", {}).get("total_steps"),
        eta_s=None,
        tokens_per_s=None,
        peak_vram_bytes=None,
        cost=None,
        phase="",
        phase_progress=None,
        heartbeat=None,
        best_step=None,
        tags=version.tags,
        notes=version.description,
        recipe=recipe if isinstance(recipe, dict) else {},
        dir=str(folder_of(home, version).path),
    )


def pane_of(home: Home, version: RegistryVersion) -> Pane:
    """What answers for the version: its adapter on the base model that it was trained on."""
    return panes_for([as_run(home, version)], None, home)[1]


def adapter_of(home: Home, version: RegistryVersion) -> Path:
    """The folder with the version's adapter (or, for `full`, the whole model)."""
    return RunDir(folder_of(home, version).path).adapter
