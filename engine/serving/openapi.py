"""The API's document: OpenAPI 3.1, made from the models that check the requests and the schemas of the answers."""

from functools import cache
from importlib import metadata
from typing import Any

from engine.serving.asked import Asked, ChatAsked, CompletionAsked, GenerateAsked, QuestionAsked
from engine.serving.refusals import STATUSES
from engine.serving.schemas import ANSWERS, Schema, ref

_REFS = "#/components/schemas/{model}"
_ANYBODY = (403,)
_WITH_TOKEN = (401, 403)
_WITH_BODY = (400, 401, 403, 404, 408, 413, 429, 500, 503)

_STREAM = (
    "Where `stream` is true: server-sent events. Each is a line `data: ` with a chunk, the last one `data: [DONE]`. "
    "The chunk with the `finish_reason` carries `finetui`; what fails midway is an event with `error`."
)


@cache
def document() -> Schema:
    """The whole document."""
    requests: list[type[Asked]] = [ChatAsked, CompletionAsked, GenerateAsked, QuestionAsked]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "finetui",
            "version": metadata.version("finetui"),
            "description": "Base models and adapters of this machine, over an API that OpenAI's clients speak.",
        },
        "paths": {
            "/": {"get": _page()},
            "/health": {"get": _operation("Whether the server is there", "Health", _ANYBODY, open_to_all=True)},
            "/openapi.json": {"get": _own_document()},
            "/v1/models": {"get": _operation("The models that can be asked", "Models", _WITH_TOKEN)},
            "/v1/models/{model}": {"get": _one_model()},
            "/v1/chat/completions": {
                "post": _operation("Answer a conversation", "ChatCompletion", _WITH_BODY, body=ChatAsked, stream=True)
            },
            "/v1/completions": {
                "post": _operation("Answer a text", "Completion", _WITH_BODY, body=CompletionAsked, stream=True)
            },
            "/api/v1/generate": {"post": _operation("Answer a prompt", "Generated", _WITH_BODY, body=GenerateAsked)},
            "/ask": {"post": _operation("Answer a question", "Response", _WITH_BODY, body=QuestionAsked)},
        },
        "components": {
            "schemas": {name: schema for kind in requests for name, schema in _schemas(kind).items()} | ANSWERS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    summary: str,
    answer: str,
    refusals: tuple[int, ...],
    *,
    body: type[Asked] | None = None,
    stream: bool = False,
    open_to_all: bool = False,
) -> Schema:
    content: Schema = {"application/json": {"schema": ref(answer)}}
    if stream:
        content["text/event-stream"] = {}  # a schema would be that of a body; 3.1 has none for events
    operation: Schema = {
        "summary": summary,
        "security": [] if open_to_all else [{"token": []}],
        "responses": {"200": {"description": _STREAM if stream else "Done.", "content": content}}
        | {str(status): _refusal(status) for status in refusals},
    }
    if body is not None:
        schema = {"application/json": {"schema": ref(body.__name__)}}
        operation["requestBody"] = {"required": True, "content": schema}
    return operation


def _refusal(status: int) -> Schema:
    refusal: Schema = {"description": STATUSES[status], "content": {"application/json": {"schema": ref("Error")}}}
    if status == 401:
        refusal["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}
    if status == 429:
        refusal["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string"}}}
    return refusal


def _page() -> Schema:
    page = _operation("A page to chat with one model, or two side by side", "Error", _ANYBODY, open_to_all=True)
    page["responses"]["200"]["content"] = {"text/html": {"schema": {"type": "string"}}}
    return page


def _own_document() -> Schema:
    own = _operation("This document", "Error", _ANYBODY, open_to_all=True)
    own["responses"]["200"]["content"] = {"application/json": {"schema": {"type": "object"}}}
    return own


def _one_model() -> Schema:
    one = _operation("One of the models", "Model", (*_WITH_TOKEN, 404))
    name = {"type": "string", "minLength": 1}
    one["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": name}]
    return one


def _schemas(kind: type[Asked]) -> dict[str, Schema]:
    """The schema of a request and of what it is made of. A field that is not supported may still ask for nothing."""
    schema = kind.model_json_schema(ref_template=_REFS)
    parts: dict[str, Schema] = schema.pop("$defs", {})
    for name, nothing in kind.unsupported.items():
        allowed: list[Any] = [None, *nothing.values]
        schema["properties"][name] = {"enum": allowed, "description": f"Not supported: {nothing.why}."}
    return {kind.__name__: schema} | parts
