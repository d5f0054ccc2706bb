"""What one pass over the rows gathers: faults of single rows, and figures that are weighed when all rows are known."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.datasets.quality.findings import LISTED, Fault, Found
from engine.datasets.quality.language import Spoken, languages_of
from engine.datasets.quality.measure import COLUMNS, measure
from engine.datasets.quality.placeholders import check_placeholders
from engine.datasets.quality.text import check_text
from engine.datasets.quality.turns import check_turns
from engine.datasets.quality.wording import check_wording, opening
from engine.datasets.rows import Row, answer_text

ROW_CHECKS: tuple[Callable[[Row, str], Iterator[Fault]], ...] = (
    check_turns,
    check_text,
    check_placeholders,
    check_wording,
)
"""The families of checks that need one row and the kind of its dataset."""

_OPENINGS_KEPT = 100
_KEYS_KEPT = 200


@dataclass(frozen=True)
class Look:
    """What the pass is to look at: the kind of the dataset, and the rows whose languages are told."""

    kind: str
    languages_of: frozenset[int] = frozenset()


@dataclass
class KeyTally:
    """A key of the metadata: in how many rows it says something, what it says first, and whether ever another thing."""

    present: int
    first: str
    varies: bool = False


@dataclass
class Tally:
    """What was found in neighbouring rows. Tallies of neighbours add up to that of both."""

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Rows with a fault, by the check's code."""
    found: dict[str, list[Found]] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    """Parts of each column, as NumPy arrays."""
    openings: Counter[str] = field(default_factory=Counter)
    metadata: dict[str, KeyTally] = field(default_factory=dict)
    spoken: list[Spoken] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in the tally of the rows that follow."""
        self.rows += other.rows
        self.counts.update(other.counts)
        for code, found in other.found.items():
            kept = self.found.setdefault(code, [])
            kept += found[: LISTED - len(kept)]
        for name, parts in other.columns.items():
            self.columns[name] += parts
        self.openings.update(other.openings)
        for key, tally in other.metadata.items():
            _add_key(self.metadata, key, tally)
        self.spoken += other.spoken

    def column(self, name: str) -> Any:
        """One number a row, as a NumPy array."""
        import numpy as np

        parts = self.columns[name]
        return np.concatenate(parts) if parts else np.empty(0, COLUMNS[name])


def inspect_rows(rows: list[Row], look: Look) -> Tally:
    """The tally of a chunk of rows."""
    import numpy as np

    tally = Tally(rows=len(rows))
    for row in rows:
        for check in ROW_CHECKS:
            _note(tally, row.index, check(row, look.kind))
        if look.kind != "text" and (begins := opening(answer_text(row))):
            tally.openings[begins] += 1
        for key, value in row.metadata.items():
            if value is not None and value != "":
                _add_key(tally.metadata, key, KeyTally(1, repr(value)[:200]))
        if row.index in look.languages_of:
            tally.spoken.append(languages_of(row, look.kind))
    # The few that are frequent here: one that is frequent everywhere is among them in every chunk.
    tally.openings = Counter(dict(tally.openings.most_common(_OPENINGS_KEPT)))
    measured = zip(*(measure(row) for row in rows), strict=True)
    tally.columns = {
        name: [np.array(values, dtype)] for (name, dtype), values in zip(COLUMNS.items(), measured, strict=True)
    }
    return tally


def _note(tally: Tally, index: int, faults: Iterable[Fault]) -> None:
    """A row counts once a check, however many of its turns have the fault."""
    told: set[str] = set()
    for code, place, problem in faults:
        if code not in told:
            told.add(code)
            tally.counts[code] += 1
        kept = tally.found.setdefault(code, [])
        if len(kept) < LISTED:
            kept.append(Found(index, place, problem))


def _add_key(keys: dict[str, KeyTally], key: str, tally: KeyTally) -> None:
    known = keys.get(key)
    if known is not None:
        known.present += tally.present
        known.varies = known.varies or tally.varies or known.first != tally.first
    elif len(keys) < _KEYS_KEPT:
        keys[key] = KeyTally(tally.present, tally.first, tally.varies)
