"""What is to be said about the runs of a report: why they failed, what was found out about them, their alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.insight.failures import failure_of
from engine.reports.lanes import Lane
from engine.withheld import without_secrets
from store import Store
from store.records import Status

_RANKS = ("error", "warning", "info")
_MOST_ALERTS = 20


@dataclass(frozen=True)
class Remark:
    """`level` is `error`, `warning` or `info`; `evidence` are the figures that it rests on, in words."""

    lane: Lane
    level: str
    title: str
    why: str
    evidence: list[str]
    act: str
    """What to do about it."""
    dismissed: bool = False


def read_remarks(store: Store, lanes: Sequence[Lane]) -> list[Remark]:
    """The worst first; those that somebody dismissed last."""
    remarks = [remark for lane in lanes for remark in (*_failure(store, lane), *_findings(store, lane))]
    remarks += [remark for lane in lanes for remark in _alerts(store, lane)]
    return sorted(remarks, key=lambda remark: (remark.dismissed, _RANKS.index(remark.level), remark.lane.slot))


def _failure(store: Store, lane: Lane) -> list[Remark]:
    if lane.run.status not in (Status.FAILED, Status.LOST):
        return []
    failure = failure_of(store, lane.run)
    if failure is None:
        return [Remark(lane, "error", lane.run.status.capitalize(), _text(lane.run.reason), [], "")]
    return [Remark(lane, "error", _text(failure.title), _text(failure.why), [], _text(failure.suggestion))]


def _findings(store: Store, lane: Lane) -> list[Remark]:
    return [
        Remark(
            lane,
            row.level if row.level in _RANKS else "info",
            _text(row.body.get("title")) or row.code.replace("_", " "),
            _text(row.body.get("why")),
            [words for item in _list(row.body.get("evidence")) if (words := _text(item.get("words")))],
            "; ".join(offer for item in _list(row.body.get("acts")) if (offer := _text(item.get("offer")))),
            row.dismissed is not None,
        )
        for row in store.findings.of(lane.run.id)
    ]


def _alerts(store: Store, lane: Lane) -> list[Remark]:
    """One of a kind: the last. A failure is told as an alert too, and was said already."""
    last: dict[str, Remark] = {}
    for event in store.runs.events(lane.run.id, ["alert"], limit=_MOST_ALERTS):
        body = event.body
        code, message = _text(body.get("code")), _text(body.get("message"))
        if not message or (lane.run.failure and code == lane.run.failure):
            continue
        level = body.get("level") if body.get("level") in _RANKS else "info"
        last[code or message] = Remark(lane, str(level), message, "", [], _text(body.get("fix")))
    return list(last.values())


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return without_secrets(value).strip() if isinstance(value, str) else ""
