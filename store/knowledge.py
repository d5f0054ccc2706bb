"""Collections of notes, searched by their words."""

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.connection import Database
from store.errors import StoreError
from store.knowledge_words import match_expression, plain, words_of
from store.talk_records import Knowledge, Passage

TITLE_WEIGHT = 3.0
"""A word in a heading counts as much as so many in the text."""


@dataclass(frozen=True)
class KnowledgeSource:
    """A file of a collection, as it was when it was read."""

    path: str
    size_bytes: int
    modified: float
    digest: str
    added: float = 0.0
    passages: int = 0


@dataclass(frozen=True)
class NewPassage:
    """A piece of a source that is to be kept."""

    title: str
    text: str
    about: Mapping[str, Any] = field(default_factory=dict)


class KnowledgeStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def make(self, name: str) -> None:
        """An empty collection; one of that name that is there already stays. Raises `StoreError` without a name."""
        if not name.strip():
            raise StoreError("A collection of notes needs a name.")
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO knowledge (name, created) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                (name, time.time()),
            )

    def put_source(self, name: str, source: KnowledgeSource, passages: Iterable[NewPassage]) -> None:
        """Keep a file with its passages, in place of what was kept of it before: all of it or nothing.

        Raises `StoreError` where there is no such collection.
        """
        with self._database.transaction() as connection:
            collection = _key_of(connection, name)
            _remove_source(connection, collection, source.path)
            key = connection.execute(
                "INSERT INTO knowledge_sources (knowledge, path, size_bytes, modified, digest, added) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (collection, source.path, source.size_bytes, source.modified, source.digest, time.time()),
            ).lastrowid
            connection.executemany(
                "INSERT INTO passages (source, place, title, text, about) VALUES (?, ?, ?, ?, ?)",
                (
                    (key, place, passage.title, passage.text, json.dumps(dict(passage.about)))
                    for place, passage in enumerate(passages)
                ),
            )

    def touch_source(self, name: str, path: str, modified: float) -> None:
        """The file was written again and holds the same."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE knowledge_sources SET modified = ? WHERE knowledge = ? AND path = ?",
                (modified, _key_of(connection, name), path),
            )

    def remove_source(self, name: str, path: str) -> bool:
        """Forget a file; whether it was there. Raises `StoreError` where there is no such collection."""
        with self._database.transaction() as connection:
            return _remove_source(connection, _key_of(connection, name), path)

    def remove(self, name: str) -> bool:
        """Forget a collection with all that is in it; whether it was there."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM knowledge WHERE name = ?", (name,)).rowcount > 0

    def set_embeddings(self, name: str, embeddings: Mapping[str, Any] | None, *, keep_vectors: bool = False) -> None:
        """Say which model gives this collection its vectors. Those of another one are thrown away."""
        with self._database.transaction() as connection:
            collection = _key_of(connection, name)
            if not keep_vectors:
                connection.execute(
                    "UPDATE passages SET vector = NULL WHERE vector IS NOT NULL "
                    "AND source IN (SELECT key FROM knowledge_sources WHERE knowledge = ?)",
                    (collection,),
                )
            connection.execute(
                "UPDATE knowledge SET embeddings = ? WHERE key = ?",
                (json.dumps(dict(embeddings)) if embeddings else "", collection),
            )

    def set_vectors(self, vectors: Iterable[tuple[int, str, bytes]]) -> None:
        """Keep vectors (little-endian float32) by the keys of their passages and the texts that they were made of.

        A passage that went meanwhile, or whose key another one has by now, gets none.
        """
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE passages SET vector = ? WHERE key = ? AND text = ?",
                ((vector, key, text) for key, text, vector in vectors),
            )

    # reading

    def all(self) -> list[Knowledge]:
        """Every collection, by name."""
        return self._select("")

    def get(self, name: str) -> Knowledge | None:
        return next(iter(self._select("WHERE k.name = ?", (name,))), None)

    def _select(self, where: str, parameters: Sequence[Any] = ()) -> list[Knowledge]:
        return [
            Knowledge(*row)
            for row in self._database.all(
                "SELECT k.name, k.created, count(s.key), "
                "coalesce(sum((SELECT count(*) FROM passages p WHERE p.source = s.key)), 0), "
                "coalesce(sum(s.size_bytes), 0) "
                f"FROM knowledge k LEFT JOIN knowledge_sources s ON s.knowledge = k.key {where} "
                "GROUP BY k.key ORDER BY casefold(k.name), k.name",
                parameters,
            )
        ]

    def sources(self, name: str) -> list[KnowledgeSource]:
        """The files of a collection, by path."""
        return [
            KnowledgeSource(*row)
            for row in self._database.all(
                "SELECT path, size_bytes, modified, digest, added, "
                "(SELECT count(*) FROM passages p WHERE p.source = s.key) FROM knowledge_sources s "
                "WHERE knowledge = (SELECT key FROM knowledge WHERE name = ?) ORDER BY path",
                (name,),
            )
        ]

    def passages(self, name: str, path: str) -> list[Passage]:
        """What a file was cut into, in its order."""
        keys = self._database.all(
            "SELECT key FROM passages WHERE source = (SELECT key FROM knowledge_sources WHERE path = ? "
            "AND knowledge = (SELECT key FROM knowledge WHERE name = ?)) ORDER BY place",
            (path, name),
        )
        return self.by_scores([(key, 0.0) for (key,) in keys])

    def search(self, names: Collection[str], question: str, limit: int = 5) -> list[Passage]:
        """The passages of these collections that share most with a question, the best first."""
        return self.by_scores(self.scores(names, question, limit))

    def scores(self, names: Collection[str], question: str, limit: int) -> list[tuple[int, float]]:
        """The keys of the passages that match best, with their BM25 scores: more is better.

        How rare a word is, is counted over all collections.
        """
        expression = match_expression(question, self._passages_with(words_of(question)))
        collections = self._keys(names)
        if not expression or not collections or limit < 1:
            return []
        # The index ranks by itself when it leads: a collection is looked up for as many as it takes, no more.
        rows = self._database.all(
            "SELECT w.rowid, w.rank FROM passage_words w "
            "CROSS JOIN passages p ON p.key = w.rowid CROSS JOIN knowledge_sources s ON s.key = p.source "
            f"WHERE w.passage_words MATCH ? AND w.rank MATCH 'bm25({TITLE_WEIGHT}, 1.0)' "
            f"AND s.knowledge IN ({_marks(collections)}) ORDER BY w.rank LIMIT ?",
            (expression, *collections, limit),
        )
        return [(key, -rank) for key, rank in rows]

    def _passages_with(self, words: Sequence[str]) -> dict[str, int]:
        """How many passages have each word."""
        self._database.all(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.passage_terms USING fts5vocab('main', 'passage_words', 'row')"
        )
        counts = dict(
            self._database.all(
                f"SELECT term, doc FROM temp.passage_terms WHERE term IN ({_marks(words)})", [plain(w) for w in words]
            )
        )
        return {word: counts.get(plain(word), 0) for word in words}

    def by_scores(self, scores: Sequence[tuple[int, float]]) -> list[Passage]:
        """The passages with these keys, in this order; those that went meanwhile are left out."""
        found: dict[int, tuple[Any, ...]] = {}
        for start in range(0, len(scores), 500):
            keys = [key for key, _ in scores[start : start + 500]]
            for key, *row in self._database.all(
                "SELECT p.key, k.name, s.path, p.title, p.text, p.place, p.about FROM passages p "
                "JOIN knowledge_sources s ON s.key = p.source JOIN knowledge k ON k.key = s.knowledge "
                f"WHERE p.key IN ({_marks(keys)})",
                keys,
            ):
                found[key] = tuple(row)
        passages = []
        for key, score in scores:
            if key in found:
                name, path, title, text, place, about = found[key]
                passages.append(Passage(name, path, title, text, score, place, json.loads(about)))
        return passages

    def embeddings(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        """Which model gives these collections their vectors, as `set_embeddings` was told; none for the others."""
        rows = self._database.all(
            f"SELECT name, embeddings FROM knowledge WHERE embeddings <> '' AND name IN ({_marks(names)})", [*names]
        )
        return {name: json.loads(embeddings) for name, embeddings in rows}

    def without_vectors(self, name: str, limit: int, after: int = 0) -> list[tuple[int, str, str]]:
        """Key, title and text of passages of a collection that have no vector yet, by key, from behind `after` on."""
        return self._database.all(
            "SELECT p.key, p.title, p.text FROM passages p JOIN knowledge_sources s ON s.key = p.source "
            "WHERE s.knowledge = (SELECT key FROM knowledge WHERE name = ?) AND p.vector IS NULL AND p.key > ? "
            "ORDER BY p.key LIMIT ?",
            (name, after, limit),
        )

    def count_vectors(self, name: str) -> int:
        """How many passages of a collection have a vector."""
        row = self._database.one(
            "SELECT count(*) FROM knowledge_sources s JOIN passages p ON p.source = s.key "
            "WHERE s.knowledge = (SELECT key FROM knowledge WHERE name = ?) AND p.vector IS NOT NULL",
            (name,),
        )
        return int(row[0]) if row else 0

    def vectors(self, name: str) -> list[tuple[int, bytes]]:
        """The vectors of a collection, each with the key of its passage."""
        return self._database.all(
            "SELECT p.key, p.vector FROM passages p JOIN knowledge_sources s ON s.key = p.source "
            "WHERE s.knowledge = (SELECT key FROM knowledge WHERE name = ?) AND p.vector IS NOT NULL ORDER BY p.key",
            (name,),
        )

    def _keys(self, names: Collection[str]) -> list[int]:
        rows = self._database.all(f"SELECT key FROM knowledge WHERE name IN ({_marks(names)})", [*names])
        return [key for (key,) in rows]


def _key_of(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT key FROM knowledge WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise StoreError(f"There is no collection of notes called {name}.")
    return int(row[0])


def _remove_source(connection: sqlite3.Connection, collection: int, path: str) -> bool:
    removed = connection.execute("DELETE FROM knowledge_sources WHERE knowledge = ? AND path = ?", (collection, path))
    return removed.rowcount > 0


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))
