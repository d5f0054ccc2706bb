"""The home and the store in it: whether they can be written, who else can read them, whether they are sound."""

import glob
import os
import re
import sqlite3
import stat
import tempfile
import time
from collections.abc import Set
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from engine.errors import FinetuiError
from engine.home import Home
from engine.insight.checks.check import Check, counted
from engine.runs.entry import new_run
from engine.runs.rundir import RunDir, read_table
from store.errors import MOVE
from store.turns import has_wal_reset_fault

if TYPE_CHECKING:
    from store import Store

PRIVATE = ("finetui*.db*", "*token*", "settings.toml")
"""Files of the home that hold conversations, open doors or name a webhook: for their owner alone, wherever they are."""

_ENTERED_S = 60.0
"""So long at most after its folder a new run is in the store."""

_ELSEWHERE = (
    "Runs may stay there, the store should not: network file systems often cannot hold a write-ahead log. Copy it with "
    f"`finetui store backup FILE` and say where it is: {MOVE}. Or choose a home on a local disk with --home DIR."
)

NETWORKED = re.compile(
    r"(fuse\.)?(nfs4?|cifs|smb[23]|smbfs|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|orangefs|pvfs2|panfs|wekafs|ncpfs|coda"
    r"|davfs|sshfs|gcsfuse|s3fs|juicefs|goofys|mount-s3|rclone|blobfuse2?)"
)
"""File systems that several machines share, as the system calls them."""


def check_home(home: Home) -> Check:
    try:
        home.ensure()
    except FinetuiError as error:
        return Check("home", False, f"{error.what} {error.why}", error.fix)
    return Check("home", True, str(home.root))


def check_permissions(home: Home) -> Check:
    """Whether others can get at the home: 0700 the folder, 0600 the store, tokens and settings, all ours."""
    try:
        mode = home.root.stat()
        files = [path for pattern in PRIVATE for path in sorted(home.root.glob(pattern)) if path.is_file()]
        if home.db.parent != home.root:
            files += sorted(home.db.parent.glob(f"{glob.escape(home.db.name)}*"))
        open_files = [path for path in files if path.stat().st_mode & 0o077]
        strangers = [path.name for path in (home.root, *files) if path.stat().st_uid != os.geteuid()]
    except OSError as error:
        return Check("permissions", False, f"{error.strerror or error}", f"chmod 700 {quote(str(home.root))}")
    if strangers:
        fix = f"chown -R {os.geteuid()} {quote(str(home.root))}; or choose a home of your own with --home DIR."
        return Check("permissions", False, f"another user owns {', '.join(strangers)}", fix)
    bits = stat.S_IMODE(mode.st_mode)
    if bits & 0o077:
        found = f"{home.root} is {bits:04o}: other users of this machine can look into it"
        return Check("permissions", False, found, f"chmod -R go-rwx {quote(str(home.root))}")
    if open_files:
        names = ", ".join(path.name for path in open_files)
        places = " ".join(
            quote(str(path)) for path in open_files
        )  # the store, and what links lead to, may be elsewhere
        found = f"0700, but {names} can be read by others where they are copied to"
        fix = f"chmod go-rwx {places}"
        return Check("permissions", False, found, fix)
    return Check("permissions", True, "only its owner can look into it (0700)")


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Check:
    """Whether this SQLite has the WAL-reset fault, which can damage a store that several processes write.

    Source: https://www.sqlite.org/wal.html#walresetbug
    """
    said = f"SQLite {'.'.join(map(str, version))}"
    if not has_wal_reset_fault(version):
        return Check("sqlite", True, said)
    return Check(
        "sqlite",
        False,
        f"{said} has the WAL-reset fault: very rarely, two processes that write at once damage the store. finetui's "
        "own take turns; other programs that write it do not",
        "Use a Python with SQLite 3.51.3 or newer (conda install 'sqlite>=3.51.3', or a newer Python). Until then, "
        "`finetui store backup FILE` keeps chats and notes; `finetui store rebuild` makes the rest anew from the runs.",
    )


