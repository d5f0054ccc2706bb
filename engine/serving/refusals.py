"""What a client is told when it is not answered: OpenAI's form of an error, with the status that fits."""

from typing import Any

from engine.errors import BadInput, FinetuiError

STATUSES = {
    400: "The request cannot be understood, or asks for what finetui does not do; `param` names the field.",
    401: "There is no token, or not this server's.",
    403: "The Host or the Origin is not this server's.",
    404: "There is no model, or nothing else, of that name.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    429: "Too many answers are being written; ask again in a moment.",
    500: "finetui has a fault.",
    503: "The model cannot be had: it did not load, or ended.",
}
"""Every status of a refusal, and what it means."""


class Refusal(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": _kind(self.status),
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": "2"} if self.status == 429 else {}


def refusal_of(error: FinetuiError) -> Refusal:
    """What a client may know of `error`. The causes of a server's own troubles (ends of logs, paths) stay here."""
    if isinstance(error, BadInput):
        words = " ".join(part for part in (error.what, error.why, error.fix) if part)
        too_long = "too long by" in error.what
        return Refusal(
            400, words, param="messages" if too_long else None, code="context_length_exceeded" if too_long else None
        )
    return Refusal(503, f"{error.what} Its cause is shown where `finetui serve` runs.", code="model_unavailable")


def _kind(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
