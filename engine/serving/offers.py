"""The models that a server offers, by the names they are asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.inference.panes import Pane
from engine.serving.refusals import Refusal

BASE = "base"


@dataclass(frozen=True)
class Offer:
    """A model under one of its names. With `knowledge`, passages of it are put before each question."""

    name: str
    pane: Pane
    knowledge: str | None = None


class Offers:
    """What can be asked for: `base`, each run by its name and by its id, and each of them with each knowledge.

    A name that several runs bear, or that is `base`, is not offered; those runs are asked for by their ids.
    """

    def __init__(self, panes: Sequence[Pane], knowledge: Sequence[str] = ()) -> None:
        names = Counter(pane.label for pane in panes)
        ids = {pane.run_id for pane in panes}
        self._offers: dict[str, Offer] = {}
        for about in (None, *knowledge):
            for pane in panes:
                for name in _names(pane, names, ids):
                    full = name if about is None else f"{name}+{about}"
                    self._offers.setdefault(full, Offer(full, pane, about))
        adapted = [offer for offer in self._offers.values() if offer.pane.run_id and not offer.knowledge]
        self.default = adapted[0] if adapted else next(iter(self._offers.values()))
        """Who answers where the request names nobody: the first run, else the base model."""

    def __iter__(self) -> Iterator[Offer]:
        return iter(self._offers.values())

    @property
    def names(self) -> list[str]:
        return list(self._offers)

    @property
    def panes(self) -> list[Pane]:
        """Each model once."""
        return list({offer.pane: None for offer in self})

    def find(self, name: str, param: str = "model") -> Offer:
        """The model of that name. Raises `Refusal` with the names there are."""
        offer = self._offers.get(name)
        if offer is None:
            raise Refusal(
                404,
                f"There is no model {name[:200]!r}; there are: {', '.join(self.names)}.",
                param=param,
                code="model_not_found",
            )
        return offer


def _names(pane: Pane, names: Counter[str], ids: set[str | None]) -> Iterator[str]:
    if pane.run_id is None:
        yield BASE
        return
    if pane.label != BASE and names[pane.label] == 1 and pane.label not in ids - {pane.run_id}:
        yield pane.label
    yield pane.run_id
