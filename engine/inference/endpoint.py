"""Where an OpenAI-compatible endpoint is, and its key, which comes from the environment and is kept nowhere."""

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from engine.errors import BadInput
from engine.text import clean_line
from engine.withheld import is_secret_name

ANY_KEY = re.compile(r"\b(?:sk|pk|hf|gsk|xai)[-_][A-Za-z0-9_*-]{6,}|\bBearer\s+\S+", re.IGNORECASE)
"""What looks like a key in the words of a server: some repeat in an error what they were given."""
HIDDEN = "‹key›"
KEY_FIELDS = frozenset({"key", "code", "sig", "signature", "subscription-key"})
"""Fields of a query that hold keys, besides those whose name says so anywhere, such as `api_key`."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Endpoint:
    """An address that ends before `/chat/completions`."""

    base: str
    """The address as it may be shown, without its `query`."""
    query: str
    host: str

    @property
    def local(self) -> bool:
        """Whether it is this machine: no proxy stands between."""
        return self.host in LOOPBACK

    def at(self, path: str) -> str:
        """The address of `path`, such as `models`."""
        return f"{self.base}/{path}" + (f"?{self.query}" if self.query else "")


def endpoint(url: str) -> Endpoint:
    """The endpoint that `url` means: a server's root, its `/v1`, or the address of one of its calls.

    Raises `BadInput` for what is no web address, and for one with a user, a password or a key in it.
    """
    fix = "Give an address such as http://127.0.0.1:8000/v1."
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"{_brief(url)} is not a web address.", why=f"{error}.", fix=fix) from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadInput(f"{_brief(url)} is not a web address.", why="It takes http:// or https://, and a host.", fix=fix)
    if parts.username is not None or parts.password is not None:
        raise BadInput(
            f"The address of {host} holds a user or a password.",
            why="Addresses are stored and shown.",
            fix="Put the key into an environment variable and name that: --key-env NAME.",
        )
    fields = parse_qsl(parts.query, keep_blank_values=True)
    if any(_holds_key(name, value) for name, value in fields):
        raise BadInput(
            f"The address of {host} holds a key.",
            why="Addresses are stored and shown. The key would be, too.",
            fix="Take it out of the address, put it into an environment variable and name that: --key-env NAME.",
        )
    path = parts.path.rstrip("/")
    for call in ("/chat/completions", "/completions", "/models"):
        path = path.removesuffix(call)
    place = f"[{host}]" if ":" in host else host
    base = urlunsplit((parts.scheme, f"{place}:{port}" if port else place, path or "/v1", "", ""))
    return Endpoint(base, parts.query, host)


def key_from(variable: str) -> str:
    """The key in the environment variable `variable`; no key where no variable is named.

    Raises `BadInput` where it is not set, or what it holds cannot be a key. The value is in no message.
    """
    if not variable:
        return ""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
        raise BadInput(
            "That is not the name of an environment variable.",
            why="Letters, digits and underscores. A key itself would end up in the shell's history.",
            fix="Set a variable to the key and name the variable: --key-env OPENAI_API_KEY.",
        )
    key = os.environ.get(variable, "").strip()
    if not key:
        raise BadInput(
            f"The environment variable {variable} is not set.",
            why="The key of the endpoint is read from it.",
            fix=f"Set it in this shell: read -rs {variable} && export {variable}",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise BadInput(
            f"What the environment variable {variable} holds cannot be a key.",
            why="It has spaces, line ends or letters outside ASCII.",
            fix="Set it to the key alone.",
        )
    return key


def without_key(text: str, key: str) -> str:
    """`text` of a server as one line, without the key and without what looks like one."""
    if key:
        text = text.replace(key, HIDDEN)
    return ANY_KEY.sub(HIDDEN, clean_line(text))


def _holds_key(name: str, value: str) -> bool:
    """Whether a field of a query is a key, by its name or by its form."""
    return is_secret_name(name) or name.lower() in KEY_FIELDS or bool(ANY_KEY.search(value))


def _brief(url: str) -> str:
    """The address as far as it is known to hold no secret."""
    return clean_line(url.partition("?")[0].rpartition("@")[2])[:80] or "An empty text"
