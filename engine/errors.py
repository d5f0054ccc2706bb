"""Errors that a person reads: what went wrong, why, and what to do now."""


class FinetuiError(Exception):
    """A failure that is shown to the user as it is, never as a traceback.

    `what` is one sentence, `why` the cause as far as it is known, `fix` what to do next.
    """

    exit_status = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.fix) if part)


class BadInput(FinetuiError):
    """What the user gave cannot be used: a file, a field, a name. Exit status 2."""

    exit_status = 2


class NotFound(BadInput):
    """No run, dataset, model or preset of that name."""


class Cancelled(FinetuiError):
    """The user gave up waiting; nothing was kept."""

    def __init__(self, what: str = "Cancelled; nothing was kept.") -> None:
        super().__init__(what)
