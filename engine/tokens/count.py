"""The tokens of a whole dataset, counted once a tokenizer: rows that were counted before are known by their content."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets.scan import scan
from engine.errors import BadInput, Cancelled
from engine.tokens.chunk import COLUMNS, ByEncoding, ByModel, count_rows
from engine.tokens.encodings import find_encoding
from engine.tokens.figures import MICRO_BATCH, TokenFigures, make_figures
from engine.tokens.template import ChatTemplate
from engine.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from store.records import Dataset

Progress = Callable[[float], None]
Cancel = Callable[[], bool]

ENCODING = "cl100k_base"
BYTES = "4 bytes a token"
_FEW_ROWS = 2_000
"""Up to so many new rows are counted here, where all others are known already."""


@dataclass(frozen=True)
class RowCounts:
    """What was counted of each row: `columns` are `COLUMNS`, each (rows,) int32. `tokenizer` says by what."""

    columns: dict[str, Any]
    tokenizer: str
    key: str
    estimated: bool = False
    note: str = ""

    @property
    def lengths(self) -> Any:
        """Tokens of each row: (rows,) int32."""
        return self.columns["total"]


def row_tokens(
    library: "DatasetLibrary",
    dataset: "Dataset",
    tokenizer: Tokenizer | None = None,
    *,
    template: str = "own",
    assistant_only: bool = True,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> Any:
    """Tokens of each row, (rows,) int32, before anything is cut off; see `row_counts`."""
    return row_counts(
        library,
        dataset,
        tokenizer,
        template=template,
        assistant_only=assistant_only,
        progress=progress,
        cancelled=cancelled,
    ).lengths


def row_counts(
    library: "DatasetLibrary",
    dataset: "Dataset",
    tokenizer: Tokenizer | None = None,
    *,
    template: str = "own",
    assistant_only: bool = True,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> RowCounts:
    """What is counted of each row, by a model's tokenizer with its chat template.

    Without a tokenizer: by the one that counted this version last, or the one it was made from; else by tiktoken's
    `cl100k_base`, without a template; else by the bytes. What was counted before comes back at once. Raises `BadInput`
    for a template that is not there, `Cancelled`.
    """
    if tokenizer is None:
        return _counted_before(library, dataset, progress, cancelled) or _by_encoding(
            library, dataset, progress, cancelled
        )
    key = _counts_key(dataset, tokenizer, template, assistant_only)
    how = ByModel(str(tokenizer.folder), template, assistant_only)
    return RowCounts(_count(library, dataset, key, how, progress, cancelled), tokenizer.name, key)


def is_counted(
    library: "DatasetLibrary",
    dataset: "Dataset",
    tokenizer: Tokenizer,
    *,
    template: str = "own",
    assistant_only: bool = True,
) -> bool:
    """Whether `row_counts` has its answer ready. Raises `BadInput` for a template that is not there."""
    return _kept_file(library, dataset.id, _counts_key(dataset, tokenizer, template, assistant_only)).is_file()


def _counts_key(dataset: "Dataset", tokenizer: Tokenizer, template: str, assistant_only: bool) -> str:
    """What counts are kept under: the tokenizer's key, with the template where that is not the usual one."""
    chosen = _template(tokenizer, dataset, template, assistant_only)
    if chosen is None or (template == "own" and assistant_only):
        return tokenizer.key
    return f"{tokenizer.key}-{_short(chosen.source, str(assistant_only))}"


