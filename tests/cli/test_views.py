"""Filters, orders and views from the command line."""

from tests.cli.conftest import Cli, MakeRun


def names(cli: Cli, *words: str) -> list[str]:
    return [run["name"] for run in cli("runs", "ls", "--json", *words).json]


def made(make_run: MakeRun) -> None:
    make_run(tags=["baseline"])
    make_run("r0bbb", "second", evals=((1, 2.0), (3, 0.9)))
    make_run("r0ccc", "third", status="failed", evals=())


def test_runs_are_filtered_and_sorted_by_settings_and_metrics(cli: Cli, make_run: MakeRun) -> None:
    made(make_run)
    assert names(cli, "--filter", "eval/loss.min<1") == ["second"]
    assert names(cli, "--sort", "eval/loss.min", "--reverse", "--filter", "has:eval/loss") == ["second", "first"]
    assert names(cli, "--sort", "eval/loss.min", "--filter", "has:eval/loss") == ["first", "second"]
    assert len(names(cli, "--filter", "cfg.lora_r>=1 started<1y")) == 3


def test_what_is_not_understood_is_told_with_what_may_be_meant(cli: Cli, make_run: MakeRun) -> None:
    made(make_run)
    failed = cli("runs", "ls", "--filter", "lora_r>=1")
    assert failed.status == 2
    assert "Did you mean cfg.lora_r?" in failed.stderr
    assert "cfg.lora_r" in cli("runs", "ls", "--sort", "lora_r").stderr
    none = cli("runs", "ls", "--filter", "eval/los<100")
    assert none.stdout == "No run matches. No run has the metric eval/los. Did you mean eval/loss?\n"


def test_a_view_is_kept_used_and_forgotten(cli: Cli, make_run: MakeRun) -> None:
    made(make_run)
    assert "runs views save" in cli("runs", "views", "ls").stdout
    words = ("--filter", "status:done OR status:failed", "--sort", "name", "--reverse")
    saved = cli("runs", "views", "save", "ended ones", *words)
    assert "--view 'ended ones'" in saved.stdout
    assert names(cli, "--view", "Ended Ones") == ["first", "second", "third"]
    assert names(cli, "--view", "ended ones", "--sort", "name") == ["third", "second", "first"]
    # The view as a whole is narrowed, not its last term.
    assert names(cli, "--view", "ended ones", "--filter", "name:first OR name:second") == ["first", "second"]
    [document] = cli("runs", "views", "ls", "--json").json
    filter_ = "status:done OR status:failed"
    assert document == {"name": "ended ones", "filter": filter_, "sort": "name", "descending": False}
    cli("runs", "views", "save", "ended ones", "--filter", "status:failed")
    assert names(cli, "--view", "ended ones") == ["third"]
    assert cli("runs", "views", "rm", "ended ones").status == 0
    assert cli("runs", "views", "ls", "--json").json == []


def test_a_view_that_is_not_there_or_asks_for_nonsense_is_refused(cli: Cli) -> None:
    missing = cli("runs", "ls", "--view", "best")
    assert missing.status == 2
    assert "There are none yet" in missing.stderr
    assert cli("runs", "views", "rm", "best").status == 2
    assert cli("runs", "views", "save", "bad", "--filter", "colour:red").status == 2
    assert cli("runs", "views", "save", "bad", "--sort", "colour").status == 2
    assert cli("runs", "views", "save", " ").status == 2
    assert cli("runs", "views", "ls", "--json").json == []
    cli("runs", "views", "save", "open", "--filter", 'name:"half')
    assert cli("runs", "ls", "--view", "open", "--filter", "status:done", "--json").json == []
    assert "Views: open." in cli("runs", "ls", "--view", "best").stderr
