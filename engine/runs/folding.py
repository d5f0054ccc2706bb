"""What events make of a run. Pure: no file, no store.

The order is that of the log, whatever the clock says, and the outcome is the same however the log is cut into batches.
"""

from collections.abc import Callable
from typing import Any

from engine.runs.cost import price_per_s
from engine.runs.fields import Damaged, figure, finite, number, short, status_of, text, whole, words
from engine.runs.protocol import Chunk, Event
from store.records import TERMINAL, Attempt, EventRow, IngestBatch, Point, Run, RunState, Status

KEPT = frozenset({"state", "plan", "rehearsal", "evaluation", "sample", "checkpoint", "alert", "end"})
"""Kinds that are stored as events, for people to read. The others live on as points and in the run's state."""

_WITHOUT_DEVICES = TERMINAL | {Status.QUEUED}

_ENVELOPE = frozenset({"v", "seq", "t", "attempt", "kind"})


def fold(previous: Run, chunk: Chunk, start: int) -> IngestBatch:
    """What the events of `chunk`, read from byte `start`, make of the run as it was before them."""
    folding = _Folding(previous)
    for event, at in zip(chunk.events, chunk.starts, strict=True):
        folding.take(event, at)
    problems = {problem.offset: problem.message for problem in chunk.problems} | folding.problems
    return IngestBatch(
        run_id=previous.id,
        start=start,
        offset=chunk.offset,
        points=folding.points,
        attempts=list(folding.attempts.values()),
        events=folding.events,
        problems=sorted((at, text(message)) for at, message in problems.items()),
        unknown=folding.unknown,
        last_seq=folding.last_seq,
        updates=folding.updates(),
    )


