"""Which rows are kept back for validation: seeded, the same on every machine, rows alike on one side."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence

from engine.datasets.rows import Turn

TRAIN = "train"
VALIDATION = "validation"


def group_key(messages: Sequence[Turn]) -> bytes:
    """8 bytes that are equal for rows that ask the same: the first user turn, but for case and spacing."""
    text = next((turn.content for turn in messages if turn.role == "user"), messages[0].content)
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(normal.encode()).digest()[:8]


def split_rows(groups: Sequence[bytes], validation: float, seed: int) -> list[str]:
    """The split of each row, given each row's group.

    About `validation` (a share, 0 to 1) of the rows are kept back, at least one where there are two groups. A group is
    never divided, and one larger than the share is kept back only when nothing else could be.
    """
    sizes = Counter(groups)
    kept: set[bytes] = set()
    if validation > 0 and len(sizes) > 1:
        target = max(1, round(validation * len(groups)))
        order = sorted(sizes, key=lambda group: hashlib.sha256(b"%d:" % seed + group).digest())
        room = target
        for group in order:
            if sizes[group] <= room:
                kept.add(group)
                room -= sizes[group]
        if not kept:
            kept.add(min(order, key=lambda group: sizes[group]))
        if len(kept) == len(sizes):
            kept.discard(order[-1])
    return [VALIDATION if group in kept else TRAIN for group in groups]
