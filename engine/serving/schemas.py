"""The JSON schemas of what the API answers, by the names that its document gives them."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}


def ref(name: str) -> Schema:
    """A schema of the document, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(fields: Schema, *, optional: tuple[str, ...] = (), about: str = "") -> Schema:
    """An object that has these fields and no others."""
    schema: Schema = {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }
    return schema | ({"description": about} if about else {})


def maybe(schema: Schema) -> Schema:
    """Or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _head(kind: str) -> Schema:
    return {"id": TEXT, "object": {"const": kind}, "created": COUNT, "model": TEXT}


_REASON: Schema = {"enum": ["stop", "length"]}


def _choice(said: Schema) -> Schema:
    return record({"index": {"const": 0}, **said, "logprobs": {"type": "null"}, "finish_reason": _REASON})


_SAID = record({"role": {"const": "assistant"}, "content": TEXT, "refusal": {"type": "null"}})

ANSWERS: dict[str, Schema] = {
    "Error": record(
        {
            "error": record(
                {
                    "message": TEXT,
                    "type": {"enum": ["invalid_request_error", "rate_limit_error", "server_error"]},
                    "param": maybe(TEXT),
                    "code": maybe(TEXT),
                }
            )
        },
        about="What went wrong, as OpenAI says it: `param` is the field that is wrong.",
    ),
    "Health": record({"status": {"const": "healthy"}}),
    "Model": record(
        {
            "id": TEXT,
            "object": {"const": "model"},
            "created": COUNT,
            "owned_by": {"const": "finetui"},
            "finetui": record({"run": maybe(TEXT), "knowledge": maybe(TEXT)}),
        }
    ),
    "Models": record({"object": {"const": "list"}, "data": _list(ref("Model"))}),
    "Passage": record(
        {
            "knowledge": TEXT,
            "source": TEXT | {"description": "The file's name."},
            "title": TEXT,
            "text": TEXT,
            "score": {"type": "number"},
            "place": COUNT,
        },
        about="A piece of a note that was put before the question.",
    ),
    "Details": record(
        {
            "run": maybe(TEXT) | {"description": "The run's id; null for the base model."},
            "tokens": maybe(COUNT),
            "first_token_s": maybe({"type": "number"}),
            "tokens_per_s": maybe({"type": "number"}),
            "passages": _list(ref("Passage")),
        },
        optional=("passages",),
        about="What OpenAI's form has no place for. `passages` is there where the model answers with knowledge.",
    ),
    "Usage": record({"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT}),
    "ChatCompletion": record(
        {
            **_head("chat.completion"),
            "choices": _list(_choice({"message": _SAID})) | {"minItems": 1, "maxItems": 1},
            "usage": maybe(ref("Usage")),
            "finetui": ref("Details"),
        }
    ),
    "Completion": record(
        {
            **_head("text_completion"),
            "choices": _list(_choice({"text": TEXT})) | {"minItems": 1, "maxItems": 1},
            "usage": maybe(ref("Usage")),
            "finetui": ref("Details"),
        }
    ),
    "Generated": record(
        {
            "text": TEXT,
            "model_id": TEXT,
            "finish_reason": _REASON,
            "usage": maybe(ref("Usage")),
            "finetui": ref("Details"),
        }
    ),
    "Response": record({"question": TEXT, "response": TEXT, "model": TEXT, "finetui": ref("Details")}),
}
