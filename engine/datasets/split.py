"""Which rows are kept back for validation and test: seeded, the same on every machine, rows alike on one side."""

import hashlib
import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from engine.datasets.rows import Turn

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"


def group_key(messages: Sequence[Turn]) -> bytes:
    """8 bytes that are equal for rows that ask the same: the first user turn, but for case and spacing."""
    text = next((turn.content for turn in messages if turn.role == "user"), messages[0].content)
    if text.isascii():  # already in that form
        normal = " ".join(text.lower().split())
    else:
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


def divide_rows(
    groups: Sequence[bytes], shares: Mapping[str, float], seed: int, strata: Sequence[str] | None = None
) -> list[str]:
    """The split of each row, given each row's group, for any shares (which add up to 1).

    A group is never divided. Each stratum is divided in the same shares, as nearly as whole rows and groups allow; what
    rounding takes from a split in one stratum it gives back in another. Every split with a share gets a row where there
    are groups enough. The order of the rows does not matter.
    """
    strata = strata if strata is not None else [""] * len(groups)
    named = [split for split, share in shares.items() if share > 0]
    wanted = _quotas(Counter(strata), {split: shares[split] for split in named})
    left = {stratum: dict(quota) for stratum, quota in wanted.items()}
    rows: dict[bytes, Counter[str]] = {}
    for group, stratum in zip(groups, strata, strict=True):
        rows.setdefault(group, Counter())[stratum] += 1
    # The large groups first: the small ones then even out what is left.
    order = sorted(rows, key=lambda group: (-rows[group].total(), hashlib.sha256(b"%d:" % seed + group).digest()))
    chosen: dict[bytes, str] = {}
    for group in order:
        counts = rows[group]
        chosen[group] = max(named, key=lambda split: _claim(split, counts, left, wanted))
        for stratum, count in counts.items():
            left[stratum][chosen[group]] -= count
    _fill_empty(named, order, chosen, rows)
    return [chosen[group] for group in groups]


def _claim(
    split: str, counts: Counter[str], left: Mapping[str, Mapping[str, int]], wanted: Mapping[str, Mapping[str, int]]
) -> tuple[bool, float]:
    """How much a split should have the next group: first if it has room, then by how far it is behind."""
    room = all(left[stratum][split] >= count for stratum, count in counts.items())
    if room:
        return True, sum(count * left[one][split] / max(1, wanted[one][split]) for one, count in sorted(counts.items()))
    return False, float(sum(count * left[one][split] for one, count in sorted(counts.items())))


def _quotas(sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, dict[str, int]]:
    """Whole rows for each stratum and split; the splits' totals are right too, because rounding is carried over."""
    owed = dict.fromkeys(shares, 0.0)
    quotas = {}
    for stratum in sorted(sizes):
        ideal = {split: share * sizes[stratum] + owed[split] for split, share in shares.items()}
        quota = {split: max(0, math.floor(rows + 1e-9)) for split, rows in ideal.items()}
        while (rest := sizes[stratum] - sum(quota.values())) != 0:
            behind = sorted(ideal, key=lambda split: quota[split] - ideal[split])
            if rest > 0:
                quota[behind[0]] += 1
            else:
                quota[next(split for split in reversed(behind) if quota[split])] -= 1
        owed = {split: ideal[split] - quota[split] for split in shares}
        quotas[stratum] = quota
    return quotas


def _fill_empty(
    named: Sequence[str], order: Sequence[bytes], chosen: dict[bytes, str], rows: Mapping[bytes, Counter[str]]
) -> None:
    """Give each split without a row the smallest group of the largest split that has one to spare."""
    for split in named:
        if split in chosen.values():
            continue
        held = Counter(chosen.values())
        size = Counter[str]()
        for group, owner in chosen.items():
            size[owner] += rows[group].total()
        donors = [owner for owner in named if held[owner] > 1]
        if donors:
            donor = max(donors, key=lambda owner: size[owner])
            chosen[next(group for group in reversed(order) if chosen[group] == donor)] = split


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` as whole numbers in proportion to the weights, by largest remainder."""
    whole = sum(weights)
    ideal = [total * weight / whole if whole else 0.0 for weight in weights]
    parts = [math.floor(share + 1e-9) for share in ideal]
    behind = sorted(range(len(weights)), key=lambda place: (parts[place] - ideal[place], place))
    for place in behind[: total - sum(parts) if whole else 0]:
        parts[place] += 1
    return parts


def seeded_order(count: int, seed: int, salt: str = "") -> list[int]:
    """The numbers below `count` in an order that the seed (and the salt) decide, the same on every machine."""
    prefix = f"{seed}:{salt}:".encode()
    return sorted(range(count), key=lambda index: hashlib.sha256(prefix + b"%d" % index).digest())
