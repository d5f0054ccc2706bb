"""Times that models were asked a prompt suite, and what they said."""

from store.connection import Database


class SuiteStore:
    def __init__(self, database: Database) -> None:
        self._database = database
