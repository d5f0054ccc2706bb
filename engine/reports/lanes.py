"""The runs of a report, each with the letter and the colour that it has in all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from engine.errors import BadInput, NotFound
from engine.text import clean_line
from engine.withheld import without_secrets
from store import Store
from store.records import Run, Status

COLORS = 8
"""Of curves; the ninth run has the first colour again, dashed."""


@dataclass(frozen=True)
class Lane:
    """A run of the report. `slot` (from 0) decides its letter and its colour."""

    slot: int
    run: Run
    name: str
    """As it is shown: without what looks like a secret, with its id where two have one name."""

    @property
    def letter(self) -> str:
        """A to Z, then AA, AB …"""
        rounds, place = divmod(self.slot, len(ascii_uppercase))
        return (ascii_uppercase[rounds - 1] if rounds else "") + ascii_uppercase[place]

    @property
    def color(self) -> int:
        return self.slot % COLORS

    @property
    def took_s(self) -> float | None:
        """Seconds from its start to its end, or to its last sign of life."""
        until = self.run.ended or self.run.heartbeat
        return max(0.0, until - self.run.started) if self.run.started is not None and until is not None else None

    @property
    def state(self) -> str:
        """In a word, with what it lacks to its end."""
        if self.run.status is Status.SUCCEEDED:
            return "done"
        progress = self.run.progress
        share = f" at {progress:.0%}" if progress is not None and self.run.status is not Status.QUEUED else ""
        return f"{self.run.status}{share}"


def lanes_of(store: Store, run_ids: Sequence[str]) -> list[Lane]:
    """The runs in the order given, each once. Raises `NotFound` for an id without a run, `BadInput` for no id."""
    ids = list(dict.fromkeys(run_ids))
    if not ids:
        raise BadInput("A report needs a run.", fix="Name one or more; `finetui runs ls` lists them.")
    runs = {run.id: run for run in store.runs.some(ids)}
    if missing := [run_id for run_id in ids if run_id not in runs]:
        raise NotFound(f"There is no run {missing[0]}.", fix="`finetui runs ls` lists them.")
    names = [clean_line(without_secrets(runs[run_id].name)) or run_id for run_id in ids]
    return [
        Lane(slot, runs[run_id], f"{name} ({run_id})" if names.count(name) > 1 else name)
        for slot, (run_id, name) in enumerate(zip(ids, names, strict=True))
    ]
