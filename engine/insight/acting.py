"""Doing what is offered about a finding."""

from engine.errors import BadInput
from engine.insight.diagnosis import Act
from engine.insight.failures import changed_recipe
from engine.insight.fixing import variant_of
from engine.runs.manager import RunManager
from store import Store
from store.records import Run


def apply_act(manager: RunManager, store: Store, run: Run, act: Act) -> str:
    """Stop, resume, branch off or train again. Returns the id of the run that goes on, or was stopped.

    The caller has put the act's question, where it has one. A live run that another one takes over from is stopped
    once that one has been launched, which waits for its device. Raises `BadInput` where it cannot be done, with
    nothing changed, and for what only the user can do.
    """
    run = store.runs.get(run.id) or run
    if run.source:
        raise BadInput(
            f"{run.name} was imported ({run.source}): it was not trained here.",
            fix="Start a run of your own from its dataset and settings.",
        )
    if act.code == "data":
        raise BadInput(
            f"The rows of {run.dataset} need a look that only you can give.",
            fix=f"finetui datasets validate {run.dataset_id or run.dataset}",
        )
    if act.code == "stop":
        manager.stop(run.id)
        return run.id
    if act.code == "resume":
        manager.resume(run.id)
        return run.id
    changes = dict(act.changes)
    if act.code == "branch":
        changes["continue_from"] = f"{run.id}@{act.from_step}"
    launched = manager.launch(changed_recipe(run, changes), name=variant_of(store, run.name), tags=run.tags)
    run = store.runs.get(run.id) or run  # it may have ended meanwhile
    if run.status.live:
        manager.stop(run.id)
    return launched.id
