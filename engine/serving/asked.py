"""What clients may ask: each body as a model that checks it, and that the API's own document is made from.

Harmless fields that are not listed are ignored. What would change the answer and is not supported is refused, unless it
asks for nothing (`n: 1`, `tools: []`, `logprobs: false`).
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from engine.inference.client import Sampling
from engine.serving.refusals import Refusal

DEFAULT_NEW_TOKENS = 256
MOST_NEW_TOKENS = 1 << 20
MOST_STOPS = 8

Body = TypeVar("Body", bound="Asked")


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is the whole number 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Nothing:
    """Values of an unsupported field that ask for nothing, and why more is not supported."""

    values: tuple[Any, ...]
    why: str

    def allows(self, value: Any) -> bool:
        return value is None or any(
            value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.values
        )


_ONE = Nothing((1,), "one answer a request; ask several times, with other seeds")
_NO_STEERING = Nothing((0,), "answers are not steered away from what they said")
_NO_TOOLS = "finetui's models call no tools"
_NO_PROBABILITIES = "probabilities of tokens are not reported"
_TEXT = "answers are text, and nothing holds them to a form"

Count = Annotated[int, Field(ge=1, le=MOST_NEW_TOKENS), BeforeValidator(_whole)]
Stop = Annotated[str, Field(min_length=1)]


class Asked(BaseModel):
    """What all requests for an answer have in common. `null` stands for a field that is not there."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    unsupported: ClassVar[dict[str, Nothing]] = {}

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="0, the default, is greedy.")
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1 << 20), BeforeValidator(_whole)] | None = Field(
        None, description="0 leaves every token in."
    )
    seed: Annotated[int, Field(ge=0, le=(1 << 63) - 1), BeforeValidator(_whole)] | None = Field(
        None, description="Same seed, same answer."
    )
    max_tokens: Count | None = Field(None, description=f"Longest answer; {DEFAULT_NEW_TOKENS} where it is not said.")
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = Field(
        None, description="Texts that end the answer."
    )

    def sampling(self) -> Sampling:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_new_tokens=self.longest or DEFAULT_NEW_TOKENS,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=self.top_k or 0,
            seed=self.seed,
            stop=tuple(stops),
        )

    @property
    def longest(self) -> int | None:
        """Tokens of the longest answer that is wanted."""
        return self.max_tokens


class StreamOptions(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    include_usage: bool | None = Field(None, description="One more event at the end, with the tokens that were used.")


class Streamed(Asked):
    """What both of OpenAI's requests have in common."""

    unsupported = {
        "n": _ONE,
        "presence_penalty": _NO_STEERING,
        "frequency_penalty": _NO_STEERING,
        "logit_bias": Nothing(({},), "tokens cannot be favoured"),
    }

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class Part(BaseModel):
    """A piece of a message. Only text can be read."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    type: Literal["text"]
    text: str


class Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Field(min_length=1)]
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None

    def as_turn(self) -> dict[str, str]:
        """As chat templates know it: they have no developers."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatAsked(Streamed):
    unsupported = Streamed.unsupported | {
        "logprobs": Nothing((False,), _NO_PROBABILITIES),
        "top_logprobs": Nothing((0,), _NO_PROBABILITIES),
        "tools": Nothing(([],), _NO_TOOLS),
        "tool_choice": Nothing(("none", "auto"), _NO_TOOLS),
        "functions": Nothing(([],), _NO_TOOLS),
        "function_call": Nothing(("none", "auto"), _NO_TOOLS),
        "response_format": Nothing(({"type": "text"},), _TEXT),
        "modalities": Nothing((["text"],), _TEXT),
        "audio": Nothing((), _TEXT),
    }

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = Field(None, description="Wins over `max_tokens`.")

    def conversation(self) -> list[dict[str, str]]:
        return [message.as_turn() for message in self.messages]

    @property
    def longest(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class CompletionAsked(Streamed):
    unsupported = Streamed.unsupported | {
        "best_of": _ONE,
        "echo": Nothing((False,), "the prompt is not repeated"),
        "suffix": Nothing(("",), "nothing is written between two texts"),
        "logprobs": Nothing((), _NO_PROBABILITIES),
    }

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)] = Field(
        description="One text. The model goes on from it as it stands, without a template."
    )

    @property
    def text(self) -> str:
        """What to go on from."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


class GenerateAsked(Asked):
    prompt: str
    model_id: str | None = Field(None, description="The first run where it is not said, else the base model.")


class QuestionAsked(Asked):
    question: Annotated[str, Field(min_length=1)]
    model: str | None = Field(None, description="The first run where it is not said, else the base model.")


def read_body(kind: type[Body], body: bytes) -> Body:
    """The request in `body`. Raises `Refusal` that names the first field that is wrong."""
    try:
        data = orjson.loads(body)  # refuses lone surrogates, NaN, deep nesting and what is not UTF-8
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body is not JSON: {error}.", code="invalid_json") from error
    if not isinstance(data, dict):
        raise Refusal(400, "The body is not a JSON object.", code="invalid_json")
    for name, nothing in kind.unsupported.items():
        if not nothing.allows(data.get(name)):
            raise Refusal(400, f"`{name}` is not supported: {nothing.why}.", param=name, code="unsupported")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _first(error) from error


def _first(error: ValidationError) -> Refusal:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    problem = problems[0]
    # Of a field of several types, pydantic names the type it tried as if it were a part of the path.
    path = [part for part in problem["loc"] if isinstance(part, int) or re.fullmatch(r"[a-z_]+", part)]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    where = where.removesuffix(".str") or "body"
    words = "is missing" if problem["type"] == "missing" else problem["msg"]
    words = words if words.startswith("is ") else f"is wrong: {words[0].lower()}{words[1:]}"
    return Refusal(400, f"`{where}` {words}.", param=where)
