"""Row 8: the clock jumps a day, either way."""

import re
import time
from pathlib import Path

import pytest

from engine.insight.stalled import stalled_since
from engine.runs.ingest import ingest_run
from engine.runs.rundir import RunDir
from store import open_store
from store.records import NewRun
from tests.engine.test_ingest import write
from tests.tui.conftest import MakeApp, filled, home, make_app, runs, store
from tests.tui.sample_runs import SampleRuns
from tui.messages import OpenRun
from tui.widgets.header import MODE_TITLES
from tui.widgets.run_words import took_s

__all__ = ["filled", "home", "make_app", "runs", "store"]

DAY = 86_400.0
NEGATIVE = re.compile(r"[-−]\d+(\.\d+)? ?(s|m|h|d)\b")


def test_row_8_order_is_that_of_the_log_and_no_time_is_negative(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path)
    store = open_store(tmp_path / "finetui.db")
    store.runs.add(NewRun("r1", "a", "m", "qlora", "d", "d1", 0.0, {"cost_per_hour": 3600.0}, str(tmp_path)))
    write(
        rundir,
        [
            (10 * DAY, 1, "state", {"status": "training", "from_step": 0}),
            (10 * DAY + 1, 1, "metrics", {"step": 1, "eta_s": -5.0, "values": {"train/loss": 3.0}}),
            (9 * DAY, 1, "metrics", {"step": 2, "values": {"train/loss": 2.0}}),
            (9 * DAY + 1, 1, "metrics", {"step": 3, "values": {"train/loss": 1.0}}),
        ],
    )
    ingest_run(store, "r1", rundir)
    live = store.runs.get("r1")
    assert live is not None
    assert live.eta_s == 0.0
    assert live.cost == 2.0, "what was seen to pass, and nothing back"
    assert stalled_since(live, rundir, now=8 * DAY) is None, "heard of tomorrow is no silence"
    write(rundir, [(9 * DAY + 2, 1, "end", {"status": "succeeded", "reason": ""})])
    ingest_run(store, "r1", rundir)
    run = store.runs.get("r1")
    assert run is not None and run.started is not None and run.ended is not None
    assert run.ended >= run.started
    assert took_s(run) == 0
    assert took_s(live, now=9 * DAY) == 0
    [attempt] = store.runs.attempts("r1")
    assert attempt.ended == attempt.started == 10 * DAY
    series = store.metrics.series("r1", "train/loss")
    assert series is not None
    assert (series.steps, series.values) == ([1, 2, 3], [3.0, 2.0, 1.0])
    store.close()


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forward", "back"])
async def test_row_8_the_screens_show_no_negative_time(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    async with make_app((160, 50)) as driver:
        await driver.sees("emoji-r16-lr2e4")
        true = time.time
        monkeypatch.setattr(time, "time", lambda: true() + by)
        filled.write("r4live00000", "metrics", step=57, total_steps=60, values={"train/loss": 0.5})
        await driver.press(str([*MODE_TITLES].index("queue") + 1))
        await driver.sees("at work")
        assert NEGATIVE.findall(driver.text()) == [], driver.text()
        driver.app.post_message(OpenRun("r4live00000"))
        await driver.sees("step 57/60", "gradient norm")
        assert NEGATIVE.findall(driver.text()) == [], driver.text()
        await driver.press("escape")
        await driver.sees("emoji-r16-lr2e4", "support-dora")
        assert NEGATIVE.findall(driver.text()) == [], driver.text()
