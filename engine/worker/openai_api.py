"""Requests in the shapes of the OpenAI API, read and checked. No torch.

Extension: `models` in place of `model` asks several at once; `messages` (or `prompt`) is then one for all of them or a
list of one each, and choice `i` of the answer is model `i`.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from engine.worker.rows import Sampling

MAX_ROWS = 64
MAX_STOPS = 8
DEFAULT_NEW_TOKENS = 256

Conversation = list[dict[str, Any]]


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
class AnswerRequest:
    """A request for answers: `prompts` has one for each of `models`, a conversation or, to go on from, plain text."""

    models: list[str]
    prompts: Sequence[Conversation | str]
    sampling: Sampling
    max_new_tokens: int
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool
    chat: bool
    """Whether it came to `/v1/chat/completions`, which decides the form of the answer."""


def parse_chat(body: bytes, known: Collection[str]) -> AnswerRequest:
    """The request for chat in `body`. Raises `RequestError` for what is wrong with it."""
    data = _object(body)
    models = _models(data, known)
    return _request(data, models, _conversations(data.get("messages"), len(models)), chat=True)


def parse_completion(body: bytes, known: Collection[str]) -> AnswerRequest:
    """The request to go on from a text, or from each of a list, in `body`. Raises `RequestError`."""
    data = _object(body)
    models, prompts = _models(data, known), data.get("prompt")
    if isinstance(prompts, str):
        prompts = [prompts] * len(models)
    if not isinstance(prompts, list) or not prompts or not all(isinstance(text, str) for text in prompts):
        raise RequestError(400, "`prompt` must be a text, or a list of texts.", param="prompt")
    if len(models) == 1:
        models = models * len(prompts)
    if len(models) != len(prompts):
        raise RequestError(400, f"{len(prompts)} prompts for {len(models)} models.", param="prompt")
    _not_too_many(len(prompts), "prompt")
    return _request(data, models, prompts, chat=False)


def _request(
    data: dict[str, Any], models: list[str], prompts: Sequence[Conversation | str], *, chat: bool
) -> AnswerRequest:
    options = data.get("stream_options")
    seed = data.get("seed")
    return AnswerRequest(
        models=models,
        prompts=prompts,
        sampling=Sampling(
            temperature=_number(data, "temperature", 0.0, 0.0, 5.0),
            top_p=_number(data, "top_p", 1.0, 0.0, 1.0),
            top_k=int(_number(data, "top_k", 0, 0, 1 << 20)),
            # All rows of a request draw the same numbers, so that its models answer with the same luck.
            seed=secrets.randbits(32) if seed is None else int(_number(data, "seed", 0, 0, (1 << 63) - 1)),
        ),
        max_new_tokens=int(_number(data, _limit_name(data), DEFAULT_NEW_TOKENS, 1, 1 << 20)),
        stop=_stop(data.get("stop")),
        stream=bool(data.get("stream", False)),
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
        chat=chat,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(body)  # refuses halves of characters, NaN, and what is nested too deeply
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"The body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RequestError(400, "The body is not a JSON object.")
    return data


def _stop(value: Any) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise RequestError(400, "`stop` must be a text, or a list of texts, none of them empty.", param="stop")
    if len(stops) > MAX_STOPS:
        raise RequestError(400, f"{len(stops)} stop texts are too many; {MAX_STOPS} is the most.", param="stop")
    return tuple(stops)


def _not_too_many(count: int, param: str) -> None:
    if count > MAX_ROWS:
        raise RequestError(400, f"{count} answers at once are too many; {MAX_ROWS} is the most.", param=param)


def _models(data: dict[str, Any], known: Collection[str]) -> list[str]:
    models = data.get("models")
    if models is None:
        models = [data.get("model")]
    if not isinstance(models, list) or not models or not all(isinstance(name, str) for name in models):
        raise RequestError(400, "Name the model in `model`, or several as a list in `models`.", param="model")
    _not_too_many(len(models), "models")
    for name in models:
        if name not in known:
            raise RequestError(
                404,
                f"There is no model {name!r}; there are: {', '.join(known)}.",
                param="model",
                code="model_not_found",
            )
    return models


def _conversations(messages: Any, count: int) -> list[Conversation]:
    if not isinstance(messages, list) or not messages:
        raise RequestError(400, "`messages` must be a list with at least one message.", param="messages")
    if not isinstance(messages[0], list):
        return [_conversation(messages)] * count
    if len(messages) != count:
        raise RequestError(400, f"{len(messages)} conversations for {count} models.", param="messages")
    return [_conversation(one) for one in messages]


def _conversation(messages: Any) -> Conversation:
    if not isinstance(messages, list) or not messages:
        raise RequestError(400, "A conversation must be a list with at least one message.", param="messages")
    checked = []
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RequestError(400, f"Message {number} has no role.", param=f"messages[{number}]")
        content = message.get("content")
        if isinstance(content, list):
            texts: list[Any] = [
                part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
            ]
            content = "".join(texts) if all(isinstance(text, str) for text in texts) else None
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
