"""What this machine can do, and what to install so that it can do more."""

import locale
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from engine.errors import FinetuiError
from engine.home import Home

_TRAIN_PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate")
_INSTALL = "pip install 'finetui[train]'"
_FREE_BYTES = 5 << 30
_TORCH_S = 120.0
_HUB_S = 3.0
_PCI = Path("/sys/bus/pci/devices")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `fix` says what to do, and is empty where `ok`."""

    name: str
    ok: bool
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Gpus:
    """What the driver says. `problem` says why it says nothing; `card` is whether one is plugged in."""

    names: tuple[str, ...] = ()
    driver: str = ""
    problem: str = ""
    card: bool = False


def run_checks(home: Home) -> list[Check]:
    """All checks in the order they are shown. Takes seconds where there is a GPU: torch is asked, in a process."""
    gpus = find_gpus()
    checks: list[Callable[[], Check]] = [
        check_python,
        partial(check_home, home),
        partial(check_disk, home),
        partial(check_store, home),
        *(partial(check_package, name) for name in _TRAIN_PACKAGES),
        partial(check_gpu, gpus),
        partial(check_cuda, gpus),
        check_attention,
        partial(check_terminal, os.environ),
        partial(check_starter, home),
        check_hub,
        check_cluster,
    ]
    return [check() for check in checks]


def check_python() -> Check:
    """The interpreter; one that is too old cannot install finetui in the first place."""
    return Check("python", True, f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}")


def check_home(home: Home) -> Check:
    try:
        home.ensure()
    except FinetuiError as error:
        return Check("home", False, f"{error.what} {error.why}", error.fix)
    return Check("home", True, str(home.root))


def check_disk(home: Home) -> Check:
    """Free space where the home is, or will be."""
    place = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free at {place}"
    if free < _FREE_BYTES:
        return Check("disk", False, found, "Checkpoints need room: free some, or choose another home with --home DIR.")
    return Check("disk", True, found)


def check_store(home: Home) -> Check:
    """Whether the store is sound; where there is none yet, whether one can be made on this file system."""
    from store import StoreError, open_store

    version = f"SQLite {sqlite3.sqlite_version}"
    try:
        if home.db.exists():
            store = open_store(home.db)
            problems = store.check()
            store.close()
            if problems:
                return Check("store", False, f"{version}; {problems[0]}", "finetui store rebuild")
            return Check("store", True, f"{version}; {home.db} is sound")
        with tempfile.TemporaryDirectory(dir=home.root, prefix=".doctor-") as folder:
            trial = Path(folder) / "trial.db"
            store = open_store(trial)
            wal = trial.with_name("trial.db-wal").exists()
            store.close()
    except StoreError as error:
        return Check("store", False, f"{version}; {error.what} {error.why}", error.fix)
    except OSError as error:
        return Check("store", False, f"{version}; {error.strerror or error}", "Choose another home with --home DIR.")
    if not wal:
        fix = "Choose a home on a local disk: network file systems often cannot hold a write-ahead log."
        return Check("store", False, f"{version}; no write-ahead log at {home.root}", fix)
    return Check("store", True, f"{version}; write-ahead log works; no store yet")


def check_package(name: str) -> Check:
    """Whether `name` is installed in a version that finetui can use, by its metadata alone."""
    installed = installed_version(name)
    if installed is None:
        return Check(name, False, "not installed", f"To train and chat on this machine: {_INSTALL}")
    least = _least_version(name)
    if least and _numbers(installed) < _numbers(least):
        return Check(name, False, f"{installed}, older than {least}", f"pip install -U '{name}>={least}'")
    return Check(name, True, installed)


def find_gpus() -> Gpus:
    """NVIDIA GPUs by NVML, which asks the driver. Never raises."""
    card = nvidia_card_present()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Gpus(problem=str(error), card=card)
    try:
        names = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            names.append(f"{pynvml.nvmlDeviceGetName(handle)} {memory.total / 1e9:.0f} GB")
        return Gpus(tuple(names), str(pynvml.nvmlSystemGetDriverVersion()), card=card)
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


def check_cuda(gpus: Gpus) -> Check:
    """Whether torch was built for the GPU that is there and reaches it."""
    installed = installed_version("torch")
    if installed is None:
        return Check("cuda", not gpus.names, "torch is not installed", _INSTALL if gpus.names else "")
    if not gpus.names:
        build = "CPU build" if "+cpu" in installed else "any build will do"
        return Check("cuda", True, f"torch {installed}, {build}: there is no GPU")
    if "+cpu" in installed:
        return Check(
            "cuda",
            False,
            f"torch {installed} is the CPU build",
            "pip install --force-reinstall torch (not the CPU build)",
        )
    return ask_torch(
        "import torch; ok = torch.cuda.is_available(); print(int(ok), 'CUDA', torch.version.cuda, "
        "*(('compute', '%d.%d' % torch.cuda.get_device_capability(0), "
        "'bf16' if torch.cuda.is_bf16_supported() else 'no bf16') if ok else ('no device',)))"
    )


def ask_torch(program: str, timeout_s: float = _TORCH_S) -> Check:
    """The check `cuda` by a process of its own, which prints `1` or `0` and what it found."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        fix = "The driver or the GPU hangs: try `nvidia-smi`, and restart the machine if that hangs too."
        return Check("cuda", False, f"torch did not answer in {timeout_s:g} s", fix)
    ok, _, found = done.stdout.strip().partition(" ")
    if done.returncode or ok not in ("0", "1"):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Check(
            "cuda", False, f"torch cannot be loaded: {last}", f"pip install --force-reinstall torch; {_INSTALL}"
        )
    if ok == "0":
        fix = "Install a torch for this driver (https://pytorch.org/get-started), or update the driver."
        return Check("cuda", False, f"torch does not reach the GPU ({found})", fix)
    return Check("cuda", True, found)


