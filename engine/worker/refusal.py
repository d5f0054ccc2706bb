"""A run that cannot go on, and what would help."""


class Refusal(Exception):
    """Raised where the worker knows what is wrong: shown to the user as it is, without a traceback."""

    def __init__(self, reason: str, *, code: str, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.fix = fix
