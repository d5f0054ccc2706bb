"""The training side's libraries, imported without what none of its processes needs."""

from typing import Any


def import_quickly() -> None:
    """Import bitsandbytes before others do, without torch's compiler: every start is more than a second shorter.

    bitsandbytes marks fallbacks of its kernels for `torch.compile` as it is imported, which loads all of the compiler.
    Its own kernels for CPU and CUDA do not go that way. Nothing happens where it is not installed.
    """
    import torch

    compiler = torch.compile

    def as_it_is(function: Any = None, **_options: Any) -> Any:
        return (lambda marked: marked) if function is None else function

    torch.compile = as_it_is  # type: ignore[assignment]
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        pass
    finally:
        torch.compile = compiler
