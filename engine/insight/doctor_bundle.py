"""A file for a bug report: the checks, the versions, the latest failures; without secrets and data."""

import json
import os
import platform
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.home import Home
from engine.insight.checks.check import Check
from engine.runs.rundir import RunDir, read_json
from engine.withheld import WITHHELD, is_secret_name, without_secrets

LAST_RUNS = 3
LAST_BYTES = 64 << 10
SHORTEST_SECRET = 6
"""Shorter values of secret variables are words that stand everywhere, such as `true`."""

VARIABLES = re.compile(
    r"(?:CUDA|NVIDIA|NCCL|TORCH|PYTORCH|HF|TRANSFORMERS|TOKENIZERS|OMP|MKL|BNB|SLURM|FINETUI|LC|XDG)_\w+"
    r"|LANG|TERM|COLORTERM|NO_COLOR|COLUMNS|LINES|SHELL|PATH|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_PREFIX|TMUX"
)
"""Variables that decide how things run. Of others not even the name is told."""

_DATA_EVENTS = frozenset({"sample", "samples"})
"""Events that quote prompts and answers."""

README = """\
Made by `finetui doctor --bundle` for a bug report. Keys, tokens and passwords are left out, and so are datasets,
prompts, answers, chats and notes. Names of runs, models and datasets and folders are in it, and the ends of the logs of
runs that failed, as they were printed. Read it before you pass it on.
"""


class Redactor:
    """Takes secrets out of any text: by their form, the values of secret variables, and the home's own tokens."""

    def __init__(self, home: Home, environment: Mapping[str, str] = os.environ) -> None:
        values = {value for name, value in environment.items() if is_secret_name(name)}
        for path in home.root.glob("*token*"):
            with suppress(OSError, UnicodeDecodeError):
                values.add(path.read_text(encoding="utf-8").strip())
        known = sorted((value for value in values if len(value) >= SHORTEST_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self._user = str(Path.home())

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(WITHHELD, text)
        text = without_secrets(text)
        return text.replace(self._user, "~") if self._user != "/" else text

    def value(self, value: Any) -> Any:
        """JSON with the same things left out of every text, and settings of secret names besides."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            kept = {str(name): item for name, item in value.items() if not is_secret_name(str(name))}
            return {self.text(name): self.value(item) for name, item in kept.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value


def write_bundle(target: Path, home: Home, checks: Sequence[Check], version: str) -> list[str]:
    """Write the zip file `target` (mode 0600) and return the names in it. Raises `BadInput`."""
    redactor = Redactor(home)
    files = {
        "README.txt": README,
        "checks.json": _json(redactor.value([asdict(check) for check in checks])),
        "machine.json": _json(redactor.value(machine(version))),
        "environment.json": _json(variables(redactor)),
        "packages.txt": "".join(f"{line}\n" for line in packages()),
        "log.txt": redactor.text(_tail(home.root / "finetui.log")),
        "settings.json": _json(redactor.value(own_settings(home.root / "settings.toml"))),
    }
    for run in failed_runs(home):
        files |= {f"runs/{run.path.name}/{name}": text for name, text in _run_files(run, redactor).items()}
    files = {name: text for name, text in files.items() if text}
    _write(target, files)
    return list(files)


def machine(version: str) -> dict[str, Any]:
    """System, processor and interpreter; no host name."""
    return {
        "finetui": version,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "cores": os.cpu_count(),
    }


def variables(redactor: Redactor, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that matter, the secret ones only by name."""
    return {
        name: WITHHELD if is_secret_name(name) else redactor.text(value)
        for name, value in sorted(environment.items())
        if VARIABLES.fullmatch(name)
    }


def own_settings(path: Path) -> dict[str, Any]:
    """The user's settings; of who is told of what, only the program and the host: the rest may be a secret."""
    found = _toml(path)
    alerts = found.get("alerts")
    if isinstance(alerts, dict):
        alerts = dict(alerts)
        if command := alerts.get("command"):
            words = command.split() if isinstance(command, str) else list(command) if isinstance(command, list) else []
            alerts["command"] = f"{words[0]} …" if words else WITHHELD
        if webhook := alerts.get("webhook"):
            parts = re.match(r"(https?://)(?:[^/@\s]*@)?([^/?#\s]+)", str(webhook))
            alerts["webhook"] = f"{parts[1]}{parts[2]}/…" if parts else WITHHELD
        found |= {"alerts": alerts}
    return found


def packages() -> list[str]:
    """`name==version` of everything installed."""
    return sorted({f"{one.metadata['Name']}=={one.version}" for one in metadata.distributions()}, key=str.lower)


def failed_runs(home: Home, most: int = LAST_RUNS) -> list[RunDir]:
    """The runs that ended with an error or were lost, the newest first. By their folders: the store may be at fault."""
    found = []
    for folder in home.runs.glob("*"):
        run = RunDir(folder)
        ending = read_json(run.exit)
        if run.inputs.is_file() and not (isinstance(ending, dict) and ending.get("code") == 0):
            with suppress(OSError):
                found.append((run.events.stat().st_mtime, run))
    return [run for _, run in sorted(found, key=lambda one: one[0], reverse=True)[:most]]


def _run_files(run: RunDir, redactor: Redactor) -> dict[str, str]:
    documents = {path.name: read_json(path) for path in (run.inputs, run.process, run.exit) if _is_own(path)}
    files = {name: _json(redactor.value(value)) for name, value in documents.items() if value is not None}
    recipe = redactor.value({**(_toml(run.recipe) if _is_own(run.recipe) else {}), "sample_prompts": "left out"})
    files["recipe.json"] = _json(recipe)
    files["log.txt"] = redactor.text(_tail(run.log))
    files["events.jsonl"] = "".join(_events(_tail(run.events), redactor))
    return files


def _events(text: str, redactor: Redactor) -> Iterable[str]:
    for line in text.splitlines():
        with suppress(ValueError, AttributeError):
            event = json.loads(line)
            if event.get("kind") not in _DATA_EVENTS:
                yield json.dumps(redactor.value(event), ensure_ascii=False) + "\n"


def _toml(path: Path) -> dict[str, Any]:
    from engine.toml import read_toml

    try:
        return read_toml(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"problem": str(error)}


def _is_own(path: Path) -> bool:
    """Whether a file is that folder's own: no link to something private, and no pipe, which would be waited for."""
    return path.is_file() and not path.is_symlink()


def _tail(path: Path, size: int = LAST_BYTES) -> str:
    """The end of a file, from the beginning of a line on; empty where there is none, and for a link or a pipe."""
    if not _is_own(path):
        return ""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - size)
            file.seek(start)
            content = file.read()
    except OSError:
        return ""
    return (content.partition(b"\n")[2] if start else content).decode("utf-8", "replace")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _write(target: Path, files: Mapping[str, str]) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(f"finetui-report/{name}", text)
    except FileExistsError as error:
        raise BadInput(f"{target} exists already.", fix="Name a file that does not.") from error
    except OSError as error:
        raise BadInput(f"{target} cannot be written.", why=f"The system says: {error.strerror or error}.") from error
