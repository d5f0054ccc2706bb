"""Chat templates: Jinja as the training libraries run it, in a sandbox, without them.

What is written out, and which characters of it the assistant says, must be what `apply_chat_template` of Transformers
gives, position for position: the tests compare the two.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from engine.errors import BadInput
from engine.tokens.messages import CallStyle, Message

BUILT_IN = ("chatml", "instruction", "alpaca", "llama-3")
"""Templates that come with finetui, for models without one."""

_TURN_ENDS = ("<|im_end|>", "<|eot_id|>")
_BEGIN = "<|begin_of_text|>"
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")  # as TRL looks for it
_MOST_CHARS = 16 << 20
"""A template may write this much, and sixteen times what it was given."""
_MOST_S = 10.0
_MOST_REPEATS = 1 << 20
_LARGEST_FILE_BYTES = 1 << 20


class TemplateProblem(BadInput):
    """A template that cannot be used, or that refuses a conversation. `why` is what it says."""


@dataclass(frozen=True, slots=True)
class Written:
    """A conversation as text, and what the assistant says: (start, end) in characters.

    `moved` says that the template marks it where Transformers loses the place: within a macro or a `set` block.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    moved: bool = False


class ChatTemplate:
    """A template with the special tokens of a tokenizer. Safe to share between threads."""

    def __init__(self, source: str, special_tokens: Mapping[str, str], name: str = "") -> None:
        """Raises `TemplateProblem` where `source` is no template."""
        self.source = source
        self.name = name
        self._special_tokens = dict(special_tokens)
        self._compiled, self._guard = _compile(source, name)

    @property
    def marks(self) -> bool:
        """Whether it marks what the assistant says."""
        return _GENERATION.search(self.source) is not None

    @property
    def hash(self) -> str:
        """Equal for equal templates, special tokens included."""
        text = json.dumps([self.source, self._special_tokens], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def call_style(self) -> CallStyle:
        """How it takes tool calls: tried out, for templates drop silently what they do not know."""
        for style in ("objects", "strings"):
            words = [f"{word}-a8f3e2b1" for word in ("name", "key", "value", "content")]
            arguments: Any = {words[1]: words[2]}
            call = {"name": words[0], "arguments": json.dumps(arguments) if style == "strings" else arguments}
            asked = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}
            answered = {"role": "tool", "name": words[0], "content": words[3]}
            try:
                text = self.write([{"role": "user", "content": "hi"}, asked, answered]).text
            except TemplateProblem as problem:
                if isinstance(problem.__cause__, TypeError):
                    continue
                break
            if all(word in text for word in words):
                return "objects" if style == "objects" else "strings"
            break
        return "words"

    def write(
        self, messages: Sequence[Message], tools: Sequence[Message] | None = None, *, generation_prompt: bool = False
    ) -> Written:
        """The conversation as text. Raises `TemplateProblem` where the template refuses it."""
        pieces: list[str] = []
        try:
            with self._guard.watching(messages) as watch:
                for piece in self._compiled.generate(
                    messages=messages,
                    tools=tools,
                    documents=None,
                    add_generation_prompt=generation_prompt,
                    **self._special_tokens,
                ):
                    pieces.append(piece)
                    watch.wrote(len(piece))
        except TemplateProblem:
            raise
        except Exception as error:  # a template can fail in any way that code can
            why = str(error).strip() or type(error).__name__
            if not isinstance(error, jinja2.TemplateError) or isinstance(error, jinja2.UndefinedError):
                why = f"{type(error).__name__}: {why}"
            raise TemplateProblem(
                "The template refuses this conversation.",
                why=f"It says: {why[:500]}",
                fix="Change the row (its roles and their order, mostly), or choose another template.",
            ) from error
        text = "".join(pieces)
        spans = tuple((start, start + len(said)) for start, said in watch.marked)
        return Written(text, spans, any(text[start : start + len(said)] != said for start, said in watch.marked))


def with_tools(template: ChatTemplate, other: ChatTemplate) -> ChatTemplate:
    """What a row with tools on offer is written by: `other`, the model's template for that, if it does take tools."""
    return template if other.call_style == "words" else other


