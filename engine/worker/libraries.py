"""The training side's libraries, imported without what none of its processes needs.

Every start, of a run as of a model server, is two seconds of processor time shorter for it.
"""

import importlib.metadata
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any


def import_quickly() -> None:
    """Import torch, bitsandbytes and transformers before others do. What is not installed is left out."""
    # transformers and TRL each read what all installed packages are made of, as they are imported.
    importlib.metadata.packages_distributions = cache(importlib.metadata.packages_distributions)
    with suppress(ImportError):
        _import_bitsandbytes_alone()
    with suppress(ImportError):
        _look_through_models_once()


def _import_bitsandbytes_alone() -> None:
    """Import bitsandbytes without torch's compiler, and without code from the hub.

    It marks fallbacks of its kernels for `torch.compile` as it is imported, which loads all of it; its own kernels for
    CPU and CUDA do not go that way. And on a processor that computes in bf16 it fetches a kernel from the hub where
    the package for that is installed, and asks for it in the log where it is not; `loading.py` never lets that be used.
    """
    import torch

    compiler = torch.compile

    def as_it_is(function: Any = None, **_options: Any) -> Any:
        return (lambda marked: marked) if function is None else function

    torch.compile = as_it_is  # type: ignore[assignment]
    try:
        with _no_kernels_of_the_hub():
            import bitsandbytes  # noqa: F401
    finally:
        torch.compile = compiler


@contextmanager
def _no_kernels_of_the_hub() -> Iterator[None]:
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    level, package = logger.level, sys.modules.get("kernels")
    logger.setLevel(logging.ERROR)
    sys.modules["kernels"] = None  # type: ignore[assignment]  # Python's way to say that there is none
    try:
        yield
    finally:
        logger.setLevel(level)
        del sys.modules["kernels"]
        if package is not None:
            sys.modules["kernels"] = package


def _look_through_models_once() -> None:
    """transformers looks through the thousand folders of its models as it is imported, and again for `AutoModel`.

    The first time it names the folder, the second time a file in it, so that its own cache does not help.
    """
    from transformers.utils import import_utils

    known = import_utils.create_import_structure_from_path

    def of_folder(path: str | Path) -> Any:
        place = Path(path)
        return known(place.parent if place.name == "__init__.py" else path)

    import_utils.create_import_structure_from_path = of_folder
