"""Telling whoever sits at the terminal: a line in the app, its bell, a notification of the desktop where that may be.

Whoever is elsewhere is told by `engine.notices.watch`, app or no app.
"""

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from textual.worker import WorkType

from engine.errors import BadInput
from engine.notices.settings import NoticeSettings, read_notice_settings

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import App

    from engine.notices.notice import Notice
    from store import Store
    from store.records import Run

OSC9_TERMINALS = frozenset({"iTerm.app", "WezTerm", "ghostty", "kitty", "ConEmu", "WindowsTerminal"})
OSC777_TERMS = ("rxvt", "foot", "contour")
TOAST_S = 8.0


class RunTeller:
    """Listens to which runs change, and tells what is worth it."""

    def __init__(self, app: "App[Any]", store: "Store", settings: "Path") -> None:
        self._app = app
        self._store = store
        self._path = settings
        self._notices = RunNotices()

    def look(self, ids: set[str]) -> None:
        """These runs changed. Call it on the loop; what has to be read is read in a thread."""
        look: WorkType[None] = partial(self._look, ids)
        self._app.run_worker(look, group="notices", exit_on_error=False)

    async def _look(self, ids: set[str]) -> None:
        found = await asyncio.to_thread(self._notices.news, self._store, ids)
        if not found:
            return
        try:
            settings = await asyncio.to_thread(read_notice_settings, self._path)
        except BadInput as error:
            settings = NoticeSettings()
            self._app.notify(str(error), title="Alerts", severity="warning", markup=False)
        tell(self._app, found, settings)


class RunNotices:
    """Compares runs with what they were, and makes notices of what is worth telling."""

    def __init__(self) -> None:
        self._before: dict[str, Run] = {}
        self._begun = False
        self._reading = threading.Lock()

    def news(self, store: "Store", ids: Iterable[str]) -> "list[Notice]":
        """What to tell of these runs, which changed. The first call tells nothing: it learns how things stand."""
        with self._reading:
            found = []
            for run in store.runs.some(sorted(ids)):
                before = self._before.get(run.id)
                self._before[run.id] = run
                if before is not None or (self._begun and run.status.live):
                    found += list(_news_of(store, run, before))
            self._begun = True
            return found


def _news_of(store: "Store", run: "Run", before: "Run | None") -> "Iterator[Notice]":
    from engine.insight.diagnosis import finding_of
    from engine.insight.failures import failure_of
    from engine.notices import notice as notices

    was_live = before is None or before.status.live
    if run.status.value == "succeeded" and was_live:
        best = run.metrics.get("eval/loss")
        took = run.ended - run.started if run.ended is not None and run.started is not None else None
        low, step = (best.min, best.min_step) if best else (None, None)
        yield notices.ended(run.id, run.name, took_s=took, best=low, best_step=step)
    elif run.status.value in ("failed", "lost") and was_live:
        failure = failure_of(store, run)
        yield notices.failed(
            run.id,
            run.name,
            status=run.status.value,
            reason=run.reason,
            code=failure.code.value if failure else run.failure,
            fix=f"In the app, a: {failure.offer}" if failure else "",
        )
    if run.status.live and run.stalled is not None and (before is None or before.stalled is None):
        yield notices.stalled(run.id, run.name, since=run.stalled, status=run.status.value)
    if run.finding and run.finding != (before.finding if before else ""):
        row = next((row for row in store.findings.of(run.id) if row.code == run.finding), None)
        if row is not None and row.level != "info":
            one = finding_of(row)
            offer = one.acts[0].offer if one.acts else ""
            about: dict[str, Any] = {"code": one.code, "level": one.level, "title": one.title, "why": one.why}
            yield notices.finding(run.id, run.name, offer=offer, status=run.status.value, **about)


def tell(app: "App[Any]", found: "Iterable[Notice]", settings: NoticeSettings) -> None:
    """Show a line for each notice that is wanted, and ring the bell once. Call it on the loop."""
    wanted = [one for one in found if one.kind in settings.on]
    for one in wanted:
        severity: Literal["information", "warning", "error"] = (
            "error" if one.level == "error" else "warning" if one.level == "warning" else "information"
        )
        app.notify(one.body or " ", title=one.title, severity=severity, timeout=TOAST_S, markup=False)
        if (sequence := notification(one, settings.terminal, os.environ)) and (driver := app._driver) is not None:
            driver.write(sequence)
    if wanted and settings.bell:
        app.bell()


def notification(one: "Notice", terminal: str, environment: Mapping[str, str]) -> str:
    """What makes the terminal show a notification of the desktop; empty where it may not or cannot.

    OSC 9 is iTerm2's way, OSC 777 that of rxvt. `auto` uses them only in terminals that are known to have them: another
    would print the text, or beep. tmux hands them on where its `allow-passthrough` is on.
    """
    way = _known_way(environment) if terminal == "auto" else terminal
    if way not in ("osc9", "osc777"):
        return ""
    title, body = (text.replace(";", ",") for text in (one.title, one.body))
    sequence = f"\x1b]9;{title}\x07" if way == "osc9" else f"\x1b]777;notify;{title};{body}\x07"
    if environment.get("TMUX"):
        return f"\x1bPtmux;\x1b{sequence}\x1b\\"
    return sequence


def _known_way(environment: Mapping[str, str]) -> str:
    if environment.get("TERM_PROGRAM") in OSC9_TERMINALS or "WT_SESSION" in environment:
        return "osc9"
    return "osc777" if environment.get("TERM", "").startswith(OSC777_TERMS) else "off"
