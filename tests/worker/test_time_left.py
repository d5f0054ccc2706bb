"""What is left of a run, and how sure that is."""

import math
import random

import pytest

from engine.worker.time_left import Pace, TimeLeft, evaluations_left


def test_nothing_is_said_before_the_first_step() -> None:
    assert TimeLeft().of(10, 1) == (None, None)


def test_the_first_step_counts_until_there_is_a_second() -> None:
    left = TimeLeft()
    left.steps.add(30.0)
    assert left.of(10, 0) == (300.0, None)
    left.steps.add(1.0)
    assert left.of(10, 0) == (10.0, None)
    left.steps.add(1.0)
    assert left.of(10, 0) == (10.0, 0.0)


def test_evaluations_are_counted_with_the_one_that_follows_the_step() -> None:
    assert [evaluations_left(step, 10, 4) for step in (1, 4, 5, 8, 9, 10)] == [3, 3, 2, 2, 1, 1]
    assert [evaluations_left(step, 8, 4) for step in (0, 4, 5, 8)] == [2, 2, 1, 1]
    left = TimeLeft()
    for _ in range(5):
        left.steps.add(1.0)
    left.evaluations.add(20.0)
    assert left.of(4, 1) == (24.0, 0.0)


def test_it_follows_a_run_that_slows_down() -> None:
    pace = Pace()
    for seconds in [1.0] * 50 + [2.0] * 50:
        pace.add(seconds)
    assert pace.mean_s == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("scatter", [0.05, 0.3])
@pytest.mark.parametrize("behind", [20, 200])
def test_the_error_is_as_large_as_the_estimate_is_off(scatter: float, behind: int) -> None:
    """Over many runs the estimate is within one of its own deviations in about two of three."""
    noise = random.Random(f"{scatter} {behind}")
    within = 0
    for _ in range(300):
        left = TimeLeft()
        for _ in range(behind):
            left.steps.add(noise.gauss(1.0, scatter))
        told, error = left.of(100, 0)
        assert told is not None and error is not None
        within += abs(told - sum(noise.gauss(1.0, scatter) for _ in range(100))) <= error
    assert 0.5 < within / 300 < 0.8


def test_the_error_shrinks_towards_the_end() -> None:
    left = TimeLeft()
    for number in range(100):
        left.steps.add(1.0 + number % 2 * 0.1)
    errors = [left.of(steps, 0)[1] for steps in (1000, 100, 10, 0)]
    assert errors == sorted(errors, key=lambda error: -(error or 0.0))
    assert errors[-1] == 0.0
    assert all(error is not None and math.isfinite(error) for error in errors)
