"""The split is the same everywhere, keeps rows that ask alike together, and never takes all of them."""

import subprocess
import sys

import pytest

from engine.datasets.rows import Turn
from engine.datasets.split import group_key, split_rows


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
