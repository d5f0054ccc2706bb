"""Collections of notes, searched by their words."""

from store.connection import Database


class KnowledgeStore:
    def __init__(self, database: Database) -> None:
        self._database = database
