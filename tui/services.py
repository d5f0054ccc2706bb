"""What the screens work with, built off the loop after the first frame."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from engine.home import Home
    from engine.inference.pool import ServerPool
    from engine.runs.manager import RunManager
    from engine.sweeps.manager import SweepManager
    from store import Store


@dataclass(frozen=True)
class Services:
    """The store and what is made of it. All but `pool` may be used from any thread."""

    home: "Home"
    store: "Store"
    manager: "RunManager"
    library: "DatasetLibrary"
    sweeps: "SweepManager"
    pool: "ServerPool"


def open_services(home: "Home") -> Services:
    """Make the home's folders, open the store and build the rest. Takes a while: call it in a thread.

    Raises `BadInput` where the home cannot be written, `StoreError` where the store cannot be used.
    """
    from engine.datasets.library import DatasetLibrary
    from engine.inference.pool import ServerPool
    from engine.runs.manager import RunManager
    from engine.sweeps.manager import SweepManager
    from store import open_store

    home.ensure()
    store = open_store(home.db)
    runs, sweeps = RunManager(home, store), SweepManager(home, store)
    return Services(home, store, runs, DatasetLibrary(home, store), sweeps, ServerPool(home))
