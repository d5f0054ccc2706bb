"""The client of other endpoints, against a server on a real socket."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from engine.errors import BadInput, FinetuiError
from engine.inference.client import Chunk, Sampling
from engine.inference.endpoint import endpoint, key_from
from engine.inference.remote import RemoteClient
from tests.engine.endpoint_made import Reply, Request, document, event, says, serving, stream

KEY = "sk-secret-0123456789"
HELLO = [{"role": "user", "content": "hi"}]


async def ask(
    url: str, sampling: Sampling | None = None, *, key: str = "", silence_s: float = 5.0, streamed: bool = True
) -> tuple[str, Chunk]:
    """The answer's text and its last chunk."""
    text, last = "", None
    client = RemoteClient(url, key, silence_s=silence_s, pause_s=0.01)
    async with aclosing(client.answers("m", HELLO, sampling or Sampling(), pieces=streamed)) as chunks:
        async for chunk in chunks:
            assert last is None, "nothing comes after the last chunk"
            text += chunk.text
            last = chunk if chunk.done else None
    assert last is not None
    return text, last


async def failure(url: str, *, key: str = "", silence_s: float = 5.0) -> FinetuiError:
    with pytest.raises(FinetuiError) as caught:
        await ask(url, key=key, silence_s=silence_s)
    error = caught.value
    assert error.what and error.why
    if key:
        assert key not in str(error) + repr(error) and key not in repr(error.__cause__)
    return error


async def test_an_answer_comes_piece_by_piece_with_its_figures() -> None:
    with serving([says("Tick ", "the ", "bøx.")]) as there:
        text, last = await ask(there.url, Sampling(12, temperature=0.5, stop=("END",), seed=3), key=KEY)
    assert text == "Tick the bøx."
    assert (last.tokens, last.prompt_tokens, last.finish_reason) == (4, 9, "stop")
    assert last.first_token_s is not None and last.tokens_per_s is not None
    (request,) = there.asked()
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["messages"] == HELLO and request.body["stream"] is True
    fields = {"max_tokens": 12, "temperature": 0.5, "stop": ["END"], "seed": 3}
    assert {name: request.body[name] for name in fields} == fields
    assert "top_k" not in request.body and "top_p" not in request.body, "not every server knows them"


async def test_pieces_are_passed_on_as_they_come() -> None:
    go = threading.Event()

    def slowly(_: Request) -> Iterator[bytes]:
        yield event("first")
        go.wait(10)
        yield event(" second", finish_reason="stop")

    with serving([Reply(slowly, kind="text/event-stream")]) as there:
        async with aclosing(RemoteClient(there.url).answers("m", HELLO, Sampling())) as chunks:
            assert (await anext(chunks)).text == "first" and not go.is_set()
            go.set()
            assert (await anext(chunks)).text == " second"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        pytest.param(document({"choices": [{"message": {"content": "whole"}}]}), "whole", id="not streamed"),
        pytest.param(document({"choices": [{"text": "old"}]}), "old", id="the older form"),
        pytest.param(
            stream(b": keep-alive\n\n", event("a"), b": ping\r\n\r\n", event("b"), b"data: [DONE]\n\n"),
            "ab",
            id="comments",
        ),
        pytest.param(
            stream(event("a"), b'data: {"cho\n\n', b"data: nonsense\n\n", event("b", finish_reason="stop")),
            "ab",
            id="events cut in half",
        ),
        pytest.param(
            stream(event("a").strip() + b"\n" + event("b").strip() + b"\ndata: [DONE]\n"), "ab", id="no empty lines"
        ),
        pytest.param(
            stream(b'data: {"choices":\ndata: [{"delta": {"content": "two"}}]}\n\n', b"data: [DONE]\n\n"),
            "two",
            id="one event on two lines",
        ),
        pytest.param(stream(event("x\xe9")[:-6], event("x\xe9")[-6:], b"data: [DONE]"), "xé", id="cut in a letter"),
        pytest.param(
            stream(
                b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}\n\n',
                b'data: {"choices": [{"delta": null}], "usage": null}\n\n',
                b'data: {"choices": null}\n\ndata: 3\n\n',
                b'data: {"choices": [{"delta": {"content": [{"type": "text", "text": "part"}]}}]}\n\n',
                b"data: [DONE]\n\n",
            ),
            "part",
            id="nulls and parts",
        ),
        pytest.param(
            stream(b'{"choices": [{"delta": {"content": "bare"}, "finish_reason": "stop"}]}\n'), "bare", id="bare JSON"
        ),
        pytest.param(stream(b"data: [DONE]\n\n"), "", id="an empty answer"),
    ],
)
async def test_streams_are_read_as_servers_send_them(reply: Reply, text: str) -> None:
    with serving([reply]) as there:
        said, last = await ask(there.url)
    assert said == text and last.tokens is None and last.tokens_per_s is None


