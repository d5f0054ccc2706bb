"""The door: the token, the place, and tickets that open once."""

import time

import pytest

from tui.web import door as doors
from tui.web.door import Door, Refused

PAGE = "http://127.0.0.1:8001"


def refused(call: object, *arguments: object) -> int:
    with pytest.raises(Refused) as why:
        call(*arguments)  # type: ignore[operator]
    return why.value.status


@pytest.mark.parametrize("host", ["127.0.0.1:8001", "localhost:8001", "LOCALHOST", "[::1]:9000"])
def test_the_loopback_has_these_names(host: str) -> None:
    Door("t").check_place(host, None)
    Door("t").check_place(host, f"http://{host.lower()}")


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "a@127.0.0.1", "127.0.0.1:x", "127.0.0.1/x", "[::1", "0.0.0.0"],
)
def test_other_names_are_refused(host: str) -> None:
    assert refused(Door("t").check_place, host, None) == 403


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://127.0.0.1:8001", "http://127.0.0.1:8002", ""]
)
def test_other_pages_are_refused(origin: str) -> None:
    assert refused(Door("t").check_place, "127.0.0.1:8001", origin) == 403


def test_a_ticket_is_for_the_token_and_opens_once() -> None:
    door = Door("the-token")
    for given in ("", "Bearer", "Bearer wrong", "the-token", "Basic the-token", "Bearer the-tokén"):
        assert refused(door.ticket, given) == 401
    ticket = door.ticket("bearer  the-token ")
    assert refused(door.redeem, ticket, None) == 403
    door.redeem(ticket, PAGE)
    assert refused(door.redeem, ticket, PAGE) == 401
    assert refused(door.redeem, "", PAGE) == 401


def test_tickets_become_void_and_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door("t")
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tickets = [door.ticket("Bearer t") for _ in range(doors.MOST_TICKETS)]
    assert len(set(tickets)) == doors.MOST_TICKETS
    assert refused(door.ticket, "Bearer t") == 429
    now += doors.TICKET_S
    assert refused(door.redeem, tickets[0], PAGE) == 401
    door.redeem(door.ticket("Bearer t"), PAGE)
