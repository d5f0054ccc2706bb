"""Notes from the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.home import Home
from tests.cli.conftest import Cli, Outcome
from tests.engine.pdf_made import pdf
from tui.cli.knowledge import app


@pytest.fixture
def knowledge(home: Home) -> Cli:
    def call(*words: str) -> Outcome:
        result = CliRunner().invoke(app, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "faq.md").write_text("# Password\n\nOpen \x1b]0;owned\x07Settings and reset your password.\n")
    (folder / "guide.pdf").write_bytes(pdf("The warranty lasts two years."))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4")
    return folder


def test_notes_are_added_listed_searched_and_forgotten(knowledge: Cli, notes: Path) -> None:
    assert "knowledge add NAME" in knowledge("ls").stdout and knowledge("ls", "--json").json == []
    added = knowledge("add", "desk", str(notes))
    assert added.status == 0 and "desk: 2 new; 2 passages read." in added.stdout
    assert "Not read: 1 file." in added.stdout and "broken.pdf is a damaged PDF" in added.stdout
    again = knowledge("add", "desk", str(notes), "--json").json
    assert (again["added"], again["unchanged"], again["sources"], again["embeddings"]) == ([], 2, 2, None)
    [one] = knowledge("ls", "--json").json
    assert (one["name"], one["sources"], one["passages"]) == ("desk", 2, 2)
    assert "desk" in knowledge("ls").stdout
    shown = knowledge("show", "DESK")
    assert str(notes / "faq.md") in shown.stdout
    assert [file["passages"] for file in knowledge("show", "desk", "--json").json["files"]] == [1, 1]
    found = knowledge("search", "desk", "How do I reset my password?")
    assert found.stdout.startswith("faq.md, line 3  Password\n  Open Settings") and "\x1b" not in found.stdout
    document = knowledge("search", "desk", "warranty", "--json").json
    assert document["by_words_alone"] and document["passages"][0]["page"] == 1
    assert document["passages"][0]["score"] > 0 and document["passages"][0]["line"] is None
    (notes / "guide.pdf").write_bytes(pdf("The guarantee lasts ten years."))
    assert "1 changed, 1 unchanged" in knowledge("refresh", "desk").stdout
    assert knowledge("rm", "desk", str(notes / "faq.md")).status == 0
    assert "Nothing in desk" in knowledge("search", "desk", "password").stdout
    gone = knowledge("rm", "desk")
    assert gone.status == 0 and "What is on disk stays" in gone.stdout and (notes / "guide.pdf").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "desk", "no/such"), "does not exist"),
        (("add", "a\nb", "."), "name of a collection"),
        (("add", "desk", ".", "--model", "m"), "belong to --embeddings"),
        (("add", "desk", ".", "--embeddings", "http://me:pass@x", "--model", "m"), "holds a user or a password"),
        (("add", "desk", ".", "--embeddings", "http://x"), "need a model"),
        (("show", "desk"), "There are none yet"),
        (("search", "desk", "x"), "no collection of notes"),
        (("refresh", "desk"), "no collection of notes"),
        (("rm", "desk"), "no collection of notes"),
    ],
)
def test_what_cannot_be_is_refused(knowledge: Cli, words: tuple[str, ...], said: str) -> None:
    refused = knowledge(*words)
    assert refused.status == 2 and said in refused.stderr and refused.stdout == ""
    assert knowledge("ls", "--json").json == []


def test_an_endpoint_that_is_not_there_is_said_and_the_words_stay(knowledge: Cli, notes: Path) -> None:
    words = ("add", "desk", str(notes), "--embeddings", "http://127.0.0.1:9/v1", "--model", "tiny")
    added = knowledge(*words, "--json")
    assert added.status == 1 and "cannot be reached" in added.stderr
    assert added.json["embeddings"] == {"url": "http://127.0.0.1:9/v1", "model": "tiny", "key_env": ""}
    assert "cannot be reached" in added.json["problem"] and len(added.json["added"]) == 2
    found = knowledge("search", "desk", "warranty", "--json")
    assert found.status == 0 and found.json["by_words_alone"] and len(found.json["passages"]) == 1


def test_hostile_questions_are_only_words(knowledge: Cli, notes: Path) -> None:
    knowledge("add", "desk", str(notes))
    for question in ('"', "NEAR(", "title:", "*", "' OR 1=1 --", "\x00", "-"):
        assert knowledge("search", "desk", "--", question).status == 0