def built_in_template(name: str, *, eos_token: str | None = None, known: Callable[[str], bool] = lambda _: True) -> str:
    """The source of one of the `BUILT_IN` templates, for a tokenizer that ends text with `eos_token`.

    `known` says whether a token is in its vocabulary. Turns must end with a single token, or the model never learns to
    stop: where the template's own is none, `eos_token` takes its place.
    """
    source = (Path(__file__).parent / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
    for turn_end in _TURN_ENDS:
        if turn_end in source and eos_token and not known(turn_end):
            source = source.replace(turn_end, eos_token)
    return source if known(_BEGIN) else source.replace(f"default('{_BEGIN}')", "default('')")


def read_template(path: Path) -> str:
    """A template's source from a file of the user's. Raises `BadInput`."""
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise BadInput(f"{path} is too large for a chat template.", fix="Give a Jinja file of at most 1 MB.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInput(
            f"The template {path} cannot be read.",
            why=f"{why}.".capitalize(),
            fix="Give a Jinja file, or one of: own, " + ", ".join(BUILT_IN),
        ) from error


class _Watch(threading.local):
    """One rendering at work in this thread: how far it has come, what was marked, and when it must be done."""

    def __init__(self) -> None:
        self.written = 0
        self.marked: list[tuple[int, str]] = []
        self._deadline = 0.0
        self._given: Sequence[Message] = ()

    @contextmanager
    def watching(self, given: Sequence[Message]) -> Iterator["_Watch"]:
        self.written, self.marked, self._given = 0, [], given
        self._deadline = time.monotonic() + _MOST_S
        try:
            yield self
        finally:
            self._given = ()

    def wrote(self, chars: int) -> None:
        self.written += chars
        if self.written > _MOST_CHARS and self.written > 16 * len(str(self._given)):
            raise _endless(f"It has written {self.written:,} characters.")
        self.tick()

    def tick(self) -> None:
        if time.monotonic() > self._deadline:
            raise _endless(f"It was still at work after {_MOST_S:g} seconds.")


def _endless(why: str) -> TemplateProblem:
    return TemplateProblem("The template does not come to an end.", why=why, fix="Choose another template.")


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with an eye on time and size. A filter that pads to a huge width can still fill the memory."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        # `_Generation` needs the watch as soon as it is made.
        self.watch = _Watch()
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.filters["tojson"] = _to_json
        self.globals.update(raise_exception=_raise, strftime_now=_now, dict=_Dictionaries(), namespace=_OwnNamespace)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        __self.watch.tick()
        if any(isinstance(value, int) and value > _MOST_REPEATS for value in args):
            raise jinja2.exceptions.SecurityError(f"a call with {max(a for a in args if isinstance(a, int)):,}")
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.watch.tick()
        for one, other in ((left, right), (right, left)):
            if operator == "*" and isinstance(one, str | list | tuple) and isinstance(other, int):
                if len(one) * other > _MOST_REPEATS:
                    raise jinja2.exceptions.SecurityError("a text repeated too often")
            elif operator == "**" and isinstance(one, int) and abs(one) > 1_000:
                raise jinja2.exceptions.SecurityError("a power that is too large")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """`{% generation %}`: what is within is what the assistant says."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Macro) -> str:
        said = str(caller())
        watch: _Watch = self.environment.watch  # type: ignore[attr-defined]
        # The place is where the output has come to, as Transformers has it, even where the block is within a macro.
        watch.marked.append((watch.written, said))
        return said


class _Dictionaries:
    """`dict` for templates: makes dictionaries and shows nothing else of the type."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, keys: Any, value: Any = None) -> dict[Any, Any]:
        return dict.fromkeys(keys, value)


class _OwnNamespace(Namespace):
    """`namespace` for templates, closed to names with an underscore in front."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        values = dict(*args[1:], **kwargs)
        for name in values:
            _public(name)
        Namespace.__init__(args[0], values)

    def __setitem__(self, name: str, value: Any) -> None:
        _public(name)
        super().__setitem__(name, value)


def _public(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace cannot hold {name!r}")


def _raise(message: Any) -> None:
    raise jinja2.TemplateError(str(message))


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as it is; Jinja's own filter escapes what HTML would need."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@lru_cache(maxsize=32)
def _compile(source: str, name: str) -> tuple[jinja2.Template, _Watch]:
    sandbox = _Sandbox()
    try:
        return sandbox.from_string(source), sandbox.watch
    except jinja2.TemplateSyntaxError as error:
        why = f"Line {error.lineno}: {error.message}."
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        why = f"{type(error).__name__}: {error}"
    raise TemplateProblem(f"{name or 'The chat template'} is no Jinja template.", why=why, fix="Mend it.")
