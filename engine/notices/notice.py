"""What is worth telling somebody who does not look: a run ended, failed, fell silent, or shows a fault."""

from dataclasses import asdict, dataclass
from typing import Any

from engine.figures import fmt_duration, fmt_number, fmt_when
from engine.insight.failure_words import TITLES
from engine.notices.kinds import Kind
from engine.runs.failure_codes import FailureCode
from engine.text import clean_line, shorten

LONGEST = 400
"""Characters of a notice's body: more is cut by those who show it."""


@dataclass(frozen=True)
class Notice:
    """One thing that happened to a run, in words without control characters."""

    kind: Kind
    run_id: str
    run: str
    """The run's name."""
    title: str
    body: str
    level: str
    """`info`, `warning` or `error`."""
    status: str
    code: str = ""
    """Of a failure or a finding: a name that does not change."""

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.title}. {self.body}".strip() if self.body else self.title

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def ended(run_id: str, name: str, *, took_s: float | None, best: float | None, best_step: int | None) -> Notice:
    """A run came to its end as it was meant to."""
    words = []
    if best is not None:
        where = f" at step {best_step:,}" if best_step is not None else ""
        words.append(f"best eval loss {fmt_number(best)}{where}")
    if took_s is not None:
        words.append(f"took {fmt_duration(took_s)}")
    return _notice(Kind.ENDED, run_id, name, f"{name} is done", ", ".join(words), "info", "succeeded")


def failed(run_id: str, name: str, *, status: str, reason: str, code: str = "", fix: str = "") -> Notice:
    """A run failed, or its processes are gone."""
    title = TITLES[FailureCode(code)] if code in {one.value for one in FailureCode} else "it failed"
    body = " ".join(part.rstrip(".") + "." for part in (reason, fix) if part)
    return _notice(Kind.FAILED, run_id, name, f"{name} failed: {title}", body, "error", status, code)


def stalled(run_id: str, name: str, *, since: float, status: str) -> Notice:
    """Nothing is heard of a live run since `since`, unix seconds."""
    title = f"{name} is silent since {fmt_when(since)}"
    return _notice(Kind.STALLED, run_id, name, title, "It may recover by itself.", "warning", status)


def finding(run_id: str, name: str, *, code: str, level: str, title: str, why: str, offer: str, status: str) -> Notice:
    """A run's own figures show that something is wrong; `offer` is what can be done."""
    help_ = f" In the app, a: {offer}." if offer else ""
    return _notice(Kind.FINDING, run_id, name, f"{name}: {title}", f"{why}{help_}", level, status, code)


def _notice(
    kind: Kind, run_id: str, name: str, title: str, body: str, level: str, status: str, code: str = ""
) -> Notice:
    words = shorten(clean_line(body), LONGEST)
    return Notice(kind, run_id, clean_line(name), shorten(clean_line(title), 120), words, level, status, code)
