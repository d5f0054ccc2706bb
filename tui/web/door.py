"""Who may open the app: who knows the token, on this machine, from the server's own page.

Behind the door is everything the user may do, so it is closed to other users of the machine (the token), to pages of
other sites (Origin), and to names made to point here (Host). A ticket opens one web socket, once: browsers cannot send
a token with those.
"""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
TICKET_S = 30.0
MOST_TICKETS = 64


class Refused(Exception):
    """Why somebody may not come in, with the HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class Door:
    """Checks requests; `token` is what the user knows."""

    token: str
    _tickets: dict[str, float] = field(default_factory=dict)
    """Tickets that nobody has used yet, each with the time at which it becomes void."""

    def check_place(self, host: str, origin: str | None) -> None:
        """Raises `Refused` for a Host that is not this machine's loopback, and for pages of other origins."""
        try:
            parts = urlsplit(f"//{host}")
            parts.port  # noqa: B018  (raises where it is no number)
        except ValueError as error:
            raise Refused(403, "This Host is no name.") from error
        if parts.hostname not in NAMES or parts.path or parts.query or parts.fragment or parts.username is not None:
            raise Refused(403, "This Host is not this server's name. Open it as 127.0.0.1 or localhost.")
        if origin is not None and origin.lower() != f"http://{host}".lower():
            raise Refused(403, "Pages of other origins may not ask this server.")

    def ticket(self, authorization: str) -> str:
        """A ticket for who brings the token. Raises `Refused`."""
        kind, _, given = authorization.partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(_digest(given.strip()), _digest(self.token)):
            raise Refused(401, "This is not the token of this server.")
        now = time.monotonic()
        self._tickets = {ticket: until for ticket, until in self._tickets.items() if until > now}
        if len(self._tickets) >= MOST_TICKETS:
            raise Refused(429, "Too many tabs are being opened at once.")
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = now + TICKET_S
        return ticket

    def redeem(self, ticket: str, origin: str | None) -> None:
        """Use a ticket up. Raises `Refused`; also for programs that are no page, which send no Origin."""
        if origin is None:
            raise Refused(403, "A web socket is opened by this server's own page.")
        until = self._tickets.pop(ticket, 0.0)
        if until <= time.monotonic():
            raise Refused(401, "This ticket is void. Load the page again.")


def _digest(text: str) -> bytes:
    """Of one length whatever the text: how long a comparison takes tells nothing."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
