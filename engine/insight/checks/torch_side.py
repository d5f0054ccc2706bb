"""torch against the driver, and the compiled libraries beside it, loaded in processes of their own."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from engine.insight.checks.check import Check
from engine.insight.checks.gpus import Gpus
from engine.insight.checks.packages import INSTALL, installed_version

PATIENCE_S = 120.0
_FLASH_CAPABILITY = (8, 0)
"""FlashAttention 2 runs from Ampere on."""

_CUDA = (
    "import torch; ok = torch.cuda.is_available(); print(int(ok), 'CUDA', torch.version.cuda, "
    "*(('compute', '%d.%d' % torch.cuda.get_device_capability(0), "
    "'bf16' if torch.cuda.is_bf16_supported() else 'no bf16') if ok else ('no device',)))"
)
_BITSANDBYTES = (
    "import torch, bitsandbytes as bnb; rows = torch.randn(64, 64, device='cuda', dtype=torch.float16); "
    "packed, state = bnb.functional.quantize_4bit(rows, quant_type='nf4'); "
    "back = bnb.functional.dequantize_4bit(packed, state); torch.cuda.synchronize(); "
    "print(int(bool((back - rows).abs().mean() < 0.2)), bnb.__version__, 'packs and unpacks NF4 on the GPU')"
)
_LIBRARY = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(1, 'loads')"
_FLASH = "import flash_attn; from flash_attn import flash_attn_func; print(1, flash_attn.__version__)"
_FLASH_3 = "import flash_attn_interface; print(1, 'FlashAttention 3')"
_LIGER = "import liger_kernel.transformers, triton; print(1, 'with triton', triton.__version__)"


def check_cuda(gpus: Gpus) -> Check:
    """Whether torch was built for the GPU and the driver that are there, and reaches them."""
    installed = installed_version("torch")
    if installed is None:
        return Check("cuda", not gpus.names, "torch is not installed", INSTALL if gpus.names else "")
    built = torch_cuda()
    if not gpus.names:
        build = f"CUDA {built[0]}.{built[1]} build" if built else "CPU build"
        return Check("cuda", True, f"torch {installed}, {build}: there is no GPU")
    if built is None:
        return Check(
            "cuda",
            False,
            f"torch {installed} is the CPU build",
            "pip install --force-reinstall torch (not the CPU build)",
        )
    # Within one major version a driver runs what was built for a newer minor one.
    if gpus.cuda[0] and built[0] > gpus.cuda[0]:
        newest = f"{gpus.cuda[0]}.{gpus.cuda[1]}"
        return Check(
            "cuda",
            False,
            f"torch {installed} is built for CUDA {built[0]}.{built[1]}; driver {gpus.driver} runs up to {newest}",
            f"Update the driver, or install a torch for CUDA {newest} or older (https://pytorch.org/get-started).",
        )
    fix = "Install a torch for this driver (https://pytorch.org/get-started), or update the driver."
    return ask("cuda", _CUDA, bad="torch does not reach the GPU", fix=fix)


def check_bitsandbytes(gpus: Gpus) -> Check:
    """Whether bitsandbytes' compiled library works here: on a GPU by packing a matrix, else by loading it."""
    name = "bitsandbytes library"
    version = installed_version("bitsandbytes")
    if version is None or installed_version("torch") is None:
        return Check(name, True, "not installed, so nothing to load")
    built = torch_cuda()
    reinstall = "pip install -U --force-reinstall --no-deps bitsandbytes; `unset BNB_CUDA_VERSION` if it is set"
    if gpus.names and built is not None:
        return ask(name, _BITSANDBYTES, bad="NF4 comes out wrong", fix=reinstall)
    library = package_folder("bitsandbytes") / "libbitsandbytes_cpu.so"
    if not library.exists():
        return Check(name, False, f"{version} has no {library.name}", reinstall)
    return ask(name, _LIBRARY, str(library), prefix=f"{version}, {library.name}", fix=reinstall)


def check_attention(gpus: Gpus) -> Check:
    """FlashAttention is a choice; one that is installed must load, or models that find it fail."""
    name = "flash attention"
    three, two = installed_version("flash_attn_3"), installed_version("flash-attn")
    if three is None and two is None:
        return Check(name, True, "not installed; torch's own attention is used")
    if not gpus.names:
        return Check(name, True, f"{three or two}; not used without a GPU")
    if gpus.capability < _FLASH_CAPABILITY:
        least = "{}.{}".format(*_FLASH_CAPABILITY)
        fix = "pip uninstall flash-attn flash_attn_3; torch's own attention is used then."
        return Check(name, False, f"{three or two}; this GPU is older than compute {least}", fix)
    fix = "Build it for this torch: pip install --no-build-isolation --force-reinstall --no-deps flash-attn"
    return ask(name, _FLASH_3 if two is None else _FLASH, fix=fix)


def check_liger(gpus: Gpus) -> Check:
    """Liger's kernels save memory on a GPU where they are installed; they need triton."""
    version = installed_version("liger-kernel")
    if version is None:
        hint = "; `pip install liger-kernel` saves memory on long rows" if gpus.names else ""
        return Check("liger", True, f"not installed{hint}")
    if not gpus.names:
        return Check("liger", True, f"{version}; not used without a GPU")
    return ask(
        "liger", _LIGER, prefix=version, fix="pip install -U liger-kernel triton; or `pip uninstall liger-kernel`."
    )


def torch_cuda() -> tuple[int, int] | None:
    """The CUDA that the installed torch was built for, read from its own file; `None` for a CPU build."""
    try:
        text = (package_folder("torch") / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"](\d+)\.(\d+)", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None


def package_folder(name: str) -> Path:
    """Where an installed package lies; it is not imported."""
    return Path(str(metadata.distribution(name).locate_file(name)))


def ask(
    name: str,
    program: str,
    *arguments: str,
    fix: str,
    bad: str = "it does not work",
    prefix: str = "",
    timeout_s: float = PATIENCE_S,
) -> Check:
    """The check `name` by a process of its own, which prints `1` or `0` and what it found."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        fix = "The driver or the GPU hangs: try `nvidia-smi`, and restart the machine if that hangs too."
        return Check(name, False, f"no answer in {timeout_s:g} s", fix)
    said = (done.stdout.strip().splitlines() or [""])[-1]
    ok, _, found = said.partition(" ")
    if done.returncode or ok not in ("0", "1"):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Check(name, False, f"{prefix + ': ' if prefix else ''}cannot be loaded: {last}", fix)
    if ok == "0":
        return Check(name, False, f"{bad} ({found})", fix)
    return Check(name, True, f"{prefix} {found}".strip())
