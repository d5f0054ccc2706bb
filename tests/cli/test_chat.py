"""Chatting from the command line, short of the models of this machine."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.home import Home
from engine.inference.pool import Delta, Pane, Sampling, ServerPool
from engine.inference.trust import Trust
from engine.runs.rundir import RunDir
from store import open_store
from store.talk_records import Winner
from tests.cli.conftest import Cli, MakeRun
from tests.engine.endpoint_made import Reply, Request, document, says, serving
from tui.cli import chat
from tui.cli.blind import lettered, who_was_who
from tui.cli.chat_answers import Answer, Conversation, Seat, answers_to
from tui.cli.output import Progress

SAMPLING = Sampling()


def seat(label: str, run_id: str | None = None) -> Seat:
    return Seat(Pane(label, "/models/starter", None, True, None, run_id), "starter")


class Scripted:
    """Gives these deltas."""

    def __init__(self, *deltas: Delta) -> None:
        self._deltas = deltas
        self.asked: list[Pane] = []

    async def answer(
        self, panes: Sequence[Pane], conversations: Sequence[Conversation], sampling: Sampling
    ) -> AsyncIterator[Delta]:
        self.asked += panes
        for delta in self._deltas:
            yield delta


async def test_panes_stream_together_and_are_shown_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    pool = Scripted(
        Delta(1, "Tick "),
        Delta(0, "I am "),
        Delta(1, "the box.\x1b[2J", True, 5, 0.2, 61.0),
        Delta(0, "a model.", True, 4, 0.1, 60.0),
    )
    seats = [seat("base"), seat("demo", "r1")]
    answers = await answers_to(cast(ServerPool, pool), seats, [[], []], SAMPLING, Progress(), show=True)
    assert [(answer.run, answer.text) for answer in answers] == [
        (None, "I am a model."),
        ("r1", "Tick the box.\x1b[2J"),
    ]
    assert pool.asked == [one.pane for one in seats], "one batch"
    shown = capsys.readouterr().out
    assert shown.startswith("base: I am a model.\n") and "\ndemo: Tick the box.\n" in shown
    assert "61.0 tokens/s" in shown and "\x1b" not in shown


async def test_the_document_has_the_keys_of_the_contract() -> None:
    pool = Scripted(Delta(0, "yes", True, 2, 0.1, 20.0), Delta(1, "", True, error="out of memory"))
    answers = await answers_to(
        cast(ServerPool, pool), [seat("base"), seat("demo", "r1")], [[], []], SAMPLING, Progress(), show=False
    )
    good, bad = (answer.document() for answer in answers)
    assert good == {
        "model": "starter",
        "run": None,
        "text": "yes",
        "tokens": 2,
        "first_token_s": 0.1,
        "tokens_per_s": 20.0,
    }
    assert bad["error"] == "out of memory" and bad["run"] == "r1"


def test_the_newest_finished_run_is_who_answers(cli: Cli, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    seated: list[list[Seat]] = []

    def answer(session: object, seats: list[Seat], *_: object) -> list[list[Answer]]:
        seated.append(seats)
        return [[Answer(one.model, one.pane.run_id, "yes") for one in seats]]

    monkeypatch.setattr(chat, "_chat", answer)
    run: RunDir = make_run(model="starter")
    make_run("r0bbb", "failed", status="failed")
    [document] = cli("chat", "--prompt", "hello", "--json").json
    assert document["prompt"] == "hello"
    assert [answer["run"] for answer in document["answers"]] == [None, "r0aaa"]
    assert {answer["model"] for answer in document["answers"]} == {"starter"}
    assert seated[0][1].pane.adapter == Path(run.adapter)


def test_a_run_without_an_adapter_cannot_answer(cli: Cli, make_run: MakeRun) -> None:
    make_run(status="failed")
    failed = cli("chat", "--run", "first", "--prompt", "hello")
    assert failed.status == 2 and "no adapter yet" in failed.stderr
    nobody = cli("chat", "--prompt", "hello")
    assert nobody.status == 2 and "finetui demo" in nobody.stderr


def echo(request: Request) -> Reply:
    """Says who was asked what."""
    if request.verb == "GET":
        return document({"data": [{"id": "parrot"}]})
    return says(f"{request.body['model']} heard {request.body['messages'][-1]['content']}")


def test_models_at_an_address_answer(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret-1")
    with serving(echo) as there:
        words = ["chat", "--url", there.url, "--model", "one", "--model", "two", "--key-env", "A_KEY", "--stop", "END"]
        [said] = cli(*words, "--stop", "\n", "--prompt", "hello", "--json").json
        asked = there.asked()
        assert [answer["text"] for answer in said["answers"]] == ["one heard hello", "two heard hello"]
        assert [answer["model"] for answer in said["answers"]] == ["one", "two"] and said["answers"][0]["tokens"] == 4
        assert asked[0].body["stop"] == ["END", "\n"] and asked[0].headers["authorization"] == "Bearer secret-1"

        alone = cli("chat", "--url", there.url, "--prompt", "hi")
        assert "parrot: parrot heard hi\n" in alone.stdout, "the only model there needs no name"


def test_one_of_several_models_must_be_named(cli: Cli) -> None:
    with serving(lambda _: document({"data": [{"id": "one"}, {"id": "two\x1b[2J"}]})) as there:
        failed = cli("chat", "--url", there.url, "--prompt", "hi")
    assert failed.status == 2 and "  one\n  two\n" in failed.stderr and "\x1b" not in failed.stderr


def test_a_refusal_says_which_and_no_key(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret-1")
    with serving(lambda _: document({"error": {"message": "bad key secret-1"}}, 401)) as there:
        failed = cli("chat", "--url", there.url, "--model", "m", "--key-env", "A_KEY", "--prompt", "hi", "--json")
    assert failed.status == 2 and "did not accept the key" in failed.json["error"]["what"]
    assert "secret-1" not in failed.stdout + failed.stderr
    unset = cli("chat", "--url", there.url, "--model", "m", "--key-env", "NO_KEY", "--prompt", "hi")
    assert unset.status == 2 and "NO_KEY is not set" in unset.stderr
    alone = cli("chat", "--model", "m", "--prompt", "hi")
    assert alone.status == 2 and "--url" in alone.stderr


def test_blind_prompts_are_shuffled_and_lettered(cli: Cli) -> None:
    with serving(echo) as there:
        words = ["chat", "--blind", "--url", there.url, "--model", "one", "--model", "two", "--prompt", "hi"]
        [said] = cli(*words, "--json").json
        shown = cli(*words).stdout
    assert [answer["label"] for answer in said["answers"]] == ["A", "B"]
    assert {answer["model"] for answer in said["answers"]} == {"one", "two"}
    answers, _, key = shown.rpartition("\n\n")
    assert "A: " in answers and "one:" not in answers and "A is " in key and "tokens/s" not in shown


def test_both_orders_come_up() -> None:
    two = [seat("base"), seat("demo", "r1")]
    assert len({who_was_who(lettered(two)) for _ in range(100)}) == 2


@pytest.fixture
def typed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Converse: what is typed, line by line, then Ctrl-D. Returns what was shown."""

    def converse(*lines: str, words: Sequence[str]) -> str:
        waiting = iter(lines)

        def answer(prompt: str = "") -> str:
            line = next(waiting, None)
            if line is None:
                raise EOFError
            return line

        monkeypatch.setattr("builtins.input", answer)
        monkeypatch.setattr("tui.cli.chat._in_terminal", lambda: True)
        outcome = cli(*words)
        assert outcome.status == 0, outcome.stderr
        return outcome.stdout

    return converse


