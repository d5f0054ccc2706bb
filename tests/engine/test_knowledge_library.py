"""Collections kept up to date with their files, and found by words and by meanings from a real endpoint."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.knowledge.embeddings import Embeddings
from engine.knowledge.fusing import fused
from engine.knowledge.library import KnowledgeLibrary
from store import Store, open_store
from tests.engine.pdf_made import pdf


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.ensure().db)
    yield opened
    opened.close()


@pytest.fixture
def library(store: Store) -> KnowledgeLibrary:
    return KnowledgeLibrary(store)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "faq.md").write_text("# Password\nOpen Settings and reset it.\n\n# Invoices\nSent on the first.\n")
    (folder / "guide.pdf").write_bytes(pdf("The warranty lasts two years.", "Send the device back."))
    (folder / "page.html").write_text("<h1>Shipping</h1><p>Parcels take three days.</p>")
    (folder / "plain.txt").write_text("Opening hours are nine to five.")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return folder


def titles(library: KnowledgeLibrary, question: str, *names: str) -> list[str]:
    return [passage.title for passage in library.search(names or ["desk"], question)]


def short(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def test_a_folder_is_read_and_searched(library: KnowledgeLibrary, notes: Path) -> None:
    heard: list[tuple[float, str]] = []
    report = library.add("desk", [notes], lambda share, words: heard.append((share, words)))
    assert short(report.added) == ["faq.md", "guide.pdf", "page.html", "plain.txt"]
    assert [(Path(one.path).name, one.why) for one in report.skipped] == [("broken.pdf", report.skipped[0].why)]
    assert "damaged" in report.skipped[0].why and report.passages == 6 and not report.stopped
    assert [share for share, _ in heard] == sorted(share for share, _ in heard) and heard[-1][0] == 1.0
    [knowledge] = library.all()
    assert (knowledge.name, knowledge.sources, knowledge.passages) == ("desk", 4, 6)
    assert titles(library, "How do I reset my password?")[0] == "Password"
    [warranty] = library.search(["desk"], "warranty")
    assert warranty.about == {"page": 1} and warranty.source == str(notes / "guide.pdf")
    assert titles(library, "opening hours")[0] == "plain.txt"
    assert titles(library, "parcel") == ["Shipping"]


def test_only_what_changed_is_read_again(library: KnowledgeLibrary, notes: Path) -> None:
    library.add("desk", [notes])
    again = library.add("desk", [notes])
    assert (again.added, again.changed, again.removed, again.unchanged) == ([], [], [], 4)
    os.utime(notes / "faq.md", (1, 1))
    touched = library.add("desk", [notes])
    assert touched.changed == [] and touched.unchanged == 4, "written again with the same content"
    assert {Path(one.path).name: one.modified for one in library.sources("desk")}["faq.md"] == 1
    (notes / "faq.md").write_text("# Refund\nWithin a month.\n")
    (notes / "plain.txt").unlink()
    (notes / "page.html").write_bytes(b"\0\1\2" * 99)
    (notes / "new.md").write_text("zebra")
    report = library.add("desk", [notes])
    assert (short(report.changed), short(report.added)) == (["faq.md"], ["new.md"])
    assert sorted(short(report.removed)) == ["page.html", "plain.txt"]
    assert titles(library, "password reset") == [] and titles(library, "refund") == ["Refund"]
    assert titles(library, "opening hours parcels") == []


def test_what_was_not_named_stays(library: KnowledgeLibrary, notes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("elephant")
    library.add("desk", [notes, other])
    other.unlink()
    assert library.add("desk", [notes]).removed == []
    assert titles(library, "elephant") == ["other.md"]
    with pytest.raises(BadInput, match="does not exist"):
        library.add("desk", [other])
    library.remove_source("desk", str(other))
    assert titles(library, "elephant") == []
    with pytest.raises(NotFound):
        library.remove_source("desk", str(other))


def test_it_can_be_stopped_and_gone_on_with(library: KnowledgeLibrary, notes: Path) -> None:
    heard: list[str] = []
    report = library.add("desk", [notes], lambda _, words: heard.append(words), lambda: "guide.pdf" in heard)
    assert report.stopped and short(report.added) == ["faq.md", "guide.pdf"]
    assert titles(library, "password") == ["Password"]
    assert short(library.add("desk", [notes]).added) == ["page.html", "plain.txt"]
    assert library.add("none", [notes], stop=lambda: True).stopped


@pytest.mark.parametrize("name", ["", " ", " a", "a\nb", "\x1b[31mred", "x" * 81])
def test_a_name_can_be_typed_again(library: KnowledgeLibrary, notes: Path, name: str) -> None:
    with pytest.raises(BadInput, match="name of a collection"):
        library.add(name, [notes])
    assert library.all() == []


def test_names_are_found_whatever_their_capitals(library: KnowledgeLibrary, notes: Path) -> None:
    library.add("Desk", [notes])
    assert library.get("desk ").name == "Desk"
    with pytest.raises(NotFound, match="There are Desk"):
        library.get("nobody")
    library.remove("Desk")
    with pytest.raises(NotFound, match="none yet"):
        library.remove("Desk")


def test_hostile_names_of_files(library: KnowledgeLibrary, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("a\x1b]0;x\x07b.md", "new\nline.md", "[red].md", "' OR 1=1 --.md", "%00.md"):
        (folder / name).write_text("giraffe")
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.md"))).write_text("giraffe")
    report = library.add("odd", [folder])
    assert len(report.added) == 5
    assert [one.why for one in report.skipped] == ["has a name that is no text"]
    found = library.search(["odd"], "giraffe", limit=10)
    assert len(found) == 5 and not any("\x1b" in one.title or "\n" in one.title for one in found)


# Meanings

MEANINGS = {"car": 0, "automobile": 0, "vehicle": 0, "banana": 1, "fruit": 1}


class Endpoint(BaseHTTPRequestHandler):
    """Gives vectors in which words of one meaning are the same."""

    asked: list[dict[str, Any]] = []
    keys: list[str | None] = []
    mood = ""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Endpoint.asked.append(body)
        Endpoint.keys.append(self.headers["Authorization"])
        rows = []
        for index, text in enumerate(body["input"]):
            vector = [0.1, 0.1, 0.1]
            for word, place in MEANINGS.items():
                vector[place] += text.lower().count(word)
            rows.append({"index": index, "embedding": vector})
        if Endpoint.mood == "short":
            rows.pop()
        answer = json.dumps({"data": list(reversed(rows))}).encode()
        if Endpoint.mood == "nonsense":
            answer = b"<html>"
        self.send_response(401 if Endpoint.mood == "locked" else 200)
        self.end_headers()
        self.wfile.write(answer if Endpoint.mood != "locked" else b'{"error": {"message": "bad key secret-key"}}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    Endpoint.asked, Endpoint.keys, Endpoint.mood = [], [], ""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def garage(tmp_path: Path) -> Path:
    folder = tmp_path / "garage"
    folder.mkdir()
    (folder / "a.md").write_text("# One\nThe automobile is washed on Mondays.")
    (folder / "b.md").write_text("# Two\nA banana is eaten on Mondays.")
    return folder


def test_meanings_find_what_words_do_not(
    library: KnowledgeLibrary, store: Store, garage: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add("plain", [garage])
    assert titles(library, "clean the vehicle", "plain") == []
    monkeypatch.setenv("GARAGE_KEY", "secret-key")
    report = library.add("desk", [garage], embeddings=Embeddings(f"{endpoint}/v1/embeddings", "tiny", "GARAGE_KEY"))
    assert report.vectors == 2 and report.problem is None
    assert titles(library, "clean the vehicle")[0] == "One"
    assert titles(library, "some fruit")[0] == "Two"
    assert Endpoint.asked[0]["model"] == "tiny" and set(Endpoint.keys) == {"Bearer secret-key"}
    assert b"secret-key" not in b"".join(path.read_bytes() for path in store.path.parent.glob("finetui.db*"))
    asked = len(Endpoint.asked)
    (garage / "c.md").write_text("# Three\nAny vehicle and any car.")
    assert library.add("desk", [garage]).vectors == 1, "what is new gets its vector without being told"
    assert len(Endpoint.asked) == asked + 1 and len(Endpoint.asked[-1]["input"]) == 1
    assert set(titles(library, "automobile")[:2]) == {"One", "Three"}
    again = library.add("desk", [garage], embeddings=Embeddings(endpoint, "tiny"))
    assert again.vectors == 0, "the same model elsewhere"
    assert library.add("desk", [garage], embeddings=Embeddings(endpoint, "other")).vectors == 3


@pytest.mark.parametrize("mood", ["short", "nonsense", "locked"])
def test_an_endpoint_that_fails_leaves_the_words(
    library: KnowledgeLibrary, garage: Path, endpoint: str, mood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GARAGE_KEY", "secret-key")
    library.add("desk", [garage], embeddings=Embeddings(endpoint, "tiny", "GARAGE_KEY"))
    Endpoint.mood = mood
    answer = library.answer(["desk"], "automobile")
    assert [passage.title for passage in answer.passages] == ["One"]
    assert isinstance(answer.problem, FinetuiError) and "secret-key" not in str(answer.problem)
    (garage / "c.md").write_text("zebra")
    report = library.add("desk", [garage])
    assert report.problem is not None and report.vectors == 0 and "secret-key" not in str(report.problem)
    assert titles(library, "zebra") == ["c.md"]
    Endpoint.mood = ""
    assert library.add("desk", [garage]).vectors == 1, "the next time goes on from there"


def test_nobody_listens(library: KnowledgeLibrary, garage: Path) -> None:
    report = library.add("desk", [garage], embeddings=Embeddings("http://127.0.0.1:9", "tiny"))
    assert report.problem is not None and "cannot be reached" in report.problem.what
    assert titles(library, "banana") == ["Two"]


@pytest.mark.parametrize(
    "embeddings",
    [
        Embeddings("ftp://x", "m"),
        Embeddings("http://me:pass@host", "m"),
        Embeddings("http://host", " "),
        Embeddings("http://host", "m", "NOT_SET_ANYWHERE"),
    ],
)
def test_embeddings_that_cannot_be_are_refused_first(
    library: KnowledgeLibrary, garage: Path, embeddings: Embeddings
) -> None:
    with pytest.raises(BadInput):
        library.add("desk", [garage], embeddings=embeddings)
    assert library.all() == []


def test_ranks_are_fused_as_in_the_paper() -> None:
    found = fused([[1, 2], [2, 3]], 3)
    assert [key for key, _ in found] == [2, 1, 3]
    assert [score for _, score in found] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])
    assert fused([], 3) == [] and len(fused([[1, 2, 3]], 2)) == 2
