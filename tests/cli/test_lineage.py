"""`finetui runs lineage`."""

from engine.home import Home
from store import open_store
from store.records import NewRun
from tests.cli.conftest import Cli, MakeRun


def test_where_a_run_comes_from(home: Home, cli: Cli, make_run: MakeRun) -> None:
    run = make_run("r0aaa", "first")
    folder = home.runs / "r1bbb"
    folder.mkdir()
    store = open_store(home.db)
    recipe = {"continue_from": "first@2", "learning_rate": 1e-5}
    store.runs.add(
        NewRun("r1bbb", "sec\x1b[2Jond", "starter", "qlora", "support", "d0", 2e9, recipe, str(folder), parent="r0aaa")
    )
    store.close()
    document = cli("runs", "lineage", "r0aaa", "--json").json
    assert document["run"]["id"] == "r0aaa" and document["parents"] == [] and document["sweep"] is None
    (child,) = document["children"]
    assert (child["id"], child["from_step"], child["parent"], child["generation"]) == ("r1bbb", 2, "r0aaa", 1)
    (parent,) = cli("runs", "lineage", "r1bbb", "--json").json["parents"]
    assert (parent["id"], parent["name"], parent["status"]) == ("r0aaa", "first", "succeeded")
    text = cli("runs", "lineage", "first").stdout
    assert "base model starter" in text and "└ second" in text and "r1bbb" in text and "from step 2" in text
    assert "first  ◂ here" in text and "\x1b[2J" not in text
    assert run.path.is_dir()


def test_of_a_run_that_is_not_there(cli: Cli) -> None:
    outcome = cli("runs", "lineage", "nobody")
    assert outcome.status != 0 and "There is no run" in outcome.stderr
