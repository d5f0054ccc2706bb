"""What a sweep has found out: ranks, the best so far, and which parameter mattered."""

import itertools
import random
from typing import Any

import pytest

from engine.sweeps.analysis import SweepView, TrialView, importance
from engine.sweeps.spec import make_spec
from store.records import Sweep, SweepStatus


def view(search: dict[str, Any], rows: list[tuple[dict[str, Any], float | None, str]], **values: Any) -> SweepView:
    spec = make_spec({"name": "s", "search": search, "recipe": {"dataset": "d"}} | values)
    sweep = Sweep("s1", "s", 1.0, SweepStatus.RUNNING, "", None, spec.model_dump(mode="json"), "")
    trials = [
        TrialView(number, params, state, value, 10, "", None, None)
        for number, (params, value, state) in enumerate(rows)
    ]
    return SweepView(sweep, spec, trials, 20, None)


SEARCH = {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "lora_r": [8, 16], "packing": [True, False]}


def trials(count: int, chance: random.Random) -> list[tuple[dict[str, Any], float | None, str]]:
    found: list[tuple[dict[str, Any], float | None, str]] = []
    for rank, packing in itertools.islice(itertools.cycle(itertools.product([8, 16], [True, False])), count):
        rate = 10 ** chance.uniform(-5, -3)
        params = {"learning_rate": rate, "lora_r": rank, "packing": packing}
        found.append((params, 5 - 1000 * rate + (0.01 if rank == 8 else 0), "complete"))
    return found


@pytest.mark.parametrize(("count", "how"), [(8, "ranks"), (40, "PED-ANOVA")])
def test_the_parameter_that_mattered(count: int, how: str) -> None:
    found = importance(view(SEARCH, trials(count, random.Random(1))))
    assert next(iter(found.shares)) == "learning_rate" and how in found.how
    assert found.shares["learning_rate"] > 0.5
    assert sum(found.shares.values()) == pytest.approx(1)


def test_a_grid_says_which_list_mattered() -> None:
    search = {"lora_r": [8, 16, 32, 64], "lora_alpha": [16, 32]}
    rows: list[tuple[dict[str, Any], float | None, str]] = [
        ({"lora_r": rank, "lora_alpha": alpha}, {8: 3.0, 16: 1.0, 32: 2.0, 64: 4.0}[rank] + alpha / 1000, "complete")
        for rank in (8, 16, 32, 64)
        for alpha in (16, 32)
    ]
    found = importance(view(search, rows, method="grid"))
    assert found.shares["lora_r"] > 0.9, "though its best is in the middle"


def test_what_cannot_be_said() -> None:
    rows = trials(3, random.Random(1))
    assert "3 of at least 4" in importance(view(SEARCH, rows)).unknown
    failed: list[tuple[dict[str, Any], float | None, str]] = [*rows, (rows[0][0], None, "failed")]
    assert "3 of at least 4" in importance(view(SEARCH, failed)).unknown
    assert importance(view({"lora_r": [8, 16]}, [])).unknown == "one field is varied"
    same = [(params, 1.0, state) for params, _, state in trials(6, random.Random(1))]
    assert "the same" in importance(view(SEARCH, [*same])).unknown


def test_ranks_and_the_best_so_far() -> None:
    params = {"lora_r": 8}
    rows: list[tuple[dict[str, Any], float | None, str]] = [
        (params, 3.0, "complete"),
        (params, None, "failed"),
        (params, 1.0, "pruned"),
        (params, 2.0, "complete"),
        (params, 0.5, "running"),
    ]
    lower = view({"lora_r": [8]}, rows)
    assert [trial.number for trial in lower.ranked()] == [4, 2, 3, 0, 1]
    assert lower.best_so_far() == [(1, 3.0), (4, 2.0)], "of those that came to their end"
    assert lower.done == 4
    higher = view({"lora_r": [8]}, rows, direction="maximize")
    assert [trial.number for trial in higher.ranked()] == [0, 3, 2, 4, 1]
    assert higher.best_so_far() == [(1, 3.0), (4, 3.0)]