def check_turns(store: "Store") -> Check:
    """Whether processes that write to the store can be kept apart: the file system has locks that work."""
    missing = store.turns_missing()
    if not missing:
        return Check("turns", True, "one process at a time writes to the store")
    danger = "; this SQLite can then damage it" if has_wal_reset_fault() else ""
    return Check(
        "turns",
        False,
        f"processes that write to the store cannot be kept apart: {missing}{danger}",
        f"Let one finetui at a time work on this home, or move the store to a local disk: {MOVE}.",
    )


def cautions(home: Home, store: "Store") -> list[Check]:
    """What about the store asks for care, though it works now. Quick."""
    return [check for check in (check_file_system(home), check_turns(store), check_runs(home, store)) if not check.ok]


def check_runs(home: Home, store: "Store") -> Check:
    """Whether the store knows the runs whose folders are there; one that was lost and begun anew does not.

    Machines that share a home have a store each, with the runs of its own: there, not knowing any is what counts.
    """
    known = set(store.runs.order())
    if known and home.db.parent != home.root:
        return Check("runs", True, f"{len(known)} in the store")
    return _check_entered(home, known)


def _check_entered(home: Home, known: Set[str]) -> Check:
    missing = sum(folder.name not in known and _is_run(RunDir(folder)) for folder in home.run_folders)
    if not missing:
        return Check("runs", True, f"{len(known)} in the store")
    found = f"{counted(missing, 'run is', 'runs are')} in {home.runs} and not in the store"
    return Check("runs", False, found, "Close the app, then enter them again: finetui store rebuild")


def _is_run(rundir: RunDir) -> bool:
    """Whether it can be entered, and would be by now if the store had not been lost."""
    try:
        written = rundir.inputs.stat().st_mtime
        return time.time() - written > _ENTERED_S and bool(new_run(rundir, read_table(rundir.inputs)))
    except (OSError, ValueError):
        return False


def check_store(home: Home) -> Check:
    """Whether the store is sound; where there is none yet, whether one can be made on this file system."""
    from store import StoreError, open_store

    try:
        if home.db.exists():
            store = open_store(home.db)
            try:
                if problems := store.check():
                    return Check("store", False, problems[0], "finetui store rebuild")
                runs = check_runs(home, store)
            finally:
                store.close()
            if not runs.ok:
                return Check("store", False, runs.found, runs.fix)
            return Check("store", True, f"{home.db} is sound, {home.db.stat().st_size / 1e6:.1f} MB")
        with tempfile.TemporaryDirectory(dir=home.root, prefix=".doctor-") as folder:
            trial = Path(folder) / "trial.db"
            store = open_store(trial)
            wal = trial.with_name("trial.db-wal").exists()
            store.close()
    except StoreError as error:
        return Check("store", False, f"{error.what} {error.why}", error.fix or "finetui store rebuild")
    except OSError as error:
        return Check("store", False, f"{error.strerror or error}", "Choose another home with --home DIR.")
    if not wal:
        return Check("store", False, f"no write-ahead log at {home.root}", _ELSEWHERE)
    runs = _check_entered(home, set())
    if not runs.ok:
        return Check("store", False, runs.found, runs.fix)
    return Check("store", True, "write-ahead log works; no store yet")


def check_file_system(home: Home, mounts: Path = Path("/proc/self/mounts")) -> Check:
    """What file system the store is on: over a network, locks and the write-ahead log are not to be relied on."""
    try:
        lines = [line.split(" ") for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return Check("file system", True, "unknown")
    kind, point = _file_system(home.root, lines)
    found = f"{kind or 'unknown'}{f' at {point}' if point else ''}"
    if home.db.parent != home.root:
        kind, point = _file_system(home.db.parent, lines)
        found += f"; the store is on {kind or 'unknown'}{f' at {point}' if point else ''}"
    if NETWORKED.fullmatch(kind):
        return Check("file system", False, f"{kind} at {point}, a network file system", _ELSEWHERE)
    return Check("file system", True, found)


def _file_system(place: Path, lines: list[list[str]]) -> tuple[str, str]:
    """The kind of file system that `place` is on, and where that is mounted."""
    path = str(place.resolve())
    best = ("", "")
    for fields in lines:
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[1]):
            best = (fields[2], point)
    return best
