"""What goes wrong with a store, in words for a person."""

import sqlite3
from pathlib import Path

MOVE = '`store = "/a/local/disk/finetui.db"` in settings.toml, above all tables; the runs may stay where they are'
"""How the store alone gets another place."""


class StoreError(Exception):
    """The store cannot be used. `what` is one sentence, `why` the cause as far as known, `fix` what to do next."""

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.fix) if part)


class QueryError(StoreError):
    """A filter or sort key that is not understood; the message names what is allowed."""


def explain(error: sqlite3.Error, path: Path) -> StoreError | None:
    """The failure of the machine or the file behind `error`; `None` where it is a mistake of the program."""
    code = getattr(error, "sqlite_errorcode", None)
    why = f"SQLite says: {error}."
    match code & 0xFF if isinstance(code, int) else None:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return busy(path)
        case sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"{path} is not a finetui store.",
                why,
                "Move that file away or choose another home with --home DIR or $FINETUI_HOME.",
            )
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(
                f"The store {path} is damaged.",
                why,
                "Put a backup back in its place, or move it away: `finetui store rebuild` makes the runs' "
                "part anew from the run folders.",
            )
        case sqlite3.SQLITE_FULL:
            return StoreError(
                f"The disk that holds the store {path} is full.",
                why,
                "Free some space (old checkpoints under runs/ are the largest). Nothing that was stored is lost.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return unwritable(path, why)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PROTOCOL:
            return StoreError(
                f"The disk that holds the store {path} fails or does not support what a database needs.",
                why,
                f"Move the store to a local disk: {MOVE}. Or choose another home with --home DIR or $FINETUI_HOME.",
            )
    return None


def busy(path: Path) -> StoreError:
    return StoreError(
        f"The store {path} is busy.",
        "Another process has been writing to it for more than ten seconds.",
        "Try again; if it stays so, look for a hanging finetui and end it. Runs go on meanwhile.",
    )


def unwritable(path: Path, why: str) -> StoreError:
    return StoreError(
        f"The store {path} cannot be written.",
        why,
        "Unlock the file and its folder, or choose another home with --home DIR or $FINETUI_HOME.",
    )
