"""A version's folder: copied whole, written beside and renamed, checked by the digest of each file."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.figures import fmt_bytes
from engine.home import Home
from engine.runs.leases import try_lock
from engine.runs.rundir import RunDir, read_json, write_json

SPARE_BYTES = 64 << 20
"""What a copy leaves free on the disk."""
_CHUNK = 1 << 20
_PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
"""Weights and state that could run code: they are not taken along."""
_CARD = "README.md"
Digests = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class NameDir:
    """`registry/<name>/` of a home."""

    path: Path

    @classmethod
    def of(cls, home: Home, name: str) -> "NameDir":
        return cls(home.registry / name)

    @property
    def about(self) -> Path:
        """JSON: `created`, `last` (the highest number that was ever given), `promotions` [{t, version, note}]."""
        return self.path / "name.json"

    def version(self, number: int) -> "VersionDir":
        return VersionDir(self.path / f"v{number}")

    def versions(self) -> list[int]:
        """The numbers of the versions that are there, lowest first."""
        found = [path.name[1:] for path in self.path.glob("v[1-9]*") if path.is_dir()]
        return sorted(int(number) for number in found if number.isdecimal())

    def read(self) -> dict[str, Any]:
        told = read_json(self.about)
        return told if isinstance(told, dict) else {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else changes this name meanwhile. Raises `BadInput` where somebody does just now."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _failed(self.path, error) from error
        lock = try_lock(self.path / ".lock")
        if lock is None:
            raise BadInput(f"{self.path.name} is being changed just now.", fix="Try again in a moment.")
        try:
            yield
        finally:
            os.close(lock)


@dataclass(frozen=True)
class VersionDir:
    """`registry/<name>/v<N>/`: what the server needs of a run's folder, and what is known about the adapter."""

    path: Path

    @property
    def adapter(self) -> Path:
        return RunDir(self.path).adapter

    @property
    def info(self) -> Path:
        return self.path / "model_info.json"

    @property
    def card(self) -> Path:
        return self.path / _CARD

    @property
    def digests(self) -> Path:
        """JSON: `files`, each with its `bytes` and `sha256`. What they name never changes."""
        return self.path / "digests.json"

    def problems(self) -> list[str]:
        """What is not as it was registered, in words; nothing where all is. Reads every byte."""
        told = read_json(self.digests)
        files = told.get("files") if isinstance(told, dict) else None
        if not isinstance(files, dict) or not files:
            return ["digests.json is missing or damaged"]
        found = []
        for name, expected in sorted(files.items()):
            path = self.path / name
            if not path.is_file() or path.is_symlink():
                found.append(f"{name} is missing")
            elif not isinstance(expected, dict) or digest_of(path) != expected.get("sha256"):
                found.append(f"{name} is not what was registered")
        there = {str(path.relative_to(self.path)) for path in self.adapter.rglob("*") if path.is_file()}
        found += [f"{name} was added" for name in sorted(there - set(files))]
        return found


def copied(run: RunDir, target: Path, progress: Callable[[float], None] | None = None) -> Digests:
    """Copy what belongs to a version from a run's folder to `target`, which is made. Returns the digests by path.

    What was written is read again and compared with what was read. The card beside the adapter stays behind: a version
    has one of its own. Raises `BadInput` for an adapter that holds a link, `FinetuiError` where the disk is full.
    """
    sources = {f"adapter/{path.relative_to(run.adapter)}": path for path in _files(run.adapter)}
    sources |= {path.name: path for path in (run.recipe,) if path.is_file()}
    total = sum(path.stat().st_size for path in sources.values())
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < total + SPARE_BYTES:
        raise FinetuiError(
            f"There is no room for a copy of the adapter in {target.parent}.",
            why=f"It takes {fmt_bytes(total)}, and {fmt_bytes(free)} are free.",
            fix="Free some space: `finetui registry rm NAME@VERSION` removes an old version.",
        )
    digests: Digests = {}
    done = 0

    def tell(chunk: int) -> None:
        nonlocal done
        done += chunk
        if progress:
            progress(done / max(1, total))

    try:
        for name, source in sorted(sources.items()):
            place = target / name
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            digests[name] = _copy(source, place, tell)
            if digest_of(place) != digests[name]["sha256"]:
                raise FinetuiError(
                    f"{source.name} was not copied faithfully.",
                    why="What was read back is not what was written.",
                    fix="Look at the disk's health, then try again.",
                )
    except OSError as error:
        raise _failed(target, error) from error
    return digests


def sealed(folder: Path, digests: Digests) -> None:
    """Write the digests of a version that is whole; what they name is read-only from now on."""
    write_json(VersionDir(folder).digests, {"v": 1, "files": digests})
    for name in digests:
        (folder / name).chmod(0o400)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(adapter: Path) -> list[Path]:
    found = []
    for path in sorted(adapter.rglob("*")):
        if path.is_symlink():
            raise BadInput(
                f"The adapter cannot be registered: {path.name} is a link.",
                why="A version holds its files itself, so that they stay what they are.",
                fix="Put the file itself in its place.",
            )
        if path.is_file() and path.suffix.lower() not in _PICKLED and path != adapter / _CARD:
            found.append(path)
    return found


def _copy(source: Path, target: Path, tell: Callable[[int], None]) -> dict[str, Any]:
    """Bytes and digest of what was copied; `tell` hears the size of each piece."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read, target.open("xb") as write:
        while chunk := read.read(_CHUNK):
            write.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            tell(len(chunk))
        write.flush()
        os.fsync(write.fileno())
    return {"bytes": size, "sha256": digest.hexdigest()}


def _failed(path: Path, error: OSError) -> FinetuiError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return FinetuiError(
        f"{path} cannot be written.",
        why=f"The system says: {error.strerror or error}.",
        fix="Free some space on that disk." if full else "Look at the rights of that folder.",
    )
