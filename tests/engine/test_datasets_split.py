"""The split is the same everywhere, keeps rows that ask alike together, and never takes all of them."""

import random
import subprocess
import sys
from collections import Counter

import pytest

from engine.datasets.rows import Turn
from engine.datasets.split import apportion, divide_rows, group_key, seeded_order, split_rows


def keys(count: int) -> list[bytes]:
    return [group_key([Turn("user", f"question {index}")]) for index in range(count)]


@pytest.mark.parametrize(
    ("rows", "share", "kept"),
    [(1, 0.1, 0), (2, 0.1, 1), (9, 0.1, 1), (10, 0.1, 1), (474, 0.1, 47), (10, 0.0, 0), (2, 0.9, 1)],
)
def test_the_share_is_kept_back_and_at_least_one_row(rows: int, share: float, kept: int) -> None:
    assert split_rows(keys(rows), share, 42).count("validation") == kept


def test_the_seed_decides_and_so_does_nothing_else() -> None:
    assert split_rows(keys(100), 0.2, 1) == split_rows(keys(100), 0.2, 1)
    assert split_rows(keys(100), 0.2, 1) != split_rows(keys(100), 0.2, 2)
    program = (
        "from tests.engine.test_datasets_split import keys; from engine.datasets.split import split_rows; "
        "print(split_rows(keys(40), 0.2, 7))"
    )
    again = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "99"}
    )
    assert again.stdout.strip() == str(split_rows(keys(40), 0.2, 7))


def test_the_order_of_the_rows_does_not_move_them() -> None:
    forward = dict(zip(keys(50), split_rows(keys(50), 0.2, 3), strict=True))
    backward = dict(zip(keys(50)[::-1], split_rows(keys(50)[::-1], 0.2, 3), strict=True))
    assert forward == backward


def test_rows_that_ask_the_same_stay_on_one_side() -> None:
    alike = [[Turn("system", "s"), Turn("user", text)] for text in ("How are  you?", "how are you?\n", "HOW ARE YOU?")]
    assert len({group_key(messages) for messages in alike}) == 1
    groups = [key for key in keys(20) for _ in range(3)]
    splits = split_rows(groups, 0.2, 5)
    assert splits.count("validation") == 12
    assert all(len({splits[3 * row + copy] for copy in range(3)}) == 1 for row in range(20))


def test_a_group_larger_than_the_share_stays_in_training() -> None:
    (big, *small) = keys(11)
    splits = split_rows([big] * 90 + small, 0.1, 42)
    assert splits[:90] == ["train"] * 90
    assert splits.count("validation") == 10


def test_one_group_is_not_split() -> None:
    assert set(split_rows(keys(1) * 5, 0.1, 42)) == {"train"}
    assert sorted(split_rows(keys(1) * 5 + keys(2)[1:] * 4, 0.1, 42)) == ["train"] * 5 + ["validation"] * 4


SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


@pytest.mark.parametrize(
    ("rows", "shares", "expected"),
    [
        (100, (0.8, 0.1, 0.1), (80, 10, 10)),
        (474, (0.9, 0.1, 0.0), (427, 47, 0)),
        (3, (0.8, 0.1, 0.1), (1, 1, 1)),
        (10, (0.0, 0.5, 0.5), (0, 5, 5)),
        (7, (1 / 3, 1 / 3, 1 / 3), (3, 2, 2)),
    ],
)
def test_any_shares(rows: int, shares: tuple[float, ...], expected: tuple[int, ...]) -> None:
    splits = divide_rows(keys(rows), dict(zip(SHARES, shares, strict=True)), 42)
    assert tuple(splits.count(name) for name in SHARES) == expected


def test_shares_are_divided_the_same_everywhere_whatever_the_order() -> None:
    groups = keys(200)
    splits = divide_rows(groups, SHARES, 1)
    assert divide_rows(groups[::-1], SHARES, 1)[::-1] == splits
    assert divide_rows(groups, SHARES, 2) != splits
    # known by heart, so that another version or machine that differs is noticed
    assert [row for row, split in enumerate(divide_rows(keys(20), SHARES, 7)) if split == "test"] == [3, 11]


def test_groups_stay_together_and_the_shares_are_kept() -> None:
    generator = random.Random(2)
    groups = [key for key in keys(300) for _ in range(generator.choice((1, 1, 1, 2, 5, 9)))]
    splits = divide_rows(groups, SHARES, 3)
    assert len(set(zip(groups, splits, strict=True))) == 300
    counts = Counter(splits)
    for name, share in SHARES.items():
        assert abs(counts[name] - share * len(groups)) <= 1
    assert max(Counter(key for key, split in zip(groups, splits, strict=True) if split == "test").values()) > 2


def test_strata_have_the_same_shares_and_so_has_the_whole() -> None:
    strata = ["big"] * 400 + ["small"] * 50 + [f"tiny{index // 3}" for index in range(90)]
    splits = divide_rows(keys(540), SHARES, 4, strata)
    found = Counter(zip(strata, splits, strict=True))
    assert [found["big", name] for name in SHARES] == [320, 40, 40]
    assert [found["small", name] for name in SHARES] == [40, 5, 5]
    assert [splits.count(name) for name in SHARES] == [432, 54, 54]


def test_one_group_goes_into_one_split() -> None:
    assert set(divide_rows(keys(1) * 9, SHARES, 42)) == {"train"}
    assert sorted(set(divide_rows(keys(1) * 9 + keys(3), SHARES, 42))) == ["test", "train", "validation"]


def test_parts_of_a_whole() -> None:
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(0, [1, 2]) == [0, 0]
    assert apportion(5, [0, 1]) == [0, 5]
    assert sum(apportion(1_001, [0.3, 0.3, 0.4])) == 1_001


def test_a_seeded_order_is_one_of_all_numbers() -> None:
    order = seeded_order(100, 1, "a")
    assert sorted(order) == list(range(100))
    assert order not in (seeded_order(100, 2, "a"), seeded_order(100, 1, "b"))
    assert order[:3] == [58, 29, 27]
