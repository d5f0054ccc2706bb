"""What a half-typed source leads to: completions, a preview of its rows, a hub name, or why not. For a thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from tui.errors import Explained, explain
from tui.widgets.import_preview import problem_lines, row_lines, verdict_lines
from tui.widgets.path_candidates import HUB, Candidate, candidates, is_pattern

if TYPE_CHECKING:
    from engine.datasets.importing import ImportPreview

NOTHING = "nothing of that name: JSONL, JSON, CSV, TSV, Parquet and text are read, each also gzipped"
ON_HUB = "A name on the hub, as hub:NAME or hub:NAME:split. Enter fetches its rows; then they are shown here."


class Reading(NamedTuple):
    """How the rows are to be read: by themselves, or as the mapping screen was told."""

    shape: str = "auto"
    mapping: Mapping[str, str] | None = None

    @property
    def told(self) -> bool:
        """Whether somebody said it."""
        return self.shape != "auto" or self.mapping is not None


class Asked(NamedTuple):
    """What to look at."""

    text: str
    reading: Reading = Reading()
    where: str = ""
    fetched: Path | None = None
    """Where the rows of a hub name are, once they have been fetched."""


@dataclass(frozen=True)
class Look:
    """What came of it."""

    asked: Asked
    found: list[Candidate] = field(default_factory=list)
    source: Path | str | None = None
    """What would be imported: a file, a folder, a pattern."""
    preview: "ImportPreview | None" = None
    problem: Explained | None = None
    where_problem: Explained | None = None
    matching: int | None = None
    """How many of the preview's first rows the filter keeps; `None` without one, or where tokens must be counted."""

    @property
    def on_hub(self) -> bool:
        """Whether it is a name on the hub whose rows are not here yet."""
        return self.asked.text.startswith(HUB) and self.asked.fetched is None

    @property
    def ready(self) -> bool:
        """Whether there are rows to import."""
        return self.preview is not None and self.where_problem is None

    @property
    def unsure(self) -> bool:
        """Whether somebody has to say which column is what."""
        return self.preview is not None and self.preview.unsure and not self.asked.reading.told


Preview = Callable[..., "ImportPreview"]


def look_at(asked: Asked, preview: Preview, before: Look | None = None) -> Look:
    """Follow what was typed. Reads files and folders, unless `before` was the same but for the filter."""
    source: Path | str | None = None
    try:
        source = _source_of(asked)
        if source is None:
            return Look(asked, _candidates(asked.text))
        if (
            before is not None
            and before.preview is not None
            and asked._replace(where=before.asked.where) == before.asked
        ):
            found = before.preview
        else:
            found = preview(source, asked.reading.shape, mapping=asked.reading.mapping)
    except Exception as error:  # shown in the place of the preview
        return Look(asked, source=source, problem=explain(error))
    matching, problem = _matching(asked.where, found)
    return Look(asked, source=source, preview=found, where_problem=problem, matching=matching)


def _source_of(asked: Asked) -> Path | str | None:
    """What would be imported, or `None` while the text is not all of a path."""
    text = asked.text
    if text.startswith(HUB):
        return asked.fetched
    if not text or text.endswith("/"):
        return None
    path = Path(text).expanduser()
    if path.is_file() or (path.is_dir() and (text == "." or text.endswith("/."))):
        return path
    return str(path) if is_pattern(text) else None


def _candidates(text: str) -> list[Candidate]:
    from engine.runs.backends.local import SAMPLES

    return candidates(text, SAMPLES)


def _matching(where: str, found: "ImportPreview") -> tuple[int | None, Explained | None]:
    """How many of the rows at hand a filter keeps, and what is wrong with it."""
    if not where:
        return None, None
    from engine.datasets.filter import compile_filter

    try:
        chosen = compile_filter(where)
    except Exception as error:  # shown in the place of the preview
        return None, explain(error)
    if chosen.needs_tokens:
        return None, None
    return sum(chosen.matches(row, None) for row in found.first), None


def look_lines(look: Look, width: int, room: int) -> list[Content]:
    """What a look came to, in at most `room` lines."""
    if look.problem is not None:
        return problem_lines(look.problem)[:room]
    if look.preview is None:
        if look.on_hub:
            return [Content(ON_HUB).stylize("$text-muted")]
        return [] if look.found or not look.asked.text else [Content(NOTHING).stylize("$text-warning")]
    lines = verdict_lines(look.preview, width, told=look.asked.reading.told)
    if look.where_problem is not None:
        lines += problem_lines(look.where_problem)
    elif look.matching is not None:
        words = f"the filter keeps {look.matching} of the first {len(look.preview.first)} rows"
        lines.append(Content(words).stylize("$text-muted" if look.matching else "$text-warning"))
    return [*lines, *row_lines(look.preview.first, width, max(3, room - len(lines)))]
