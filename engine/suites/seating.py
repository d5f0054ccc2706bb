"""Models as a suite run names them, and what answers for each."""

from collections.abc import Mapping, Sequence

from engine.errors import NotFound
from engine.home import Home
from engine.inference.panes import Pane, panes_for, remote_panes
from engine.suites.endpoints import API, known_endpoints
from store import Store
from store.records import Run

BASE = "base:"


def models_of(runs: Sequence[Run], bases: Sequence[str], *, with_base: bool = True) -> tuple[str, ...]:
    """The models of a suite run: base models, then the runs. Without one named, the base of the first run."""
    names = list(bases) or ([runs[0].model] if runs and with_base else [])
    return tuple(dict.fromkeys([*(f"{BASE}{name}" for name in names), *(run.id for run in runs)]))


def panes_of(
    store: Store, home: Home, models: Sequence[str], endpoints: Mapping[str, Mapping[str, str]] | None = None
) -> list[Pane]:
    """What answers for each model; `endpoints` has `url` and `key_env` of those that are not on this machine, else they
    are those that the home knows.

    Raises `NotFound` for a run that is gone and an address that is not known, `BadInput` for a run without an adapter.
    """
    far = endpoints or {}
    known = known_endpoints(home)
    runs = {model: _run(store, model) for model in models if model not in far and not model.startswith((BASE, API))}

    def pane(model: str) -> Pane:
        if model in far:
            return remote_panes(far[model]["url"], [model.removeprefix(API)], far[model]["key_env"])[0]
        if model.startswith(API):
            if model not in known:
                raise NotFound(
                    f"The address of {model.removeprefix(API)} is not known any more.",
                    fix="Name it anew, with the same name: its votes stay with it.",
                )
            return known[model].pane()
        if model in runs:
            return panes_for([runs[model]], None, home)[1]
        return _base(model.removeprefix(BASE), list(runs.values()), home)

    return [pane(model) for model in models]


def labels_of(store: Store, models: Sequence[str]) -> list[str]:
    """The models' names; a run that is gone by its id."""
    known = {run.id: run.name for run in store.runs.some([model for model in models if not model.startswith(BASE)])}
    names = [known.get(model, model.removeprefix(BASE).removeprefix(API)) for model in models]
    return [
        f"{name} (base)" if model.startswith(BASE) and names.count(name) > 1 else name
        for model, name in zip(models, names, strict=True)
    ]


def _base(name: str, runs: Sequence[Run], home: Home) -> Pane:
    """The base model, held as one of the runs holds it where that was trained on it: one server answers both then."""
    tuned = next((run for run in runs if run.model == name), None)
    return panes_for([tuned], None, home)[0] if tuned is not None else panes_for(runs, name, home)[0]


def _run(store: Store, run_id: str) -> Run:
    run = store.runs.get(run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id} any more.", fix="Ask the suite anew, of models that are there.")
    return run
