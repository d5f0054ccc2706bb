"""`finetui arena` and `finetui votes`, as a script uses them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engine.home import Home
from store import open_store
from store.talk_records import Vote, Winner
from tests.cli.conftest import Cli, MakeRun, Outcome
from tui.cli import arena, votes
from tui.cli.command import HomeOption

own = typer.Typer()
own.add_typer(arena.app, name="arena")
own.add_typer(votes.app, name="votes")


@own.callback()
def _root(home: HomeOption = None) -> None:
    """As the whole tree has it."""


def call(*words: str) -> Outcome:
    result = CliRunner().invoke(own, list(words), prog_name="finetui")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def cast(home: Home, make_run: MakeRun) -> Iterator[None]:
    """A run beside its base: three wins, one loss, a tie, both bad; one vote by another criterion."""
    make_run("r1aaa", "kind \x1b[31mone")
    said = ({"role": "user", "content": "Where is my parcel?"},)
    store = open_store(home.db)
    outcomes = [Winner.LEFT] * 3 + [Winner.RIGHT, Winner.TIE, Winner.BOTH_BAD]
    for number, winner in enumerate(outcomes):
        texts = (f"on its way {number}", "no idea")
        store.votes.add(
            Vote(f"v{number}", 1.0 + number, "ann", "overall", "r1aaa", "base:starter", winner, said, *texts)
        )
    store.votes.add(Vote("w", 9.0, "judge:x", "warm", "base:starter", "r1aaa", Winner.LEFT, said, "dear", "no"))
    store.close()
    yield


def test_the_leaderboard(cast: None) -> None:
    board = call("arena", "leaderboard", "--json").json
    assert (board["votes"], board["criteria"], board["voters"]) == (6, ["overall", "warm"], ["ann", "judge:x"])
    first, second = board["models"]
    assert (first["model"], second["model"], second["name"]) == ("r1aaa", "base:starter", "starter")
    assert (first["wins"], first["ties"], first["losses"], first["both_bad"], first["votes"]) == (3, 1, 1, 1, 5)
    assert first["win_rate"] == 0.7 and first["win_rate_low"] < 0.7 < first["win_rate_high"]
    assert first["rating"] + second["rating"] == pytest.approx(2000, abs=0.2)
    assert first["rating_low"] < first["rating"] < first["rating_high"]
    shown = call("arena", "leaderboard").stdout
    assert "kind one" in shown and "0.70 (" in shown and "\x1b" not in shown
    [winner, _] = call("arena", "leaderboard", "--criterion", "warm", "--json").json["models"]
    assert winner["model"] == "base:starter"
    people = call("arena", "leaderboard", "--criterion", "warm", "--voter", "people")
    assert people.status == 0 and "no such vote yet" in people.stdout


def test_votes_are_exported_imported_and_planned_for_dpo(cast: None, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    told = call("votes", "export", str(file), "--json").json
    assert (told["pairs"], told["ties"], told["both_bad"], told["unusable"]) == (4, 1, 1, 0)
    row = json.loads(file.read_text().splitlines()[0])
    assert row["prompt"] == [{"role": "user", "content": "Where is my parcel?"}]
    assert row["chosen"][0]["content"] == "on its way 0" and row["rejected"][0]["content"] == "no idea"
    again = call("votes", "export", str(file))
    assert again.status == 2 and "exists" in again.stderr
    assert "Left out: 1 tie, 1 both bad." in call("votes", "export", str(file), "--overwrite").stdout
    imported = cli("datasets", "import", str(file), "--shape", "preference", "--json")
    assert imported.status == 0 and imported.json["shape"] == "preference" and imported.json["rows"] == 4
    nobody = call("votes", "export", str(tmp_path / "none.jsonl"), "--voter", "ben")
    assert nobody.status == 2 and "no vote that prefers" in nobody.stderr


def test_the_arena_needs_a_terminal_and_homes_are_heard_wherever_they_stand(cast: None, tmp_path: Path) -> None:
    refused = call("arena", "--suite", "everyday")
    assert refused.status == 2 and "needs a terminal" in refused.stderr
    other = str(tmp_path / "other")
    for words in (["--home", other, "arena", "leaderboard"], ["arena", "--home", other, "leaderboard"]):
        assert call(*words, "--json").json["votes"] == 0
    assert call("arena", "leaderboard", "--json").json["votes"] == 6
    shown = call("arena", "--help").stdout
    assert "--suite" in shown and "leaderboard" in shown and "arena --suite everyday" in shown
