"""Prompt suites from the command line; a stand-in answers in place of the model servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from engine.home import Home
from tests.cli.conftest import Cli, MakeRun
from tests.engine.suite_stand_in import StandInPool
from tui.cli import suites
from tui.cli.root import app


@pytest.fixture(autouse=True)
def _command() -> None:
    if not any(group.name == "suites" for group in app.registered_groups):
        app.add_typer(suites.app, name="suites")


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInPool]:
    stand_in = StandInPool()
    monkeypatch.setattr("engine.suites.running.drive.__kwdefaults__", _defaults(stand_in))
    yield stand_in


def _defaults(stand_in: StandInPool) -> dict[str, object]:
    from engine.suites.running import drive

    assert drive.__kwdefaults__ is not None
    return drive.__kwdefaults__ | {"make_pool": lambda _home, _say: stand_in}


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = [
        {"category": "a", "turns": ["one", "and \x1b[2Jthen"], "reference": ["a good answer", "two"]},
        {"category": "=b", "turns": ["=two"], "reference": ["@three"]},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_a_suite_is_asked_shown_compared_exported_and_removed(
    cli: Cli, make_run: MakeRun, pool: StandInPool, questions: Path, tmp_path: Path
) -> None:
    make_run()
    empty = cli("suites", "ls")
    assert "suites run everyday" in empty.stdout
    ran = cli("suites", "run", str(questions), "--run", "first", "--name", "mine", "--json").json
    assert ran["name"] == "mine" and ran["state"] == "done" and (ran["answered"], ran["total"]) == (6, 6)
    assert [model["name"] for model in ran["models"]] == ["starter", "first"]
    assert pool.closed and ran["models"][1]["mean_tokens"] is not None

    listed = cli("suites", "ls", "--json").json
    assert [one["name"] for one in listed["suites"]] == ["questions"] and listed["runs"][0]["id"] == ran["id"]
    assert "mine" in cli("suites", "ls").stdout

    text = cli("suites", "show", "mine").stdout
    assert (
        "> one" in text and "first: first on one" in text and "reference: a good answer" in text and "\x1b" not in text
    )
    one = cli("suites", "show", "mine", "--prompt", "2", "--json").json
    assert [result["turns"] for result in one["results"]] == [["=two"]]
    assert cli("suites", "show", "mine", "--prompt", "9").status == 2

    told = cli("suites", "diff", "mine").stdout
    assert "starter → first: 3 turns" in told and "[-base-]{+first+} on one" in told
    turns = cli("suites", "diff", "mine", "--prompt", "1", "--json").json["turns"]
    assert [(turn["prompt"], turn["turn"]) for turn in turns] in ([(1, 1), (1, 2)], [(1, 2), (1, 1)])
    assert cli("suites", "diff", "mine", "--to", "3").status == 2

    for ending in ("jsonl", "csv", "md"):
        file = tmp_path / f"answers.{ending}"
        assert cli("suites", "export", "mine", str(file)).status == 0
        assert cli("suites", "export", "mine", str(file)).status == 2, "it is there already"
        assert "first on one" in file.read_text() and (ending == "jsonl" or "\x1b" not in file.read_text())
    assert "'=b" in (tmp_path / "answers.csv").read_text() and "'=two" in (tmp_path / "answers.csv").read_text()
    assert "'@three" in (tmp_path / "answers.csv").read_text()
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 2
    assert cli("suites", "export", "mine", str(tmp_path / "answers.pdf")).status == 2

    assert cli("suites", "stop", "mine").status == 2, "nobody is at work"
    assert cli("suites", "rm", "mine").status == 0
    assert cli("suites", "show", "mine").status == 2


def test_figures_by_category_outlive_the_dataset(
    cli: Cli, make_run: MakeRun, pool: StandInPool, tmp_path: Path
) -> None:
    file = tmp_path / "topics.jsonl"
    rows = [("sky", "blue?"), ("sky", "dark?"), ("sea", "salt?"), ("", "other?")]
    file.write_text("".join(json.dumps({"category": topic, "prompt": text}) + "\n" for topic, text in rows))
    make_run()
    cli("suites", "run", str(file), "--run", "first", "--name", "mine")
    suite = cli("suites", "ls", "--json").json["suites"][0]["id"]
    assert cli("datasets", "rm", suite).status == 0
    shown = cli("suites", "show", "mine", "--json").json
    assert shown["suite_removed"] and shown["suite_name"] == "topics"
    counted = [(one["category"], one["prompts"], one["models"][1]["answered"]) for one in shown["categories"]]
    assert counted == [("sky", 2, 2), ("sea", 1, 1), ("", 1, 1)]
    assert [result["turns"] for result in shown["results"]] == [[text] for _, text in rows]
    text = cli("suites", "show", "mine").stdout
    assert "its dataset was removed" in text and "CATEGORY" in text and "> salt?" in text
    written = tmp_path / "answers.md"
    assert cli("suites", "export", "mine", str(written)).status == 0
    assert "sky, 2 prompts:" in written.read_text() and "without a category, 1 prompt:" in written.read_text()


def test_what_is_missing_is_asked_on_resume(
    cli: Cli, make_run: MakeRun, pool: StandInPool, questions: Path, home: Home
) -> None:
    make_run()
    pool.fail = lambda pane, messages: "out of luck" if messages[-1]["content"] == "=two" else None
    ran = cli("suites", "run", str(questions), "--run", "first", "--no-base", "--json").json
    assert (ran["answered"], ran["errors"], len(ran["models"])) == (2, 1, 1)
    asked = len(pool.asked)
    pool.fail = lambda _pane, _messages: None
    again = cli("suites", "run", "--resume", ran["id"], "--json").json
    assert (again["answered"], again["errors"]) == (3, 0) and len(pool.asked) == asked + 1
    assert cli("suites", "run", str(questions), "--resume", ran["id"]).status == 2
    assert cli("suites", "run").status == 2


def test_who_cannot_answer_is_said_before_anything_is_asked(cli: Cli, make_run: MakeRun, pool: StandInPool) -> None:
    nobody = cli("suites", "run", "everyday")
    assert nobody.status == 2 and "finetui demo" in nobody.stderr
    make_run(status="failed")
    failed = cli("suites", "run", "everyday", "--run", "first")
    assert failed.status == 2 and "no adapter yet" in failed.stderr
    assert cli("suites", "ls", "--json").json["runs"] == [] and pool.asked == []


def test_a_model_at_an_endpoint_answers_beside_the_runs(
    cli: Cli, make_run: MakeRun, pool: StandInPool, questions: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    monkeypatch.setenv("FAR_KEY", "secret-of-the-far-one")
    far = ("--url", "http://127.0.0.1:9/v1", "--model", "far", "--key-env", "FAR_KEY")
    ran = cli("suites", "run", str(questions), "--run", "first", "--no-base", *far, "--limit", "1", "--json").json
    assert [model["model"] for model in ran["models"]] == ["r0aaa", "api:far"] and ran["models"][1]["name"] == "far"
    assert (ran["answered"], ran["prompts"]) == (4, 1)
    assert ran["sampling"]["endpoints"]["api:far"] == {"url": "http://127.0.0.1:9/v1", "key_env": "FAR_KEY"}
    assert {label for request in pool.asked for label, _ in request} == {"first", "far"}
    kept = [path for path in home.root.rglob("*") if path.is_file() and b"secret-of" in path.read_bytes()]
    assert kept == [], "the key is nowhere on the disk"


def test_a_suite_can_be_asked_beside_the_terminal(
    cli: Cli, make_run: MakeRun, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    started: list[str] = []
    monkeypatch.setattr("engine.suites.driver.start_driver", lambda _home, suite_run: started.append(suite_run))
    told = cli("suites", "run", str(questions), "--run", "first", "--detach", "--json").json
    assert started == [told["id"]] and cli("suites", "show", told["id"], "--json").json["state"] == "stopped"


def test_every_command_has_an_example() -> None:
    command = typer.main.get_command(suites.app)
    assert isinstance(command, typer.core.TyperGroup)
    assert {*command.commands} == {"ls", "run", "show", "diff", "stop", "rm", "export"}
    assert all(one.epilog for one in command.commands.values())
