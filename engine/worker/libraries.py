"""The training side's libraries, imported without what none of its processes needs.

Every start, of a run as of a model server, is nearly two seconds of processor time shorter for it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any


def import_quickly() -> None:
    """Import torch, bitsandbytes and transformers before others do. What is not installed is left out."""
    with suppress(ImportError):
        _import_bitsandbytes_without_the_compiler()
    with suppress(ImportError):
        _look_through_models_once()


def _import_bitsandbytes_without_the_compiler() -> None:
    """bitsandbytes marks fallbacks of its kernels for `torch.compile` as it is imported, which loads all of it.

    Its own kernels for CPU and CUDA do not go that way.
    """
    import torch

    compiler = torch.compile

    def as_it_is(function: Any = None, **_options: Any) -> Any:
        return (lambda marked: marked) if function is None else function

    torch.compile = as_it_is  # type: ignore[assignment]
    try:
        import bitsandbytes  # noqa: F401
    finally:
        torch.compile = compiler


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
