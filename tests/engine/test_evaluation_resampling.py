"""Intervals and p values: against what is known of simple cases, and of how often they are right."""

import numpy as np
import pytest

from engine.evaluation.resampling import SWAPS, Array, interval, p_value, resampled


def mean(sums: Array) -> Array:
    found: Array = sums[..., 0] / sums[..., 1]
    return found


def rows_of(values: Array) -> Array:
    return np.stack([values, np.ones(len(values))], axis=1)


def test_a_resample_has_as_many_rows_as_there_are_and_means_the_same() -> None:
    values = np.random.default_rng(1).normal(3, 2, 200)
    sums = resampled(rows_of(values), 4000, seed=0)
    assert sums.shape == (4000, 2)
    assert (sums[:, 1] == 200).all()
    means = mean(sums)
    assert means.mean() == pytest.approx(values.mean(), abs=0.01)
    assert means.std() == pytest.approx(values.std() / 200**0.5, rel=0.06)


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_so() -> None:
    rows = rows_of(np.random.default_rng(2).exponential(2, 300))
    first, again, other = (interval(mean(resampled(rows, 1000, seed))) for seed in (5, 5, 6))
    assert first == again != other
    assert first == pytest.approx(other, rel=0.05)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    held = 0
    for trial in range(300):
        low, high = interval(mean(resampled(rows_of(random.exponential(1.0, 80)), 300, trial)))
        assert low is not None and high is not None
        held += low <= 1.0 <= high
    assert 0.88 <= held / 300 <= 0.98


def test_many_rows_are_resampled_in_stretches() -> None:
    rows = np.ones((30_000, 1))
    assert (resampled(rows, 100, 0) == 30_000).all()


def test_an_interval_of_what_is_mostly_no_number_is_none() -> None:
    assert interval(np.array([np.nan, np.nan, 1.0])) == (None, None)
    assert interval(np.array([np.nan, 2.0, 2.0])) == (2.0, 2.0)


def test_the_p_value_is_that_of_the_sign_test_where_rows_are_right_or_wrong() -> None:
    """20 rows, of which the two models differ on 8: all 8 for the first. Exactly: 2 / 2**8."""
    one, other = rows_of(np.array([1.0] * 8 + [0.0] * 12)), rows_of(np.zeros(20))
    found = np.mean([p_value(one, other, mean, seed) for seed in range(5)])
    assert found == pytest.approx(2 / 2**8, abs=0.003)


def test_a_p_value_is_small_for_a_difference_one_for_none_and_uniform_where_there_is_only_chance() -> None:
    random = np.random.default_rng(4)
    base = random.normal(0, 1, 100)
    assert p_value(rows_of(base), rows_of(base), mean, 0) == 1.0
    assert p_value(rows_of(base + 0.5), rows_of(base), mean, 0) == 1 / (1 + SWAPS)
    by_chance = [
        p_value(rows_of(base + random.normal(0, 1, 100)), rows_of(base + random.normal(0, 1, 100)), mean, 0, 200)
        for _ in range(200)
    ]
    assert np.mean(np.array(by_chance) < 0.1) == pytest.approx(0.1, abs=0.07)
    assert np.mean(by_chance) == pytest.approx(0.5, abs=0.1)
