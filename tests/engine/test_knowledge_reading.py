"""Files read as notes: what is text is read, what is not is named with its reason, and nothing hangs."""

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput, Cancelled
from engine.knowledge.finding import Found, find_files
from engine.knowledge.html_text import text_of_html
from engine.knowledge.note import Note, Unreadable
from engine.knowledge.pdf import PdfReading
from engine.knowledge.reading import read_note
from tests.engine.pdf_made import assembled, bomb, pdf


@pytest.fixture(scope="module")
def pdfs() -> Iterator[PdfReading]:
    with PdfReading() as reading:
        yield reading


def note_of(path: Path, data: bytes, pdfs: PdfReading) -> Note:
    path.write_bytes(data)
    return read_note(path, pdfs)


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.txt", "Grüße".encode(), "Grüße"),
        ("a.md", b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe\r\nda", "Grüße\nda"),
        ("a.txt", "Grüße".encode("utf-16"), "Grüße"),
        ("a.txt", "Grüße and more".encode("utf-16-le"), "Grüße and more"),
        ("a.txt", "Grüße and more".encode("utf-16-be"), "Grüße and more"),
        ("a.txt", "Grüße – “so”".encode("cp1252"), "Grüße – “so”"),
        ("a.html", b'<meta charset="iso-8859-2"><p>\xb3\xf3d\xbc', "łódź"),
        ("a.html", b'<meta charset="nonsense"><p>\xfc', "ü"),
        ("README", b"no ending", "no ending"),
    ],
)
def test_text_of_any_encoding(tmp_path: Path, pdfs: PdfReading, name: str, data: bytes, text: str) -> None:
    assert note_of(tmp_path / name, data, pdfs).parts[0].text == text


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b" \n\n", "is empty"),
        ("a.txt", bytes(range(256)) * 20, "is a binary file"),
        ("a.txt", b"\xff\x00\x12\x00" + random.Random(5).randbytes(64) + b"\0\0\0", "is a binary file"),
        ("a.txt", b"text\x01\x02\x03\x04\x05\x06 and", "is a binary file"),
        ("a.md", b"PK\x03\x04rest", "is an archive"),
        ("a.html", b"<html><script>only code</script></html>", "has no text"),
        ("a.pdf", b"plain text", "is no PDF"),
        ("a.pdf", b"%PDF-1.7\ngarbage", "damaged"),
        ("a.pdf", pdf("some text")[:300], "damaged"),
        ("a.pdf", pdf(), "has no text"),
        ("a.pdf", pdf("", ""), "has no text"),
    ],
)
def test_what_is_no_note_says_why(tmp_path: Path, pdfs: PdfReading, name: str, data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        note_of(tmp_path / name, data, pdfs)


def test_what_is_no_file_is_not_opened(tmp_path: Path, pdfs: PdfReading) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for path, why in ((tmp_path / "pipe.txt", "not a file"), (tmp_path, "not a file"), (tmp_path / "no", "cannot be")):
        with pytest.raises(Unreadable, match=why):
            read_note(path, pdfs)


def test_what_is_too_large_is_not_read(tmp_path: Path, pdfs: PdfReading) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(Unreadable, match="larger than 16 MB"):
        read_note(path, pdfs)


def test_a_pdf_is_read_page_by_page(tmp_path: Path, pdfs: PdfReading) -> None:
    note = note_of(tmp_path / "a.pdf", pdf("First page (one)", "", "Third page\nsecond line"), pdfs)
    assert [(part.page, part.text.split()) for part in note.parts] == [
        (1, ["First", "page", "(one)"]),
        (3, ["Third", "page", "second", "line"]),
    ]
    assert note.problem == ""


def test_one_damaged_page_does_not_cost_the_others(tmp_path: Path, pdfs: PdfReading) -> None:
    data = pdf("First", "Second", "Third").replace(b"/Contents 7 0 R", b"/Contents [9 1 ")
    path = tmp_path / "a.pdf"
    path.write_bytes(data)
    try:
        note = read_note(path, pdfs)
    except Unreadable as error:
        assert "damaged" in str(error)
    else:
        assert note.parts


def test_a_locked_pdf_says_so(tmp_path: Path, pdfs: PdfReading) -> None:
    from pypdf import PdfReader, PdfWriter

    (tmp_path / "open.pdf").write_bytes(pdf("secret"))
    for password, name in (("pass", "locked.pdf"), ("", "owner.pdf")):
        writer = PdfWriter(PdfReader(tmp_path / "open.pdf"))
        writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
        writer.write(tmp_path / name)
    with pytest.raises(Unreadable, match="locked with a password"):
        read_note(tmp_path / "locked.pdf", pdfs)
    assert "secret" in read_note(tmp_path / "owner.pdf", pdfs).parts[0].text


def test_pages_that_go_round_in_a_circle_end(tmp_path: Path, pdfs: PdfReading) -> None:
    circle = assembled([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 9 /Kids [2 0 R 2 0 R] >>"])
    with pytest.raises(Unreadable):
        note_of(tmp_path / "a.pdf", circle, pdfs)
    assert note_of(tmp_path / "b.pdf", pdf("fine"), pdfs).parts, "the next file is read as ever"


def test_a_bomb_is_named_and_the_next_file_is_read(tmp_path: Path) -> None:
    with PdfReading(most_s=4.0) as pdfs:
        with pytest.raises(Unreadable, match=r"no text|damaged|memory|longer than 4 seconds"):
            note_of(tmp_path / "a.pdf", bomb(90), pdfs)
        pdfs._most_s = 60.0  # a process of its own may be needed for the next
        assert note_of(tmp_path / "b.pdf", pdf("fine"), pdfs).parts


SLOW = """
import json, sys, time
for count, line in enumerate(sys.stdin):
    print(json.dumps({"page": 7, "text": "x"}), flush=True)
    if count:
        time.sleep(60)
    print(json.dumps({"end": True, "pages": 1, "problem": ""}), flush=True)
"""


def test_pages_and_time_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PdfReading(most_pages=2) as pdfs:
        note = note_of(tmp_path / "a.pdf", pdf("one", "two", "three"), pdfs)
        assert len(note.parts) == 2 and note.problem == "stops at page 2 of 3"
    slow = tmp_path / "slow.py"
    slow.write_text(SLOW)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text(f"#!/bin/sh\nexec python3 {slow}\n")
    (tmp_path / "python").chmod(0o755)
    with PdfReading() as pdfs:
        assert read_note(tmp_path / "a.pdf", pdfs).problem == ""
        pdfs._most_s = 2.0  # with its process at work
        note = read_note(tmp_path / "a.pdf", pdfs)
        assert note.problem == "stops at page 7: it takes longer than 2 seconds"
    with PdfReading() as pdfs:
        read_note(tmp_path / "a.pdf", pdfs)
        stopped = threading.Event()
        threading.Timer(0.3, stopped.set).start()
        begun = time.monotonic()
        with pytest.raises(Cancelled):
            read_note(tmp_path / "a.pdf", pdfs, stopped.is_set)
        assert time.monotonic() - begun < 10


def test_a_web_page_keeps_its_shape_and_loses_its_scripts() -> None:
    page = """<!doctype html><html><head><title>The &amp; desk</title><style>p { color: red }</style></head>
    <body onload="alert(1)"><nav>Home | About</nav><h2>Reset <em>it</em></h2>
    <p>Open <b>Settings</b>,<br>then go on.</p><script>var secret = "</p>no";</script>
    <ul><li>one</li><li>two<p>more</p></ul><pre><code>x = 1
    if x:
</code></pre><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table><p># no heading</body>"""
    text = text_of_html(page)
    assert text.splitlines()[0] == "# The & desk"
    assert "## Reset it" in text and "Open Settings,\nthen go on." in text and "- one\n- two" in text
    assert "```\nx = 1\n    if x:\n```" in text and "a | b\n1 | 2" in text and "\\# no heading" in text
    assert not any(word in text for word in ("secret", "color", "alert", "Home", "<"))


@pytest.mark.parametrize(
    "page",
    ["<", "<p", "</p></p></pre>", "<!--", "<![CDATA[x", "<head>" * 500, "<div>" * 20_000, "<pre>" * 99 + "</pre>",
     "&#xffffffff; &#0; &bogus;", "<script>never closed", "<title>t", "\x00<p>\x00", "<p " + "a=" * 5000],
    ids=lambda page: page[:8],
)  # fmt: skip
def test_broken_pages_come_to_an_end(page: str) -> None:
    assert "script" not in text_of_html(page)


def test_a_head_that_is_never_closed_does_not_swallow_the_page() -> None:
    assert "read me" in text_of_html("<html><head><meta x><body><p>read me")


# Which files are meant


def tree(folder: Path) -> None:
    for name in (
        "b.md",
        "a.txt",
        "sub/c.html",
        "sub/deep/d.pdf",
        ".hidden/x.md",
        "node_modules/y.md",
        ".e.md",
        "z.png",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "link.md").symlink_to(folder / "b.md")
    (folder / "loop").symlink_to(folder)


def names(found: Found, folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in found.files]


def test_folders_are_looked_through_without_links(tmp_path: Path) -> None:
    tree(tmp_path)
    found = find_files([tmp_path, tmp_path / "b.md"])
    assert names(found, tmp_path) == ["a.txt", "b.md", "sub/c.html", "sub/deep/d.pdf"]
    skipped = {Path(one.path).name: one.why for one in found.skipped}
    assert skipped.pop("z.png").startswith("is no kind of note (.png)")
    assert skipped == {"link.md": "is a link", "loop": "is a link"}


def test_patterns_and_named_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert names(find_files(["*.md"]), tmp_path) == ["b.md"]
    assert names(find_files(["**/*.[hp]*"]), tmp_path) == ["z.png", "sub/c.html", "sub/deep/d.pdf"]
    assert names(find_files(["z.png", "sub"]), tmp_path) == ["z.png", "sub/c.html", "sub/deep/d.pdf"]
    (tmp_path / "odd[1].md").write_text("x")
    assert names(find_files(["odd[1].md"]), tmp_path) == ["odd[1].md"]


@pytest.mark.parametrize("path", ["", " ", "no/such", "a\0b", "*.nothing", "[", "~nobody-here/x", "x" * 5000])
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput):
        find_files([path])


@pytest.mark.parametrize(
    ("root", "path", "covered"),
    [
        ("/n", "/n/a.md", True), ("/n", "/n2/a.md", False), ("/", "/n/a.md", True), ("/n/*.md", "/n/a.md", True),
        ("/n/*.md", "/n/s/a.md", False), ("/n/**/*.md", "/n/a.md", True), ("/n/**/*.md", "/n/s/t/a.md", True),
        ("/n/[ab].md", "/n/a.md", True), ("/n/[!ab].md", "/n/a.md", False), ("/n/?.md", "/n/ab.md", False),
        ("/n/a(.md*", "/n/a(.md", True),
    ],
)  # fmt: skip
def test_what_a_root_would_have_found(root: str, path: str, covered: bool) -> None:
    assert bool(Found(roots=[root]).covers(path)) is covered
