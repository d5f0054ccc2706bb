"""The experiment store: the only place with SQL. `open_store` is the way in."""

from store.db import Store, open_store
from store.errors import QueryError, StoreError

__all__ = ["QueryError", "Store", "StoreError", "open_store"]
