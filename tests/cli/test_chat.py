"""Chatting from the command line, short of the models."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from engine.inference.pool import Delta, Pane, Sampling, ServerPool
from engine.runs.rundir import RunDir
from tests.cli.conftest import Cli, MakeRun
from tui.cli import chat
from tui.cli.output import Progress

SAMPLING = Sampling()


def seat(label: str, run_id: str | None = None) -> chat.Seat:
    return chat.Seat(Pane(label, "/models/starter", None, True, None, run_id), "starter")


class Scripted:
    """Gives these deltas."""

    def __init__(self, *deltas: Delta) -> None:
        self._deltas = deltas
        self.asked: list[Pane] = []

    async def answer(
        self, panes: Sequence[Pane], conversations: Sequence[chat.Conversation], sampling: Sampling
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
    answers = await chat.answers_to(cast(ServerPool, pool), seats, [[], []], SAMPLING, Progress(), show=True)
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
    answers = await chat.answers_to(
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
    seated: list[list[chat.Seat]] = []

    def answer(session: object, seats: list[chat.Seat], *_: object) -> list[list[chat.Answer]]:
        seated.append(seats)
        return [[chat.Answer(one.model, one.pane.run_id, "yes") for one in seats]]

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
