"""What the pieces of an answer hold, in the forms in which OpenAI-compatible servers send them."""

from dataclasses import dataclass
from typing import Any

from engine.runs.fields import text as storable
from store.records import LAST_STEP


@dataclass(frozen=True)
class Usage:
    """Tokens as the server counted them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def text_of(event: dict[str, Any]) -> str:
    """The answer's text in a streamed event or in a whole reply; what a model thinks before is not the answer."""
    choice = _choice(event)
    for place in (choice.get("delta"), choice.get("message")):
        if isinstance(place, dict):
            return _content(place.get("content"))
    return _content(choice.get("text"))


def finish_of(event: dict[str, Any]) -> str | None:
    """Why the answer ended, where the event says so."""
    reason = _choice(event).get("finish_reason")
    return storable(reason) if isinstance(reason, str) and reason else None


def usage_of(event: dict[str, Any]) -> Usage | None:
    """The figures of an event that has some."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def error_in(body: Any) -> str | None:
    """The words of an error, in whichever of its forms; `None` where there is none."""
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, dict):
        words = error.get("message") or error.get("what") or error.get("detail") or error.get("code")
        return _words(words) if words else "an error without words"
    if error:
        return _words(error)
    if body.get("object") == "error" or ("choices" not in body and "data" not in body):
        for name in ("message", "detail", "msg"):
            if body.get(name):
                return _detail(body[name])
    return None


def _detail(value: Any) -> str:
    """FastAPI lists what is wrong with a request, field by field."""
    if isinstance(value, list):
        return "; ".join(
            f"{_place(item.get('loc'))}: {_words(item.get('msg', ''))}" if isinstance(item, dict) else _words(item)
            for item in value[:5]
        )
    return _words(value)


def _place(loc: Any) -> str:
    return ".".join(map(_words, loc)) if isinstance(loc, list) else _words(loc or "")


def _words(value: Any) -> str:
    """`value` as text, be it nested as deeply as JSON can be."""
    try:
        return str(value)
    except RecursionError:
        return "…"


def _choice(event: dict[str, Any]) -> dict[str, Any]:
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _content(content: Any) -> str:
    """Text, or the text of a list of parts."""
    if isinstance(content, str):
        return storable(content)
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return storable("".join(part for part in parts if isinstance(part, str)))
    return ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LAST_STEP else None
