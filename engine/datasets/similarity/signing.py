"""What is known of every row's likeness: its shingles and its MinHash signature, made once a dataset version."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row
from engine.datasets.scan import scan
from engine.datasets.similarity.shingles import PERMUTATIONS, compared, digests, shingle_sets
from engine.errors import FinetuiError
from store.records import Dataset

if TYPE_CHECKING:
    from numpy import int8, int64, uint32
    from numpy.typing import NDArray

_CACHED = 2
SPLITS = ("train", "validation", "test")

Progress = Callable[[float], None]
IsCancelled = Callable[[], bool]


@dataclass(frozen=True)
class Signatures:
    """The shingles and signatures of all rows of a dataset version, in files that are mapped and have no name."""

    digests: "NDArray[uint32]"
    """Shape (rows, `PERMUTATIONS`): two rows are about as alike as the share of places that are equal."""
    shingles: "NDArray[uint32]"
    ends: "NDArray[int64]"
    """Where each row's shingles end."""
    ranks: "NDArray[int8]"
    """Place of each row's split in `SPLITS`; 3 for any other."""
    labels: "NDArray[int8]"
    """The verdict on each row's answer: 1 good, 0 bad, -1 none."""

    def __len__(self) -> int:
        return len(self.ends)

    def of(self, row: int) -> "NDArray[uint32]":
        """The hashed shingles of a row, ascending."""
        return self.shingles[(int(self.ends[row - 1]) if row else 0) : int(self.ends[row])]


_cache: OrderedDict[Path, Signatures] = OrderedDict()
_lock = threading.Lock()


def signatures(
    library: DatasetLibrary,
    dataset: Dataset,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Signatures:
    """The signatures of a dataset version: about 10 s for 100,000 rows on two cores, then at once.

    Those of the two versions asked for last are kept: a report, a dedupe and a subset of the same version share them.
    They live in unnamed files of the home that are mapped into memory (512 bytes a row, and 4 a shingle), so that the
    system can take the memory back. Raises `Cancelled`, `FinetuiError` where the disk is full.
    """
    path = library.path(dataset.id)
    with _lock:
        if path in _cache:
            _cache.move_to_end(path)
            return _cache[path]
    try:
        made = _read(library, path, progress, cancelled)
    except OSError as error:
        raise FinetuiError(
            f"The rows of {dataset.name} v{dataset.version} cannot be compared.",
            why=f"What is found out about them cannot be kept in {library.home.datasets}: {error.strerror or error}.",
            fix="Free space there, or choose another home with --home DIR.",
        ) from error
    with _lock:
        _cache[path] = made
        _cache.move_to_end(path)
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    return made


def _read(library: DatasetLibrary, path: Path, progress: Progress | None, cancelled: IsCancelled | None) -> Signatures:
    import numpy as np

    sizes: list[NDArray[Any]] = []
    ranks = bytearray()
    labels = bytearray()
    folder = library.home.datasets
    with tempfile.TemporaryFile(dir=folder) as digest_file, tempfile.TemporaryFile(dir=folder) as shingle_file:
        for signed in scan(path, sign, progress=progress, cancelled=cancelled):
            digest_file.write(signed.digests)
            shingle_file.write(signed.shingles)
            sizes.append(np.frombuffer(signed.sizes, np.int64))
            ranks += signed.ranks
            labels += signed.labels
        return Signatures(
            _mapped(digest_file).reshape(-1, PERMUTATIONS),
            _mapped(shingle_file),
            np.cumsum(np.concatenate([np.zeros(0, np.int64), *sizes])),
            np.frombuffer(bytes(ranks), np.int8),
            np.frombuffer(bytes(labels), np.int8),
        )


def _mapped(file: IO[bytes]) -> "NDArray[uint32]":
    import numpy as np

    file.flush()
    return np.memmap(file, np.uint32, mode="r") if file.tell() else np.zeros(0, np.uint32)


@dataclass(frozen=True, slots=True)
class Signed:
    """A chunk's part of `Signatures`, as bytes."""

    digests: bytes
    shingles: bytes
    sizes: bytes
    ranks: bytes
    labels: bytes


def sign(rows: list[Row], _argument: Any = None) -> Signed:
    """The signatures of a chunk of rows."""
    import numpy as np

    shingles, sizes = shingle_sets([compared(row) for row in rows])
    ranks = [SPLITS.index(row.split) if row.split in SPLITS else len(SPLITS) for row in rows]
    labels = [-1 if row.label is None else int(row.label) for row in rows]
    return Signed(
        digests(shingles, sizes).tobytes(),
        shingles.tobytes(),
        sizes.astype(np.int64).tobytes(),
        bytes(ranks),
        np.array(labels, np.int8).tobytes(),
    )
