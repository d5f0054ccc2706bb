"""What a half-typed path to notes could become: folders, and files that can be read as notes."""

from pathlib import Path

from tui.widgets.path_candidates import MOST, Candidate, entries_like, is_folder, size_words


def note_candidates(text: str, cwd: Path | None = None) -> list[Candidate]:
    """Completions of `text`, folders first: a folder is what one mostly adds. Reads a folder."""
    from engine.knowledge.reading import SUFFIXES

    head, entries = entries_like(text, cwd)
    files: list[Candidate] = []
    folders: list[Candidate] = []
    for entry in entries:
        name = entry.name
        if is_folder(entry):
            folders.append(Candidate(f"{head}{name}/", f"{name}/", ""))
        elif f"{head}{name}" != text and "." in name and Path(name).suffix.lower() in SUFFIXES:
            files.append(Candidate(f"{head}{name}", name, size_words(entry)))
    folders.sort(key=lambda one: one.label.lower())
    files.sort(key=lambda one: one.label.lower())
    return (folders + files)[:MOST]
