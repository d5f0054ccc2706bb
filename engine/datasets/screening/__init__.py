"""Screening for personal data and harmful content: off unless asked for; it reports, and never drops a row.

Kinds of findings: `personal` (by the forms of `personal` and `secrets`), `harmful` (by the lists of `words/`), and
`own` (by a list of the user's). Turns of every role, both answers of a pair, calls of tools and text are looked at.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets.rows import Row
from engine.datasets.scan import scan
from engine.datasets.screening import harmful, personal, secrets
from engine.datasets.screening.rules import Hit
from engine.errors import BadInput
from store.records import Dataset

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary

__all__ = ["KINDS", "Finding", "screen", "screen_rows", "screening_to_json"]

KINDS = ("personal", "harmful")
"""What can be asked for; a list of one's own comes on top."""

_RULES = (*secrets.RULES, *personal.RULES)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in a row, counted from 1. `field` is like `messages[2].content`.

    `kind` is personal, harmful or own; `rule` names the form, the category or the user's term; `excerpt` is masked.
    """

    row: int
    field: str
    kind: str
    rule: str
    excerpt: str


@dataclass(frozen=True)
class _Asked:
    kinds: tuple[str, ...]
    own: harmful.OwnList | None


def screen(
    library: "DatasetLibrary",
    dataset: Dataset,
    *,
    kinds: Sequence[str] = KINDS,
    words: Path | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Finding]:
    """All findings in row order. `words` is a list of one's own: a term or a /pattern/ a line.

    Raises `BadInput` for a kind that there is not, and for a list that cannot be used; `Cancelled`.
    """
    asked = _asked(kinds, words)
    path = library.path(dataset.id)
    return [
        finding
        for found in scan(path, _screen_chunk, asked, progress=progress, cancelled=cancelled)
        for finding in found
    ]


def screen_rows(rows: Iterable[Row], *, kinds: Sequence[str] = KINDS, words: Path | None = None) -> list[Finding]:
    """As `screen`, of rows at hand."""
    return _screen_chunk(list(rows), _asked(kinds, words))


def screening_to_json(findings: Sequence[Finding], rows: int | None = None) -> dict[str, Any]:
    """The findings, and how many rows each kind and rule concerns: each row counts once a kind and once a rule."""
    by_kind: Counter[str] = Counter(kind for kind, _ in {(finding.kind, finding.row) for finding in findings})
    by_rule: Counter[str] = Counter(rule for rule, _ in {(finding.rule, finding.row) for finding in findings})
    counted = {} if rows is None else {"rows": rows}
    return counted | {
        "rows_with_findings": len({finding.row for finding in findings}),
        "kinds": dict(by_kind.most_common()),
        "rules": dict(by_rule.most_common()),
        "findings": [asdict(finding) for finding in findings],
    }


def _asked(kinds: Sequence[str], words: Path | None) -> _Asked:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise BadInput(f"There is no screening for {unknown[0]!r}.", fix=f"Take {' or '.join(KINDS)}.")
    if not kinds and words is None:
        raise BadInput(
            "Nothing is asked to be screened for.", fix=f"Name {' or '.join(KINDS)}, or give a list of words."
        )
    return _Asked(tuple(kinds), harmful.read_own(Path(words)) if words is not None else None)


def _screen_chunk(rows: list[Row], asked: _Asked) -> list[Finding]:
    return [finding for row in rows for finding in _screen_row(row, asked)]


def _screen_row(row: Row, asked: _Asked) -> Iterator[Finding]:
    for name, turns in (("messages", row.messages), ("chosen", row.chosen), ("rejected", row.rejected)):
        for place, turn in enumerate(turns):
            for part, text in (("content", turn.content), ("calls", turn.calls)):
                if text:
                    for kind, hit in _hits(text, asked):
                        yield Finding(row.index + 1, f"{name}[{place}].{part}", kind, hit.rule, hit.excerpt)


def _hits(text: str, asked: _Asked) -> Iterator[tuple[str, Hit]]:
    if "personal" in asked.kinds:
        yield from (("personal", hit) for hit in _personal(text))
    if "harmful" in asked.kinds:
        yield from (("harmful", hit) for hit in sorted(harmful.find_terms(text), key=lambda hit: hit.start))
    if asked.own is not None:
        yield from (("own", hit) for hit in harmful.find_own(text, asked.own))


def _personal(text: str) -> list[Hit]:
    """Every hit but those within what an earlier rule found: a token is not also a phone number."""
    taken: list[Hit] = []
    for rule in _RULES:
        taken += [
            hit
            for hit in rule.hits(text)
            if not any(hit.start < other.end and other.start < hit.end for other in taken)
        ]
    return sorted(taken, key=lambda hit: hit.start)