async def test_an_answer_can_be_asked_for_in_one_piece() -> None:
    whole = {
        "choices": [{"message": {"content": "all"}, "finish_reason": "length"}],
        "usage": {"completion_tokens": 1, "prompt_tokens": 2},
    }
    with serving([document(whole)]) as there:
        text, last = await ask(there.url, streamed=False)
    assert (text, last.tokens, last.finish_reason) == ("all", 1, "length")
    assert "stream" not in there.requests[0].body


async def test_a_request_is_put_in_the_words_of_the_server() -> None:
    refused = [
        document({"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead."}}, 400),
        document({"detail": [{"loc": ["body", "stream_options"], "msg": "extra fields not permitted"}]}, 422),
    ]
    with serving([*refused, says("yes")]) as there:
        assert (await ask(there.url, Sampling(7)))[0] == "yes"
    body = there.requests[-1].body
    assert body["max_completion_tokens"] == 7 and "max_tokens" not in body and "stream_options" not in body


async def test_a_busy_server_is_asked_again_and_then_it_is_said() -> None:
    busy = document({"error": {"message": "slow down"}}, 429, **{"retry-after": "0"})
    with serving([busy, document({}, 503), says("now")]) as there:
        assert (await ask(there.url))[0] == "now"
    with serving([busy] * 3) as there:
        error = await failure(there.url)
    assert "asked too often" in error.what and "slow down" in error.why and len(there.requests) == 3


@pytest.mark.parametrize(
    ("reply", "what", "why"),
    [
        (document({"error": {"message": "no such model"}}, 404), "knows no such model", "no such model"),
        (document({"error": "plain words"}, 400), "refused", "plain words"),
        (document([{"error": {"message": "in a list"}}], 400), "refused", "in a list"),
        (document({"object": "error", "message": "too long"}, 400), "refused", "too long"),
        (document({"detail": "not here"}, 405), "knows no such", "not here"),
        (Reply(b"<html>gateway</html>", 500, "text/html"), "failed", "status 500."),
        (Reply(b"bro\x1b[2Jken", 500, "text/plain"), "failed", "broken"),
        (Reply(b"", 302, headers={"location": "https://elsewhere/v1"}), "moved", "302"),
        (stream(event("a"), b'data: {"error": {"message": "out of memory"}}\n\n'), "could not answer", "out of memory"),
        (stream(event("a")), "broke off", "without an end"),
        (stream(b"data: <html>\n\ndata: [DONE]\n\n"), "gave an answer that is none", "no events"),
        (Reply(b"<html>a page</html>", kind="text/html"), "gave an answer that is none", "a web page"),
        (document({"hello": 1}), "gave an answer that is none", "choices"),
        (Reply(b"{", kind="application/json"), "gave an answer that is none", "none"),
    ],
)
async def test_refusals_say_what_and_why(reply: Reply, what: str, why: str) -> None:
    with serving([reply]) as there:
        error = await failure(there.url)
    assert what in error.what and why in error.why and "\x1b" not in str(error)


async def test_a_key_is_in_no_error() -> None:
    echo = {"error": {"message": f"Incorrect API key provided: {KEY}; you sent Bearer {KEY[:12]}"}}
    with serving(lambda _: document(echo, 401)) as there:
        error = await failure(there.url, key=KEY)
        assert "did not accept the key" in error.what and "‹key›" in error.why
        assert "wants a key" in (await failure(there.url)).what
    with serving([stream(event("a"), f"data: {json.dumps(echo)}\n\n".encode())]) as there:
        await failure(there.url, key=KEY)
    assert KEY not in repr(RemoteClient(there.url, KEY)) + str(vars(RemoteClient(there.url, KEY).endpoint))


