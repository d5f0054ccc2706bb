"""What runs cost: price by device, hours, energy, and how it is put together."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput
from engine.home import Home
from engine.prices import Prices, priced, read_prices
from engine.recipe import make_recipe
from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from engine.spending import BY, beginning, spending
from store import Store, open_store
from store.records import NewRun

HOUR = 3600.0
OCTOBER = datetime(2026, 10, 5, 12).timestamp()
NOVEMBER = datetime(2026, 11, 5, 12).timestamp()
PRICES = Prices("€", 0.5, {"H200": 4.0, "H200 NVL": 3.0, "cpu": 0.1})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "finetui.db")


def add(store: Store, folder: Path, run_id: str, began: float, hours: float, watts: float = 0, **about: Any) -> None:
    """A run that waited for an hour, then trained so long at a steady power."""
    recipe = {"devices": about.pop("devices", "auto"), "cost_per_hour": about.pop("price", 0.0)}
    known = {"name": run_id, "model": "starter", "method": "qlora", "dataset": "d v1", "dataset_id": "d", "tags": ()}
    rundir = RunDir(folder / run_id)
    rundir.path.mkdir()
    store.runs.add(NewRun(id=run_id, created=began, recipe=recipe, dir=str(rundir.path), **(known | about)))
    clock = iter([began - HOUR, began, began, began + hours * HOUR, began + hours * HOUR])
    writer = EventWriter(rundir.events, 1, clock=lambda: next(clock))
    writer.write("state", status="queued")
    writer.write("state", status="training")
    values = {"gpu0/power_w": watts / 2, "gpu1/power_w": watts / 2} if watts else {"system/rss_bytes": 1.0}
    writer.write("system", step=0, values=values)
    writer.write("heartbeat", step=1)
    writer.write("end", status="succeeded")
    ingest_run(store, run_id, rundir)


def test_hours_energy_and_money_of_a_period(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "r1", OCTOBER, 2, 600, devices=[0, 1], price=4.0, tags=("a", "b"))
    add(store, tmp_path, "r2", NOVEMBER, 1, 400, devices=2, price=4.0, model="qwen", tags=("a",))
    add(store, tmp_path, "r3", NOVEMBER, 3)
    found = spending(store, PRICES)
    november, october = found.shares
    assert (november.name, november.runs, november.device_s) == ("2026-11", 2, 5 * HOUR)
    assert november.energy_j == pytest.approx(400 * HOUR) and november.metered == 1
    assert november.electricity == pytest.approx(0.4 * 0.5) and november.cost == pytest.approx(8.0)
    assert (october.name, october.device_s) == ("2026-10", 4 * HOUR) and october.cost == pytest.approx(16.0)
    assert (found.total.runs, found.total.device_s) == (3, 9 * HOUR)
    assert found.total.cost == pytest.approx(24.0)


def test_runs_are_put_together_dearest_first_and_counted_once(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "r1", OCTOBER, 2, price=4.0, tags=("a", "b"))
    add(store, tmp_path, "r2", NOVEMBER, 1, price=4.0, model="qwen", tags=("a",))
    add(store, tmp_path, "r3", NOVEMBER, 3)
    names = {by: [share.name for share in spending(store, PRICES, by=by).shares] for by in BY}
    assert names["model"] == ["starter", "qwen"] and names["tag"] == ["a", "b", "no tag"]
    assert names["run"] == ["r1", "r2", "r3"] and names["week"] == ["2026-W45", "2026-W41"]
    assert spending(store, PRICES, by="tag").total.runs == 3
    free = spending(store, PRICES, query="name:r3")
    assert free.total.cost is None and free.total.energy_j is None and free.total.electricity is None
    assert [share.name for share in spending(store, PRICES, since=OCTOBER + HOUR).shares] == ["2026-11"]
    assert [share.name for share in spending(store, PRICES, until=NOVEMBER).shares] == ["2026-10"]
    with pytest.raises(BadInput, match="month, week"):
        spending(store, PRICES, by="colour")


def test_the_time_in_the_queue_costs_nothing_however_the_log_is_cut(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "r1", OCTOBER, 2, 1000)
    run = store.runs.get("r1")
    assert run is not None and run.busy_s == 2 * HOUR and run.energy_j == pytest.approx(2000 * HOUR)
    store.runs.reset("r1")
    ingest_run(store, "r1", RunDir(tmp_path / "r1"), batch_bytes=10)
    again = store.runs.get("r1")
    assert again is not None and (again.busy_s, again.energy_j) == (run.busy_s, run.energy_j)


def test_a_device_has_the_price_of_the_longest_name_in_its_own() -> None:
    assert PRICES.of_device("NVIDIA H200 NVL", "cuda") == 3.0 and PRICES.of_device("NVIDIA h200", "cuda") == 4.0
    assert PRICES.of_device("AMD EPYC, 2 cores", "cpu") == 0.1 and PRICES.of_device("NVIDIA L4", "cuda") == 0.0
    recipe = make_recipe({"dataset": "d"})
    assert priced(recipe, PRICES, "NVIDIA H200", "cuda").cost_per_hour == 4.0
    own = make_recipe({"dataset": "d", "cost_per_hour": 1.5})
    assert priced(own, PRICES, "NVIDIA H200", "cuda") is own
    assert priced(recipe, PRICES, "NVIDIA L4", "cuda") is recipe


def test_prices_are_read_from_the_settings(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read_prices(home) == Prices()
    settings = tmp_path / "settings.toml"
    settings.write_text('[prices]\nkwh = 0.3\ncurrency = "CHF"\n[prices.hour]\nH200 = 4\n')
    assert read_prices(home) == Prices("CHF", 0.3, {"H200": 4.0})
    settings.write_text("[prices]\nkwh = 'dear'\n")
    with pytest.raises(BadInput, match="kwh") as caught:
        read_prices(home)
    assert "H200" in caught.value.fix
    settings.write_text("[prices]\nhour = 3\n")
    with pytest.raises(BadInput, match="no table"):
        read_prices(home)
    settings.write_text("no toml")
    assert read_prices(home) == Prices()


def test_beginnings() -> None:
    now = datetime(2026, 11, 21, 15).timestamp()
    assert beginning("30d", now) == now - 30 * 86_400
    assert beginning("2026-11", now) == datetime(2026, 11, 1).timestamp()
    assert beginning("today", now) == datetime(2026, 11, 21).timestamp()
    with pytest.raises(BadInput, match="no time"):
        beginning("soon", now)


def test_a_stored_list_of_devices_counts(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "r1", time.time(), 1, devices=[0, 2, 3])
    (spent,) = store.spending.of(["r1", "gone"])
    assert json.loads(spent.devices) == [0, 2, 3]
    assert spending(store, Prices()).total.device_s == 3 * HOUR
