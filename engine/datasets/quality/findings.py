"""What a check finds, before it is graded."""

from dataclasses import dataclass, field
from typing import NamedTuple

LISTED = 1_000
"""How many findings of a check are kept one by one; the rest are counted."""


class Found(NamedTuple):
    """A fault in a row: its position (from 0), where in it, and what is wrong there."""

    position: int
    field: str
    problem: str


class Fault(NamedTuple):
    """What a check of one row says: the check's code, where in the row, and what is wrong there."""

    code: str
    field: str
    problem: str


@dataclass
class Outcome:
    """What a check found in the whole dataset.

    `count` rows are concerned, `share` of those that could have been; `found` holds the first `LISTED` in row order.
    `sentence` replaces the check's own where there is more to say, and is needed where no rows are counted.
    """

    code: str
    count: int
    share: float
    found: list[Found] = field(default_factory=list)
    sentence: str = ""