def check_attention() -> Check:
    version = installed_version("flash-attn") or installed_version("flash_attn_3")
    return Check("flash attention", True, version or "not installed; torch's own attention is used")


def check_terminal(environment: Mapping[str, str]) -> Check:
    """Character set, colours and size of the terminal, as far as it tells."""
    if not sys.stdout.isatty():
        return Check("terminal", True, "output goes to a file or a pipe")
    size = shutil.get_terminal_size()
    term, extra = environment.get("TERM", ""), environment.get("COLORTERM", "")
    colours = "16 million" if extra in ("truecolor", "24bit") else "256" if "256" in term else "16"
    characters = locale.getencoding()
    found = f"{size.columns}×{size.lines}, {colours} colours, {characters}"
    if characters.upper().replace("-", "") != "UTF8":
        return Check(
            "terminal", False, found, "Set a UTF-8 locale, for example LANG=C.UTF-8, also on the far side of SSH."
        )
    if term == "dumb":
        return Check("terminal", False, found, "TERM is dumb: use a terminal that can place text.")
    if size.columns < 80 or size.lines < 24:
        return Check("terminal", False, found, "Make it 80×24 or larger.")
    return Check("terminal", True, found)


def check_starter(home: Home) -> Check:
    from engine.models import STARTER, resolve_model

    try:
        model = resolve_model(STARTER, home)
    except FinetuiError as error:
        return Check("starter model", False, error.what, error.fix)
    if model.problem:
        return Check("starter model", False, f"{model.path} {model.problem}", "Remove that folder: it is built again.")
    if not model.ready:
        return Check("starter model", True, "not built yet; the first run that needs it builds it")
    return Check("starter model", True, f"{(model.parameters or 0) / 1e6:.1f} M parameters at {model.path}")


def check_hub() -> Check:
    """Whether models can be downloaded."""
    from engine.models import hub_is_off

    if variable := hub_is_off():
        return Check("hub", True, f"off by {variable}; cached models and folders work")
    import httpx

    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        httpx.head(address, timeout=_HUB_S)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        fix = "Cached models, folders and the starter work. HF_HUB_OFFLINE=1 keeps the libraries from trying the hub."
        return Check("hub", False, f"{address} cannot be reached ({type(error).__name__})", fix)
    return Check("hub", True, f"{address} answers")


def check_cluster() -> Check:
    """Slurm's partitions, where it is installed: each with its time limit, nodes and GPUs."""
    from engine.runs.backends.slurm import partitions

    sbatch = shutil.which("sbatch")
    if sbatch is None:
        return Check("cluster", True, "no Slurm (sbatch); runs start on this machine")
    found = [
        f"{name} ({count} node{'' if count == 1 else 's'}{f', {gpus}' if gpus else ''}, {limit})"
        for name, limit, count, gpus in partitions()
    ]
    if not found:
        fix = "Ask `sinfo` yourself; runs on this machine work without it."
        return Check("cluster", False, f"Slurm, {sbatch}; it does not answer", fix)
    return Check("cluster", True, f"Slurm; {', '.join(found)}")


def installed_version(name: str) -> str | None:
    """The installed version of a package; it is not imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _least_version(name: str) -> str | None:
    """The oldest version of `name` that finetui's own metadata allows."""
    try:
        wanted = metadata.requires("finetui") or []
    except metadata.PackageNotFoundError:
        return None
    found = (re.match(rf"{re.escape(name)}\s*>=\s*([\d.]+)", line) for line in wanted)
    return next((match[1] for match in found if match), None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])
