"""What a report never holds: keys, tokens and passwords, by the names of settings and by their forms.

Recipes hold none, but the settings of imported runs are whatever somebody once logged, and notes and reasons are free
text. A report is made to be passed on.
"""

import re
from collections.abc import Mapping
from typing import Any

from engine.text import clean

WITHHELD = "(left out: it looks like a secret)"

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_NAMED = frozenset({"password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials"})
_PAIRS = frozenset({"apikey", "accesskey", "privatekey", "secretkey", "authkey", "licensekey", "sshkey"})
_SPECIAL_TOKENS = frozenset({"bos", "eos", "pad", "unk", "sep", "cls", "mask", "image", "special"})
"""`eos_token` and its like are words of a tokenizer. Counts are told apart by their plural: `max_new_tokens`."""

_BY_CONTEXT = frozenset({"secret", "password", "URL with a password"})
"""Rules that go by the words around: what they find counts only where it looks like the real thing."""


def is_secret_name(name: str) -> bool:
    """Whether a setting of that name holds a secret: `hf_token`, `wandb.apiKey`, `DB_PASSWORD`; not `eos_token`."""
    words = [word.lower() for word in _WORD.findall(name)]
    if any(word in _NAMED or word in _PAIRS or word in ("authorization", "cookie", "bearer") for word in words):
        return True
    for before, word in zip(["", *words], words, strict=False):
        if before + word in _PAIRS or (word == "token" and before not in _SPECIAL_TOKENS):
            return True
    return False


def without_secrets(text: str) -> str:
    """`text`, safe to show, with everything that has the form of a key or token left out."""
    from engine.datasets.screening.secrets import RULES  # patterns that only a report needs

    text = clean(text)
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
