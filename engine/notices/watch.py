"""Watches one attempt of a run and tells of it, whether an app is open or not.

`python -m engine.notices.watch RUN_DIR --attempt N`, started by the run's supervisor where the settings name a command
or a web address, and ended when the attempt is over. It reads the run's folder alone and writes nothing there. Apart
from the supervisor, because a slow web address must not keep that from its work.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.insight.diagnosis import Curves, diagnose
from engine.insight.stalled import SILENT_S, SILENT_STEPS, suspended_pid
from engine.notices import notice as notices
from engine.notices.notice import Notice
from engine.notices.send import send
from engine.notices.settings import read_notice_settings, settings_of
from engine.runs.identity import read_process
from engine.runs.protocol import read_events
from engine.runs.reconcile import judge
from engine.runs.rundir import RunDir, read_json
from engine.toml import read_toml
from store.records import Status

POLL_S = 2.0
DIAGNOSE_S = 15.0
"""Time between two looks at what the figures show."""


class Watch:
    """What there is to tell of one attempt. `look` is called again and again until `over`."""

    def __init__(self, rundir: RunDir, attempt: int) -> None:
        self.over = False
        self._dir = rundir
        self._attempt = attempt
        inputs = read_json(rundir.inputs)
        about = inputs if isinstance(inputs, dict) else {}
        self._id = str(about.get("id") or rundir.path.name)
        self._name = str(about.get("name") or self._id)
        self._curves = Curves(recipe=_recipe(rundir))
        self._offset = 0
        self._began: float | None = None
        self._heard = time.time()
        self._eta_s: float | None = None
        self._end: dict[str, Any] = {}
        self._stalled = False
        self._told: set[str] = set()
        self._diagnosed = 0.0

    def look(self, now: float | None = None) -> list[Notice]:
        """What is new since the last call, in the order in which it should be told."""
        now = time.time() if now is None else now
        verdict = judge(self._dir, now)  # before the log is read: what was written before the end is then in it
        record = read_process(self._dir.process)
        grown = self._read()
        if record is not None and record.attempt != self._attempt:
            self.over = True  # it was resumed meanwhile, and another process watches that
            return []
        found: list[Notice] = []
        if verdict is None:
            found += self._silence(now)
        if grown and (now - self._diagnosed >= DIAGNOSE_S or verdict is not None):
            self._diagnosed = now
            found += self._findings()
        if verdict is not None:
            self.over = True
            found += self._ending(verdict.status, verdict.reason, str(verdict.failure or ""), verdict.ended)
        return found

    def _read(self) -> bool:
        grown = False
        while True:
            chunk = read_events(self._dir.events, self._offset, 4 << 20)
            if chunk.offset == self._offset:
                return grown
            self._offset, grown = chunk.offset, True
            for event in chunk.events:
                self._curves.take(event)
                if event["attempt"] != self._attempt:
                    continue
                self._heard = float(event["t"])
                if event["kind"] == "end":
                    self._end = event
                elif event["kind"] == "metrics":
                    self._began = self._began or self._heard
                    eta = event.get("eta_s")
                    self._eta_s = float(eta) if isinstance(eta, int | float) else None

    def _silence(self, now: float) -> Iterator[Notice]:
        curves = self._curves
        left = (curves.total_steps or 0) - curves.step
        step_s = self._eta_s / left if self._eta_s and left > 0 else 0.0
        silent = now - self._heard > max(SILENT_S, SILENT_STEPS * step_s) and curves.status in (
            "training",
            "evaluating",
        )
        silent = silent or suspended_pid(self._dir) is not None
        if silent and not self._stalled:
            yield notices.stalled(self._id, self._name, since=self._heard, status=curves.status)
        self._stalled = silent

    def _findings(self) -> Iterator[Notice]:
        for one in diagnose(self._curves):
            if one.level != "info" and one.code not in self._told:
                self._told.add(one.code)
                yield notices.finding(
                    self._id,
                    self._name,
                    code=one.code,
                    level=one.level,
                    title=one.title,
                    why=one.why,
                    offer=one.acts[0].offer if one.acts else "",
                    status=self._curves.status,
                )

    def _ending(self, status: Status, reason: str, code: str, ended: float) -> Iterator[Notice]:
        said = self._end.get("status")
        if status is Status.SUCCEEDED or said == Status.SUCCEEDED:
            losses = [value for _, value in self._curves.metrics.get("eval/loss", [])]
            took = ended - self._began if self._began is not None else None
            best = min(losses, default=None)
            yield notices.ended(
                self._id, self._name, took_s=took, best=best, best_step=self._curves.best_step if losses else None
            )
        elif status is not Status.STOPPED and said != Status.STOPPED:  # whoever stopped it knows
            yield notices.failed(
                self._id,
                self._name,
                status=str(said or status),
                reason=str(self._end.get("reason") or self._end.get("message") or reason),
                code=str(self._end.get("code") or code),
                fix=str(self._end.get("fix") or ""),
            )


def _recipe(rundir: RunDir) -> dict[str, Any]:
    try:
        return read_toml(rundir.recipe)
    except (OSError, ValueError):
        return {}


def main() -> int:
    parser = argparse.ArgumentParser(description="Watch one attempt of a run, and tell of it.")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    options = parser.parse_args()
    rundir = RunDir(options.run_dir)
    watch = Watch(rundir, options.attempt)
    while not watch.over and rundir.path.is_dir():
        for one in watch.look():
            try:
                problems = send(one, read_notice_settings(settings_of(rundir.path)))
            except BadInput as error:
                problems = [str(error)]
            for problem in problems:
                sys.stderr.write(f"finetui: {problem}\n")
        sys.stderr.flush()
        if not watch.over:
            time.sleep(POLL_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
