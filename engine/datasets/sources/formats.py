"""What a file is: by its content first, and by its name where the content leaves it open."""

import codecs
import re
from pathlib import Path, PurePath

from engine.datasets.sources.json_rows import is_json, json_format
from engine.datasets.sources.opening import FORMATS, HEAD_BYTES, empty, opened, unusable
from engine.errors import BadInput

TABLES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}
TEXTS = {".txt": "text", ".text": "text", ".md": "text", ".markdown": "text"}
STRUCTURED = {".jsonl", ".ndjson", ".json", ".parquet", *TABLES}
SUFFIXES = {*STRUCTURED, *TEXTS}
"""Names that the files of a folder must have to be read."""

_MAGIC = {
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF",
    b"ARROW1": "an Arrow file",
    b"\xff\xff\xff\xff": "an Arrow file",
    b"SQLite format 3": "a database",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x1f\x8b": "gzipped more than once",
}
_ARCHIVES = {"a ZIP archive", "a tar archive"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
_OBJECTS = re.compile(rb'\{\s*["}]|\[\s*\{')


def suffix_of(path: PurePath) -> str:
    """`.csv` of `x.csv` and of `X.CSV.GZ`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def detect_format(path: Path) -> str:
    """`jsonl`, `json`, `csv`, `tsv`, `parquet` or `text`. Raises `BadInput`, `EmptyFile`, for what is none of them."""
    with opened(path) as stream:
        head = stream.head
        if head.startswith(b"PAR1"):
            return "parquet"
        _refuse_foreign(path, head)
        start = head.removeprefix(_BOM).lstrip()
        suffix = suffix_of(path)
        by_name = TABLES.get(suffix) or TEXTS.get(suffix)
        if not start:
            if len(head) == HEAD_BYTES:  # a lot of white space, and perhaps something then
                return by_name or "jsonl"
            raise empty(path)
        if by_name and not _OBJECTS.match(start):
            _refuse_binary(path, head, by_name=True)
            return by_name
        if start[:1] in b"{[" or is_json(start.split(b"\n", 1)[0]):
            return json_format(stream)
        _refuse_binary(path, head, by_name=False)
        raise _unknown(path, suffix, start)


def _refuse_foreign(path: Path, head: bytes) -> None:
    text_fix = "Save it as UTF-8."
    if head.startswith(_UTF16) or _looks_utf16(head):
        raise unusable(path, "is UTF-16 text.", fix=text_fix)
    if head.startswith(b"version https://git-lfs.github.com"):
        why = "It only names the data, which Git keeps elsewhere."
        raise unusable(path, "is a Git LFS pointer.", why=why, fix="Run `git lfs pull` in its folder.")
    if head[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        why = "A page came instead of the file, as it does where a login is needed."
        raise unusable(path, "is a web page.", why=why, fix="Download the file itself.")
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind is None and head[257:262] == b"ustar":
        kind = "a tar archive"
    if kind:
        fix = "Unpack it and import the folder." if kind in _ARCHIVES else "Export its rows as JSONL and import that."
        raise unusable(path, f"is {kind}.", fix=fix)


def _looks_utf16(head: bytes) -> bool:
    """Whether every other byte is NUL, as in western text without a byte order mark."""
    half = len(head[:1000]) // 2
    return half > 1 and max(head[0:1000:2].count(0), head[1:1000:2].count(0)) > 0.8 * half


def _refuse_binary(path: Path, head: bytes, *, by_name: bool) -> None:
    """Refuse what has NUL bytes; where the name says text, only if it is not UTF-8 either: else its rows are told."""
    binary = b"\0" in head
    if binary and by_name:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
            binary = False
        except UnicodeDecodeError:
            pass
    if binary:
        raise unusable(path, "is a binary file.", fix="Export its rows as JSONL and import that.")


def _unknown(path: Path, suffix: str, start: bytes) -> BadInput:
    first = start.split(b"\n", 1)[0][:60].decode("utf-8", "replace").strip()
    why = f"It starts with {first!r}. {FORMATS}"
    if suffix == ".parquet":
        return unusable(path, "is not a Parquet file.", why=why, fix="Download or write it again.")
    if suffix in (".json", ".jsonl", ".ndjson"):
        return unusable(path, "is not JSON.", why=why)
    fix = "If it is a table or plain text, give it a name that ends in .csv, .tsv or .txt."
    return unusable(path, "is of no kind that can be told.", why=why, fix=fix)
