"""What to change after a failure: always launchable, and always less of what failed."""

from pathlib import Path

import pytest

from engine.recipe import Recipe, make_recipe
from engine.runs.failure_codes import HIGHEST_RATE, MEMORY, SHORTEST, FailureCode, remedy


def recipe(**values: object) -> Recipe:
    return make_recipe({"dataset": "d", "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4, **values})


@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_has_a_fix_and_changes_that_make_a_recipe(code: FailureCode) -> None:
    before = recipe(max_length=1024)
    found = remedy(code, before)
    assert found.fix.endswith(".")
    after = make_recipe(before.model_dump(mode="json", exclude_none=True) | found.changes)
    assert (after != before) == bool(found.changes)
    assert remedy(code, None).fix.endswith(".")


@pytest.mark.parametrize("code", sorted(MEMORY))
def test_less_memory_goes_on_until_nothing_is_left_to_give(code: FailureCode) -> None:
    now = recipe(per_device_train_batch_size=3, gradient_accumulation_steps=5, method="lora", max_length=1024)
    rows = now.batches_per_step
    taken = []
    while changes := remedy(code, now).changes:
        taken.append(next(iter(changes)))
        now = now.model_copy(update=changes)
        assert now.batches_per_step >= rows
    assert taken == ["per_device_train_batch_size", "gradient_checkpointing", "method", "max_length", "max_length"]
    assert (now.per_device_train_batch_size, now.gradient_accumulation_steps) == (1, 15)
    assert now.max_length == SHORTEST


def test_full_training_gives_up_the_optimizer_before_the_method_and_pages_before_anything_on_the_host() -> None:
    small = recipe(per_device_train_batch_size=1, gradient_checkpointing=True, method="full", optim="adamw_torch")
    assert remedy(FailureCode.CUDA_OUT_OF_MEMORY, small).changes == {"optim": "adamw_8bit"}
    assert remedy(FailureCode.HOST_OUT_OF_MEMORY, small).changes == {"method": "qlora"}
    paged = recipe(optim="paged_adamw_8bit")
    assert remedy(FailureCode.HOST_OUT_OF_MEMORY, paged).changes == {"optim": "adamw_8bit"}
    assert "per_device_train_batch_size" in remedy(FailureCode.CUDA_OUT_OF_MEMORY, paged).changes


def test_a_broken_loss_asks_for_a_quarter_of_the_learning_rate() -> None:
    assert remedy(FailureCode.LOSS_NOT_FINITE, recipe(learning_rate=3e-4)).changes == {"learning_rate": 7.5e-5}
    assert remedy(FailureCode.LOSS_NOT_FINITE, recipe(learning_rate=100)).changes == {"learning_rate": HIGHEST_RATE}


def test_every_code_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    assert [code for code in FailureCode if f"| `{code}` |" not in text] == []
