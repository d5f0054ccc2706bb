"""Answers in the shapes that clients expect: OpenAI's, whole and in events, and the two plain ones of older scripts."""

import time
import uuid
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import orjson

from engine.inference.pool import Delta
from engine.serving.answering import Answer, Wanted
from store.talk_records import Passage

DONE = b"data: [DONE]\n\n"


def event(document: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + dumps(document) + b"\n\n"


def dumps(document: Any) -> bytes:
    """JSON in UTF-8. What a model says may hold half a character: that becomes a question mark."""
    try:
        return orjson.dumps(document)
    except TypeError:  # a lone surrogate
        import json

        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class Reply:
    """Writes the answer to one request of OpenAI's kinds; all its parts bear one id."""

    def __init__(self, wanted: Wanted, *, chat: bool, with_usage: bool = False) -> None:
        self._wanted = wanted
        self._chat = chat
        self._with_usage = with_usage
        self._id = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def whole(self, answer: Answer) -> dict[str, Any]:
        said = (
            {"message": {"role": "assistant", "content": answer.text, "refusal": None}}
            if self._chat
            else {"text": answer.text}
        )
        return self._head("chat.completion" if self._chat else "text_completion") | {
            "choices": [self._choice(said, _reason(answer.end))],
            "usage": usage(answer.end),
            "finetui": details(self._wanted, answer),
        }

    def first(self) -> list[dict[str, Any]]:
        """What goes before the text."""
        return [self._piece({"delta": {"role": "assistant", "content": ""}}, None)] if self._chat else []

    def piece(self, delta: Delta) -> list[dict[str, Any]]:
        """A piece of the text."""
        if not delta.text:
            return []
        return [self._piece({"delta": {"content": delta.text}} if self._chat else {"text": delta.text}, None)]

    def last(self, answer: Answer) -> list[dict[str, Any]]:
        """The end, with finetui's figures, and OpenAI's where they were asked for."""
        end = self._piece({"delta": {}} if self._chat else {"text": ""}, _reason(answer.end))
        events = [end | {"finetui": details(self._wanted, answer)}]
        if self._with_usage:
            events.append(self._head(self._piece_kind) | {"choices": [], "usage": usage(answer.end)})
        return events

    @property
    def _piece_kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _piece(self, said: dict[str, Any], reason: str | None) -> dict[str, Any]:
        no_usage = {"usage": None} if self._with_usage else {}
        return self._head(self._piece_kind) | {"choices": [self._choice(said, reason)]} | no_usage

    def _choice(self, said: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": 0, **said, "logprobs": None, "finish_reason": reason}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._wanted.offer.name}


def generated(wanted: Wanted, answer: Answer) -> dict[str, Any]:
    """The answer to `/api/v1/generate`."""
    end = {"finish_reason": _reason(answer.end), "usage": usage(answer.end), "finetui": details(wanted, answer)}
    return {"text": answer.text, "model_id": wanted.offer.name} | end


def responded(question: str, wanted: Wanted, answer: Answer) -> dict[str, Any]:
    """The answer to `/ask`."""
    named = {"question": question, "response": answer.text, "model": wanted.offer.name}
    return named | {"finetui": details(wanted, answer)}


def usage(end: Delta) -> dict[str, int] | None:
    """Tokens read and written, or `None` where whoever answered did not say."""
    if end.prompt_tokens is None or end.tokens is None:
        return None
    return {
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.tokens,
        "total_tokens": end.prompt_tokens + end.tokens,
    }


def details(wanted: Wanted, answer: Answer) -> dict[str, Any]:
    """What OpenAI's form has no place for: the run, how fast it was, and what the answer is based on."""
    end = answer.end
    known: dict[str, Any] = {
        "run": wanted.offer.pane.run_id,
        "tokens": end.tokens,
        "first_token_s": end.first_token_s,
        "tokens_per_s": end.tokens_per_s,
    }
    if wanted.offer.knowledge is not None:
        known["passages"] = [_passage(passage) for passage in answer.passages]
    return known


def _passage(passage: Passage) -> dict[str, Any]:
    """A passage with its file's name; in which folder that lies is nobody else's concern."""
    return {
        "knowledge": passage.knowledge,
        "source": PurePath(passage.source).name,
        "title": passage.title,
        "text": passage.text,
        "score": passage.score,
        "place": passage.place,
    }


def _reason(end: Delta) -> str:
    return "length" if end.finish_reason == "length" else "stop"
