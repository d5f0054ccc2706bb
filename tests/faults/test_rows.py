"""Which test is for which row of the faults. Some need what another folder's tests have: real training, a queue."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

ELSEWHERE = {
    1: [
        "worker/test_resume.py::test_a_killed_run_resumes_from_its_last_checkpoint_exactly",
        "worker/test_resume.py::test_what_is_not_whole_is_not_resumed_from",
    ],
    4: ["worker/test_resume.py::test_a_resumed_run_repeats_the_losses_and_the_order_of_an_uninterrupted_one"],
    12: ["worker/test_failures.py::test_a_loss_that_stays_broken_is_flagged_at_once_and_ends_the_run"],
    15: ["tui/test_storms.py::test_row_15_a_storm_of_sizes_ends_in_the_right_picture"],
    16: ["tui/test_storms.py::test_row_16_and_17_what_others_wrote_is_shown_as_text"],
    17: ["tui/test_storms.py::test_row_16_and_17_what_others_wrote_is_shown_as_text"],
    22: [
        "engine/test_device_watch.py::test_row_22_a_gpu_that_vanishes_is_said_and_comes_back",
        "tui/test_run_devices.py::test_row_22_a_gpu_that_vanishes_is_said_and_the_run_goes_on",
    ],
    23: ["engine/test_queue.py::test_six_supervisors_for_two_slots"],
    26: ["engine/test_queue.py::test_after_a_restart_of_the_machine_the_queue_is_as_it_was"],
}
"""Tests of rows that are in other folders."""

ROWS = (1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 19, 20, 22, 23, 26)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_its_tests(row: int) -> None:
    here = [name for file in Path(__file__).parent.glob("test_*.py") for name in names(file)]
    assert ELSEWHERE.get(row) or any(name.startswith(f"test_row_{row}_") for name in here)
    for place in ELSEWHERE.get(row, ()):
        file, _, name = place.partition("::")
        assert name in names(TESTS / file)


def names(file: Path) -> list[str]:
    return re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
