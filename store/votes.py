"""Votes between answers."""

from store.connection import Database


class VoteStore:
    def __init__(self, database: Database) -> None:
        self._database = database
