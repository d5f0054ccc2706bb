"""What evaluations measured, as a column of the list of runs."""

from store import Store
from store.evaluation_records import Evaluation, Measured
from tests.store.builders import new_run, the
from tui.screens.order_dialog import read_orders
from tui.widgets.run_columns import Beside, fit


def test_the_order_by_a_figure_shows_it(store: Store) -> None:
    store.runs.add(new_run("r1"))
    store.evaluations.add(Evaluation("e1", 1.0, "support", "split", "d1", "test", ("base:starter", "r1"), {}, 9))
    store.evaluations.set_figures(
        "e1",
        [Measured("e1", 1, "token_reduction", 23.14), Measured("e1", 1, "lm_eval/copa/acc", 0.71234)],
    )
    found = {order.key: order for order in read_orders(store)}
    assert found["eval.token_reduction"].title == "token reduction" and "eval.lm_eval/copa/acc" in found
    run = the(store.runs.get("r1"))
    shown = {}
    for key in ("eval.token_reduction", "eval.lm_eval/copa/acc", "eval.bleu"):
        column = next(column for column, _ in fit(80, key) if column.sort == key)
        shown[key] = column.cell(run, column.width, Beside())
    assert shown["eval.token_reduction"] == ("23.1 %", "") and shown["eval.lm_eval/copa/acc"] == ("0.7123", "")
    assert shown["eval.bleu"][1] == "dim"
    assert store.runs.order("eval.token_reduction:20..30") == ["r1"]
