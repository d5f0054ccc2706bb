"""Picks what a list of runs is ordered by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.screens.dialogs import Option, PickDialog
from tui.widgets.run_orders import Order, orders

if TYPE_CHECKING:
    from store import Store


class OrderDialog(PickDialog):
    """The columns, then what was evaluated, the metrics and the recipe's fields.

    Enter gives the store's key of the one that is marked.
    """

    def __init__(self, found: Sequence[Order], current: str) -> None:
        choices = [Option(order.key, order.title, order.detail) for order in found]
        super().__init__("Order the runs by", choices, selected=current)


def read_orders(store: "Store") -> list[Order]:
    """Everything that runs can be ordered by. Call it in a thread."""
    return orders(store.metrics.all_names(), store.runs.setting_names(), store.evaluations.metrics())
