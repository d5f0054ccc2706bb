"""The filter of the list of runs: what is offered while one types, and filters kept under names."""

from collections.abc import Sequence

import pytest

from store import Store
from store.records import View
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.widgets.filter_completion import FilterCompletion
from tui.widgets.filter_line import FilterLine
from tui.widgets.run_orders import metric_of, order_of, orders
from tui.widgets.run_table import RunTable


def offers(driver: Driver) -> Sequence[str]:
    popup = driver.app.screen.query_one(FilterCompletion)
    return [offer.insert for offer in popup.offers] if popup.is_open else []


def query(driver: Driver) -> str:
    return driver.app.screen.query_one(FilterLine).value


def listed(driver: Driver) -> list[str]:
    return [run.name for run in driver.app.screen.query_one(RunTable).runs]


async def test_keys_and_values_are_offered_and_taken(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("slash")
        await driver.wait(lambda: "status:" in offers(driver))
        await driver.type("stat")
        await driver.wait(lambda: offers(driver)[:1] == ["status:"])
        await driver.press("tab")
        await driver.wait(lambda: query(driver) == "status:" and any("failed" in one for one in offers(driver)))
        await driver.type("fail")
        await driver.wait(lambda: len(offers(driver)) == 1)
        await driver.press("right")
        await driver.wait(lambda: query(driver).strip() == "status:failed")
        await driver.wait(lambda: listed(driver) == ["support-qlora"])


async def test_an_offer_is_chosen_with_the_arrows(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("slash")
        await driver.type("tag:")
        await driver.wait(lambda: len(offers(driver)) >= 2)
        second = offers(driver)[1]
        await driver.press("down", "tab")
        await driver.wait(lambda: second in query(driver))
        await driver.press("down")
        await driver.wait(lambda: isinstance(driver.app.focused, RunTable))


async def test_escape_closes_the_offers_then_clears(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("slash")
        await driver.type("sta")
        await driver.wait(lambda: offers(driver))
        await driver.press("escape")
        await driver.wait(lambda: not offers(driver))
        assert query(driver) == "sta"
        await driver.type("t")
        await driver.pilot.pause()
        assert not offers(driver)
        await driver.press("escape")
        await driver.wait(lambda: query(driver) == "" and isinstance(driver.app.focused, RunTable))


async def test_the_list_follows_each_key(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("6 runs")
        await driver.press("slash")
        await driver.type("emoji-")
        await driver.sees("3 of 6 runs")
        await driver.type("r")
        await driver.sees("2 of 6 runs")
        await driver.press("backspace", "n")
        await driver.sees("1 of 6 runs")
        assert driver.app.screen.query_one(RunTable).highlighted_id == "r6queue0000"


async def test_a_filter_that_is_not_understood_filters_nothing(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("6 runs")
        await driver.press("slash")
        await driver.type("status:nonsense")
        await driver.sees("status 'nonsense'")
        assert len(listed(driver)) == 6
        assert "of 6" not in driver.text()


async def test_a_view_is_kept_shown_and_deleted(make_app: MakeApp, filled: SampleRuns, store: Store) -> None:
    async with make_app() as driver:
        await driver.sees("6 runs")
        await driver.press("V")
        await driver.sees("No views yet")
        await driver.press("escape", "slash")
        await driver.type("status:failed")
        await driver.sees("1 of 6 runs")
        await driver.press("enter", "O", "V")
        await driver.sees("No views yet")
        await driver.press("s")
        await driver.sees("Keep this view as", "status:failed · by started, turned round")
        await driver.type("broken")
        await driver.press("enter")
        await driver.sees("broken", "1 run")
        assert store.views.all("runs") == [View("runs", "broken", "status:failed", "created", False)]
        await driver.press("escape", "escape")
        await driver.sees("6 runs", "emoji-next")
        await driver.press("V")
        await driver.sees("broken")
        await driver.press("enter")
        await driver.sees("broken · 1 of 6 runs", "started↑")
        assert query(driver) == "status:failed"
        await driver.press("V")
        await driver.sees("● broken")
        await driver.press("d")
        await driver.sees("Delete the view “broken”?")
        await driver.press("y")
        await driver.sees("No views yet")
        assert store.views.all("runs") == []


async def test_a_view_of_that_name_is_asked_about(make_app: MakeApp, filled: SampleRuns, store: Store) -> None:
    store.views.save(View("runs", "[/] mine", "tag:emoji", "name", False))
    store.views.save(View("runs", "no longer", "colour:red", "created", True))
    async with make_app() as driver:
        await driver.sees("6 runs")
        await driver.press("V")
        await driver.sees("[/] mine", "2 runs", "not understood")
        await driver.wait(lambda: "not understood  colour:red" in driver.line("no longer"))
        await driver.press("s")
        await driver.sees("Keep this view as")
        await driver.press("left_square_bracket", "slash", "right_square_bracket", "space", *"mine", "enter")
        await driver.sees("There is a view", "replace it")
        await driver.press("n")
        await driver.pilot.pause()
        assert store.views.all("runs")[0].query == "tag:emoji"


@pytest.mark.parametrize(
    ("key", "title", "descending"),
    [
        ("created", "started", True),
        ("eval/loss.min", "best eval loss", False),
        ("train/grad_norm.max", "highest train/grad_norm", True),
        ("eval/perplexity", "eval/perplexity", False),
        ("eval/mean_token_accuracy", "eval/mean_token_accuracy", True),
        ("cfg.lora_r", "lora_r", True),
        ("eval.rouge_l", "ROUGE-L", True),
        ("eval.perplexity", "perplexity", False),
        ("eval.lm_eval/hellaswag/acc", "lm_eval/hellaswag/acc", True),
    ],
)
def test_orders_have_words_and_a_way_round(key: str, title: str, descending: bool) -> None:
    order = order_of(key)
    assert (order.key, order.title, order.descending) == (key, title, descending)


def test_a_metric_may_have_a_dot_in_its_name() -> None:
    assert metric_of("eval/rouge.l") == ("eval/rouge.l", "last")
    assert metric_of("eval/loss.min") == ("eval/loss", "min")


def test_every_order_is_one_that_the_store_knows(filled: SampleRuns, store: Store) -> None:
    found = orders(store.metrics.all_names(), store.runs.setting_names(), ["bleu"])
    assert "eval.bleu" in [order.key for order in found]
    assert len({order.key for order in found}) == len(found)
    for order in found:
        assert len(store.runs.order(sort=order.key, descending=order.descending)) == 6, order.key
