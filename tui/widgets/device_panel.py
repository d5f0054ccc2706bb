"""Panels of a run's devices: memory and by whom, how busy and how warm, over time; and of the machine under them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from tui.format import NONE, fmt_bytes, fmt_duration, fmt_pair
from tui.text import shorten
from tui.widgets.gauge import gauge_bar
from tui.widgets.heat_strip import heat_strip
from tui.widgets.run_devices import PROCESS, Device

if TYPE_CHECKING:
    from engine.runs.device_watch import HostNow

LABEL = 8
MUTED = "$text-muted"
_NOT_YET = "Nothing measured yet: figures come once it trains."


class LinesPanel(Widget):
    """Lines in a frame. Drawn anew only where they are others."""

    DEFAULT_CSS = """
    LinesPanel { height: auto; width: 1fr; border: round $border-blurred; border-title-color: $text-muted;
                 padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self.short = False
        """Whether there is room for two lines only."""
        self._shown: list[Content] = []

    def lines(self, width: int) -> list[Content]:
        """All there is to say, the most important first."""
        raise NotImplementedError

    def renew(self) -> None:
        """Draw it anew where its lines changed."""
        lines = self.lines(self._room())
        if len(lines) != len(self._shown):
            self.refresh(layout=True)
        elif any(not line.is_same(before) for line, before in zip(lines, self._shown, strict=True)):
            self.refresh()
        self._shown = lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self.lines(width)))

    def render(self) -> Content:
        return Content("\n").join(self.lines(self._room()))

    def _room(self) -> int:
        return self.content_size.width or 40


