"""Writing a report: whole or not at all."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from engine.errors import BadInput, FinetuiError
from engine.private import share
from store import Store

Kind = Literal["html", "csv", "curves", "png", "md"]

KINDS: tuple[Kind, ...] = ("html", "csv", "curves", "png", "md")
"""A page; one line a run; one line a point; a picture; Markdown."""


def write_report(
    store: Store,
    run_ids: Sequence[str],
    path: Path,
    *,
    kind: Kind,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
) -> Path:
    """Write what there is to say of these runs to a file, over one that is there. Call it in a thread.

    `baseline` is the id of the run that the others are measured against, the first where it is left out; `metrics` are
    the names of those that are shown, all where they are left out. Raises `NotFound` for an id without a run,
    `BadInput` for an unknown metric or baseline and for a path that cannot be a file, `FinetuiError` where the disk
    refuses.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder.", fix="Name a file in it.")
    if not path.parent.is_dir():
        raise BadInput(f"There is no folder {path.parent}.", fix="Make it, or name a file somewhere else.")
    parts = render_report(store, run_ids, kind=kind, baseline=baseline, metrics=metrics)
    try:
        _replace(path, parts)
    except OSError as error:
        raise FinetuiError(
            f"The report cannot be written to {path}.",
            why=f"The system says: {error.strerror or error}.",
            fix="Free or unlock that folder, or name a file somewhere else.",
        ) from error
    return path


def render_report(
    store: Store,
    run_ids: Sequence[str],
    *,
    kind: Kind,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
) -> Iterable[bytes]:
    """What `write_report` writes, piece by piece."""
    if kind == "csv" or kind == "curves":
        from engine.reports.spreadsheet import point_rows, run_rows

        rows = run_rows if kind == "csv" else point_rows
        return (line.encode() for line in rows(store, run_ids, metrics))
    from engine.reports.content import read_report

    report = read_report(store, run_ids, baseline=baseline, metrics=metrics)
    if kind == "html":
        from engine.reports.web_page import page

        return [page(store, report).encode()]
    if kind == "md":
        from engine.reports.markdown import markdown

        return [markdown(report).encode()]
    from engine.reports.picture import picture

    return [picture(report)]


def _replace(path: Path, parts: Iterable[bytes]) -> None:
    """The file appears at once: nobody opens half of one."""
    partial = path.with_name(f".{path.name[:40]}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.writelines(parts)
        share(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
