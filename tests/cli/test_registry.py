"""Registered adapters from the command line."""

from pathlib import Path

import pytest

from engine.home import Home
from store import open_store
from store.evaluation_records import Evaluation, Measured
from tests.cli.conftest import Cli, MakeRun
from tui.cli import chat
from tui.cli.chat_answers import Answer, Seat


def with_weights(make_run: MakeRun, run_id: str, name: str, weights: bytes, **options: object) -> None:
    run = make_run(run_id, name, **options)
    (run.adapter / "adapter_model.safetensors").write_bytes(weights)


@pytest.fixture
def two(make_run: MakeRun) -> None:
    """Two runs that left different adapters."""
    with_weights(make_run, "r1aaa", "first", b"one")
    with_weights(make_run, "r2bbb", "second", b"two", evals=((0, 3.1), (3, 0.9)), lora_r=8)


@pytest.fixture
def registered(cli: Cli, two: None) -> None:
    """Both of them as `support`."""
    assert cli("register", "first", "support", "--description", "Help desk.", "--tag", "warm").status == 0
    assert cli("register", "r2bbb", "support").status == 0


def test_a_run_is_registered_and_shown(cli: Cli, two: None, home: Home) -> None:
    said = cli("registry", "ls")
    assert said.status == 0 and "Nothing is registered yet. `finetui register RUN NAME`" in said.stdout
    said = cli("register", "first", "support", "--description", "Help\x1b[31m desk.", "--tag", "warm")
    assert said.stdout.startswith("Registered first as support@1: ") and said.status == 0
    document = cli("registry", "show", "support@1", "--json").json
    assert (document["name"], document["version"], document["run"], document["tags"]) == (
        "support",
        1,
        "r1aaa",
        ["warm"],
    )
    assert Path(document["dir"]) == home.registry / "support" / "v1" and document["info"]["method"] == "qlora"
    shown = cli("registry", "show", "support@1").stdout
    assert "Help desk." in shown and "first (r1aaa)" in shown and "\x1b" not in shown
    assert "1.2" in next(line for line in shown.splitlines() if line.startswith("eval loss"))
    card = cli("registry", "show", "support", "--card")
    assert card.stdout.startswith("---\nlibrary_name:") and "# support v1" in card.stdout and "\x1b" not in card.stdout
    assert cli("registry", "show", "support", "--card", "--json").json["card"].startswith("---")
    assert cli("register", "nothing", "x").status == 2 and cli("register", "first", "a/b").status == 2
    again = cli("register", "first", "support")
    assert again.status == 2 and "is support@1 already" in again.stderr


def test_versions_are_promoted_and_rolled_back(cli: Cli, registered: None) -> None:
    assert "newest" in cli("registry", "ls").stdout
    assert cli("registry", "promote", "support", "1", "--note", "safe").stdout == "support means version 1 now.\n"
    assert cli("registry", "promote", "support", "v2", "--json").json["version"] == 2
    [one] = cli("registry", "ls", "--json").json
    assert (one["promoted"], one["current"], one["versions"]) == (2, 2, 2)
    assert cli("registry", "rollback", "support").stdout == "support means version 1 again.\n"
    shown = cli("registry", "show", "support")
    assert "support means version 1." in shown.stdout and "safe" in shown.stdout and "rolled back" in shown.stdout
    document = cli("registry", "show", "support", "--json").json
    assert [one["version"] for one in document["all"]] == [2, 1]
    assert [one["version"] for one in document["history"]] == [1, 2, 1]
    back = cli("registry", "rollback", "support")
    assert back.status == 2 and "nothing that support could go back to" in back.stderr
    assert cli("registry", "promote", "support", "x").status == 2
    assert cli("registry", "promote", "other", "1").status == 2