def dataset_tokens(
    library: "DatasetLibrary",
    dataset: "Dataset",
    tokenizer: Tokenizer,
    *,
    max_length: int = 1024,
    template: str = "own",
    assistant_only: bool = True,
    micro_batch: int = MICRO_BATCH,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> TokenFigures:
    """Token figures of the dataset by a model's tokenizer; kept beside it where the template is the model's."""
    counts = row_counts(
        library,
        dataset,
        tokenizer,
        template=template,
        assistant_only=assistant_only,
        progress=progress,
        cancelled=cancelled,
    )
    figures = _figures(counts, max_length, micro_batch)
    if counts.key == tokenizer.key:
        library.save_tokens(dataset.id, counts.key, figures.to_json())
    return figures


def tiktoken_tokens(
    library: "DatasetLibrary",
    dataset: "Dataset",
    *,
    fallback: Tokenizer | None = None,
    max_length: int = 1024,
    micro_batch: int = MICRO_BATCH,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> TokenFigures:
    """Token figures by tiktoken's `cl100k_base`, of the turns without a chat template.

    Where its file is not on this machine and cannot be fetched: by `fallback`, else by the bytes; `note` says so.
    """
    found = find_encoding(library.home, ENCODING)
    if found.folder is None and fallback is not None:
        counts = row_counts(library, dataset, fallback, progress=progress, cancelled=cancelled)
        note = f"{found.problem} Counted by the tokenizer of {fallback.name} instead, with its chat template."
        counts = RowCounts(counts.columns, counts.tokenizer, counts.key, note=note)
    else:
        counts = _by_encoding(library, dataset, progress, cancelled)
    return _figures(counts, max_length, micro_batch)


def _figures(counts: RowCounts, max_length: int, micro_batch: int) -> TokenFigures:
    if max_length < 1 or micro_batch < 1:
        raise BadInput("max_length and the micro-batch are at least 1.", fix="Give a positive number.")
    return make_figures(
        counts.columns,
        tokenizer=counts.tokenizer,
        key=counts.key,
        max_length=max_length,
        micro_batch=micro_batch,
        estimated=counts.estimated,
        note=counts.note,
    )


def _template(tokenizer: Tokenizer, dataset: "Dataset", name: str, assistant_only: bool) -> ChatTemplate | None:
    """The template, or `None` for plain text, which has none. Raises `BadInput` before anything is counted."""
    if dataset.shape == "text":
        return None
    return tokenizer.template(name, assistant_only=assistant_only)


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def _by_encoding(
    library: "DatasetLibrary", dataset: "Dataset", progress: Progress | None, cancelled: Cancel | None
) -> RowCounts:
    found = find_encoding(library.home, ENCODING)
    if found.folder is not None:
        how = ByEncoding(ENCODING, str(found.folder))
        columns = _count(library, dataset, f"tiktoken-{ENCODING}", how, progress, cancelled)
        return RowCounts(columns, ENCODING, f"tiktoken-{ENCODING}", note="The turns alone, without a chat template.")
    columns = _count(library, dataset, "bytes", ByEncoding("", ""), progress, cancelled)
    note = f"{found.problem} Estimated instead, at {BYTES}."
    return RowCounts(columns, BYTES, "bytes", estimated=True, note=note)


def _counted_before(
    library: "DatasetLibrary", dataset: "Dataset", progress: Progress | None, cancelled: Cancel | None
) -> RowCounts | None:
    """By the tokenizer that counted this version, or one that it was made from, last."""
    for version in library.lineage(dataset.id):
        kept = library.tokens(version.id)
        for key in reversed(kept):
            prepared = library.home.root / "cache" / "tokenizers" / key
            if _kept_file(library, version.id, key).is_file() and (prepared / "special.json").is_file():
                name = str(kept[key].get("tokenizer", key))
                how = ByModel(str(prepared), "own", True)
                return RowCounts(_count(library, dataset, key, how, progress, cancelled), name, key)
    return None


def _count(
    library: "DatasetLibrary",
    dataset: "Dataset",
    key: str,
    how: ByModel | ByEncoding,
    progress: Progress | None,
    cancelled: Cancel | None,
) -> dict[str, Any]:
    """The columns, from what was kept or counted now; kept beside the rows, which never change."""
    import numpy as np

    file = _kept_file(library, dataset.id, key)
    counted = _read(file, dataset.rows)
    if counted is None:
        counted, missing = _inherited(library, dataset, key)
        if missing is None or len(missing) > max(_FEW_ROWS, 0 if counted is None else dataset.rows // 4):
            path = library.path(dataset.id)
            chunks = list(scan(path, count_rows, how, progress=progress, cancelled=cancelled))
            counted = np.concatenate(chunks) if chunks else np.zeros((0, len(COLUMNS)), dtype=np.int32)
        elif len(missing):
            for start in range(0, len(missing), 500):
                if cancelled is not None and cancelled():
                    raise Cancelled
                part = missing[start : start + 500]
                counted[part] = count_rows(library.take(dataset.id, part.tolist()), how)
        _write(file, counted)
    if progress is not None:
        progress(1.0)
    return {name: counted[:, place] for place, name in enumerate(COLUMNS)}


def _inherited(library: "DatasetLibrary", dataset: "Dataset", key: str) -> tuple[Any, Any]:
    """What the versions that this one was made from know of its rows: (rows, columns), and the rows they do not know.

    `None` for both where none of them was counted.
    """
    import numpy as np

    for parent in library.lineage(dataset.id)[1:]:
        known = _read(_kept_file(library, parent.id, key), parent.rows)
        if known is None or not len(known):
            continue
        theirs, ours = _hashes(library, parent), _hashes(library, dataset)
        order = np.argsort(theirs[:, 0], kind="stable")
        place = order[np.minimum(np.searchsorted(theirs[order, 0], ours[:, 0]), len(order) - 1)]
        same = (theirs[place] == ours).all(axis=1)
        counted = known[place].copy()
        return counted, np.flatnonzero(~same)
    return None, None


def _hashes(library: "DatasetLibrary", dataset: "Dataset") -> Any:
    """The rows' content hashes: (rows, 2) uint64."""
    import numpy as np

    return np.frombuffer(b"".join(library.hashes(dataset.id)), dtype=np.uint64).reshape(-1, 2)


def _kept_file(library: "DatasetLibrary", dataset_id: str, key: str) -> Path:
    return library.path(dataset_id).parent / f"tokens-{key}.npy"


def _read(file: Path, rows: int) -> Any:
    """What was kept in `file`, or `None`."""
    import numpy as np

    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (rows, len(COLUMNS)) and found.dtype == np.int32 else None


def _write(file: Path, counted: Any) -> None:
    import numpy as np

    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as opened:
            np.save(opened, counted, allow_pickle=False)
        temporary.replace(file)
    except OSError:  # it only saves time
        temporary.unlink(missing_ok=True)