def test_a_blind_vote_is_kept_and_then_it_is_said_who_was_who(typed: Callable[..., str], home: Home) -> None:
    with serving(echo) as there:
        words = ["chat", "--blind", "--system", "Be kind.", "--url", there.url, "--model", "one", "--model", "two"]
        shown = typed("first", "x", "a", "second", "", "third", "tie", words=words)
        assert all(len(request.body["messages"]) == 2 for request in there.asked()), "each question stands alone"
    assert shown.count("Kept.") == 2 and shown.index("A is ") > shown.index("heard first")
    store = open_store(home.db)
    try:
        first, last = store.votes.list("overall")
    finally:
        store.close()
    assert (first.winner, last.winner) == (Winner.LEFT, Winner.TIE)
    assert {first.left, first.right} == {"remote:one", "remote:two"}
    assert first.left_text == f"{first.left.removeprefix('remote:')} heard first"
    assert [message["role"] for message in first.conversation] == ["system", "user"] and first.voter


def test_a_blind_vote_takes_two(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.cli.chat._in_terminal", lambda: True)
    failed = cli("chat", "--blind", "--url", "http://127.0.0.1:9", "--model", "one")
    assert failed.status == 2 and "between two models" in failed.stderr


def test_without_vllm_it_is_said_how_to_install_it(
    cli: Cli, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    (make_run().adapter / "adapter_config.json").write_text('{"r": 8}')
    monkeypatch.setenv("PATH", "/nowhere")
    failed = cli("chat", "--run", "first", "--engine", "vllm", "--prompt", "hi")
    assert failed.status == 1 and "pip install vllm" in failed.stderr


def test_what_is_known_of_an_adapter_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    known = Trust(True, True, 3.14, True, ())
    pool = SimpleNamespace(trust=lambda pane: known if pane.run_id else None)
    seats = [seat("base"), seat("demo", "r1")]
    chat._say_trust(cast(ServerPool, pool), seats)
    chat._say_trust(cast(ServerPool, pool), lettered(seats))
    assert capsys.readouterr().err == "demo: adapter on (Δ 3.1)\n"
