"""What the API answers, over a stand-in for the models."""

import json
from typing import Any

import pytest

from engine.errors import BadInput, FinetuiError
from engine.inference.panes import Pane
from engine.inference.pool import Sampling
from engine.serving import answering
from engine.serving.offers import Offers
from tests.serving.stand_in import BASE, HELLO, OTHER, SUPPORT, Api


@pytest.fixture
def api() -> Api:
    return Api()


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_a_conversation_is_answered(api: Api) -> None:
    body = {"model": "support", "messages": HELLO, "temperature": 0.5, "max_completion_tokens": 9, "max_tokens": 8}
    answer = (await api.post("/v1/chat/completions", body | {"stop": "x", "seed": 3.0, "top_k": 5})).json()
    assert answer["object"] == "chat.completion" and answer["model"] == "support"
    [choice] = answer["choices"]
    assert choice["message"]["content"] == "support: hello" and choice["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert answer["finetui"] == {"run": "r1", "tokens": 2, "first_token_s": 0.1, "tokens_per_s": 50.0}
    [(panes, conversations, sampling)] = api.pool.asked
    assert panes == [SUPPORT] and conversations == [HELLO]
    assert sampling == Sampling(9, 0.5, 1.0, 5, 3, ("x",))


async def test_an_answer_is_streamed_with_its_usage_where_that_is_asked_for(api: Api) -> None:
    body = {"model": "r1", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
    response = await api.post("/v1/chat/completions", body)
    assert response.headers["content-type"].startswith("text/event-stream")
    first, *middle, last, usage = events(response.text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(one["choices"][0]["delta"]["content"] for one in middle) == "support: hello"
    assert last["choices"][0]["finish_reason"] == "stop" and last["finetui"]["run"] == "r1"
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] == 9
    assert len({one["id"] for one in (first, *middle, last, usage)}) == 1
    plain = events((await api.post("/v1/chat/completions", body | {"stream_options": None})).text)
    assert all("usage" not in one for one in plain)


async def test_a_text_is_completed(api: Api) -> None:
    answer = (await api.post("/v1/completions", {"model": "base", "prompt": ["hello"]})).json()
    assert answer["object"] == "text_completion" and answer["choices"][0]["text"] == "base: hello"
    pieces = events((await api.post("/v1/completions", {"model": "base", "prompt": "hi", "stream": True})).text)
    assert "".join(one["choices"][0]["text"] for one in pieces) == "base: hi"
    assert [prompts for _, prompts, _ in api.pool.asked] == [["hello"], ["hi"]], "as they stand, without a template"


async def test_older_scripts_are_answered_in_their_own_form(api: Api) -> None:
    body = {"prompt": "How do I reset my password?", "model_id": "other", "max_tokens": 100, "temperature": 0.7}
    generated = (await api.post("/api/v1/generate", body)).json()
    assert generated["text"] == "other: How do I reset my password?" and generated["model_id"] == "other"
    response = (await api.post("/ask", {"question": "Who?"})).json()
    assert response["question"] == "Who?" and response["response"] == "support: Who?", "the first run is who answers"
    assert (await api.get("/health")).json() == {"status": "healthy"}


async def test_the_models_are_the_base_and_the_runs_by_name_and_id(api: Api) -> None:
    models = (await api.get("/v1/models")).json()["data"]
    plain = ["base", "support", "r1", "other", "r2"]
    assert [model["id"] for model in models] == plain + [f"{name}+notes" for name in plain]
    assert (await api.get("/v1/models/r1")).json()["finetui"] == {"run": "r1", "knowledge": None}
    missing = await api.get("/v1/models/gpt-4")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"
    for path, name in (("/v1/chat/completions", "model"), ("/api/v1/generate", "model_id"), ("/ask", "model")):
        body = {"messages": HELLO, "prompt": "x", "question": "x", name: "gpt-4"}
        refused = await api.post(path, body)
        assert refused.status_code == 404 and refused.json()["error"]["param"] == name
        assert "there are: base, support, r1, other, r2, base+notes" in refused.json()["error"]["message"]


def test_a_name_that_means_several_is_not_offered() -> None:
    def run(label: str, run_id: str) -> Pane:
        return Pane(label, "/m", None, True, None, run_id)

    panes = [BASE, run("twin", "r1"), run("twin", "r2"), run("base", "r3"), run("r1", "r4")]
    assert Offers(panes).names == ["base", "r1", "r2", "r3", "r4"]
    assert Offers(panes).find("r1").pane.run_id == "r1"
    assert Offers([BASE]).default.name == "base" and Offers(panes).panes == panes


async def test_with_knowledge_passages_stand_before_the_question_and_in_the_answer(api: Api) -> None:
    talk = [*HELLO, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "When do parcels come?"}]
    answer = (await api.post("/v1/chat/completions", {"model": "base+notes", "messages": talk})).json()
    assert api.looked_up == [("notes", "When do parcels come?")]
    [(panes, [conversation], _)] = api.pool.asked
    assert panes == [BASE] and "They come on Tuesday." in json.dumps(conversation) and conversation != talk
    [passage] = answer["finetui"]["passages"]
    assert passage["title"] == "Parcels" and passage["text"] == "They come on Tuesday."
    assert passage["source"] == "parcels.md", "where it lies is nobody else's concern"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("functions", [{}]),
        ("response_format", {"type": "json_object"}),
        ("presence_penalty", 0.5),
        ("logit_bias", {"50256": -100}),
        ("audio", {}),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(api: Api, field: str, value: object) -> None:
    refused = await api.post("/v1/chat/completions", {"model": "base", "messages": HELLO, field: value})
    error = refused.json()["error"]
    assert refused.status_code == 400 and error["param"] == field and error["code"] == "unsupported"
    assert api.pool.asked == []


async def test_harmless_fields_are_ignored(api: Api) -> None:
    messages = [{"role": "developer", "content": "Be brief.", "name": "x"}, *HELLO]
    body: dict[str, Any] = {"model": "base", "messages": messages}
    body |= {"user": "me", "metadata": {"a": "b"}, "store": False, "n": 1, "logprobs": False, "tools": []}
    body |= {"tool_choice": "auto", "response_format": {"type": "text"}, "presence_penalty": 0.0, "stop": None}
    assert (await api.post("/v1/chat/completions", body)).status_code == 200
    assert api.pool.asked[0][1][0][0] == {"role": "system", "content": "Be brief."}


HOSTILE: list[bytes] = [
    b"",
    b"\xff\xfe",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"model": "base"}',
    b'{"model": 5, "messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "base", "messages": "x"}',
    b'{"model": "base", "messages": []}',
    b'{"model": "base", "messages": [5]}',
    b'{"model": "base", "messages": [{"role": "user"}]}',
    b'{"model": "base", "messages": [{"role": "tool", "content": "x"}]}',
    b'{"model": "base", "messages": [{"role": "user", "content": null}]}',
    b'{"model": "base", "messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"model": "\\udc00", "messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "base", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1e400}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1.5}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 5000 + b"}",
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "seed": -1}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "temperature": "1"}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "temperature": true}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "stop": [1]}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "stop": ["1","2","3","4","5","6","7","8","9"]}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}',
    b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "n": true}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: repr(body[-60:]))
