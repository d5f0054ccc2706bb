"""Row 12: the loss becomes NaN or infinite. That the worker says so at once, `tests/worker` shows on real training."""

from math import inf, isnan

from engine.home import Home
from store import Store
from tests.engine.test_manager import Managers, ended, recipe
from tests.tui.conftest import Driver
from tui.app import FinetuiApp
from tui.widgets.chart_grid import ChartGrid


async def test_row_12_the_chart_survives_a_broken_loss(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--steps", "5", "--losses", "3,nan,inf,-inf,1")
    run = ended(manager, store, manager.launch(recipe()))
    manager.close()
    latest = run.metrics["train/loss"]
    assert (latest.last, latest.min, latest.max) == (1.0, 1.0, 3.0)
    app = FinetuiApp(home, open_run=run.id)
    async with app.run_test(size=(80, 24)) as pilot:
        driver = Driver(app, pilot)
        await driver.sees("train 1.000")
        chart = driver.app.screen.query_one(ChartGrid).chart_of("loss")
        assert chart is not None
        [shown] = chart.series
        assert shown.steps == [1, 2, 3, 4, 5]
        assert isnan(shown.values[1]) and inf in shown.values
        for size in ((20, 6), (200, 60), (80, 24)):
            await pilot.resize_terminal(*size)
            await driver.pilot.pause()
        await driver.sees("train 1.000")
