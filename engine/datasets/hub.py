"""Datasets of the hub: a process on the torch side fetches them, as Parquet files in a folder."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import BadInput, Cancelled
from engine.private import users_umask

PREFIX = "hub:"
RESULT = ".hub-result.json"
PROGRESS = ".hub-progress"
LOG = ".hub-log"
"""Files that the process leaves in the folder while it works. Their names are hidden: they are no data."""

_POLL_S = 0.1
_SPLIT = r"\w[\w.-]*(?:\[[\d:%]*\])?"
_NAME = re.compile(
    r"(?P<dataset>[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?)"
    r"(/(?P<config>[\w.+-]+))?"
    r"(@(?P<revision>[\w./+-]+))?"
    rf"(:(?P<split>{_SPLIT}))?"
)
_SPLIT_OF_FOLDER = re.compile(rf"(.+?):({_SPLIT})", re.DOTALL)
_FORMS = "Name it hub:OWNER/NAME, with /CONFIG, @REVISION and :SPLIT after it where they are needed."


@dataclass(frozen=True)
class HubName:
    """What `hub:OWNER/NAME[/CONFIG][@REVISION][:SPLIT]` says, or `hub:./FOLDER[:SPLIT]`."""

    dataset: str
    """`owner/name`, or the absolute path of a folder."""
    config: str | None = None
    revision: str | None = None
    split: str | None = None
    """A split's name; a slice such as `train[:1000]` too."""

    @property
    def title(self) -> str:
        """What a dataset imported from it is called unless the user says otherwise."""
        parts = [self.dataset.rsplit("/", 1)[-1], self.config or ""]
        return re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts))).strip("-.")[:80] or "dataset"


def is_hub_name(source: Path | str) -> bool:
    """Whether a source is to be fetched: `hub:NAME`."""
    return str(source).startswith(PREFIX)


def parse_hub_name(text: str) -> HubName:
    """Read `text`, with `hub:` or without. Raises `BadInput`."""
    name = text.removeprefix(PREFIX).strip()
    if name.startswith(("/", "./", "../", "~")) or name in (".", ".."):
        return _folder(name)
    match = _NAME.fullmatch(name)
    if not match or len(name) > 300 or ".." in name:
        raise BadInput(f"{name[:100]!r} is no name on the hub.", fix=_FORMS)
    return HubName(match["dataset"], match["config"], match["revision"], match["split"])


def fetch_hub(
    name: str,
    target: Path,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Fetch a dataset into the folder `target`, which is made where it is missing: a Parquet file for each split.

    Code that comes with a dataset is never run. `progress` hears shares from 0 to 1. Raises `BadInput` where there is
    no network, no such dataset or no leave to read it, `Cancelled` when `cancelled` says so; the folder then holds
    what it held before.
    """
    wanted = parse_hub_name(name)
    if find_spec("datasets") is None:
        raise BadInput(
            "Datasets of the hub cannot be fetched here.",
            why="The training side (datasets, torch and what goes with it) is not installed.",
            fix="Install it with: pip install 'finetui[train]', or download the files and import their folder.",
        )
    target.mkdir(parents=True, exist_ok=True)
    before = set(target.iterdir())
    done = False
    try:
        process = _start(wanted, target)
        try:
            _follow(process, target, progress or (lambda _share: None), cancelled or (lambda: False))
        finally:
            _end(process)
        _check(wanted, target, process.returncode)
        done = True
    finally:
        for path in set(target.iterdir()) - before:
            if not done or path.name.startswith("."):
                path.unlink(missing_ok=True)
    return target


def _folder(text: str) -> HubName:
    """A folder that the hub's library reads: the same way, without a network."""
    match = _SPLIT_OF_FOLDER.fullmatch(text)
    for path, split in ((text, None), *([(match[1], match[2])] if match else [])):
        try:
            folder = Path(path).expanduser().absolute()
            if folder.is_dir():
                return HubName(str(folder), split=split)
        except (OSError, ValueError, RuntimeError):  # no folder can be called so
            continue
    raise BadInput(f"There is no folder {text[:200]!r}.", fix=_FORMS)


def _start(wanted: HubName, target: Path) -> subprocess.Popen[bytes]:
    # `-P` keeps the folder the user happens to be in off the import path; the package's own folder must be on it.
    # The process works in the target: a folder here that is called like the dataset must not be taken for it.
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-P", "-m", "engine.worker.hub", f"--dataset={wanted.dataset}"]
    options = {"config": wanted.config, "revision": wanted.revision, "split": wanted.split}
    command += [f"--{option}={value}" for option, value in options.items() if value]
    descriptor = os.open(target / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return subprocess.Popen(
            [*command, f"--parent-pid={os.getpid()}"],
            cwd=target,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            env=environment,
            umask=users_umask(),  # others may share the cache that it fills; the target is a private folder
            start_new_session=True,  # Ctrl-C in the terminal is for the app, which ends the process itself
        )
    finally:
        os.close(descriptor)


def _follow(
    process: subprocess.Popen[bytes], target: Path, progress: Callable[[float], None], cancelled: Callable[[], bool]
) -> None:
    shown = 0.0
    while process.poll() is None:
        if cancelled():
            raise Cancelled
        try:
            share = float((target / PROGRESS).read_text(encoding="ascii"))
        except (OSError, ValueError):  # not there yet
            share = 0.0
        if share > shown:
            shown = share
            progress(share)
        time.sleep(_POLL_S)
    if process.returncode == 0:
        progress(1.0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended just now
            pass
    process.wait()


def _check(wanted: HubName, target: Path, status: int) -> None:
    """Raise what the process says went wrong."""
    try:
        result: dict[str, Any] = json.loads((target / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = {}
    if result.get("ok") and status == 0:
        return
    if "what" in result:
        raise BadInput(str(result["what"]), why=str(result.get("why", "")), fix=str(result.get("fix", "")))
    raise BadInput(
        f"The dataset {wanted.dataset} could not be fetched.",
        why=f"The process that fetches it ended with status {status}. {_last_line(target / LOG)}".strip(),
        fix="Try again, or download the files and import their folder.",
    )


def _last_line(log: Path) -> str:
    try:
        text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rsplit("\r", 1)[-1].strip() for line in text.split("\n") if line.strip()]
    return f"Its last words: {lines[-1][:300]}" if lines else ""
