"""The home and the store in it: whether they can be written, who else can read them, whether they are sound."""

import os
import sqlite3
import stat
import tempfile
from pathlib import Path
from shlex import quote

from engine.errors import FinetuiError
from engine.home import Home
from engine.insight.checks.check import Check

PRIVATE = ("finetui*.db*", "*token*")
"""Files of the home that hold conversations or open doors: for their owner alone, wherever they are copied to."""

_ELSEWHERE = "Choose a home on a local disk with --home DIR: network file systems often cannot hold a write-ahead log."


def check_home(home: Home) -> Check:
    try:
        home.ensure()
    except FinetuiError as error:
        return Check("home", False, f"{error.what} {error.why}", error.fix)
    return Check("home", True, str(home.root))


def check_permissions(home: Home) -> Check:
    """Whether others can get at the home: the folder is to be 0700, the store and tokens 0600, all of it ours."""
    try:
        mode = home.root.stat()
        files = [path for pattern in PRIVATE for path in sorted(home.root.glob(pattern)) if path.is_file()]
        open_files = [path.name for path in files if path.stat().st_mode & 0o077]
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
        found = f"0700, but {', '.join(open_files)} can be read by others where they are copied to"
        return Check("permissions", False, found, f"chmod -R go-rwx {quote(str(home.root))}")
    return Check("permissions", True, "only its owner can look into it (0700)")


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Check:
    """Whether this SQLite has the WAL-reset fault, which can damage a store that several processes write.

    Source: https://www.sqlite.org/wal.html#walresetbug
    """
    said = f"SQLite {'.'.join(map(str, version))}"
    if version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45):
        return Check("sqlite", True, said)
    return Check(
        "sqlite",
        False,
        f"{said} has the WAL-reset fault: very rarely, two processes that write at once damage the store",
        "Use a Python with SQLite 3.51.3 or newer (conda install 'sqlite>=3.51.3', or a newer Python). Until then, "
        "`finetui store backup FILE` keeps chats and notes; `finetui store rebuild` makes the rest anew from the runs.",
    )


def check_store(home: Home) -> Check:
    """Whether the store is sound; where there is none yet, whether one can be made on this file system."""
    from store import StoreError, open_store

    try:
        if home.db.exists():
            store = open_store(home.db)
            try:
                problems = store.check()
            finally:
                store.close()
            if problems:
                return Check("store", False, problems[0], "finetui store rebuild")
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
    return Check("store", True, "write-ahead log works; no store yet")


def check_file_system(home: Home, mounts: Path = Path("/proc/self/mounts")) -> Check:
    """What file system the home is on: over a network, locks and the write-ahead log are not to be relied on."""
    try:
        lines = [line.split(" ") for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return Check("file system", True, "unknown")
    place = str(home.root.resolve())
    best = ("", "")
    for fields in lines:
        point = fields[1].replace("\\040", " ")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, fields[2])
    kind = best[1]
    if kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs", "fuse.gcsfuse", "fuse.s3fs"):
        return Check("file system", False, f"{kind} at {best[0]}, a network file system", _ELSEWHERE)
    return Check("file system", True, f"{kind or 'unknown'}{f' at {best[0]}' if best[0] else ''}")
