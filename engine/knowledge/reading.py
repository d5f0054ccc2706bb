"""Files read as notes: plain text, Markdown, web pages and PDFs, each by its content first."""

import codecs
import re
import stat
from collections.abc import Callable
from pathlib import Path

from engine.knowledge.html_text import text_of_html
from engine.knowledge.note import Note, Part, Unreadable
from engine.knowledge.pdf import PdfReading

MOST_BYTES = 16 << 20
"""Of a text; a PDF may have more, most of it pictures."""
MOST_PDF_BYTES = 256 << 20

MARKDOWN = {".md", ".markdown", ".mdown", ".mkd", ".rst", ".qmd"}
TEXT = {".txt", ".text", ".adoc", ".asciidoc", ".org", ".tex", ""}
HTML = {".html", ".htm", ".xhtml"}
PDF = {".pdf"}
SUFFIXES = MARKDOWN | TEXT | HTML | PDF
"""The names that files of a folder have to have to be read; a file that is named itself may have any."""

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([A-Za-z0-9_-]{2,20})""", re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_FOREIGN = {
    b"PK\x03\x04": "is an archive, or a document of an office program: export it as PDF or text",
    b"\xd0\xcf\x11\xe0": "is a document of an office program: export it as PDF or text",
    b"SQLite format 3": "is a database",
    b"\x1f\x8b": "is compressed: unpack it",
    b"\x89PNG": "is a picture",
    b"\xff\xd8\xff": "is a picture",
    b"GIF8": "is a picture",
}


def read_note(path: Path, pdf: PdfReading, stop: Callable[[], bool] | None = None) -> Note:
    """What the file at `path` says. Raises `Unreadable` with the reason, `Cancelled` once `stop()` says so."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("is not a file")
        with path.open("rb") as file:
            head = file.read(1024)
            is_pdf = b"%PDF-" in head
            most = MOST_PDF_BYTES if is_pdf else MOST_BYTES
            if status.st_size > most:
                raise Unreadable(f"is larger than {most >> 20} MB")
            if is_pdf:
                return pdf.read(path, stop)
            data = head + file.read(MOST_BYTES)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    return _text_note(path, data)


def _text_note(path: Path, data: bytes) -> Note:
    suffix = path.suffix.lower()
    if suffix in PDF:
        raise Unreadable("is no PDF, whatever its name says")
    start = data[:200].lstrip().lower()
    is_html = suffix in HTML or start.startswith((b"<!doctype html", b"<html"))
    text = text_of_bytes(data, is_html=is_html).replace("\r\n", "\n").replace("\r", "\n")
    if is_html:
        text = text_of_html(text)
    if not text.strip():
        raise Unreadable("is empty" if not is_html else "has no text")
    return Note(path.name, (Part(text, lines=not is_html),), headings=is_html or suffix in MARKDOWN)


def text_of_bytes(data: bytes, *, is_html: bool = False) -> str:
    """The text of a file: UTF-8, UTF-16, what a page names, else Windows-1252. Raises `Unreadable` for what is none."""
    kind = next((kind for magic, kind in _FOREIGN.items() if data.startswith(magic)), None)
    if kind is not None:
        raise Unreadable(kind)
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if encoding := _utf16(data[:1000]):
        return data.decode(encoding, "replace")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _in_another(data, _CHARSET.search(data[:4096]) if is_html else None)
    head = text[:4096]
    if "\0" in head or len(_CONTROLS.findall(head)) > max(5, len(head) // 10):
        raise Unreadable("is a binary file")
    return text


def _in_another(data: bytes, named: "re.Match[bytes] | None") -> str:
    if b"\0" in data[:4096]:
        raise Unreadable("is a binary file")
    name = named.group(1).decode("ascii") if named else "cp1252"
    try:
        return data.decode(name, "replace")
    except LookupError:
        return data.decode("cp1252", "replace")


def _utf16(head: bytes) -> str:
    """Which UTF-16 western text without a byte order mark is in: every other byte is NUL."""
    half = len(head) // 2
    if half > 1 and head[1::2].count(0) > 0.8 * half and head[0::2].count(0) == 0:
        return "utf-16-le"
    if half > 1 and head[0::2].count(0) > 0.8 * half and head[1::2].count(0) == 0:
        return "utf-16-be"
    return ""
