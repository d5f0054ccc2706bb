"""Answers in the shapes of the OpenAI API, whole or in chunks. Timings stand under `finetui`. No torch."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from engine.errors import FinetuiError
from engine.worker.openai_api import AnswerRequest
from engine.worker.rows import RowResult


class Answers:
    """Writes the answers to one request, all under one id."""

    def __init__(self, request: AnswerRequest) -> None:
        self._request = request
        self._id = f"{'chatcmpl' if request.chat else 'cmpl'}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def chunk(self, row: int, text: str) -> dict[str, Any]:
        """A piece of a row's text."""
        delta = {"role": "assistant", "content": text}
        return self._part(row, {"delta": delta} if self._request.chat else {"text": text, "logprobs": None}, None)

    def last_chunk(self, row: int, result: RowResult) -> dict[str, Any]:
        """A row's end, with its figures, and with the error that ended it."""
        content: dict[str, Any] = {"delta": {}} if self._request.chat else {"text": "", "logprobs": None}
        event = self._part(row, content, _reason(result)) | {"finetui": timing(result)}
        return event if result.error is None else event | error_body(result.error)

    def usage_chunk(self, results: Sequence[RowResult]) -> dict[str, Any]:
        """What `stream_options.include_usage` asks for: the last chunk, without a choice."""
        return self._head(0, streamed=True) | {"choices": [], "usage": usage(results)}

    def whole(self, results: Sequence[RowResult]) -> dict[str, Any]:
        """The answer to a request without `stream`; each choice has its own `finetui`."""
        return self._head(0, streamed=False) | {
            "choices": [self._choice(row, result) for row, result in enumerate(results)],
            "usage": usage(results),
        }

    def _choice(self, row: int, result: RowResult) -> dict[str, Any]:
        message = {"role": "assistant", "content": result.text}
        content = {"message": message} if self._request.chat else {"text": result.text, "logprobs": None}
        about = timing(result) | {"model": self._request.models[row]}
        if result.error is not None:
            about |= error_body(result.error)
        return {"index": row, **content, "finish_reason": _reason(result), "finetui": about}

    def _part(self, row: int, content: dict[str, Any], reason: str | None) -> dict[str, Any]:
        event = self._head(row, streamed=True) | {"choices": [{"index": row, **content, "finish_reason": reason}]}
        return event | {"usage": None} if self._request.include_usage else event

    def _head(self, row: int, *, streamed: bool) -> dict[str, Any]:
        chat = "chat.completion.chunk" if streamed else "chat.completion"
        kind = chat if self._request.chat else "text_completion"
        return {"id": self._id, "object": kind, "created": self._created, "model": self._request.models[row]}


def timing(result: RowResult) -> dict[str, Any]:
    """`tokens`, `prompt_tokens`, `first_token_s` and `tokens_per_s` of an answer."""
    return {
        "tokens": result.tokens,
        "prompt_tokens": result.prompt_tokens,
        "first_token_s": result.first_token_s,
        "tokens_per_s": result.tokens_per_s,
    }


def usage(results: Sequence[RowResult]) -> dict[str, int]:
    """Tokens of all choices together; every choice's prompt counts."""
    prompts, answers = sum(result.prompt_tokens for result in results), sum(result.tokens for result in results)
    return {"prompt_tokens": prompts, "completion_tokens": answers, "total_tokens": prompts + answers}


def error_body(error: FinetuiError, kind: str = "server_error") -> dict[str, Any]:
    """An error in OpenAI's form, and in finetui's parts."""
    return {
        "error": {
            "message": str(error),
            "type": kind,
            "param": None,
            "code": None,
            "what": error.what,
            "why": error.why,
            "fix": error.fix,
        }
    }


def sse(value: Any) -> bytes:
    """One server-sent event."""
    data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\n\n".encode("utf-8", "replace")


def _reason(result: RowResult) -> str:
    return "stop" if result.finish_reason == "cancelled" else result.finish_reason
