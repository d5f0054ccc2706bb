"""Stands in front of the API: who may ask, from where, how much. Plain ASGI, before anything looks at a request."""

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from engine.serving.refusals import Refusal
from engine.serving.replies import dumps

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MOST_BODY_BYTES = 4 << 20
BODY_S = 30.0
"""In this time a body must have arrived whole."""
DRAIN_S = 2.0
MOST_DRAINED_BYTES = 64 << 20
OPEN = frozenset({"/", "/health", "/openapi.json"})
"""Paths that need no token: they tell nothing about models or data."""

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


@dataclass(frozen=True)
class Rules:
    """Who may ask. Over a unix socket the file's mode says it: then there is no token and no host."""

    token: str | None = None
    hosts: frozenset[str] | None = None
    """Names by which the server may be called; `None` is any. Numeric addresses too where `addresses` is set."""
    addresses: bool = False
    most_body_bytes: int = MOST_BODY_BYTES
    body_s: float = BODY_S


def rules_for(host: str, token: str, names: Iterable[str] = ()) -> Rules:
    """The rules of a server that listens at `host`.

    A page that makes a browser ask this machine under the page's own name (DNS rebinding) sends that name as the Host:
    only names that are this machine's own are answered. On other interfaces than the loopback, numeric addresses are
    answered too; a name that was made to point here is not one.
    """
    known = {"localhost", "127.0.0.1", "::1", host.lower().strip("[]"), *(name.lower() for name in names)}
    return Rules(token, frozenset(known), addresses=not is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """`app` behind `rules`. Bodies are handed on whole, so nothing behind it waits for a slow client."""

    def __init__(self, app: App, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._token = _digest(rules.token.encode()) if rules.token is not None else None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        send = _with_headers(send)
        try:
            self._check(scope, headers)
            body = await self._body(headers, receive)
        except Refusal as refusal:
            if refusal.status != 408 and b"expect" not in headers:
                await _drain(receive)
            await _refuse(refusal, send)
            return
        if body is not None:
            await self._app(scope, _again(body, receive), send)

    def _check(self, scope: MutableMapping[str, Any], headers: dict[bytes, list[bytes]]) -> None:
        rules = self._rules
        hosts = headers.get(b"host", [])
        host = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
        if rules.hosts is not None and not self._is_own(host):
            raise Refusal(403, "This Host is not this server's name.", code="foreign_host")
        for origin in headers.get(b"origin", []):
            if not _same(origin.decode("latin-1").lower(), host):
                raise Refusal(403, "Pages of other origins may not ask this server.", code="foreign_origin")
        if self._token is not None and scope["path"] not in OPEN:
            self._check_token(headers.get(b"authorization", []))

    def _check_token(self, given: list[bytes]) -> None:
        kind, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        # Digests are of one length: how long the comparison takes tells nothing about the token.
        assert self._token is not None
        if kind.lower() != b"bearer" or not hmac.compare_digest(_digest(token.strip()), self._token):
            raise Refusal(
                401,
                "This server needs its token: `Authorization: Bearer TOKEN`. `finetui serve` says in which file it is."
                if not given
                else "This is not the token of this server.",
                code="invalid_api_key",
            )

    def _is_own(self, host: str) -> bool:
        name = _host_name(host)
        if name is None:
            return False
        if name in (self._rules.hosts or ()):
            return True
        if not self._rules.addresses:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _body(self, headers: dict[bytes, list[bytes]], receive: Receive) -> bytes | None:
        """The body, or `None` where the client left before its end. Raises `Refusal` 408, 413."""
        most = self._rules.most_body_bytes
        length = headers.get(b"content-length", [b""])[0]
        if length.isdigit() and int(length[:20]) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._rules.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise _too_large(most)
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError as error:
            raise Refusal(408, f"The body had not arrived after {self._rules.body_s:g} s.") from error


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"The body is larger than {most:,} bytes.", code="body_too_large")


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _host_name(host: str) -> str | None:
    """The name in a Host header, without port and brackets, or `None` where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018  (raises where it is no number)
    except ValueError:
        return None
    return None if parts.path or parts.username is not None or parts.query or parts.fragment else parts.hostname


def _same(origin: str, host: str) -> bool:
    """Whether a page of `origin` was served by this server, as the client calls it."""
    return bool(host) and origin in (f"http://{host}", f"https://{host}")


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` with the body, which has been read, once more at its beginning."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_HEADERS]
        await send(message)

    return send_with_headers


async def _drain(receive: Receive) -> None:
    """Read on for a moment: who sends everything before reading anything would else see a broken connection only."""
    read = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while read < MOST_DRAINED_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return


async def _refuse(refusal: Refusal, send: Send) -> None:
    """Answer without having read the body; the connection ends with it."""
    body = dumps(refusal.body)
    headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    lines = [(name.lower().encode(), value.encode()) for name, value in (headers | refusal.headers).items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
