"""Finds a model's tokenizer: prepared by the training side once, and then read within milliseconds."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import BadInput, Cancelled, FinetuiError
from engine.home import Home
from engine.models import ModelInfo, hub_cache, resolve_model
from engine.tokens.tokenizer import SPECIAL, Tokenizer

FORM = 1
"""Rises when what is written for a tokenizer changes."""
LIMIT_S = 600.0
"""A tokenizer of the hub may have to be downloaded first."""
_POLL_S = 0.05
_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model", "*.tiktoken")
_TEMPLATES = ("*.jinja", "chat_template.json", "additional_chat_templates/*.jinja", "config.json")


def model_tokenizer(
    home: Home,
    model: str | Path,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    progress: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Tokenizer:
    """The tokenizer of a model: `starter`, a folder, or a name on the hub.

    The first time takes some seconds, for the training side reads it; `progress` is told so in words. Raises `BadInput`
    for a model that is not there or cannot be used, `FinetuiError` where the training side is not installed, and
    `Cancelled`.
    """
    info = resolve_model(str(model), home)
    if info.kind == "starter" and not info.ready:
        raise BadInput(
            "The starter model is not built yet, so it has no tokenizer.",
            fix="`finetui demo` builds it, and so does the first run on it; or name another model.",
        )
    place = home.root / "cache" / "tokenizers"
    kept = place / tokenizer_key(info, revision)
    if not (kept / SPECIAL).is_file():
        kept = _prepare(info, place, revision, trust_remote_code, progress, cancelled)
    return _open(kept, info.name, (kept / SPECIAL).stat().st_mtime_ns)


def kept_tokenizer(home: Home, info: ModelInfo, revision: str | None = None) -> Tokenizer | None:
    """The tokenizer of a model where it has been prepared before, else `None`. Starts nothing."""
    kept = home.root / "cache" / "tokenizers" / tokenizer_key(info, revision)
    return _open(kept, info.name, (kept / SPECIAL).stat().st_mtime_ns) if (kept / SPECIAL).is_file() else None


def tokenizer_key(info: ModelInfo, revision: str | None = None) -> str:
    """Equal as long as the model's tokenizer, and what reads it, stay as they are."""
    parts: list[Any] = [FORM, info.name if info.kind == "hub" else info.path, revision]
    parts += [_version(library) for library in ("transformers", "trl", "tokenizers")]
    folder = _snapshot(info.path, revision) if info.kind == "hub" else Path(info.path)
    if folder is not None:
        for file in sorted({file for pattern in (*_FILES, *_TEMPLATES) for file in folder.glob(pattern)}):
            with suppress(OSError):
                state = file.stat()
                parts.append((file.name, state.st_size, state.st_mtime_ns))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@cache
def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _snapshot(name: str, revision: str | None) -> Path | None:
    """The folder of a hub model's revision in the cache, or `None`."""
    repository = hub_cache() / f"models--{name.replace('/', '--')}"
    wanted = revision or "main"
    try:
        commit = (repository / "refs" / wanted).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = wanted
    found = repository / "snapshots" / commit
    return found if found.is_dir() else None


@lru_cache(maxsize=8)
def _open(folder: Path, name: str, _made_ns: int) -> Tokenizer:
    return Tokenizer(folder, name)


def _prepare(
    info: ModelInfo,
    place: Path,
    revision: str | None,
    trust_remote_code: bool,
    progress: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Path:
    """Have the training side write the tokenizer down; its folder."""
    missing = [name for name in ("torch", "transformers", "trl") if find_spec(name) is None]
    if missing:
        raise FinetuiError(
            f"The tokenizer of {info.name} cannot be read here.",
            why=f"The training side is not installed ({', '.join(missing)} missing).",
            fix="Install it with: pip install 'finetui[train]'",
        )
    if progress:
        progress(f"reading the tokenizer of {info.name}, once")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".preparing-", dir=place))
    try:
        command = [sys.executable, "-P", "-m", "engine.worker.tokenizer", info.path, str(work / "made")]
        command += ["--revision", revision] if revision else []
        command += ["--trust-remote-code"] if trust_remote_code else []
        _run(command, work, info.name, cancelled)
        # Only now are the files of a hub model sure to be on this machine, and they are a part of the key.
        kept = place / tokenizer_key(info, revision)
        if kept.exists() and not (kept / SPECIAL).is_file():
            shutil.rmtree(kept)
        with suppress(OSError):  # somebody else was quicker
            (work / "made").rename(kept)
        return kept
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(command: list[str], work: Path, name: str, cancelled: Callable[[], bool] | None) -> None:
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
    environment["OMP_NUM_THREADS"] = "1"
    with (work / "said").open("wb") as said, (work / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=log, env=environment, start_new_session=True
        )
    deadline = time.monotonic() + LIMIT_S
    try:
        while (status := _status(process)) is None:
            if cancelled is not None and cancelled():
                raise Cancelled("Cancelled; the tokenizer was not read.")
            if time.monotonic() > deadline:
                raise FinetuiError(
                    f"The tokenizer of {name} could not be read within {LIMIT_S / 60:g} minutes.",
                    why=_tail(work / "log"),
                    fix="Look at the network, or download the model first and name its folder.",
                )
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status:
        raise _refused(work, name, status)


def _status(process: "subprocess.Popen[bytes]") -> int | None:
    try:
        return process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return None


def _refused(work: Path, name: str, status: int) -> FinetuiError:
    """What the training side said, as an error."""
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
        said = json.loads((work / "said").read_text(encoding="utf-8").splitlines()[-1])
        return BadInput(said["what"], why=said["why"], fix=said["fix"])
    return FinetuiError(
        f"The tokenizer of {name} cannot be read.",
        why=f"The training side ended with {status}. {_tail(work / 'log')}".strip(),
        fix=f"Check that its files are whole; `finetui models show {name}` looks.",
    )


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "")
