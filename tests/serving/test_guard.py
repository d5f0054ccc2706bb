"""Who may ask, from where, and how much."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.serving.guard import Rules, is_loopback, rules_for
from tests.serving.stand_in import HELLO, TOKEN, Api

WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
ASKED = {"model": "base", "messages": HELLO}


@pytest.fixture
def api() -> Api:
    return Api(rules_for("127.0.0.1", TOKEN))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": b"Bearer \xff\xfe"},
        {"X-Api-Key": TOKEN},
        {"Cookie": f"token={TOKEN}"},
        {"Cookie": f"Authorization=Bearer {TOKEN}"},
    ],
)
async def test_without_the_token_nothing_is_answered(api: Api, headers: dict[str, str | bytes]) -> None:
    for path in ("/v1/models", "/v1/chat/completions", "/nothing"):
        refused = await api.post(path, ASKED, headers=headers)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["code"] == "invalid_api_key" and TOKEN not in refused.text
    assert api.pool.asked == []


async def test_with_the_token_it_is(api: Api) -> None:
    assert (await api.post("/v1/chat/completions", ASKED, headers=WITH_TOKEN)).status_code == 200
    assert (await api.post("/v1/chat/completions", ASKED, headers={"authorization": f"bearer {TOKEN}"})).is_success


async def test_the_page_the_health_and_the_document_are_open(api: Api) -> None:
    for path in ("/", "/health", "/openapi.json"):
        answer = await api.get(path)
        assert answer.status_code == 200 and answer.headers["x-content-type-options"] == "nosniff"
        assert "other+notes" not in answer.text, "they tell nothing about what there is"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("evil.example/localhost", 403),
        ("192.168.1.7", 403),
        ("localhost:x", 403),
        ("", 403),
    ],
)
async def test_only_this_machines_own_names_are_answered(api: Api, host: str, status: int) -> None:
    answer = await api.get("/v1/models", headers=WITH_TOKEN | {"Host": host})
    assert answer.status_code == status
    assert (await api.get("/", headers={"Host": host})).status_code == status, "the page too"


async def test_on_other_interfaces_addresses_are_answered_and_foreign_names_are_not() -> None:
    api = Api(rules_for("0.0.0.0", TOKEN, ["gpu-box"]))
    for host, status in (("192.168.1.7:8000", 200), ("[fe80::1]", 200), ("gpu-box", 200), ("evil.example", 403)):
        assert (await api.get("/health", headers={"Host": host})).status_code == status
    assert is_loopback("127.0.0.9") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("0.0.0.0") and not is_loopback("::") and not is_loopback("gpu-box")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost", 200),
        ("https://localhost", 200),
        ("http://localhost:81", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_pages_of_other_origins_are_refused(api: Api, origin: str, status: int) -> None:
    answer = await api.post("/v1/chat/completions", ASKED, headers=WITH_TOKEN | {"Origin": origin})
    assert answer.status_code == status and len(api.pool.asked) == (status == 200)
    assert "access-control-allow-origin" not in answer.headers


async def in_pieces(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


async def test_a_body_over_the_limit_is_refused_said_or_not() -> None:
    api = Api(Rules(most_body_bytes=1000))
    said = await api.post("/v1/chat/completions", b"x" * 1001)
    assert said.status_code == 413 and "1,000 bytes" in said.json()["error"]["message"]
    from tests.serving.stand_in import client_of

    async with client_of(api.app) as client:
        chunked = await client.post("/ask", content=in_pieces(100, 11))
        assert chunked.status_code == 413
        fits = await client.post("/ask", content=in_pieces(100, 10))
        assert fits.status_code == 400, "it is read, and is no JSON"
        lie = await client.post("/ask", content=in_pieces(100, 11), headers={"Content-Length": "9" * 5000})
        assert lie.status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def late() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    from tests.serving.stand_in import client_of

    api = Api(Rules(body_s=0.1))
    async with client_of(api.app) as client:
        assert (await client.post("/ask", content=late())).status_code == 408
