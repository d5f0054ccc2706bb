"""Which run a person means."""

from engine.errors import BadInput, NotFound
from store import Store
from store.records import Run


def find_run(store: Store, text: str) -> Run:
    """The run with that id, name or start of an id.

    Raises `NotFound`, with names that are near, and `BadInput` where it could be several.
    """
    wanted = text.strip()
    found = store.runs.find(wanted) if wanted else []
    if len(found) == 1:
        return found[0]
    if found:
        some = "\n".join(f"  {run.id}  {run.name}  ({run.status})" for run in found[:5])
        more = f"\n  and {len(found) - 5} more" if len(found) > 5 else ""
        raise BadInput(f"{wanted!r} could be {len(found)} runs.", why=some + more, fix="Give the id of one of them.")
    raise NotFound(f"There is no run {wanted!r}.", fix=_nearest(store, wanted))


def _nearest(store: Store, wanted: str) -> str:
    from difflib import get_close_matches

    names = list(dict.fromkeys(run.name for run in store.runs.list(limit=500)))
    close = get_close_matches(wanted, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return "`finetui runs ls` lists them all." if names else "No run has been launched yet."
