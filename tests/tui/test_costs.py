"""The screen of costs: what runs took, put together by key."""

from engine.home import Home
from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.costs import CostsScreen


async def test_costs_by_month_then_by_model(make_app: MakeApp, filled: SampleRuns, home: Home) -> None:
    (home.root / "settings.toml").write_text('[prices]\ncurrency = "CHF"\n[prices.hour]\nH200 = 4\n')
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("6 runs")
        await driver.press("dollar_sign")
        await driver.sees("device hours", "electricity", "all time")
        await driver.press("]", "]", "]")
        await driver.sees("starter")
        await driver.press("s", "s", "s", "s")
        await driver.sees("today")
        await driver.press("escape")
        await driver.wait(lambda: not isinstance(driver.app.screen, CostsScreen))


async def test_no_costs_say_what_to_do(make_app: MakeApp) -> None:
    async with make_app(size=(80, 24)) as driver:
        await driver.app.push_screen(CostsScreen("name:nothing"))
        await driver.sees("No run began in that time", "0 runs that match")
