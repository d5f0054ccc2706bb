"""NVML without a GPU: what the library would answer, and how it fails."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

GIB = 2**30


class NVMLError(Exception):
    """What every function of NVML raises; `value` says why."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass
class Card:
    """A GPU: set what it is to answer; a name in `silent` is not supported, `error` fails every question."""

    uuid: str
    name: str = "NVIDIA H200"
    total: int = 80 * GIB
    used: int = 9 * GIB
    busy: int = 97
    power_w: float = 612.0
    limit_w: float = 700.0
    temperature: int = 64
    clock: int = 1980
    memory_clock: int = 3201
    processes: list[tuple[int, int | None]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    error: int | None = None


class MadeNvml(ModuleType):
    """Stands in for the module `pynvml`. `starts` counts how often it was opened."""

    NVMLError = NVMLError
    NVML_ERROR_UNINITIALIZED, NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_GPU_IS_LOST = 1, 3, 15
    NVML_ERROR_NOT_FOUND = 6
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, *cards: Card) -> None:
        super().__init__("pynvml")
        self.cards = list(cards)
        self.starts = 0
        self.broken: int | None = None

    def nvmlInit(self) -> None:
        self.starts += 1
        if self.broken is not None:
            raise NVMLError(self.broken)

    def nvmlShutdown(self) -> None:
        """Nothing is open."""

    def nvmlDeviceGetCount(self) -> int:
        if self.broken is not None:
            raise NVMLError(self.broken)
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Card:
        for card in self.cards:
            if card.uuid == uuid:
                return card
        raise NVMLError(self.NVML_ERROR_NOT_FOUND)

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Callable[..., Any]] = {
            "nvmlDeviceGetUUID": lambda card: card.uuid,
            "nvmlDeviceGetName": lambda card: card.name,
            "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(
                total=card.total, used=card.used, free=card.total - card.used
            ),
            "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=card.busy, memory=0),
            "nvmlDeviceGetPowerUsage": lambda card: card.power_w * 1000,
            "nvmlDeviceGetEnforcedPowerLimit": lambda card: card.limit_w * 1000,
            "nvmlDeviceGetTemperature": lambda card, _: card.temperature,
            "nvmlDeviceGetClockInfo": lambda card, kind: card.clock if kind == 1 else card.memory_clock,
            "nvmlDeviceGetComputeRunningProcesses": lambda card: [
                SimpleNamespace(pid=pid, usedGpuMemory=amount) for pid, amount in card.processes
            ],
            "nvmlDeviceGetGraphicsRunningProcesses": lambda card: [],
        }
        if name not in answers:
            raise AttributeError(name)

        def ask(card: Card, *rest: Any) -> Any:
            if self.broken is not None or card.error is not None:
                raise NVMLError(self.broken if self.broken is not None else card.error or 0)
            if name.removeprefix("nvmlDeviceGet") in card.silent:
                raise NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
            return answers[name](card, *rest)

        return ask


def put_in(monkeypatch: pytest.MonkeyPatch, *cards: Card) -> MadeNvml:
    """Let `import pynvml` find these cards."""
    made = MadeNvml(*cards)
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made
