"""A run that cannot go on, and what would help."""

from typing import Any


class Refusal(Exception):
    """Raised where the worker knows what is wrong: shown to the user as it is, without a traceback.

    `code` is one of `engine.runs.failure_codes`. Without `fix` and `changes` that code's usual remedy is told.
    """

    def __init__(self, reason: str, *, code: str, fix: str = "", changes: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.fix = fix
        self.changes = changes
