"""What is never passed on: keys, tokens and passwords, by the names of settings and by their forms.

Recipes hold none, but the settings of imported runs are whatever somebody once logged, addresses have fields of any
name, and notes and reasons are free text. Reports, cards and bug reports are made to be passed on.
"""

import re
from collections.abc import Mapping
from typing import Any

from engine.text import clean

WITHHELD = "(left out: it looks like a secret)"

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_PART = re.compile(r"[./\s]+")
_NAMED = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials"}
    | {"authorization", "cookie", "bearer"}
)
_PAIRS = frozenset({"apikey", "accesskey", "privatekey", "secretkey", "authkey", "licensekey", "sshkey"})
_AT_THE_END = frozenset({"token", "auth"})
_SPECIAL_TOKENS = frozenset(
    {"bos", "eos", "pad", "unk", "sep", "cls", "mask", "image", "audio", "video", "boi", "eoi", "start", "end"}
    | {"special"}
)
"""`eos_token` and its like are words of a tokenizer. Counts are told apart by their plural: `max_new_tokens`."""

_BY_CONTEXT = frozenset({"secret", "password", "URL with a password"})
"""Rules that go by the words around: what they find counts only where it looks like the real thing."""


def is_secret_name(name: str) -> bool:
    """Whether a setting of that name holds a secret: `hf_token`, `wandb.apiKey`, `DB_PASSWORD`.

    Not `eos_token`, and not `token_dropout`, for what ends otherwise is about tokens.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    pairs = list(zip(["", *words], words, strict=False))
    if any(
        word in _NAMED or {word, before + word, (before + word).removesuffix("s")} & _PAIRS for before, word in pairs
    ):
        return True
    parts = ([word.lower() for word in _WORD.findall(part) if not word.isdigit()] for part in _PART.split(name))
    return any(words[-1] in _AT_THE_END and not _SPECIAL_TOKENS.intersection(words[-2:-1]) for words in parts if words)


def without_secrets(text: str) -> str:
    """`text`, safe to show, with everything that has the form of a key or token left out."""
    return without_secrets_as_it_is(clean(text))


def without_secrets_as_it_is(text: str) -> str:
    """`without_secrets`, but with the colours and control characters of a log."""
    from engine.datasets.screening.secrets import RULES  # patterns that few processes need

    spans: list[tuple[int, int]] = []
    for rule in RULES:
        if rule.name in _BY_CONTEXT:
            spans += [(hit.start, hit.end) for hit in rule.hits(text)]
        else:  # even if it looks like an example: nobody misses one
            spans += [match.span() for match in rule.pattern.finditer(text)]
    kept, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            kept += [text[at:start], WITHHELD]
        at = max(at, end)
    return "".join([*kept, text[at:]])


def open_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that may be shown, at any depth: secret names are gone, secret values replaced."""
    return {str(name): _open(value) for name, value in settings.items() if not is_secret_name(str(name))}


def _open(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return open_settings(value)
    if isinstance(value, (list, tuple)):
        return [_open(item) for item in value]
    return value
