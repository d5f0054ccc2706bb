"""What others on the machine could get at in a folder."""

import os
import stat
from pathlib import Path


def open_to_others(place: Path) -> list[str]:
    """`mode path` of everything in it, and of the place itself, that anybody but its owner may use in any way."""
    found = []
    for path in [place, *sorted(place.rglob("*"))]:
        about = os.lstat(path)
        if not stat.S_ISLNK(about.st_mode) and stat.S_IMODE(about.st_mode) & ~0o700:
            found.append(f"{stat.S_IMODE(about.st_mode):04o} {path.relative_to(place)}")
    return found
