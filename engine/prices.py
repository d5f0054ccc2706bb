"""What a device and a kilowatt hour cost here: `[prices]` of the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import BadInput
from engine.home import Home
from engine.recipe import Recipe
from engine.toml import read_toml

EXAMPLE = 'Write for example:  [prices]  kwh = 0.30  and  [prices.hour]  "H200" = 3.99'


@dataclass(frozen=True)
class Prices:
    """All in one currency. 0 is unknown, or free."""

    currency: str = ""
    """What is written beside amounts: `€`, `$`, `CHF`."""
    kwh: float = 0.0
    """Of a kilowatt hour of electricity."""
    hour: Mapping[str, float] = field(default_factory=dict)
    """Of an hour on a device, by a part of its name: `H200`, `RTX 4090`, `cpu`."""

    def of_device(self, title: str, kind: str = "") -> float:
        """Price of an hour on the device called `title`: by the longest name that is a part of it, else by `kind`."""
        wanted = title.casefold()
        matching = [name for name in self.hour if name.casefold() in wanted]
        if matching:
            return self.hour[max(matching, key=len)]
        return next((price for name, price in self.hour.items() if kind and name.casefold() == kind), 0.0)

    def of_energy(self, joules: float | None) -> float | None:
        """Price of the electricity; `None` where that is not known."""
        return joules / 3.6e6 * self.kwh if joules is not None and self.kwh else None


def read_prices(home: Home) -> Prices:
    """The prices in the home's `settings.toml`; none where it says nothing.

    Raises `BadInput` for a price that is no number. A file that is no TOML has none; the app says what is wrong.
    """
    path = home.root / "settings.toml"
    try:
        table = read_toml(path).get("prices", {})
    except (OSError, ValueError):
        return Prices()
    if not isinstance(table, dict) or not isinstance(table.get("hour", {}), dict):
        raise BadInput(f"[prices] in {path} is no table of prices.", fix=EXAMPLE)
    hour = {str(name): _price(value, f"hour.{name}", path) for name, value in table.get("hour", {}).items()}
    return Prices(str(table.get("currency", ""))[:4], _price(table.get("kwh", 0.0), "kwh", path), hour)


def priced(recipe: Recipe, prices: Prices, title: str, kind: str) -> Recipe:
    """The recipe with the price of the device that it will run on, where it names none itself."""
    price = prices.of_device(title, kind)
    return recipe.model_copy(update={"cost_per_hour": price}) if price and not recipe.cost_per_hour else recipe


def _price(value: Any, name: str, path: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise BadInput(f"The price {name} in {path} is {value!r}.", why="It has to be a number from 0.", fix=EXAMPLE)
    return float(value)
