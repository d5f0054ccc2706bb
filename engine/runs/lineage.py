"""Where a run comes from, and what came of it: data, the runs before it, those after it, its sweep."""

from dataclasses import dataclass
from pathlib import Path

from engine.runs.rundir import RunDir, read_table
from store import Store
from store.records import Dataset, Run, Sweep

MOST_GENERATIONS = 100
"""A folder that was copied by hand can name itself as its own parent; this ends any chain."""


@dataclass(frozen=True)
class Kin:
    """A run before or after another one. `run` is `None` where it was removed: its id and name are still known."""

    id: str
    name: str
    run: Run | None
    step: int | None
    """The step of the checkpoint that the younger of the two began with; `None` is the adapter that was kept."""
    generation: int
    """How far away it is: 1 is a parent or a child."""


@dataclass(frozen=True)
class Lineage:
    """The family of one run."""

    run: Run
    parents: list[Kin]
    """The runs whose adapters it goes on from, the first of them first."""
    children: list[Kin]
    """The runs that went on from it and from those, depth first, oldest first."""
    datasets: list[Dataset]
    """The version that it was trained on, after those that this one was made from, the import first. Empty where the
    version was removed, or the run came from elsewhere."""
    sweep: Sweep | None
    trials: list[Run]
    """The other runs of its sweep, oldest first."""


def lineage_of(store: Store, run: Run) -> Lineage:
    """The family of `run`. Reads the store and small files of the runs' folders: call it in a thread."""
    sweep = store.sweeps.get(run.sweep) if run.sweep else None
    trials = store.runs.some([one for one in store.sweeps.run_ids(run.sweep) if one != run.id]) if run.sweep else []
    return Lineage(run, _parents(store, run), _children(store, run), _datasets(store, run.dataset_id), sweep, trials)


def _parents(store: Store, run: Run) -> list[Kin]:
    found: list[Kin] = []
    seen, child = {run.id}, run
    while child.parent and child.parent not in seen and len(found) < MOST_GENERATIONS:
        seen.add(child.parent)
        parent = store.runs.get(child.parent)
        told = read_table(RunDir(Path(child.dir)).inputs).get("parent")
        name = parent.name if parent else str(told.get("name", "")) if isinstance(told, dict) else ""
        found.append(Kin(child.parent, name, parent, start_step(child, parent), len(found) + 1))
        if parent is None:
            break
        child = parent
    return found[::-1]


def _children(store: Store, run: Run) -> list[Kin]:
    descendants = store.runs.descendants(run.id)
    by_parent: dict[str, list[Run]] = {}
    for one in descendants:
        by_parent.setdefault(one.parent, []).append(one)
    found: list[Kin] = []

    def follow(parent: Run, generation: int) -> None:
        for child in by_parent.pop(parent.id, ()):
            found.append(Kin(child.id, child.name, child, start_step(child, parent), generation))
            if generation < MOST_GENERATIONS:
                follow(child, generation + 1)

    follow(run, 1)
    return found


def _datasets(store: Store, dataset_id: str) -> list[Dataset]:
    found: list[Dataset] = []
    while dataset_id and (dataset := store.datasets.get(dataset_id)) and dataset not in found:
        found.append(dataset)
        dataset_id = dataset.parent or ""
    return found[::-1]


def start_step(child: Run, parent: Run | None) -> int | None:
    """The step of the parent's checkpoint that `child` began with, as `continue_from = "RUN@STEP"` says."""
    name, sign, step = str(child.recipe.get("continue_from") or "").rpartition("@")
    whole = {child.parent, *((parent.name,) if parent else ())}
    if not sign or not (step.isdecimal() and len(step) < 19) or f"{name}@{step}" in whole:
        return None
    return int(step)