class _Folding:
    """A run's state while events are applied to it, one after the other."""

    def __init__(self, previous: Run) -> None:
        self.points: dict[tuple[str, int], list[Point]] = {}
        self.attempts: dict[int, Attempt] = {}
        self.events: list[EventRow] = []
        self.problems: dict[int, str] = {}
        self.unknown = 0
        self.last_seq = -1
        self._run = previous
        self._now = RunState.of(previous)
        self._price_per_s = price_per_s(previous.recipe)
        self._columns: dict[str, Callable[[Point], None]] = {}
        self._handlers: dict[str, Callable[[Event, int], None]] = {
            "state": self._state,
            "plan": self._plan,
            "rehearsal": self._rehearsal,
            "metrics": self._metrics,
            "evaluation": self._evaluation,
            "system": self._system,
            "sample": self._sample,
            "checkpoint": self._checkpoint,
            "alert": self._alert,
            "heartbeat": self._heartbeat,
            "end": self._end,
        }

    def take(self, event: Event, at: int) -> None:
        """Apply the event whose line begins at byte `at`."""
        now, t, kind = self._now, event["t"], event["kind"]
        self._add_cost(event)
        if event["attempt"] != now.attempt:
            self._begin_attempt(event["attempt"])
            self._note_attempt(t, None)  # also where it had been there before: logs that were mixed take turns
        elif now.attempt not in self.attempts:
            self._note_attempt(t, None)
        now.heartbeat, now.stalled = t, None
        if event["seq"] > self.last_seq:
            self.last_seq = event["seq"]
        if now.started is None and event.get("status") != Status.QUEUED:
            now.started = t
        handler = self._handlers.get(kind)
        if handler is None:
            self.unknown += 1
            return
        try:
            handler(event, at)
        except Damaged as error:
            self.problems[at] = f"damaged {kind} event: {error}"
            return
        if kind in KEPT:
            body = {name: value for name, value in event.items() if name not in _ENVELOPE}
            self.events.append(EventRow(self._run.id, event["seq"], t, event["attempt"], kind, body))

    def _add_cost(self, event: Event) -> None:
        """Add the time since the last event, where the run had its devices in it, with its price and energy.

        A clock set back adds nothing. The power is what was measured last.
        """
        now = self._now
        if now.heartbeat is None or event["attempt"] != now.attempt or now.status in _WITHOUT_DEVICES:
            return
        taken = max(0.0, event["t"] - now.heartbeat)
        now.busy_s = (now.busy_s or 0.0) + taken
        if self._price_per_s:
            now.cost = (now.cost or 0.0) + taken * self._price_per_s
        if now.power_w:
            now.energy_j = (now.energy_j or 0.0) + taken * now.power_w

    def updates(self) -> dict[str, Any]:
        """What differs from the run as it was."""
        return {name: value for name, value in vars(self._now).items() if value != getattr(self._run, name)}

    # attempts and status

    def _begin_attempt(self, number: int) -> None:
        now = self._now
        if now.status not in TERMINAL and now.heartbeat is not None:
            # Nobody has said how the attempt before ended.
            queued = now.status is Status.QUEUED  # a cluster took its devices away, and it had saved what it had
            status, reason = (
                (Status.STOPPED, "put back into the queue") if queued else (Status.LOST, "its log breaks off")
            )
            now.status, now.reason, now.ended = status, reason, now.heartbeat
            self._note_attempt(now.heartbeat or 0.0, None)
        now.attempt, now.status, now.reason, now.ended, now.failure = number, Status.STARTING, "", None, ""
        now.eta_s, now.eta_error_s, now.power_w, now.phase, now.phase_progress = None, None, None, "", None
        self._columns = {}

    def _note_attempt(self, t: float, from_step: int | None) -> None:
        """Remember how the present attempt stands; `t` is when it began, unless an earlier event has said so."""
        now, number = self._now, self._now.attempt
        known = self.attempts.get(number)
        started = known.started if known else t
        if known and from_step is None:
            from_step = known.from_step
        self.attempts[number] = Attempt(self._run.id, number, started, now.ended, now.status, now.reason, from_step)

    def _state(self, event: Event, at: int) -> None:
        now = self._now
        status = status_of(event)
        phase, reason = words(event, "phase"), words(event, "reason")
        progress, from_step = figure(event, "progress"), whole(event, "from_step", optional=True)
        now.status, now.phase, now.reason = status, phase, reason
        now.phase_progress = None if progress is None else min(1.0, max(0.0, progress))
        self._close(event["t"] if status in TERMINAL else None)
        if from_step is not None:
            now.step = from_step
        self._note_attempt(event["t"], from_step)

    def _end(self, event: Event, at: int) -> None:
        now = self._now
        status = status_of(event)
        if status not in TERMINAL:
            raise Damaged(f"a run cannot end as {status}")
        reason = words(event, "reason") or words(event, "message")
        best_step = whole(event, "best_step", optional=True)
        now.status, now.reason, now.phase, now.phase_progress = status, reason, "", None
        now.failure = words(event, "code") if status in (Status.FAILED, Status.LOST) else ""
        if best_step is not None:
            now.best_step = best_step
        self._close(event["t"])
        self._note_attempt(event["t"], None)

    def _close(self, t: float | None) -> None:
        """Ended at `t`, but never before it began: the clock may have been set back meanwhile."""
        now = self._now
        now.ended = None if t is None else max(t, now.started or t)
        if t is not None:
            now.eta_s = now.eta_error_s = None

    # figures

    def _plan(self, event: Event, at: int) -> None:
        self._now.total_steps = whole(event, "total_steps")

    def _rehearsal(self, event: Event, at: int) -> None:
        if type(event.get("ok")) is not bool:
            raise Damaged(f"ok is {short(event.get('ok'))}")
        for name in ("seconds", "step_s", "peak_bytes", "estimated_bytes", "free_bytes"):
            figure(event, name)
        for name in ("longest_tokens", "trained_tokens"):
            whole(event, name, optional=True)
        parts = event.get("parts")
        if parts is not None and type(parts) is not dict:
            raise Damaged(f"parts is {short(parts)}")
        for value in (parts or {}).values():
            number(value)

    def _metrics(self, event: Event, at: int) -> None:
        now = self._now
        step = whole(event, "step")
        eta, total_steps = figure(event, "eta_s"), whole(event, "total_steps", optional=True)
        eta_error = figure(event, "eta_error_s")
        values = self._values(event, step, at)
        now.step = step
        if eta is not None:
            now.eta_s = max(0.0, eta)
            now.eta_error_s = None if eta_error is None else max(0.0, eta_error)
        if total_steps is not None:
            now.total_steps = total_steps
        if (speed := finite(values.get("train/tokens_per_s"))) is not None:
            now.tokens_per_s = speed
        if now.status in (Status.QUEUED, Status.STARTING, Status.REHEARSING):
            now.status = Status.TRAINING
            self._note_attempt(event["t"], None)

    def _evaluation(self, event: Event, at: int) -> None:
        step = whole(event, "step")
        best_step = whole(event, "best_step", optional=True)
        self._values(event, step, at)
        self._advance(step)
        if best_step is None and event.get("best") is True:
            best_step = step
        if best_step is not None:
            self._now.best_step = best_step

    def _system(self, event: Event, at: int) -> None:
        values = self._values(event, whole(event, "step"), at)
        power = None
        for name in values:
            if not name.startswith("gpu"):
                continue
            if name.endswith("/memory_peak_bytes"):
                peak = finite(values[name])
                if peak is not None and 0 <= peak < 1 << 62:
                    self._now.peak_vram_bytes = max(int(peak), self._now.peak_vram_bytes or 0)
            elif name.endswith("/power_w") and (watts := finite(values[name])) is not None and 0 <= watts < 1e6:
                power = (power or 0.0) + watts
        self._now.power_w = power

    def _values(self, event: Event, step: int, at: int) -> dict[str, Any]:
        """Make points of the event's `values`. One that is no number is said and left out."""
        values = event.get("values")
        if type(values) is not dict:
            raise Damaged(f"values is {short(values)}")
        t, columns = event["t"], self._columns
        for name, value in values.items():
            if type(value) is not float:
                try:
                    value = number(value)
                except Damaged as error:
                    self.problems[at] = f"damaged {event['kind']} event: {name} is {error}"
                    continue
            if name not in columns:
                columns[name] = self.points.setdefault((text(name), event["attempt"]), []).append
            columns[name]((step, value, t))
        return values

    def _advance(self, step: int) -> None:
        self._now.step = max(step, self._now.step)

    # the rest

    def _sample(self, event: Event, at: int) -> None:
        whole(event, "step")
        samples = event.get("samples")
        if type(samples) is not list or not all(type(sample) is dict for sample in samples):
            raise Damaged(f"samples is {short(samples)}")

    def _checkpoint(self, event: Event, at: int) -> None:
        self._advance(whole(event, "step"))
        if type(event.get("path")) is not str:
            raise Damaged(f"path is {short(event.get('path'))}")

    def _alert(self, event: Event, at: int) -> None:
        for name in ("level", "code", "message"):
            if type(event.get(name)) is not str:
                raise Damaged(f"{name} is {short(event.get(name))}")

    def _heartbeat(self, event: Event, at: int) -> None:
        self._advance(whole(event, "step"))
