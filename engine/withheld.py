"""What is never passed on: keys, tokens and passwords, by the names of settings and by their forms.

Recipes hold none, but the settings of imported runs are whatever somebody once logged, addresses have fields of any
name, and notes and reasons are free text. Reports, cards and bug reports are made to be passed on.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from engine.text import clean

WITHHELD = "(left out: it looks like a secret)"

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_PART = re.compile(r"[./\s]+")
_NAMED = ("passw", "passphrase", "secret", "credential", "authorization", "cookie", "bearer")
"""Secrets wherever a word holds these: `clientsecret`, too."""
_PAIRS = ("apikey", "accesskey", "privatekey", "secretkey", "authkey", "licensekey", "sshkey")
_SPECIAL_TOKENS = frozenset(
    {"bos", "eos", "pad", "unk", "sep", "cls", "mask", "image", "audio", "video", "boi", "eoi", "start", "end"}
    | {"special"}
)
"""`eos_token` and its like are words of a tokenizer. Counts are told apart by their plural: `max_new_tokens`."""
_OF_TOKENS = frozenset(
    {"accuracy", "budget", "count", "counts", "dropout", "embedding", "embeddings", "id", "ids", "index", "length"}
    | {"level", "limit", "loss", "type", "types", "weight", "weights"}
)
"""What follows where a text's tokens are meant: `token_dropout`."""

_BY_CONTEXT = frozenset({"secret", "password", "URL with a password"})
"""Rules that go by the words around: what they find counts only where it looks like the real thing."""


def is_secret_name(name: str) -> bool:
    """Whether a setting of that name holds a secret: `hf_token`, `wandb.apiKey`, `DB_PASSWORD`, `clientsecret`.

    Not `eos_token`, and not `token_dropout`.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if any(known in word for word in words for known in _NAMED) or "pwd" in words:
        return True
    if any(known in before + word for before, word in pairwise(["", *words]) for known in _PAIRS):
        return True
    return any(map(_holds_token, _PART.split(name)))


def _holds_token(part: str) -> bool:
    """Whether a part of a name says that a token to come in with is meant."""
    words = [word.lower() for word in _WORD.findall(part) if not word.isdigit()]
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if word == "auth" and not after:
            return True
        of_a_tokenizer = after in _OF_TOKENS or bool(_SPECIAL_TOKENS & {before, word.removesuffix("token")})
        if word.endswith("token") and not of_a_tokenizer:
            return True
    return False


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