def test_a_registered_name_takes_the_seat_of_a_run(
    cli: Cli, registered: None, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    seated: list[Seat] = []

    def answer(session: object, seats: list[Seat], *_: object) -> list[list[Answer]]:
        seated[:] = seats
        return [[Answer(one.model, one.pane.run_id, "yes") for one in seats]]

    monkeypatch.setattr(chat, "_chat", answer)
    cli("registry", "promote", "support", "1")
    [document] = cli(
        "chat", "--run", "support", "--run", "support@2", "--run", "second", "--prompt", "hello", "--json"
    ).json
    assert [one["run"] for one in document["answers"]] == [None, "support@1", "support@2", "r2bbb"]
    assert seated[1].pane.adapter == home.registry / "support" / "v1" / "adapter"
    gone = cli("chat", "--run", "support@9", "--prompt", "hello")
    assert gone.status == 2 and "no version 9 of support" in gone.stderr


def test_versions_are_compared(cli: Cli, registered: None, home: Home) -> None:
    document = cli("registry", "compare", "support", "--json").json
    assert (document["before"], document["after"]) == (1, 2)
    assert {"name": "lora_r", "before": 16, "after": 8} in document["settings"]
    loss = next(one for one in document["figures"] if one["name"] == "eval/loss")
    assert (loss["before"], loss["after"], loss["better"]) == (1.2, 0.9, True)
    text = cli("registry", "compare", "support", "1", "2").stdout
    assert text.startswith("v2 has the lower validation loss") and "better" in text and "lora_r" in text
    assert "worse" in cli("registry", "compare", "support", "2", "1").stdout
    none = cli("registry", "compare", "support", "1", "9")
    assert none.status == 2 and "no version 9 of support" in none.stderr
    assert cli("registry", "compare", "nothing").status == 2


def test_words_tags_and_evaluations_change(cli: Cli, registered: None, home: Home) -> None:
    assert cli("registry", "tag", "support@1", "german", "--remove", "warm", "--json").json["tags"] == ["german"]
    assert cli("registry", "describe", "support@1", "For mails.").stdout == "support@1: For mails.\n"
    assert cli("registry", "refresh", "support@1").stdout.startswith("support@1 has no evaluations; `finetui eval")
    store = open_store(home.db)
    store.evaluations.add(Evaluation("e1", 1.0, "e", "split", "d1", "test", ("base:starter", "r1aaa"), {}, 9, 2.0))
    store.evaluations.set_figures("e1", [Measured("e1", 1, "bleu", 21.5, 20.0, 23.0, 9)])
    store.close()
    assert cli("registry", "refresh", "support@1").stdout == "support@1 has 1 evaluation.\n"
    assert "bleu 21.5" in cli("registry", "show", "support@1").stdout
    assert "| BLEU ↑ | 21.50 | 20.00 … 23.00 |" in cli("registry", "show", "support@1", "--card").stdout
    assert cli("registry", "refresh", "support@2", "--evaluation", "e1").status == 2


def test_files_are_checked_and_versions_removed(cli: Cli, registered: None, home: Home) -> None:
    assert cli("registry", "check").stdout == "2 checked: all sound.\n"
    weights = home.registry / "support" / "v2" / "adapter" / "adapter_model.safetensors"
    weights.chmod(0o600)
    weights.write_bytes(b"other")
    bad = cli("registry", "check", "support")
    assert bad.status == 1 and "support@2: adapter/adapter_model.safetensors is not what was registered" in bad.stderr
    told = cli("registry", "check", "support", "--json")
    assert told.status == 1 and not told.json["ok"] and told.json["checked"] == 2
    assert cli("registry", "check", "support@1").status == 0
    assert cli("registry", "promote", "support", "2").status == 1
    which = cli("registry", "rm", "support")
    assert which.status == 2 and "support@1; --all" in which.stderr
    assert cli("registry", "rm", "support@2").stdout == "Removed support@2; runs stay.\n"
    assert cli("registry", "rm", "support", "--all", "--json").json == {"removed": "support"}
    assert cli("registry", "ls", "--json").json == [] and cli("registry", "rm", "support@1").status == 2


def test_the_store_is_made_again_from_the_folders(cli: Cli, registered: None, home: Home) -> None:
    cli("registry", "promote", "support", "1")
    before = cli("registry", "show", "support", "--json").json
    for file in home.root.glob("finetui.db*"):
        file.unlink()
    assert cli("store", "rebuild", "--json").json["registered"] == 2
    assert cli("registry", "show", "support", "--json").json == before
