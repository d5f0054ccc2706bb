"""What a person sees when a command fails: what, why and what to do; a traceback only when asked for."""

import os
import sys
import time
import traceback
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.home import Home

DEBUG = "FINETUI_DEBUG"


def report(error: Exception, home: Home) -> int:
    """Say on stderr what went wrong; the exit status that goes with it."""
    from tui.cli.output import error_text, say

    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    known = explained(error)
    if known is None:
        say(unexpected_text(error, home))
        return 1
    say(error_text(known))
    return known.exit_status


def explained(error: Exception) -> FinetuiError | None:
    """The error as one with a cause and a way out, or `None` for a fault of finetui's own."""
    if isinstance(error, FinetuiError):
        return error
    from store.errors import QueryError, StoreError

    if isinstance(error, StoreError):
        kind = BadInput if isinstance(error, QueryError) else FinetuiError
        return kind(error.what, why=error.why, fix=error.fix)
    if isinstance(error, OSError) and error.strerror:
        place = f" at {error.filename}" if error.filename else ""
        return FinetuiError(f"The system refused{place}: {error.strerror}.")
    return None


def error_document(error: Exception) -> dict[str, Any]:
    """The error as JSON: `{"error": {"what", "why", "fix"}}`, with the rows at fault where there are some."""
    known = explained(error) or FinetuiError(f"finetui failed: {_brief(error)}")
    document: dict[str, Any] = {"error": {"what": known.what, "why": known.why, "fix": known.fix}}
    problems = getattr(known, "problems", None)
    if problems:
        from tui.cli.documents import problem_documents

        document["problems"] = problem_documents(problems)
    return document


def unexpected_text(error: Exception, home: Home) -> str:
    """One line for a fault of finetui's own, and where its traceback is."""
    log = home.root / "finetui.log"
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} finetui {' '.join(sys.argv[1:])}\n")
            file.writelines(traceback.format_exception(error))
        where = f"The traceback is in {log}; {DEBUG}=1 shows it here."
    except OSError:
        where = f"{DEBUG}=1 shows the traceback."
    return f"finetui failed: {_brief(error)}. {where}"


def _brief(error: Exception) -> str:
    from tui.text import clean_line

    lines = [clean_line(line) for line in str(error).strip().splitlines()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