def test_a_key_comes_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", f" {KEY}\n")
    assert key_from("A_KEY") == KEY and key_from("") == ""
    with pytest.raises(BadInput, match="NO_KEY is not set"):
        key_from("NO_KEY")
    monkeypatch.setenv("A_KEY", "sk-a\nb")
    for name in ("A_KEY", KEY):
        with pytest.raises(BadInput) as caught:
            key_from(name)
        assert "sk-" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://host:8000", "http://host:8000/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/api/v3/chat/completions", "https://host/api/v3"),
        ("http://[::1]:80/v1/models", "http://[::1]:80/v1"),
    ],
)
def test_an_address_is_taken_in_the_forms_people_have_it(url: str, base: str) -> None:
    assert endpoint(url).base == base


def test_what_a_query_holds_is_sent() -> None:
    place = endpoint("https://host/v1?api-version=2&top=5")
    assert place.at("models") == "https://host/v1/models?api-version=2&top=5" and place.base == "https://host/v1"


@pytest.mark.parametrize(
    "query", ["key=s3cret", "api-version=2&API_KEY=s3cret", "token=s3cret", "code=s3cret", f"x={KEY}"]
)
def test_a_key_in_an_address_is_refused_and_not_repeated(query: str) -> None:
    with pytest.raises(BadInput, match="holds a key") as caught:
        endpoint(f"https://host/v1?{query}")
    assert "s3cret" not in str(caught.value) and KEY not in str(caught.value)
    assert caught.value.why and "--key-env NAME" in caught.value.fix


@pytest.mark.parametrize("url", ["", "host:8000", "ftp://host", "http://", "http://host:99999", "http://u:pw1@host/v1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        endpoint(url)
    assert "pw1" not in str(caught.value)


async def test_nobody_there_no_such_host_and_no_encryption() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = await failure(f"http://127.0.0.1:{probe.getsockname()[1]}")
    assert "cannot be reached" in nobody.what and "refused" in nobody.why and nobody.fix
    unknown = await failure("http://no-such-host.invalid/v1", key=KEY)
    assert "no-such-host.invalid is not known" in unknown.what
    with serving([]) as there:
        plain = await failure(there.url.replace("http:", "https:"))
    assert "No safe connection" in plain.what and "http://" in plain.fix


async def test_silence_is_no_answer() -> None:
    def silent(_: Request) -> Iterator[bytes]:
        yield event("a")
        time.sleep(1.0)

    with serving([Reply(silent, kind="text/event-stream")]) as there:
        error = await failure(there.url, silence_s=0.2)
    assert "fell silent" in error.what


async def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inference.event_stream.LONGEST_LINE", 10_000)
    with serving([Reply(lambda _: iter([b"data: "] + [b"x" * 1000] * 50), kind="text/event-stream")]) as there:
        assert "gave an answer that is none" in (await failure(there.url)).what
    monkeypatch.setattr("engine.inference.remote.LONGEST_ANSWER", 20)
    with serving([stream(*[event("12345")] * 10)]) as there:
        assert "does not stop" in (await failure(there.url)).why


async def test_an_answer_in_one_piece_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inference.remote.MOST_BYTES", 1000)
    for size, ends_well in ((500, True), (1500, False)):
        with serving([document({"choices": [{"message": {"content": "x" * size}}]})]) as there:
            if ends_well:
                assert (await ask(there.url))[0] == "x" * size
            else:
                assert "longer than" in (await failure(there.url)).why


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_key_is_not_sent_on_to_where_a_redirect_leads(status: int) -> None:
    with serving(lambda _: says("stolen")) as elsewhere:
        moved = Reply(b"", status, headers={"location": f"{elsewhere.url}/v1/chat/completions"})
        with serving([moved]) as there:
            error = await failure(there.url, key=KEY)
    assert "moved" in error.what and len(there.requests) == 1 and elsewhere.requests == []


async def test_the_models_of_an_endpoint_are_listed() -> None:
    listed = document({"object": "list", "data": [{"id": "b"}, {"id": "a"}, {"id": "b"}, "junk", {}]})
    with serving([listed, document({"data": None}), Reply(b"<html>", kind="text/html")]) as there:
        client = RemoteClient(there.url)
        assert await client.models() == ["a", "b"]
        for _ in range(2):
            with pytest.raises(FinetuiError, match="an answer that is none"):
                await client.models()
    assert there.requests[0].path == "/v1/models"
