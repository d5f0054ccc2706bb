"""Vectors of texts from an OpenAI-compatible `/v1/embeddings` endpoint. httpx and numpy are imported with the first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput, FinetuiError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    """`(texts, size of a vector)`, each of length 1."""

BATCH = 64
"""Texts of one request."""
MOST_CHARACTERS = 8_000
"""Of a text; what is longer no embedding model reads to the end."""
ADD_S = 120.0
ASK_S = 10.0
"""For the vector of a question: somebody waits."""


@dataclass(frozen=True)
class Embeddings:
    """Which model makes vectors, and where. `key_env` names the environment variable with its key, if it takes one."""

    url: str
    model: str
    key_env: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Embeddings":
        return cls(str(value.get("url", "")), str(value.get("model", "")), str(value.get("key_env", "")))

    def check(self) -> None:
        """Raises `BadInput` for an address, a model or a variable that cannot be."""
        from engine.inference.endpoint import endpoint, key_from

        endpoint(self._base)
        key_from(self.key_env)
        if not self.model.strip():
            raise BadInput("Embeddings need a model.", fix="Name the one that the endpoint knows: --model NAME.")

    def vectors(self, texts: Sequence[str], *, timeout_s: float = ADD_S) -> "Vectors":
        """The vectors of `texts`, at most `BATCH` of them. Blocks.

        Raises `FinetuiError` where the endpoint cannot be reached, refuses, or answers something else.
        """
        import httpx
        import numpy as np

        from engine.inference.endpoint import endpoint, key_from
        from engine.inference.remote_errors import no_answer, refusal, unreachable

        place, key = endpoint(self._base), key_from(self.key_env)
        body = {"model": self.model, "input": [text[:MOST_CHARACTERS] or " " for text in texts]}
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with httpx.Client(timeout=timeout_s, trust_env=not place.local) as client:
                reply = client.post(place.at("embeddings"), json=body, headers=headers)
        except httpx.HTTPError as error:
            raise unreachable(place, error, timeout_s) from error
        if reply.status_code != 200:
            raise refusal(place, reply.status_code, reply.content, key, reply.headers)
        try:
            rows = sorted(json.loads(reply.content)["data"], key=lambda row: int(row["index"]))
            vectors = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise no_answer(place, "Its reply holds no vectors.") from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1] or not np.isfinite(vectors).all():
            raise no_answer(place, f"It was asked for {len(texts)} vectors and gave {vectors.shape}.")
        return normal(vectors)

    @property
    def _base(self) -> str:
        return self.url.strip().rstrip("/").removesuffix("/embeddings")


def normal(vectors: "Vectors") -> "Vectors":
    """Each of length 1, so that a product of two is the cosine between them."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def packed(vectors: "Vectors") -> list[bytes]:
    """Each vector as the store keeps it: little-endian float32."""
    return [row.astype("<f4").tobytes() for row in vectors]


def unpacked(rows: Sequence[bytes]) -> "Vectors":
    """What `packed` made. Raises `FinetuiError` where they are not all of one size."""
    import numpy as np

    if len({len(row) for row in rows}) > 1 or any(len(row) % 4 for row in rows[:1]):
        raise FinetuiError(
            "The vectors of these notes are not all of one size.", fix="Add them again with --embeddings."
        )
    vectors: Vectors = np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), -1).astype(np.float32)
    return vectors
