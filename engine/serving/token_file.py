"""The token of a server: in a file that only its owner reads."""

import os
import secrets
from pathlib import Path

from engine.errors import BadInput
from engine.home import Home

NAME = "serve-token"
SHORTEST = 16


def read_or_make(home: Home, given: Path | None = None) -> tuple[str, Path]:
    """The token in `given`, else in the home's own file, and that file. Made (mode 0600) where there is none.

    Raises `BadInput` for a file that others may read, and for a token that could be guessed.
    """
    path = (given or home.ensure().root / NAME).expanduser().absolute()
    try:
        _make(path)
        if path.stat().st_mode & 0o077:
            raise BadInput(
                f"Others can read the token in {path}.",
                why=f"Its mode is {path.stat().st_mode & 0o777:o}.",
                fix=f"chmod 600 {path}; or remove it, and a new one is made.",
            )
        token = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError as error:
        raise _no_token(path) from error
    except OSError as error:
        raise BadInput(
            f"The token file {path} cannot be used.",
            why=f"The system says: {error.strerror or error}.",
            fix="Name another with --token-file F.",
        ) from error
    if len(token) < SHORTEST or not token.isprintable() or " " in token:
        raise _no_token(path)
    return token, path


def _make(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")


def _no_token(path: Path) -> BadInput:
    return BadInput(
        f"{path} holds no token.",
        why=f"A token is one line of at least {SHORTEST} letters and digits, without spaces.",
        fix="Remove the file, and a new one is made.",
    )
