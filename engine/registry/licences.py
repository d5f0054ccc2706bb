"""Licences as models and datasets state them themselves: at the head of the README that came with their files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.models import hub_cache
from engine.text import clean_line

_README = "README.md"
_LONGEST = 1 << 16
_HEAD = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_LICENCE = re.compile(r"^license:[ \t]*(.*)$", re.MULTILINE)
_ITEM = re.compile(r"\s*-\s*(.+)")


def licence_of_model(path: str, revision: str | None) -> str:
    """What the base model's own card states, e.g. `apache-2.0`; empty where that is not known on this machine."""
    folder = Path(path)
    return _stated(folder if folder.is_dir() else _cached("models", path, revision))


def licence_of_dataset(source: Mapping[str, Any]) -> str:
    """The licence of the hub's dataset that this was imported from; empty where that is not known."""
    name = hub_name_of(source)
    return _stated(_cached("datasets", name, None)) if name else ""


def hub_name_of(source: Mapping[str, Any]) -> str:
    """The name on the hub that a dataset was imported from, e.g. `owner/name`; empty for a file."""
    from engine.datasets.hub import PREFIX, parse_hub_name
    from engine.errors import BadInput

    text = str(source.get("file") or "")
    if not text.startswith(PREFIX):
        return ""
    try:
        name = parse_hub_name(text).dataset
    except BadInput:
        return ""
    return "" if name.startswith("/") else name


def _cached(kind: str, name: str, revision: str | None) -> Path | None:
    """The newest snapshot of a repository in the hub's cache, or the one of `revision`."""
    folder = hub_cache() / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    if revision and (folder / revision).is_dir():
        return folder / revision
    snapshots = [path for path in folder.glob("*") if (path / _README).is_file()] if folder.is_dir() else []
    return max(snapshots, key=lambda path: path.stat().st_mtime, default=None)


def _stated(folder: Path | None) -> str:
    if folder is None:
        return ""
    try:
        with (folder / _README).open("rb") as file:
            text = file.read(_LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""
    head = _HEAD.match(text.replace("\r\n", "\n"))
    found = _LICENCE.search(head[1]) if head else None
    if head is None or found is None:
        return ""
    value = found[1].split(" #")[0].strip()
    if not value:  # a list below
        item = _ITEM.match(head[1][found.end() :].lstrip("\n").split("\n")[0])
        value = item[1] if item else ""
    return clean_line(value.strip("\"'[] "))[:80]
