"""What every operation does: tell how far it is, let itself be given up, make no version that changes nothing."""

from collections.abc import Callable

from engine.datasets.versions import Made
from engine.errors import BadInput, Cancelled
from store.records import Dataset

Progress = Callable[[float], None]
IsCancelled = Callable[[], bool]

LARGEST_SEED = 2**32 - 1


def part(progress: Progress | None, start: float, end: float) -> Progress | None:
    """`progress` that hears this part of the way."""
    if progress is None:
        return None
    return lambda share: progress(start + share * (end - start))


def check_cancelled(cancelled: IsCancelled | None) -> None:
    """Raises `Cancelled` when the user has given up."""
    if cancelled is not None and cancelled():
        raise Cancelled


def unchanged(dataset: Dataset, progress: Progress | None) -> Made:
    """The answer where the rows would stay as they are: the version itself."""
    if progress is not None:
        progress(1.0)
    return Made(dataset, dataset.rows, dataset.rows, new=False)


def check_seed(seed: int) -> None:
    """Raises `BadInput`."""
    if not 0 <= seed <= LARGEST_SEED:
        raise BadInput(f"{seed} is no seed.", fix=f"Give 0 to {LARGEST_SEED}.")


def title(dataset: Dataset) -> str:
    """`support v2`."""
    return f"{dataset.name} v{dataset.version}"
