"""`finetui judge`, with a judge on a real socket."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.home import Home
from engine.suites.reading import import_suite, read_suite
from engine.suites.running import new_suite_run
from store import open_store
from store.talk_records import SuiteAnswer, Vote, Winner
from tests.cli.conftest import Cli, MakeRun, Outcome
from tests.engine.endpoint_made import Reply, Request, says, serving
from tui.cli.judge import app


@pytest.fixture
def judge() -> Cli:
    """The command by itself."""

    def call(*words: str) -> Outcome:
        result = CliRunner().invoke(app, list(words), prog_name="finetui judge")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def suite_run(home: Home, make_run: MakeRun, tmp_path: Path) -> str:
    """A suite run of three prompts, which the base and the run `first` have answered."""
    from engine.datasets.library import DatasetLibrary
    from engine.inference.pool import Sampling

    make_run()
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"question {number}"}) + "\n" for number in range(3)))
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    try:
        suite = read_suite(library, import_suite(library, file))
        made = new_suite_run(store, suite, ["base:starter", "r0aaa"], Sampling(), name="asked")
        store.suites.append(
            SuiteAnswer(made.id, model, prompt.position, 0, f"{('plain', 'warm')[model]} {prompt.position}")
            for prompt in suite.prompts
            for model in range(2)
        )
        vote = Vote("v1", 1.0, "ada", "overall", "base:starter", "r0aaa", Winner.RIGHT, (), "plain 0", "warm 0")
        asked = ({"role": "user", "content": "question 0"},)
        store.votes.add(Vote(**vars(vote) | {"conversation": asked}))
        return made.id
    finally:
        library.close()
        store.close()


def warm_wins(request: Request) -> Reply:
    a, _, b = request.question.partition("Answer B:")
    verdict = "A" if "| warm" in a else "B" if "| warm" in b else "tie"
    return says(json.dumps({"reason": "warmth\x1b[2J", "overall": verdict, "warm": verdict}))


def test_a_suite_run_is_judged_and_judged_once(judge: Cli, suite_run: str) -> None:
    with serving(warm_wins) as there:
        words = ["asked", "--url", there.url, "--model", "strict", "--criteria", "overall,warm"]
        told = judge(*words, "--json")
        assert told.status == 0, told.stderr
        document = told.json
        assert (document["voter"], document["pairs"], document["asked"], document["unclear"]) == (
            "judge:strict",
            3,
            3,
            0,
        )
        overall = document["criteria"][0]
        assert overall["scores"][0]["right_wins"] == 3 and overall["position_bias"] == 0
        assert overall["agreement"]["votes"] == 1 and overall["agreement"]["share"] == 1
        assert len(there.requests) == 6

        shown = judge(*words)
        assert len(there.requests) == 6, "everything is judged"
    assert "3 before" in shown.stdout and "first" in shown.stdout and "starter" in shown.stdout
    assert "agreement says little" in shown.stdout and "0% (0 of 3)" in shown.stdout and "\x1b" not in shown.stdout


def test_two_files_and_an_own_criterion(judge: Cli, tmp_path: Path) -> None:
    for name, answer in (("ours", "warm"), ("theirs", "cold")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": "q", "answer": answer}))
    with serving(lambda _: says('{"brief": "tie"}')) as there:
        words = ["--answers", str(tmp_path / "ours.jsonl"), "--answers", str(tmp_path / "theirs.jsonl")]
        shown = judge(*words, "--url", there.url, "--model", "m", "--criteria", "brief=in few words")
    assert shown.status == 0 and "file:ours" in shown.stdout and "brief" in shown.stdout
    assert "- brief: in few words" in there.requests[0].question


def test_pairs_that_fail_are_said_at_the_end(judge: Cli, suite_run: str) -> None:
    def answer(request: Request) -> Reply:
        if "question 1" in request.question:
            return Reply(b'{"error": "too long"}', 400)
        return warm_wins(request)

    with serving(answer) as there:
        failed = judge(suite_run, "--url", there.url, "--model", "m", "--criteria", "warm")
    assert failed.status == 1 and "1 of 3 pairs could not be judged" in failed.stderr and "too long" in failed.stderr
    assert "warm" in failed.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--url", "http://127.0.0.1:9", "--model", "m"], "nothing to judge"),
        (["nothing", "--url", "http://127.0.0.1:9", "--model", "m"], "no suite run"),
        (["asked"], "One model judges"),
        (["asked", "--base", "starter", "--run", "first"], "One model judges"),
        (["asked", "--base", "starter", "--model", "m"], "go with an endpoint"),
        (["asked", "--url", "http://127.0.0.1:9", "--model", "m", "--criteria", "9"], "not a criterion"),
        (["asked", "--url", "http://127.0.0.1:9", "--model", "m", "--against", "zz"], "zz"),
    ],
)
def test_what_is_not_clear_is_asked_for(judge: Cli, suite_run: str, words: list[str], said: str) -> None:
    failed = judge(*words)
    assert failed.status == 2 and said in failed.stderr


def test_a_judge_that_cannot_be_reached(judge: Cli, suite_run: str) -> None:
    failed = judge("asked", "--url", "http://127.0.0.1:9", "--model", "m", "--json")
    assert failed.status == 1 and "cannot be reached" in failed.json["error"]["what"]
