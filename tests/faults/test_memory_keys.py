"""Row 10: each of the two reasons is told apart on the run's screen, and one key launches what fits."""

import pytest

from tests.tui.conftest import MakeApp, home, make_app, runs, store
from tests.tui.sample_runs import SampleRuns
from tests.tui.test_run_fix import OOM, Done, done, failed

__all__ = ["done", "home", "make_app", "runs", "store"]

TITLES = {"cuda_out_of_memory": "CUDA out of memory", "host_out_of_memory": "The machine's memory ran out"}


@pytest.mark.parametrize("code", TITLES)
async def test_row_10_one_key_launches_a_smaller_run(
    make_app: MakeApp, runs: SampleRuns, done: Done, code: str
) -> None:
    failed(runs, code, **OOM)
    async with make_app(open_run="r1failed000", size=(100, 24)) as driver:
        await driver.sees(f"{TITLES[code]} at step 12 · a launch with batch 2 × 8")
        await driver.press("a", "a")
        await driver.wait(lambda: getattr(driver.app.screen, "run_id", "") == "r9other0000")
    [recipe] = done
    assert (recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps) == (2, 8)
