"""How long the rows of a dataset are for a model: counted by its tokenizer where that is here, else estimated."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.reader import RowReader
from engine.datasets.rows import Row
from engine.errors import BadInput, Cancelled, FinetuiError
from engine.home import Home
from engine.models import ModelInfo
from engine.recipe import Recipe
from engine.tokens import Tokenizer, kept_tokenizer, model_tokenizer, row_counts
from engine.tokens.chunk import COLUMNS
from engine.tokens.count import is_counted
from engine.tokens.messages import learnt_turns
from store.records import Dataset

COUNTED = "counted with the model's tokenizer"
ESTIMATED = "estimated from the text"
BYTES_A_TOKEN = 3.5
"""Of text, where there is no tokenizer; a small vocabulary makes more tokens of it."""
TURN_TOKENS = 5
"""What a chat template puts around a turn."""
_GROUPS_READ = 8
"""Of a thousand rows each."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of the rows that are learnt, before anything is cut off."""

    train: Any
    """(rows,) int64"""
    prompt: Any
    """(rows,) int64: tokens before the first one that carries loss."""
    trained: Any
    """(rows,) int64: tokens that carry loss."""
    validation: Any
    """(rows,) int64"""
    known: str
    exact: bool
    refused: int = 0
    """Training rows that the chat template refuses."""
    left_out: int = 0
    """Training rows without an answer that is wanted."""
    problem: str = ""
    """Why the rows cannot be written for this model, where they cannot."""


def measure_lengths(
    home: Home,
    library: DatasetLibrary,
    dataset: Dataset,
    model: ModelInfo,
    recipe: Recipe,
    *,
    count: bool,
    progress: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Lengths:
    """Lengths of the training and the validation rows. With `count`, the tokenizer is prepared and rows are counted.

    Raises `Cancelled`.
    """
    splits = _splits(library.path(dataset.id), dataset.id)
    template = recipe.chat_template or "own"
    problem = ""
    try:
        tokenizer = _tokenizer(home, model, recipe, count, progress, cancelled)
        if tokenizer is not None and (
            count
            or is_counted(library, dataset, tokenizer, template=template, assistant_only=recipe.assistant_only_loss)
        ):
            return _counted(library, dataset, tokenizer, template, recipe, splits, progress, cancelled)
        why = "its tokens are not counted yet" if tokenizer is not None else _missing(model)
    except Cancelled:
        raise
    except BadInput as error:
        problem, why = error.what, "they cannot be counted"
    except FinetuiError as error:
        why = error.what.rstrip(".")
    return replace(_estimated(library, dataset, splits, why), problem=problem)


def _missing(model: ModelInfo) -> str:
    if model.kind == "starter" and not model.ready:
        return "the starter model is not built yet"
    if not model.ready:
        return "the model is not downloaded yet"
    return "the model's tokenizer was not read yet"


def _tokenizer(
    home: Home,
    model: ModelInfo,
    recipe: Recipe,
    count: bool,
    progress: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Tokenizer | None:
    """The model's tokenizer, or `None` where it is not here and is not to be fetched."""
    if not model.ready:  # a download is the run's business
        return None
    if not count:
        return kept_tokenizer(home, model, recipe.revision)
    return model_tokenizer(
        home,
        recipe.model,
        revision=recipe.revision,
        trust_remote_code=recipe.trust_remote_code,
        progress=progress,
        cancelled=cancelled,
    )


def _counted(
    library: DatasetLibrary,
    dataset: Dataset,
    tokenizer: Tokenizer,
    template: str,
    recipe: Recipe,
    splits: Any,
    progress: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Lengths:
    import numpy as np

    if progress:
        progress("counting the tokens of the dataset")
    counts = row_counts(
        library, dataset, tokenizer, template=template, assistant_only=recipe.assistant_only_loss, cancelled=cancelled
    )
    total, trained, prompt = (counts.columns[name].astype(np.int64) for name in ("total", "trained", "prompt"))
    train = splits == "train"
    learnt = train & (trained > 0)
    return Lengths(
        train=total[learnt],
        prompt=prompt[learnt],
        trained=trained[learnt],
        validation=total[(splits == "validation") & (trained > 0)],
        known=COUNTED,
        exact=True,
        refused=int((train & (trained < 0)).sum()),
        left_out=int((train & (trained == 0)).sum()),
    )


def _estimated(library: DatasetLibrary, dataset: Dataset, splits: Any, why: str) -> Lengths:
    """By another tokenizer that has counted these rows, else by their bytes."""
    import numpy as np

    other = _counted_by_another(library.path(dataset.id).parent, dataset.rows)
    if other is not None:
        total, trained, prompt = (other[:, COLUMNS.index(name)].astype(np.int64) for name in COLUMNS[:3])
        trained = np.maximum(trained, 0)
        known = f"counted with another tokenizer: {why}"
    else:
        total, answered = _by_bytes(library.path(dataset.id), dataset.id)
        trained, prompt = answered, total - answered
        known = f"{ESTIMATED}: {why}"
    train = splits == "train"
    learnt = train & (total > 0)
    return Lengths(
        total[learnt], prompt[learnt], trained[learnt], total[splits == "validation"], known=known, exact=False
    )


def _counted_by_another(folder: Path, rows: int) -> Any:
    import numpy as np

    for file in sorted(folder.glob("tokens-*.npy"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            found = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            continue
        if found.shape == (rows, len(COLUMNS)):
            return found
    return None


@lru_cache(maxsize=32)
def _splits(file: Path, _dataset_id: str) -> Any:
    """The split of each row, (rows,); a version never changes."""
    import numpy as np
    import pyarrow.parquet as pq

    return np.asarray(pq.read_table(file, columns=["split"])["split"].to_pylist(), dtype=object)


@lru_cache(maxsize=32)
def _by_bytes(file: Path, _dataset_id: str) -> tuple[Any, Any]:
    """Tokens of each row and those of its answers, (rows,) each, by the bytes of the text.

    Of a large dataset some groups of rows stand for all.
    """
    import numpy as np

    reader = RowReader(file)
    try:
        groups = np.unique(np.linspace(0, reader.groups - 1, min(reader.groups, _GROUPS_READ)).astype(int))
        found = [_guess(row) for group in groups.tolist() for row in reader.group_rows(group)]
        total = reader.total
    finally:
        reader.close()
    both = np.resize(np.asarray(found, dtype=np.int64).reshape(-1, 2), (total, 2))
    return both[:, 0], both[:, 1]


def _guess(row: Row) -> tuple[int, int]:
    """Tokens of a row and those of its answers."""
    total = answered = 0
    for turn in learnt_turns(row):
        tokens = int(len((turn.content + turn.calls).encode()) / BYTES_A_TOKEN) + 1
        total += tokens + (TURN_TOKENS if turn.role != "text" else 0)
        answered += tokens if turn.role in ("assistant", "text") else 0
    return total, answered
