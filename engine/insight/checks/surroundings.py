"""What is around finetui: clock, terminal, hub, cluster."""

import locale
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from engine.errors import FinetuiError
from engine.home import Home
from engine.insight.checks.check import Check, counted

_HUB_S = 3.0
_SKEW_S = 5.0
_AHEAD_S = 120.0
_RELEASED = 1_767_225_600.0
"""2026-01-01: no clock that is right shows an earlier time."""


def check_clock(home: Home, now: float | None = None) -> Check:
    """Whether the clock is plausible: not long past, not behind what was written, and in step with the disk's."""
    now = time.time() if now is None else now
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    fix = "Set the clock: `sudo timedatectl set-ntp true`, or ask whoever runs this machine."
    if now < _RELEASED:
        return Check("clock", False, f"{shown}, which is long past", fix)
    newest = max((stamp for stamp in map(_written, (home.db, home.runs)) if stamp is not None), default=0.0)
    if newest > now + _AHEAD_S:
        found = f"{shown}, {_span(newest - now)} behind the time at which the home was last written"
        return Check("clock", False, found, fix)
    try:
        with tempfile.TemporaryFile(dir=home.root) as file:
            before = time.time()
            file.write(b"x")
            file.flush()
            skew = os.fstat(file.fileno()).st_mtime - before
    except OSError:
        skew = 0.0
    if abs(skew) > _SKEW_S:
        return Check("clock", False, f"{shown}; the disk of the home is {_span(abs(skew))} off", fix)
    if _synchronised() is False:
        return Check("clock", False, f"{shown}, not synchronised with any time server", fix)
    return Check("clock", True, f"{shown}{', synchronised' if _synchronised() else ''}")


def check_terminal(environment: Mapping[str, str]) -> Check:
    """Character set, colours and size of the terminal, as far as it tells."""
    if not sys.stdout.isatty():
        return Check("terminal", True, "output goes to a file or a pipe")
    size = shutil.get_terminal_size()
    term, extra = environment.get("TERM", ""), environment.get("COLORTERM", "")
    colours = "16 million" if extra in ("truecolor", "24bit") else "256" if "256" in term else "16"
    if environment.get("NO_COLOR"):
        colours = "no (NO_COLOR is set)"
    characters = locale.getencoding()
    found = f"{size.columns}×{size.lines}, {colours} colours, {characters}"
    if characters.upper().replace("-", "") != "UTF8":
        return Check(
            "terminal", False, found, "Set a UTF-8 locale, for example LANG=C.UTF-8, also on the far side of SSH."
        )
    if term == "dumb":
        return Check("terminal", False, found, "TERM is dumb: use a terminal that can place text.")
    if size.columns < 80 or size.lines < 24:
        return Check("terminal", False, found, "Make it 80×24 or larger.")
    if colours == "16" and (environment.get("TMUX") or term.startswith("screen")):
        found += "; in tmux, `set -g default-terminal tmux-256color` gives more"
    return Check("terminal", True, found)


def check_starter(home: Home) -> Check:
    from engine.models import STARTER, resolve_model

    try:
        model = resolve_model(STARTER, home)
    except FinetuiError as error:
        return Check("starter model", False, error.what, error.fix)
    if model.problem:
        return Check("starter model", False, f"{model.path} {model.problem}", "Remove that folder: it is built again.")
    if not model.ready:
        return Check("starter model", True, "not built yet; the first run that needs it builds it")
    return Check("starter model", True, f"{(model.parameters or 0) / 1e6:.1f} M parameters at {model.path}")


def check_hub(asked: bool) -> Check:
    """Whether models can be downloaded. Nothing leaves the machine unless this is `asked`."""
    from engine.models import hub_is_off

    if variable := hub_is_off():
        return Check("hub", True, f"off by {variable}; cached models and folders work")
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if not asked:
        return Check("hub", True, "not asked; `finetui doctor --hub` does")
    import httpx

    try:
        httpx.head(address, timeout=_HUB_S)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        fix = "Cached models, folders and the starter work. HF_HUB_OFFLINE=1 keeps the libraries from trying the hub."
        return Check("hub", False, f"{address} cannot be reached ({type(error).__name__})", fix)
    return Check("hub", True, f"{address} answers")


def check_cluster() -> Check:
    """Slurm's partitions, where it is installed: each with its time limit, nodes and GPUs."""
    from engine.runs.backends.slurm import partitions

    sbatch = shutil.which("sbatch")
    if sbatch is None:
        return Check("cluster", True, "no Slurm (sbatch); runs start on this machine")
    found = [
        f"{name} ({counted(count, 'node')}{f', {gpus}' if gpus else ''}, {limit})"
        for name, limit, count, gpus in partitions()
    ]
    if not found:
        fix = "Ask `sinfo` yourself; runs on this machine work without it."
        return Check("cluster", False, f"Slurm, {sbatch}; it does not answer", fix)
    return Check("cluster", True, f"Slurm; {', '.join(found)}")


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _synchronised() -> bool | None:
    """Whether systemd says that a time server sets the clock; `None` where nobody says."""
    program = shutil.which("timedatectl")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=2,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())
