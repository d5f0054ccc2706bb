"""Python and the packages, by their metadata alone: none of them is imported."""

import re
import sys
from importlib import metadata

from engine.insight.checks.check import Check

TRAIN_PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate", "gguf")
INSTALL = "pip install 'finetui[train]'"


def check_python() -> Check:
    """The interpreter; one that is too old cannot install finetui in the first place."""
    found = f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    if sys.maxsize < 1 << 32:
        return Check("python", False, f"{found}, 32 bits", "Install a Python of 64 bits: torch has no other.")
    return Check("python", True, found)


def check_package(name: str) -> Check:
    """Whether `name` is installed in a version that finetui can use."""
    installed = installed_version(name)
    if installed is None:
        return Check(name, False, "not installed", f"To train and chat on this machine: {INSTALL}")
    least = least_version(name)
    if least and numbers(installed) < numbers(least):
        return Check(name, False, f"{installed}, older than {least}", f"pip install -U '{name}>={least}'")
    return Check(name, True, installed)


def installed_version(name: str) -> str | None:
    """The installed version of a package; it is not imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def least_version(name: str) -> str | None:
    """The oldest version of `name` that finetui's own metadata allows."""
    try:
        wanted = metadata.requires("finetui") or []
    except metadata.PackageNotFoundError:
        return None
    found = (re.match(rf"{re.escape(name)}\s*>=\s*([\d.]+)", line) for line in wanted)
    return next((match[1] for match in found if match), None)


def numbers(version: str) -> tuple[int, ...]:
    """The first three numbers of a version, for comparing."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])
