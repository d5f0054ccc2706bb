"""What the screens work with: the store after the first frame, the rest when it is asked for."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from engine.home import Home
    from engine.inference.pool import ServerPool
    from engine.knowledge.library import KnowledgeLibrary
    from engine.runs.manager import RunManager
    from engine.sweeps.manager import SweepManager
    from store import Store

Made = TypeVar("Made")


class Services:
    """The store and what is made of it. All but `pool` may be used from any thread.

    The store alone is there from the beginning: the list of runs needs nothing else, and what the others import takes
    longer than all that is read for it. `build` has them ready before they are asked for.
    """

    def __init__(self, home: "Home", store: "Store") -> None:
        self.home = home
        self.store = store
        self._making = threading.RLock()
        self._made: dict[Callable[..., Any], Any] = {}

    @property
    def manager(self) -> "RunManager":
        from engine.runs.manager import RunManager

        return self._one(RunManager, self.home, self.store)

    @property
    def library(self) -> "DatasetLibrary":
        from engine.datasets.library import DatasetLibrary

        return self._one(DatasetLibrary, self.home, self.store)

    @property
    def sweeps(self) -> "SweepManager":
        from engine.sweeps.manager import SweepManager

        return self._one(SweepManager, self.home, self.store)

    @property
    def knowledge(self) -> "KnowledgeLibrary":
        from engine.knowledge.library import KnowledgeLibrary

        return self._one(KnowledgeLibrary, self.store)

    @property
    def pool(self) -> "ServerPool":
        from engine.inference.pool import ServerPool

        return self._one(ServerPool, self.home)

    def build(self) -> None:
        """Import and make all of them. Takes a third of a second: call it in a thread."""
        _ = self.manager, self.library, self.sweeps, self.pool

    def _one(self, make: Callable[..., Made], *arguments: object) -> Made:
        """What `make` makes, once, whichever thread asks first."""
        with self._making:
            if make not in self._made:
                self._made[make] = make(*arguments)
            return cast("Made", self._made[make])


def open_services(home: "Home") -> Services:
    """Make the home's folders and open the store. Call it in a thread.

    Raises `BadInput` where the home cannot be written, `StoreError` where the store cannot be used.
    """
    from store import open_store

    home.ensure()
    return Services(home, open_store(home.db))
