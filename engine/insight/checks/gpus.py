"""The GPUs and their driver, as the driver tells it."""

from dataclasses import dataclass
from pathlib import Path

from engine.insight.checks.check import Check

_PCI = Path("/sys/bus/pci/devices")


@dataclass(frozen=True)
class Gpus:
    """What the driver says. `problem` says why it says nothing; `card` is whether one is plugged in."""

    names: tuple[str, ...] = ()
    driver: str = ""
    problem: str = ""
    card: bool = False
    cuda: tuple[int, int] = (0, 0)
    """The newest CUDA that the driver runs, (0, 0) where it does not say."""
    capability: tuple[int, int] = (0, 0)
    """The lowest compute capability among them."""


def find_gpus() -> Gpus:
    """NVIDIA GPUs by NVML, which asks the driver. Never raises."""
    card = nvidia_card_present()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Gpus(problem=str(error), card=card)
    try:
        names, capabilities = [], []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            names.append(f"{pynvml.nvmlDeviceGetName(handle)} {memory.total / 1e9:.0f} GB")
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
            capabilities.append((int(major), int(minor)))
        newest = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        return Gpus(
            tuple(names),
            str(pynvml.nvmlSystemGetDriverVersion()),
            card=card,
            cuda=(newest // 1000, newest % 1000 // 10),
            capability=min(capabilities, default=(0, 0)),
        )
    except pynvml.NVMLError as error:
        return Gpus(problem=str(error), card=card)
    finally:
        pynvml.nvmlShutdown()


def nvidia_card_present(devices: Path = _PCI) -> bool:
    """Whether a display or compute card of NVIDIA is plugged in, whatever the driver says."""
    for device in devices.glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False


def check_gpu(gpus: Gpus) -> Check:
    if gpus.names:
        return Check("gpu", True, f"{', '.join(gpus.names)}; driver {gpus.driver}")
    if gpus.card:
        return Check("gpu", False, f"a card, but no driver answers ({gpus.problem})", "Install NVIDIA's driver.")
    return Check("gpu", True, "none; models train on the CPU, so take small ones")
