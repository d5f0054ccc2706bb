"""Failures as dialogs: what went wrong, why, and what to do now."""

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import FinetuiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App


class Explained(NamedTuple):
    """A failure in three parts; `why` and `fix` may be empty."""

    what: str
    why: str
    fix: str


def explain(error: BaseException) -> Explained:
    """The parts of a `FinetuiError` or `StoreError`; for any other exception, its message and where it was raised."""
    if isinstance(error, FinetuiError) or (hasattr(error, "what") and hasattr(error, "fix")):
        what, why, fix = (str(getattr(error, part, "") or "") for part in ("what", "why", "fix"))
        return Explained(what or str(error), why, fix)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name}" if frames else ""
    return Explained(
        "finetui did not expect this.",
        f"{type(error).__name__}: {error}" + (f"\n{place}" if place else ""),
        "Nothing was lost; runs go on. `finetui doctor` checks the installation and the home.",
    )


def show_error(
    app: "App[Any]",
    error: BaseException,
    title: str | None = None,
    on_close: "Callable[[], None] | None" = None,
) -> None:
    """Open a dialog that explains `error`. Call it on the loop."""
    from tui.screens.dialogs import ErrorDialog

    parts = explain(error)
    app.push_screen(ErrorDialog(title or "That did not work", *parts), lambda _: on_close() if on_close else None)
