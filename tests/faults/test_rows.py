"""Every row of docs/reliability.md has tests, in the files that it names."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"

NAMED_OTHERWISE = {
    "worker/test_resume.py": "test_a_resumed_run_repeats_the_losses_and_the_order_of_an_uninterrupted_one",
    "worker/test_failures.py": "test_a_loss_that_stays_broken_is_flagged_at_once_and_ends_the_run",
    "engine/test_queue.py": "test_six_supervisors_for_two_slots",
    "fuzz/": "test_",
}
"""Tests of rows that are about more than the row: where they are, and how they are called."""


def rows() -> dict[int, list[str]]:
    """The files that the page names for each row."""
    lines = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {int(number): re.findall(r"`([\w/]+\.py)`", files) for number, files in lines}


def test_all_rows_are_there() -> None:
    assert sorted(rows()) == [*range(1, 28)]


@pytest.mark.parametrize("row", range(1, 28))
def test_every_row_has_its_tests(row: int) -> None:
    files = rows()[row]
    assert files
    for name in files:
        file = TESTS / name if "/" in name else TESTS / "faults" / name
        tests = re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        other = next((start for place, start in NAMED_OTHERWISE.items() if name.startswith(place)), None)
        assert any((other is not None and test.startswith(other)) or _is_of(row, test) for test in tests), name


def _is_of(row: int, test: str) -> bool:
    several = re.match(r"test_rows_(\d+)_to_(\d+)_", test)
    if several:
        return int(several[1]) <= row <= int(several[2])
    return row in map(int, re.findall(r"\d+", re.match(r"test_row_(\d+(_and_\d+)?)_|", test)[0]))  # type: ignore[index]
