"""What a half-typed path to notes could become: folders, and files that can be read as notes."""

import os
from pathlib import Path

from tui.format import fmt_bytes
from tui.widgets.path_candidates import MOST, MOST_READ, Candidate


def note_candidates(text: str, cwd: Path | None = None) -> list[Candidate]:
    """Completions of `text`, folders first: a folder is what one mostly adds. Reads a folder."""
    from engine.knowledge.reading import SUFFIXES

    typed = Path(text).expanduser() if text else Path()
    folder = typed if text.endswith("/") or not text else typed.parent
    part = "" if text.endswith("/") or not text else typed.name
    head = text[: len(text) - len(part)] if text else ""
    files: list[Candidate] = []
    folders: list[Candidate] = []
    try:
        with os.scandir((cwd or Path.cwd()) / folder) as entries:
            for entry, _ in zip(entries, range(MOST_READ), strict=False):
                name = entry.name
                if not name.lower().startswith(part.lower()) or (name.startswith(".") and not part.startswith(".")):
                    continue
                if entry.is_dir():
                    folders.append(Candidate(f"{head}{name}/", f"{name}/", ""))
                elif name != part and "." in name and Path(name).suffix.lower() in SUFFIXES:
                    files.append(Candidate(f"{head}{name}", name, fmt_bytes(entry.stat().st_size)))
    except (OSError, ValueError, RuntimeError):  # no such folder, not ours to read, or no path: nothing to complete
        return []
    folders.sort(key=lambda one: one.label.lower())
    files.sort(key=lambda one: one.label.lower())
    return (folders + files)[:MOST]