async def test_what_cannot_be_understood_is_the_clients_error(api: Api, body: bytes) -> None:
    refused = await api.post("/v1/chat/completions", body)
    assert refused.status_code == 400 and api.pool.asked == []
    error = refused.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
    assert error["message"] and len(error["message"]) < 400


async def test_half_a_character_from_a_model_is_still_json() -> None:
    broken = Pane("half\ud83d", "/m", None, False, None, "r9")
    halved = Api(panes=[broken])
    for stream in (False, True):
        response = await halved.post("/v1/chat/completions", {"model": "r9", "messages": HELLO, "stream": stream})
        assert response.status_code == 200 and "half?" in response.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_says_by_how_much(api: Api, stream: bool) -> None:
    api.pool.error = BadInput("The prompt is too long by 12 tokens.", fix="Shorten it.")
    refused = await api.post("/v1/chat/completions", {"model": "base", "messages": HELLO, "stream": stream})
    error = refused.json()["error"]
    assert refused.status_code == 400 and error["code"] == "context_length_exceeded"
    assert error["message"] == "The prompt is too long by 12 tokens. Shorten it." and error["param"] == "messages"


async def test_the_servers_own_troubles_are_told_to_whoever_runs_it(api: Api) -> None:
    api.pool.error = FinetuiError("The model server ended.", why="/home/me/x.py: CUDA out of memory")
    refused = await api.post("/ask", {"question": "Who?"})
    assert refused.status_code == 503 and refused.json()["error"]["type"] == "server_error"
    assert "/home/me" not in refused.text and "The model server ended." in refused.text
    assert "CUDA out of memory" in api.said[0]


async def test_what_fails_midway_is_an_event(api: Api) -> None:
    api.pool.error, api.pool.fails_after = FinetuiError("The model server ended."), 1
    response = await api.post("/v1/chat/completions", {"model": "base", "messages": HELLO, "stream": True})
    assert response.status_code == 200 and "[DONE]" not in response.text
    last = json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["message"].startswith("The model server ended.") and len(api.said) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fault_of_finetui_tells_the_client_nothing_but_that(api: Api, stream: bool) -> None:
    api.pool.error = RuntimeError("/home/me/secret")
    body = {"model": "base", "messages": HELLO, "stream": stream}
    refused = await api.post("/v1/chat/completions", body)
    assert refused.status_code == 500 and refused.json()["error"]["type"] == "server_error"
    assert "secret" not in refused.text and api.said == ["An answer failed: RuntimeError: /home/me/secret"]
    api.pool.fails_after = 1
    later = await api.post("/v1/chat/completions", body)
    assert "finetui has a fault" in later.text and "secret" not in later.text and "[DONE]" not in later.text


async def test_too_many_at_once_are_told_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MOST_AT_ONCE", 0)
    for stream in (False, True):
        refused = await api.post("/v1/chat/completions", {"model": "base", "messages": HELLO, "stream": stream})
        assert refused.status_code == 429 and refused.headers["retry-after"]
        assert refused.json()["error"]["type"] == "rate_limit_error"


async def test_other_paths_and_methods_are_refused_in_the_same_form(api: Api) -> None:
    missing, wrong = await api.get("/v1/nothing"), await api.get("/ask")
    assert missing.status_code == 404 and missing.json()["error"]["message"]
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST" and wrong.json()["error"]["message"]


async def test_the_pool_gets_the_pane_of_the_model_that_is_named(api: Api) -> None:
    for name in ("base", "r2", "other+notes"):
        await api.post("/v1/completions", {"model": name, "prompt": "x"})
    assert [panes for panes, _, _ in api.pool.asked] == [[BASE], [OTHER], [OTHER]]
