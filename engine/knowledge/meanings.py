"""Passages found by what they mean: the vector of a question against those of a collection."""

import threading
from typing import TYPE_CHECKING

from engine.knowledge.embeddings import ASK_S, BATCH, Embeddings, packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.knowledge.embeddings import Vectors
    from store import Store


class Meanings:
    """The vectors of collections, kept in memory once they were asked for. Safe to share between threads."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[object, list[int], Vectors | None]] = {}

    def ranking(self, name: str, embeddings: Embeddings, question: str, limit: int) -> list[int]:
        """Keys of the passages of a collection that are nearest to a question. Blocks; raises `FinetuiError`."""
        import numpy as np

        keys, vectors = self._vectors(name, embeddings)
        if vectors is None:
            return []
        asked = embeddings.vectors([question], timeout_s=ASK_S)[0]
        if asked.shape[0] != vectors.shape[1]:
            from engine.errors import FinetuiError

            raise FinetuiError(
                f"{embeddings.model} makes other vectors now than when {name} was added.",
                why=f"{asked.shape[0]} numbers each, where the notes have {vectors.shape[1]}.",
                fix="Add the notes again with --embeddings, or start the model that they were added with.",
            )
        nearness = vectors @ asked  # (passages,)
        best = np.argsort(-nearness, kind="stable")[:limit]
        return [keys[at] for at in best]

    def _vectors(self, name: str, embeddings: Embeddings) -> "tuple[list[int], Vectors | None]":
        knowledge = self._store.knowledge
        sources = knowledge.sources(name)
        stamp = (embeddings, knowledge.count_vectors(name), tuple((one.path, one.digest, one.added) for one in sources))
        with self._lock:
            if name not in self._kept or self._kept[name][0] != stamp:
                rows = knowledge.vectors(name)
                vectors = unpacked([vector for _, vector in rows]) if rows else None
                self._kept[name] = (stamp, [key for key, _ in rows], vectors)
            return self._kept[name][1:]


def embed_passages(
    store: "Store",
    name: str,
    embeddings: Embeddings,
    on_progress: "Callable[[int, int], object]",
    stop: "Callable[[], bool]",
) -> int:
    """Give every passage of a collection that has none its vector; how many got one. Raises `FinetuiError`.

    What was made stays when it is stopped or the endpoint fails: the next time goes on from there.
    """
    kept = Embeddings.from_json(store.knowledge.embeddings([name]).get(name, {}))
    if kept != embeddings:
        store.knowledge.set_embeddings(name, embeddings.to_json(), keep_vectors=kept.model == embeddings.model)
    found = store.knowledge.get(name)
    total = (found.passages if found else 0) - store.knowledge.count_vectors(name)
    done = last = 0
    while not stop() and (waiting := store.knowledge.without_vectors(name, BATCH, last)):
        vectors = embeddings.vectors([f"{title}\n{text}" for _, title, text in waiting])
        store.knowledge.set_vectors(
            (key, text, vector) for (key, _, text), vector in zip(waiting, packed(vectors), strict=True)
        )
        last = waiting[-1][0]
        done += len(waiting)
        on_progress(done, max(total, done))
    return done
