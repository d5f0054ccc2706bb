"""Doing what is suggested for a run that ended other than well."""

import re

from engine.errors import BadInput
from engine.insight.failures import Action, Failure, fixed_recipe
from engine.runs.manager import RunManager
from store import Store
from store.records import Run


def apply_fix(manager: RunManager, store: Store, run: Run, failure: Failure) -> str:
    """Resume the run, or launch the changed one. Returns the id of the run that goes on.

    The caller has put the failure's question, where it has one. Raises `BadInput` where the launch is refused, and
    where only the user can say what is to be changed.
    """
    if failure.action is Action.EDIT:
        raise BadInput(
            f"{run.name} needs a change that only you can make.",
            why=failure.title + ".",
            fix=failure.suggestion,
        )
    if failure.action is Action.RESUME:
        manager.resume(run.id)
        return run.id
    return manager.launch(fixed_recipe(run, failure), name=variant_of(store, run.name), tags=run.tags).id


def variant_of(store: Store, name: str) -> str:
    """What to number on from: of `a-2`, a variant of the run `a`, that is `a`."""
    stem = re.sub(r"-\d{1,3}$", "", name)
    return stem if any(found.name == stem for found in store.runs.find(stem)) else name
