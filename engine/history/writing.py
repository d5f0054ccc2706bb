"""From what a reader says to the event log of a run, line by line."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from engine.history.items import Alert, Damage, Facts, Item, Machine, Part, Row, Skipped, Words, whole_step
from engine.history.naming import STEP_NAMES, Naming, machine_name
from engine.runs.fields import text
from engine.runs.protocol import VERSION
from engine.withheld import without_secrets_as_it_is
from store.records import Status

FLUSH_BYTES = 1 << 20
LONGEST_LOG = 64 << 20
"""Bytes of terminal output that are kept of a run."""
MOST_DAMAGE = 50
"""Damaged parts that are told one by one; after that they are counted."""

_NOT_FINITE = {
    **dict.fromkeys(("NaN", "nan"), "nan"),
    **dict.fromkeys(("Infinity", "inf", "+inf"), "inf"),
    **dict.fromkeys(("-Infinity", "-inf"), "-inf"),
}
_LEVELS = {"error": "error", "warn": "warning", "warning": "warning"}
_DEEPEST = 8


class HistoryWriter:
    """Writes `events.jsonl` and `log.txt` of a run into a folder. Raises `OSError` where that cannot be done."""

    def __init__(self, folder: Path, fallback: float) -> None:
        """`fallback` stands for times that are not known, unix seconds."""
        self._fallback = fallback
        self.facts = Facts()
        self.config: dict[str, Any] = {}
        self.points = 0
        self.damage: list[str] = []
        self.damaged = 0
        self.skipped: Counter[str] = Counter()
        self._folder = folder
        self._events = (folder / "events.jsonl").open("wb")
        self._log: BinaryIO | None = None
        self._logged = 0
        self._lines: list[bytes] = []
        self._held = 0
        self._naming = Naming()
        self._machine: dict[str, tuple[str, float]] = {}
        self._peaks: dict[str, float] = {}
        self._seq = 0
        self._attempt = 1
        self._begun = False
        self._restarted = False
        self._early: list[tuple[str, dict[str, Any]]] = []
        """Alerts of which no time is known yet."""
        self._step = 0
        self._last = 0
        self._t: float | None = None
        self._first_t: float | None = None
        self._best = math.inf
        self._best_step = 0
        self._total: int | None = None

    def take(self, item: Item) -> None:
        """Write what the item comes to."""
        match item:
            case Row():
                self._row(item)
            case Machine():
                self._figures(item)
            case Facts():
                self._learn(item)
            case Words():
                self._words(item.text)
            case Alert():
                self._alert(item.level, "imported_alert", item.title, item.text, item.t)
            case Damage():
                self._damage(item.message)
            case Skipped():
                self.skipped[item.what] += item.count
            case Part():
                self._restarted = self._begun

    def finish(self) -> tuple[float, float]:
        """Write the end. Returns when the run began and ended, unix seconds."""
        facts = self.facts
        began = facts.started if facts.started is not None else self._first_t
        ended = facts.ended if facts.ended is not None else self._t
        began = ended if began is None else began
        began = self._fallback if began is None else began
        ended = max(began, began if ended is None else ended)
        self._t = began if self._t is None else self._t
        self._begin()
        if self._peaks:
            self._write("system", {"step": self._step, "values": self._peaks}, self._t)
        self._write("heartbeat", {"step": self._last}, self._t)
        if self.damaged > len(self.damage):
            more = self.damaged - len(self.damage)
            self._warn(f"{more:,} more parts of the imported files could not be read")
        self._write("end", {"status": facts.status or Status.SUCCEEDED, "reason": text(facts.reason)}, ended)
        self.close()
        return began, ended

    def close(self) -> None:
        """Put everything on the disk."""
        if not self._events.closed:
            self._flush()
            self._events.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    # figures

    def _row(self, row: Row) -> None:
        figures: dict[str, Any] = {}
        evaluations: dict[str, Any] = {}
        values = row.values
        naming = self._naming
        if "train_loss" in values:
            naming.expect(values)
        step = whole_step(row.step)
        for name, value in _figures(values, self.skipped):
            if name in STEP_NAMES and (said := whole_step(value)) is not None:
                step = said
                continue
            known = naming.of(name)
            if known[:5] == "eval/":
                evaluations[known] = value
            else:
                figures[known] = value
        if not figures and not evaluations:
            return
        if step is None:
            if row.step is not None and _number(row.step) is not None and float(row.step) < 0:
                self.skipped["points at steps below 0"] += len(figures) + len(evaluations)
                return
            step = self._step + 1 if self.points else 0
        t = self._at(row.t)
        self._begin()
        if self._restarted:
            self._restart(max(0, step - 1), t)
        self._step = step
        self._last = max(self._last, step)
        self.points += len(figures) + len(evaluations)
        if figures:
            self._write("metrics", {"step": step, "values": figures}, t)
        if evaluations:
            fields: dict[str, Any] = {"step": step, "values": evaluations}
            loss = evaluations.get("eval/loss")
            if isinstance(loss, (int, float)) and loss < self._best:
                self._best, self._best_step = loss, step
                fields["best"] = True
            self._write("evaluation", fields, t)

    def _figures(self, item: Machine) -> None:
        values: dict[str, Any] = {}
        for name, value in _figures(item.values, self.skipped):
            known = self._machine.get(name)
            if known is None:
                known = self._machine[name] = machine_name(name)
            here, factor = known
            if factor != 1 and not isinstance(value, str):
                value = float(value * factor)
            values[here] = value
            if here.endswith("/memory_used_bytes") and isinstance(value, (int, float)):
                peak = here.replace("_used_", "_peak_")
                self._peaks[peak] = max(self._peaks.get(peak, 0.0), value)
        if values:
            t = self._at(item.t)
            self._begin()
            self.points += len(values)
            self._write("system", {"step": self._step, "values": values}, t)

    # what else is said

    def _learn(self, facts: Facts) -> None:
        now = self.facts
        now.name = facts.name or now.name
        now.tags = tuple(dict.fromkeys((*now.tags, *facts.tags)))
        now.notes = facts.notes or now.notes
        now.started = now.started if facts.started is None else facts.started
        now.ended = facts.ended if facts.ended is not None else now.ended
        if facts.status is not None:
            now.status, now.reason = facts.status, facts.reason
        self.config.update(facts.config)
        total = whole_step(facts.total_steps) or whole_step(facts.config.get("max_steps"))
        if total and total != self._total:
            self._total = total
            if self._begun:
                self._write("plan", {"total_steps": self._total}, self._at(None))

    def _words(self, words: str) -> None:
        if self._logged > LONGEST_LOG:
            return
        if self._log is None:
            self._log = (self._folder / "log.txt").open("wb")
        line = without_secrets_as_it_is(words).encode("utf-8", "replace")
        self._logged += len(line)
        if self._logged > LONGEST_LOG:
            line = b"\n(what was written after this was not imported)\n"
        self._log.write(line)

    def _damage(self, message: str) -> None:
        self.damaged += 1
        if len(self.damage) < MOST_DAMAGE:
            self.damage.append(message)
            self._warn(message)

    def _warn(self, message: str) -> None:
        self._alert("warning", "import_damaged", message, "", None)

    def _alert(self, level: str, code: str, title: str, words: str, t: float | None) -> None:
        message = text(without_secrets_as_it_is(": ".join(part for part in (title, words) if part)))
        fields = {"level": _LEVELS.get(level.lower(), "info"), "code": code, "message": message}
        t = self._at(t)
        if t is None:
            self._early.append(("alert", fields))
            return
        self._begin()
        self._write("alert", fields, t)

    # lines

    def _begin(self) -> None:
        """Before the first event: that it trains, and how far it wants to go."""
        if self._begun:
            return
        self._begun = True
        t = self._t if self.facts.started is None else self.facts.started
        self._write("state", {"status": Status.TRAINING, "from_step": 0}, t)
        if self._total is not None:
            self._write("plan", {"total_steps": self._total}, t)
        for kind, fields in self._early:
            self._write(kind, fields, t)
        self._early.clear()

    def _restart(self, from_step: int, t: float | None) -> None:
        """The run was started again after `from_step`: what it had beyond that counts no more."""
        self._restarted = False
        self._attempt += 1
        if self._best_step > from_step:
            self._best = math.inf
        self._write("state", {"status": Status.TRAINING, "from_step": from_step}, t)

    def _at(self, t: float | None) -> float | None:
        """The time of an event: that which it says, else that of the one before."""
        if t is not None and -1e12 < t < 1e12:
            self._t = t
            if self._first_t is None:
                self._first_t = t
        elif self._t is None:
            self._t = self.facts.started
        return self._t

    def _write(self, kind: str, fields: dict[str, Any], t: float | None) -> None:
        t = self._fallback if t is None else t
        event = {"v": VERSION, "seq": self._seq, "t": round(t, 3), "attempt": self._attempt, "kind": kind}
        line = orjson.dumps(event | fields, option=orjson.OPT_APPEND_NEWLINE)
        self._seq += 1
        self._lines.append(line)
        self._held += len(line)
        if self._held > FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._events.write(b"".join(self._lines))
        self._lines.clear()
        self._held = 0


def _figures(
    values: Mapping[str, Any], skipped: Counter[str], head: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Names and numbers, those that JSON lacks as the log has them; what is no number is counted."""
    for name, value in values.items():
        kind = type(value)
        if head:
            name = f"{head}.{name}"
        if kind is float:
            yield name, value if -math.inf < value < math.inf else str(value)
        elif kind is int:
            yield name, value if -(1 << 53) < value < 1 << 53 else _large(value)
        elif kind is bool:
            yield name, int(value)
        elif kind is str:
            if value in _NOT_FINITE:
                yield name, _NOT_FINITE[value]
            else:
                skipped["texts"] += 1
        elif isinstance(value, dict):
            if "_type" in value or depth >= _DEEPEST:
                skipped[_media(value)] += 1
            else:
                yield from _figures(value, skipped, name, depth + 1)
        elif value is not None:
            skipped["lists"] += 1


_MEDIA = {
    "histogram": "histograms",
    "image-file": "images",
    "images/separated": "images",
    "images": "images",
    "image": "images",
    "table-file": "tables",
    "table": "tables",
    "audio-file": "audio",
    "audio": "audio",
    "video-file": "videos",
    "videos": "videos",
    "video": "videos",
}


def _media(value: Mapping[str, Any]) -> str:
    kind = str(value.get("_type", "")).removeprefix("trackio.")
    return _MEDIA.get(kind, "other media")


def _large(value: int) -> float | str:
    try:
        return float(value)
    except OverflowError:
        return "inf" if value > 0 else "-inf"


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and abs(value) < 1e300 else None
