"""Reads the text of PDFs in a process of its own: a hostile file may hang it, fill its memory or end it.

`python -m engine.knowledge.pdf_process` takes a line of JSON a file, `{"path", "most_pages"}`, and answers with lines
of JSON: `{"page", "text"}` for each page that has text, `{"skipped": page}` for one that cannot be read, and at the end
`{"end": true, "pages", "problem"}`. `problem` says why there is no text at all.
"""

import json
import logging
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

MEMORY_BYTES = 2 << 30
PAGE_CHARACTERS = 200_000
"""A page that says more is a bomb, or no page."""


def main() -> None:
    """Answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with suppress(OSError):
        os.nice(5)
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(2_000)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            pages, problem = read(Path(asked["path"]), int(asked["most_pages"]), answers)
        except MemoryError:
            pages, problem = 0, "needs too much memory"
        except Exception as error:  # of a damaged file pypdf raises whatever it meets
            pages, problem = 0, f"is a damaged PDF ({type(error).__name__})"
        tell(answers, {"end": True, "pages": pages, "problem": problem})


def read(path: Path, most_pages: int, answers: TextIO) -> tuple[int, str]:
    """Tell the text of each page as it is read. Returns how many pages the file has, and why none could be read."""
    from pypdf import PasswordType, PdfReader

    with path.open("rb") as file:
        reader = PdfReader(file, strict=False)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            return 0, "is locked with a password"
        count = len(reader.pages)
        told = failed = 0
        for number in range(min(count, most_pages)):
            try:
                text = reader.pages[number].extract_text()[:PAGE_CHARACTERS]
            except MemoryError:
                raise
            except Exception:  # one page of many
                failed += 1
                tell(answers, {"skipped": number + 1})
                continue
            if text.strip():
                told += 1
                tell(answers, {"page": number + 1, "text": text})
    if count and failed == min(count, most_pages):
        return count, "is a damaged PDF: none of its pages can be read"
    return count, "" if told else "has no text: its pages are pictures, or empty"


def tell(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
