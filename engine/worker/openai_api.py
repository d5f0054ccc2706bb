"""The shapes of the OpenAI chat API: requests read and checked, answers and errors written. No torch.

Extension: `models` in place of `model` asks several at once; `messages` is then one conversation for all of them or a
list of one each, and choice `i` of the answer is model `i`. Timings stand under `finetui`.
"""

import json
import time
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from engine.worker.rows import RowResult, Sampling

MAX_ROWS = 64
DEFAULT_NEW_TOKENS = 256


class RequestError(Exception):
    """A request that cannot be answered, with its HTTP status."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, dict[str, Any]] = {
            "error": {
                "message": message,
                "type": "invalid_request_error" if status < 500 else "server_error",
                "param": param,
                "code": code,
            }
        }


@dataclass(frozen=True)
class ChatRequest:
    """A request for answers: `conversations` has one list of messages for each of `models`."""

    models: list[str]
    conversations: list[list[dict[str, Any]]]
    sampling: Sampling
    max_new_tokens: int
    stream: bool


def parse_chat(body: bytes, known: Collection[str]) -> ChatRequest:
    """The request in `body`. Raises `RequestError` for what is wrong with it."""
    try:
        data = json.loads(body)
    except ValueError as error:
        raise RequestError(400, f"The body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RequestError(400, "The body is not a JSON object.")
    models = _models(data, known)
    return ChatRequest(
        models=models,
        conversations=_conversations(data.get("messages"), len(models)),
        sampling=Sampling(
            temperature=_number(data, "temperature", 0.0, 0.0, 5.0),
            top_p=_number(data, "top_p", 1.0, 0.0, 1.0),
            top_k=int(_number(data, "top_k", 0, 0, 1 << 20)),
            seed=None if data.get("seed") is None else int(_number(data, "seed", 0, 0, (1 << 63) - 1)),
        ),
        max_new_tokens=int(_number(data, _limit_name(data), DEFAULT_NEW_TOKENS, 1, 1 << 20)),
        stream=bool(data.get("stream", False)),
    )


class Answers:
    """Writes the answers to one request, whole or in chunks, all under one id."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def chunk(self, row: int, text: str) -> dict[str, Any]:
        return self._head(row, "chat.completion.chunk") | {
            "choices": [{"index": row, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]
        }

    def last_chunk(self, row: int, result: RowResult) -> dict[str, Any]:
        return self._head(row, "chat.completion.chunk") | {
            "choices": [{"index": row, "delta": {}, "finish_reason": _reason(result)}],
            "finetui": timing(result),
        }

    def whole(self, results: list[RowResult]) -> dict[str, Any]:
        """The answer to a request without `stream`; each choice has its own `finetui`."""
        return self._head(0, "chat.completion") | {
            "choices": [
                {
                    "index": row,
                    "message": {"role": "assistant", "content": result.text},
                    "finish_reason": _reason(result),
                    "finetui": timing(result) | {"model": self._request.models[row]},
                }
                for row, result in enumerate(results)
            ],
            "usage": {"completion_tokens": sum(result.tokens for result in results)},
        }

    def _head(self, row: int, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._request.models[row]}


def timing(result: RowResult) -> dict[str, Any]:
    """`tokens`, `first_token_s` and `tokens_per_s` of an answer."""
    values = asdict(result)
    return {name: values[name] for name in ("tokens", "first_token_s", "tokens_per_s")}


def sse(value: Any) -> bytes:
    """One server-sent event."""
    data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\n\n".encode("utf-8", "replace")


def _reason(result: RowResult) -> str:
    return "stop" if result.finish_reason == "cancelled" else result.finish_reason


def _models(data: dict[str, Any], known: Collection[str]) -> list[str]:
    models = data.get("models")
    if models is None:
        models = [data.get("model")]
    if not isinstance(models, list) or not models or not all(isinstance(name, str) for name in models):
        raise RequestError(400, "Name the model in `model`, or several as a list in `models`.", param="model")
    if len(models) > MAX_ROWS:
        raise RequestError(400, f"{len(models)} answers at once are too many; {MAX_ROWS} is the most.", param="models")
    for name in models:
        if name not in known:
            raise RequestError(
                404,
                f"There is no model {name!r}; there are: {', '.join(known)}.",
                param="model",
                code="model_not_found",
            )
    return models


def _conversations(messages: Any, count: int) -> list[list[dict[str, Any]]]:
    if not isinstance(messages, list) or not messages:
        raise RequestError(400, "`messages` must be a list with at least one message.", param="messages")
    if not isinstance(messages[0], list):
        return [_conversation(messages)] * count
    if len(messages) != count:
        raise RequestError(400, f"{len(messages)} conversations for {count} models.", param="messages")
    return [_conversation(one) for one in messages]


def _conversation(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages:
        raise RequestError(400, "A conversation must be a list with at least one message.", param="messages")
    checked = []
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RequestError(400, f"Message {number} has no role.", param=f"messages[{number}]")
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(
                part.get("text", "") for part in content if isinstance(part, dict) and part.get("type") == "text"
            )
        if not isinstance(content, str):
            raise RequestError(400, f"Message {number} has no text in `content`.", param=f"messages[{number}]")
        checked.append({"role": message["role"], "content": content})
    return checked


def _limit_name(data: dict[str, Any]) -> str:
    return "max_completion_tokens" if data.get("max_completion_tokens") is not None else "max_tokens"


def _number(data: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = data.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RequestError(400, f"`{name}` must be a number from {low:g} to {high:g}, not {value!r}.", param=name)
    return value
