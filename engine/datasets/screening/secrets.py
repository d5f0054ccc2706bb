"""Keys, tokens and passwords by their forms. Excerpts never hold more than the first characters."""

import re
from collections.abc import Callable

from engine.datasets.screening.rules import Rule, masked

_EXAMPLE = re.compile(
    r"example|your|xxxx|1234567890ab|abcdefgh|\*{3}|\.{3}|<|placeholder|dummy|redacted", re.IGNORECASE
)
"""Documentation says so where a key is nobody's: AKIAIOSFODNN7EXAMPLE."""


def _real(match: re.Match[str]) -> bool:
    text = match.group("it") if "it" in match.re.groupindex else match.group()
    return not _EXAMPLE.search(text) and len(set(text)) > 5


def _mixed(match: re.Match[str]) -> bool:
    """Whether it is random enough for a key: letters and digits, many different."""
    text = match.group("it") if "it" in match.re.groupindex else match.group()
    return _real(match) and bool(re.search(r"\d", text)) and bool(re.search(r"[A-Za-z]", text))


# name, pattern, what any text that holds one has in it
_TOKENS: tuple[tuple[str, str, str], ...] = (
    ("AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b", "A"),
    ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b", "_"),
    ("GitLab token", r"\bglpat-[\w-]{20,}", "glpat-"),
    ("Anthropic key", r"\bsk-ant-[\w-]{20,}", "sk-ant-"),
    ("OpenAI key", r"\bsk-(?!ant-)(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}", "sk-"),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}\b", "hf_"),
    ("Google key", r"\bAIza[\w-]{35}", "AIza"),
    ("Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{16,}\b", "k_live_"),
    ("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", "xox"),
    ("JSON web token", r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{10,}", "eyJ"),
)

_SECRET_NAMED = re.compile(
    r"\b(?:aws_secret_access_key|api[_-]?key|secret[_-]?key|access[_-]?token|auth[_-]?token|client[_-]?secret)\b"
    r"[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?P<it>[A-Za-z0-9/+_-]{20,})",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://(?P<user>[^\s:/@<>{}$]{1,64}):(?P<it>[^\s/@<>{}$]{1,64})@[\w.-]+", re.I)
_TAUGHT = {"password", "passwd", "pass", "pwd", "secret", "user", "username", "token", "mypassword", "pw", "root"}

_PASSWORD = re.compile(
    r"\b(?:password|passwd|passphrase|pwd|passwort|kennwort|mot de passe|contraseña)[\"']?"
    r"(?:\s{0,2}[:=]\s{0,2}| is )(?P<quote>[\"'`]?)(?P<it>[^\s\"'`,;]{3,63}[^\s\"'`,;.!?)])",
    re.IGNORECASE,
)


def _holds(sign: str) -> Callable[[str], bool]:
    return lambda text: sign in text


def _speaks_of(*words: str) -> Callable[[str], bool]:
    def speaks(text: str) -> bool:
        lowered = text.lower()
        return any(word in lowered for word in words)

    return speaks


def _is_login(match: re.Match[str]) -> bool:
    return match.group("it").lower() not in _TAUGHT and not _EXAMPLE.search(match.group("it"))


def _is_password(match: re.Match[str]) -> bool:
    """Not a word of the sentence, a type or a call in code: a password has digits or signs among its letters."""
    text = match.group("it").rstrip(".!?)")
    if _EXAMPLE.search(text) or text.lower() in _TAUGHT or re.search(r"[(){}\[\]<>$]|^[\w.]+=|\\", text):
        return False
    return bool(re.search(r"[A-Za-z]", text)) and bool(re.search(r"\d|[!@#%^&*?+~]", text))


RULES: tuple[Rule, ...] = (
    Rule(
        "private key", _PRIVATE_KEY, lambda text: "PRIVATE KEY" in text, mask=lambda _text: "-----BEGIN … PRIVATE KEY"
    ),
    *(Rule(name, re.compile(pattern), _holds(sign), _mixed) for name, pattern, sign in _TOKENS),
    Rule("secret", _SECRET_NAMED, _speaks_of("key", "token", "secret"), _mixed),
    Rule("URL with a password", _URL, lambda text: "://" in text and "@" in text, _is_login, lambda _text: "://…:…@…"),
    Rule(
        "password",
        _PASSWORD,
        _speaks_of("passw", "passphrase", "pwd", "kennwort", "mot de passe", "contraseña"),
        _is_password,
        masked,
    ),
)
