"""Who gets which device: the runs that wait, in order, against what is held. Pure, and standard library only.

Supervisors take devices by it, and the queue is explained by it, so that what is shown is what happens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

CPU = "cpu"


@dataclass(frozen=True)
class Request:
    """What a waiting run asks for, and its place in the line."""

    run: str
    devices: tuple[str, ...]
    """Those it may take, the one it likes best first."""
    wanted: int = 1
    """So many of them, all at once."""
    bytes: int = 0
    """The peak of memory that is planned on each; 0 where it is not known: it takes all of a device."""
    slots: int = 1
    """So many runs at a time may be at work on the processor."""
    priority: int = 0
    """Higher goes first."""
    place: float = 0.0
    """Among equals, lower goes first: when the wait began (unix seconds), unless somebody moved it."""
    now: bool = False
    """To start at once beside others, whether it fits or not."""

    @property
    def rank(self) -> tuple[bool, int, float, str]:
        """Sorts a line: the first is the next to start."""
        return (not self.now, -self.priority, self.place, self.run)


@dataclass(frozen=True)
class Holder:
    """A run that has a device, and the memory that it was promised there: 0 for all of it."""

    run: str
    bytes: int = 0


@dataclass(frozen=True)
class Room:
    """The memory of a device, in bytes."""

    total: int
    outside: int
    """What processes use that belong to no holder."""
    used: Mapping[str, int] = field(default_factory=dict)
    """What each holder uses already, as far as that can be seen."""

    def left(self, holders: Sequence[Holder]) -> int:
        """What could be promised to one more: a holder that has just started has not taken yet what it will take."""
        return self.total - self.outside - sum(max(one.bytes, self.used.get(one.run, 0)) for one in holders)


@dataclass(frozen=True)
class Obstacle:
    """Why a run cannot have a device now."""

    device: str
    holders: tuple[str, ...] = ()
    """The runs that have it."""
    ahead: str = ""
    """The run before it in the line, to which the device is promised."""
    left: int | None = None
    """The memory that it could have there, in bytes, where that is too little."""
    outside: int = 0
    """The memory there that processes use that finetui did not start."""


@dataclass(frozen=True)
class Allotment:
    """What a run gets: `devices`, or, where there are none, what stands in its way on each that it could take."""

    devices: tuple[str, ...]
    obstacles: tuple[Obstacle, ...] = ()


def allot(
    line: Sequence[Request], holders: Mapping[str, Sequence[Holder]], rooms: Mapping[str, Room]
) -> dict[str, Allotment]:
    """What each run of `line`, the next to start first, gets now.

    A run that must wait is promised the devices that come free for it soonest, so that smaller ones behind it cannot
    starve it. All others stay open to those behind it, and so do those on which strangers leave too little for it.
    `rooms` lacks the devices whose memory cannot be seen.
    """
    return {request.run: got for request, got in _in_turn(line, holders, rooms)}


def _in_turn(
    line: Sequence[Request],
    holders: Mapping[str, Sequence[Holder]],
    rooms: Mapping[str, Room],
    *,
    starting: bool = False,
) -> Iterator[tuple[Request, Allotment]]:
    """The runs of `line` with what they get now; with `starting`, no further than somebody may get something."""
    held = {device: list(ones) for device, ones in holders.items()}
    promised: dict[str, str] = {}
    devices = {device for request in line for device in request.devices} if starting else set()
    for asked in line:
        if starting and promised.keys() >= devices:
            return  # whoever takes what is promised comes before those to whom it is
        request = _possible(asked, rooms)
        obstacles = {
            device: _obstacle(request, device, held.get(device, ()), rooms.get(device), promised.get(device, ""))
            for device in request.devices
        }
        free = [device for device in request.devices if obstacles[device] is None]
        chosen: list[str] = []
        if len(free) >= request.wanted:
            chosen = sorted(free, key=lambda device: len(held.get(device, ())))[: request.wanted]
        elif request.now:
            chosen = sorted(
                request.devices,
                key=lambda device: (obstacles[device] is not None, _taken(held.get(device, ())), device not in rooms),
            )[: request.wanted]
        else:
            open_to_it = [device for device in request.devices if _could_have(request, device, rooms.get(device))]
            soonest = sorted(open_to_it, key=lambda device: (device in promised, _taken(held.get(device, ()))))
            for device in soonest[: request.wanted]:
                promised.setdefault(device, request.run)
        for device in chosen:
            held.setdefault(device, []).append(Holder(request.run, asked.bytes))
        ways = () if chosen else tuple(one for one in obstacles.values() if one is not None)
        yield asked, Allotment(tuple(chosen), ways)


def starts(
    line: Sequence[Request],
    holders: Mapping[str, Sequence[Holder]],
    rooms: Mapping[str, Room],
    lasts: Mapping[str, float | None],
) -> dict[str, float]:
    """In how many seconds the runs of `line` start, where that can be told.

    `lasts`: how long each holder goes on, and how long each waiting run will take, in seconds; `None` or missing where
    nobody knows.
    """
    waiting = list(line)
    held = {device: list(ones) for device, ones in holders.items()}
    ends = {one.run: _seconds(lasts.get(one.run)) for ones in held.values() for one in ones}
    found: dict[str, float] = {}
    now = 0.0
    while waiting:
        for request, got in _in_turn(waiting, held, rooms, starting=True):
            if got.devices:
                found[request.run] = now
                ends[request.run] = now + _seconds(lasts.get(request.run))
                for device in got.devices:
                    held.setdefault(device, []).append(Holder(request.run, request.bytes))
        waiting = [request for request in waiting if request.run not in found]
        now = min(ends.values(), default=float("inf"))
        if now == float("inf"):
            break
        ends = {run: end for run, end in ends.items() if end > now}
        held = {device: [one for one in ones if one.run in ends] for device, ones in held.items()}
    return found


def _possible(request: Request, rooms: Mapping[str, Room]) -> Request:
    """The request without devices that are too small for it even when empty; all of a device where all are."""
    large = tuple(
        device
        for device in request.devices
        if device == CPU or device not in rooms or request.bytes <= rooms[device].total
    )
    wanted = max(1, min(request.wanted, len(request.devices)))
    if len(large) >= wanted:
        return replace(request, devices=large, wanted=wanted)
    return replace(request, wanted=wanted, bytes=0)


def _could_have(request: Request, device: str, room: Room | None) -> bool:
    """Whether the device would do for it once the runs there have ended."""
    return device == CPU or room is None or request.bytes <= room.left(())


def _obstacle(
    request: Request, device: str, holders: Sequence[Holder], room: Room | None, promised_to: str
) -> Obstacle | None:
    names = tuple(one.run for one in holders)
    if promised_to:
        return Obstacle(device, names, ahead=promised_to)
    if device == CPU:
        if len(holders) >= request.slots:
            return Obstacle(device, names)
        if not holders:
            return None  # alone, it may always try
    elif not holders and not request.bytes:
        return None
    elif holders and (room is None or not request.bytes or not all(one.bytes for one in holders)):
        return Obstacle(device, names)
    left = None if room is None else room.left(holders)
    if room is None or left is None or request.bytes <= left:
        return None
    return Obstacle(device, names, left=max(0, left), outside=room.outside)


def _taken(holders: Sequence[Holder]) -> float:
    """How far a device is from being free: the bytes promised there."""
    return sum(one.bytes or float("inf") for one in holders)


def _seconds(given: float | None) -> float:
    return float("inf") if given is None else max(1e-3, given)
