"""The charts of a run, beside what its devices do."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual import events, on
from textual.app import ComposeResult
from textual.message import Message

from tui.widgets.chart_families import families, title_of
from tui.widgets.chart_grid import ChartContent, ChartGrid
from tui.widgets.device_panel import DevicePanels
from tui.widgets.run_curves import Ask, charted, read_contents
from tui.widgets.run_devices import Device, Machine, look, now_of, on_this_machine, read_devices
from tui.widgets.run_pane import RunPane

if TYPE_CHECKING:
    from engine.runs.device_watch import DeviceWatch
    from store.records import Run
    from tui.screens.page import Page
    from tui.services import Services

NARROW = 100
"""Columns below which the devices lie under the charts."""

WIDE, TALL = 190, 40
SMALL, USUAL, LARGE = 1, 4, 6
"""Charts to begin with: in a small place the loss alone, as large as can be."""

LOW = 20
"""Lines below which a narrow place is small."""

LOOK_S = 2.0
"""So often the devices of a live run are looked at."""

PATIENCE_S = 8.0
"""So long a driver may take to answer before that is said."""

STRIP = 60
"""Cells of the longest strip of a device."""


@dataclass(frozen=True)
class RunCharts:
    """What was read of a run for its charts."""

    run: "Run"
    ask: Ask
    titles: Mapping[str, str]
    contents: Mapping[str, ChartContent]
    devices: list[Device]
    facts: "Facts"
    here: bool
    """Whether this machine is at work on it."""


@dataclass(frozen=True)
class Facts:
    """What does not change during an attempt, once its plan is known."""

    key: tuple[str, int] = ("", 0)
    plan: Mapping[str, Any] | None = None
    planned: float | None = None


class ChartsPane(RunPane):
    """A grid of charts, and beside it (on a narrow screen below it) a panel for each device."""

    DEFAULT_CSS = """
    ChartsPane {
        layout: horizontal;
        ChartGrid { width: 2fr; height: 1fr; }
        DevicePanels { width: 1fr; max-width: 64; min-width: 36; height: 1fr; }
        &.-narrow { layout: vertical; }
        &.-narrow ChartGrid { width: 1fr; }
        &.-narrow DevicePanels { width: 1fr; max-width: 100%; height: 4; }
    }
    """
    KEYS_TO = "ChartGrid"

    class ReadAgain(Message):
        """Other charts, another width or another range are on the screen than were read."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._run: Run | None = None
        self._wanted: list[str] = []
        self._columns = 100
        self._view: tuple[float, float] | None = None
        self._asked: Ask | None = None
        self._facts = Facts()
        self._devices: list[Device] = []
        self._here = False
        self._machine: Machine | None = None
        self._watch: DeviceWatch | None = None
        self._looking: float | None = None
        """Since when a look is under way, by the monotonic clock."""
        self._count = USUAL
        self._sized = False

    def compose(self) -> ComposeResult:
        yield ChartGrid()
        yield DevicePanels()

    def on_mount(self) -> None:
        self.set_interval(LOOK_S, self._look)

    def forget(self) -> None:
        """Make ready for another run: how charts are looked at stays."""
        self._run = self._view = self._asked = self._machine = None
        self._wanted, self._devices, self._facts, self._here = [], [], Facts(), False
        self.query_one(ChartGrid).forget()

    # Reading

    def read(self, services: "Services", run: "Run") -> RunCharts:
        found = families(charted(run.metrics))
        if "loss" not in found:
            found = {"loss": (), **found}
        wanted = [name for name in self._wanted if name in found] or list(found)[: self._count]
        ask = Ask({name: found[name] for name in wanted}, self._columns, self._view)
        facts = self._facts
        if facts.key != (run.id, run.attempt) or not facts.plan:
            facts = _facts(services, run)
        return RunCharts(
            run,
            ask,
            {name: title_of(name) for name in found},
            read_contents(services.store, run, ask),
            read_devices(services.store, run, facts.plan or {}, facts.planned, STRIP),
            facts,
            on_this_machine(run),
        )

    def show(self, found: RunCharts) -> None:
        first = self._run is None or self._run.id != found.run.id
        self._run, self._asked, self._facts, self._here = found.run, found.ask, found.facts, found.here
        grid = self.query_one(ChartGrid)
        grid.set_charts(found.titles)
        grid.show(found.contents)
        self._devices = found.devices
        self._show_devices()
        if first:
            self._look()

    @on(ChartGrid.Wanted)
    def _other_charts(self, event: ChartGrid.Wanted) -> None:
        event.stop()
        grid = event.grid
        self._wanted, self._columns, self._view = list(grid.shown), grid.columns, grid.view
        asked = self._asked
        if asked is not None and (
            list(asked.charts) != self._wanted or asked.columns < self._columns or asked.view != self._view
        ):
            self.post_message(self.ReadAgain())

    # Devices

    def _look(self) -> None:
        """Ask the driver and the machine, in a thread: not while an answer is awaited, nor for who cannot see it."""
        run = self._run
        if run is None or not self._here or not run.status.live or not self.is_on_screen:
            return
        if self._looking is not None:
            if time.monotonic() - self._looking > PATIENCE_S:
                self._show_devices()
            return
        page = cast("Page", self.screen)
        if not self.app.screen_stack or page is not self.app.screen:  # there is none any more while the app ends
            return
        self._looking = time.monotonic()
        uuids = tuple(device.uuid for device in self._devices if device.uuid)
        read = partial(self._ask_machine, page.services, Path(run.dir), uuids)
        page.in_thread(read, self._looked, group="devices", failed=self._not_looked)

    def _ask_machine(self, services: "Services", folder: Path, uuids: tuple[str, ...]) -> Machine:
        from engine.runs.device_watch import DeviceWatch

        self._watch = self._watch or DeviceWatch()
        return look(self._watch, services.store, folder, uuids)

    def _looked(self, machine: Machine) -> None:
        self._looking, self._machine = None, machine
        self._show_devices()

    def _not_looked(self, error: Exception) -> None:
        """The store is locked, or psutil fails: the run's own figures stay."""
        self._looking, self._machine = None, None
        self._show_devices()

    def _show_devices(self) -> None:
        run, devices, machine = self._run, self._devices, self._machine
        if run is None:
            return
        live = machine if self._here and run.status.live else None
        if self._looking is not None and time.monotonic() - self._looking > PATIENCE_S:
            devices = [replace(device, problem="the driver does not answer") for device in devices]
        elif live is not None:
            devices = [now_of(device, live, run.id) for device in devices]
        self.query_one(DevicePanels).show(devices, live.host if live else None)

    # Room

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        if not self._sized:
            self._sized = True
            width, height = event.size
            self._count = LARGE if width >= WIDE and height >= TALL else USUAL
            if width < NARROW and height < LOW:
                self._count = SMALL
            self.query_one(ChartGrid).count = self._count


def _facts(services: "Services", run: "Run") -> Facts:
    from engine.insight.promises import read_promises

    plans = services.store.runs.events(run.id, ["plan"], limit=1)
    promises = read_promises(services.store, run)
    return Facts((run.id, run.attempt), dict(plans[-1].body) if plans else None, promises.planned_bytes)
