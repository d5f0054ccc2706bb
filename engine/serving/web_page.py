"""The page at `/`: whole in itself; nothing is fetched but the API, nothing is executed but its own script."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Page:
    """A page, and the Content-Security-Policy that it is served with."""

    text: str
    policy: str


def page() -> Page:
    """The page with its style and script in it."""
    style, script = _asset("chat.css"), _asset("chat.js")
    text = _asset("chat.html").replace("/*style*/", style).replace("/*script*/", script)
    policy = [
        "default-src 'none'",
        f"script-src {_hashed(script)}",
        f"style-src {_hashed(style)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
    return Page(text, "; ".join(policy))


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