class DevicePanel(LinesPanel):
    """One device of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.device: Device | None = None
        self._title = ""

    def show(self, device: Device) -> None:
        self.device = device
        name = "this run's process" if device.name == PROCESS else device.name
        title = f"{name} {device.title}" if device.title else name
        if title != self._title:
            self._title = title
            self.border_title = Content(title)
        self.renew()

    def lines(self, width: int) -> list[Content]:
        device = self.device
        return [] if device is None else device_lines(device, width, short=self.short)


class HostPanel(LinesPanel):
    """The machine that a live run is on."""

    def __init__(self) -> None:
        super().__init__()
        self.host: HostNow | None = None

    def on_mount(self) -> None:
        self.border_title = "this machine"

    def show(self, host: "HostNow") -> None:
        self.host = host
        self.renew()

    def lines(self, width: int) -> list[Content]:
        return [] if self.host is None else host_lines(self.host, width)


class DevicePanels(VerticalScroll, can_focus=False):
    """The devices of a run one below the other, the machine last; where there is little room, two lines of each."""

    DEFAULT_CSS = """
    DevicePanels { height: 1fr; scrollbar-size-vertical: 1; }
    """

    def show(self, devices: list[Device], host: "HostNow | None") -> None:
        """Show these; panels are made and removed as needed."""
        panels = list(self.query(DevicePanel))
        for panel in panels[len(devices) :]:
            panel.remove()
        made = [DevicePanel() for _ in devices[len(panels) :]]
        if made:
            self.mount(*made, before=0 if not panels else None, after=panels[-1] if panels else None)
        self.display = bool(devices or host)
        short = self._short(len(devices))
        for panel, device in zip([*panels, *made], devices, strict=False):
            panel.short = short
            panel.show(device)
        hosts = list(self.query(HostPanel))
        if host is None or (short and self.size.height < 8):
            for one in hosts:
                one.remove()
            return
        if not hosts:
            hosts = [HostPanel()]
            self.mount(*hosts)
        hosts[0].show(host)

    def _short(self, devices: int) -> bool:
        """Whether the devices do not fit as they are: a whole one has about ten lines."""
        return self.size.height < 8 or (devices > 1 and self.size.height < 10 * devices)


def device_lines(device: Device, width: int, *, short: bool = False) -> list[Content]:
    """What there is to say of a device in `width` cells. `short`: two lines, memory and how busy it is."""
    lines = []
    if device.problem:
        lines.append(Content.assemble(("⚠ ", "$text-warning"), device.problem, (". The run goes on.", MUTED)))
    elif device.used is None and device.peak is None:
        return [Content(_NOT_YET).stylize(MUTED)]
    amounts, state = _amounts(device, "reserved", "peak", "planned"), _state(device)
    if short:
        return [*lines, _memory(device, width, amounts[-2:]), _busy(device, width, state[:3])][:2]
    lines += [_memory(device, width), *_details(amounts, width), _busy(device, width), *_details(state, width)]
    lines += _strips(device, width)
    if device.owners:
        lines += [Content(""), *(_owner(one.name, one.used_bytes, one.kind, width) for one in device.owners)]
    return lines


def host_lines(host: "HostNow", width: int) -> list[Content]:
    """Memory, processor, swap and disk of the machine."""
    used = f"{fmt_pair(host.used_bytes, host.total_bytes)}"
    lines = [
        _gauge("memory", host.used_bytes / max(1, host.total_bytes), used, width),
        _gauge("CPU", host.busy, f"{host.busy:.0%} of {host.cores} cores", width, warm=False),
    ]
    if host.swap_used_bytes:
        words = fmt_pair(host.swap_used_bytes, host.swap_total_bytes)
        lines.append(_gauge("swap", host.swap_used_bytes / max(1, host.swap_total_bytes), words, width))
    if host.disk_free_bytes is not None and host.disk_total_bytes:
        share = 1 - host.disk_free_bytes / host.disk_total_bytes
        lines.append(_gauge("disk", share, f"{fmt_bytes(host.disk_free_bytes)} free", width))
    return lines


def _memory(device: Device, width: int, beside: Sequence[str] = ()) -> Content:
    if device.used is None:
        return _labelled("memory", " · ".join(beside) or f"peak {fmt_bytes(device.peak)}")
    share = device.used / device.total if device.total else None
    words = fmt_pair(device.used, device.total) if device.total else fmt_bytes(device.used)
    return _gauge("memory", share, words, width, beside=beside)


def _busy(device: Device, width: int, beside: Sequence[str] = ()) -> Content:
    if device.name == PROCESS:
        if device.busy is None:
            return _labelled("CPU", NONE)
        return _labelled("CPU", f"{device.busy:.0%} of a core" if device.busy < 1 else f"{device.busy:.1f} cores")
    if device.busy is None:
        return _gauge("busy", None, "not told", width, beside=beside)
    return _gauge("busy", device.busy, f"{device.busy:.0%}", width, warm=False, beside=beside)


def _amounts(device: Device, *names: str) -> list[str]:
    """`peak 9.4 GB`, `planned 9.2 GB`, of those that are known."""
    found = [(name, getattr(device, name)) for name in names]
    return [f"{name} {fmt_bytes(value)}" for name, value in found if value]


def _state(device: Device) -> list[str]:
    """`612 of 700 W`, `64 °C`, `1,980 MHz`, `memory 3,201 MHz`."""
    parts = []
    if device.power_w is not None:
        limit = f" of {device.power_limit_w:.0f}" if device.power_limit_w else ""
        parts.append(f"{device.power_w:.0f}{limit} W")
    if device.temperature_c is not None:
        parts.append(f"{device.temperature_c:.0f} °C")
    if device.clock_mhz is not None:
        parts.append(f"{device.clock_mhz:,.0f} MHz")
    if device.memory_clock_mhz is not None:
        parts.append(f"memory {device.memory_clock_mhz:,.0f} MHz")
    return parts


def _details(parts: list[str], width: int) -> list[Content]:
    """Figures under a bar, as many on a line as there is room for."""
    lines: list[str] = []
    for part in parts:
        if lines and LABEL + len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return [Content(" " * LABEL + line).stylize(MUTED) for line in lines]


def _strips(device: Device, width: int) -> list[Content]:
    span = device.last - device.first
    if span <= 0 or not (device.memory or device.load):
        return []
    words = f" {fmt_duration(span)}"
    cells = width - LABEL - len(words)
    if cells < 8:
        return []
    lines = [Content("")]
    for label, samples, warm in (("memory", device.memory, bool(device.total)), ("busy", device.load, False)):
        if samples:
            strip = heat_strip(samples, device.first, device.last, cells, warm=warm)
            lines.append(Content.assemble((label.ljust(LABEL), MUTED), strip, (words, MUTED)))
            words = ""
    return lines


def _owner(name: str, used: float | None, kind: str, width: int) -> Content:
    style = {"this": "$text-primary", "run": "", "stranger": "$text-warning", "unseen": MUTED}[kind]
    figure = fmt_bytes(used) if used is not None else ""
    name = shorten(name, max(8, width - len(figure) - 2))
    return Content.assemble((name, style), " " * max(1, width - len(name) - len(figure)), figure)


def _gauge(
    label: str, share: float | None, words: str, width: int, *, warm: bool = True, beside: Sequence[str] = ()
) -> Content:
    """Label, bar and figures; `beside` them as much as there is room for beside a bar of ten cells."""
    if beside:
        words = words.ljust(14)
        room = width - LABEL - 12 - len(words) - 2
        while beside and len(" · ".join(beside)) > room:
            beside = beside[:-1]
        words = f"{words}  {' · '.join(beside)}".rstrip()
    room = max(4, min(30, width - LABEL - len(words) - 2))
    bars = gauge_bar(share, room, warm=warm) if share is not None else Content("")
    return Content.assemble((label.ljust(LABEL), MUTED), bars, "  " if share is not None else "", words)


def _labelled(label: str, words: str) -> Content:
    return Content.assemble((label.ljust(LABEL), MUTED), words)
