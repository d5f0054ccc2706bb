"""Inputs that once went wrong, or nearly: one folder a target. `tests.fuzz.long` tells how one is added."""

from pathlib import Path


def cases(target: str) -> list[Path]:
    """The files kept for a target, by name."""
    found = sorted(path for path in (Path(__file__).parent / target).iterdir() if path.is_file())
    assert found, f"nothing is kept for {target}"
    return found
