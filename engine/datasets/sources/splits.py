"""The split that a file's name gives: `train.jsonl`, `data/test-00000-of-00001.parquet`, `support_val.csv`."""

import re
from pathlib import PurePath

WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "testing": "test",
}
_SHARD = re.compile(r"[-_]\d+(-of-\d+)?$")
_SEPARATORS = re.compile(r"[^a-z]+")


def split_of(path: PurePath, *, exactly: bool = False) -> str | None:
    """The split in the name of a file, or of the nearest folder that has one; `path` is relative to the source.

    A name with words of two splits gives none. With `exactly` a file's name must be a split's name and no more.
    """
    stem = _stem(path.name)
    split = WORDS.get(stem) if exactly else _only_split(stem)
    if split:
        return split
    folders = [part.lower() for part in reversed(path.parts[:-1])]
    return next((split for part in folders if (split := _only_split(part))), None)


def _stem(name: str) -> str:
    """The name without its suffixes and the number of a shard."""
    stem = re.sub(r"\.gz$", "", name.lower())
    return _SHARD.sub("", stem.rsplit(".", 1)[0])


def _only_split(name: str) -> str | None:
    found = {WORDS[word] for word in _SEPARATORS.split(name) if word in WORDS}
    return found.pop() if len(found) == 1 else None
