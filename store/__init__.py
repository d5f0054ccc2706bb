"""The experiment store: the only place with SQL. `open_store` is the way in."""
