"""Slurm as the place where runs go: how one is submitted, stopped and killed there. Standard library only.

The job is the run's own supervisor, so that events, log, checkpoints and exit record come about as on this machine; the
run's folder lies on a file system that all nodes see. Slurm chooses node and devices; no lease is taken.
"""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.runs.backends.local import own_environment
from engine.runs.backends.slurm_jobs import COMMAND_S, WATCH, Job, look_at_one, run_slurm
from engine.runs.backends.slurm_script import script_text, time_limit_s
from engine.runs.rundir import RunDir, read_table, write_json

_HINTS = (
    ("partition", "Set slurm_partition to one of: {partitions}."),
    ("account", "Set slurm_account to an account of yours: `sacctmgr show associations user=$USER` lists them."),
    ("time limit", "Set slurm_time to less than the partition allows: `sinfo -o '%P %l'` shows that."),
    ("node configuration", "Ask for fewer devices or nodes: `sinfo -o '%P %D %G'` shows what there is."),
    ("more processors", "Ask for fewer devices or nodes: `sinfo -o '%P %D %G'` shows what there is."),
    ("node count", "Ask for fewer nodes: `sinfo -o '%P %D'` shows what there is."),
    ("unable to contact", 'Slurm\'s controller is down or out of reach: try again, or set backend = "local".'),
)


def submit(rundir: RunDir, attempt: int, worker: Sequence[str]) -> str:
    """Write the run's `job.sbatch` and submit it. Returns the job's id, which is in `process.json` too.

    Raises `BadInput` with Slurm's own words where it does not take the job, `OSError` where the folder cannot be
    written.
    """
    if shutil.which("sbatch") is None:
        raise BadInput(
            "There is no Slurm on this machine: sbatch is not in the PATH.",
            fix='Launch it on the cluster\'s login node, or set backend = "local".',
        )
    recipe = tomllib.loads(rundir.recipe.read_text(encoding="utf-8"))
    inputs = read_table(rundir.inputs)
    text = script_text(
        rundir.path,
        recipe,
        inputs,
        attempt=attempt,
        gpus=bool(_gpus(recipe.get("slurm_partition"))),
        supervisor=[sys.executable, "-P", "-m", "engine.runs.supervisor", str(rundir.path)],
        worker=worker,
        python_path=own_environment().get("PYTHONPATH", ""),
    )
    script = job_script(rundir)
    script.write_text(text, encoding="utf-8")
    job_id = _sbatch(script)
    record = {"host": "", "boot_id": "", "supervisor": None, "worker": None}
    _write_first(rundir.process, record | {"backend": "slurm", "job_id": job_id, "attempt": attempt})
    return job_id


def job_script(rundir: RunDir) -> Path:
    return rundir.path / "job.sbatch"


def stop(rundir: RunDir, job_id: str, attempt: int, *, now: bool) -> None:
    """Ask the run of a job to save and end; with `now`, to end at once. A job that waits is cancelled.

    Returns before it has ended. Raises `FinetuiError` where Slurm does not answer.
    """
    # A job that begins between the look and this is left alone by it.
    _scancel("--state=PENDING", job_id)
    job = look_at_one(job_id)
    WATCH.forget(job_id)
    if job is None:
        raise FinetuiError(f"Slurm does not answer; its job {job_id} goes on.", fix="Try again in a moment.")
    if job.live and not job.waits:
        # INT and not TERM, which is Slurm's own word for a job that it is about to take away.
        _scancel("--batch", "--signal=QUIT" if now else "--signal=INT", job_id)
    elif job.state == "CANCELLED" and not rundir.exit.exists():
        ending = {"attempt": attempt, "requested": "stop", "phase": f"waiting in Slurm (job {job_id})"}
        write_json(rundir.exit, ending | {"started": 0.0, "ended": time.time(), "log_offset": 0})


def requeue(job_id: str) -> None:
    """From within a job that was told that its time is up: back into the queue, unless Slurm has ended it already."""
    job = look_at_one(job_id)
    if job is not None and job.state == "RUNNING":
        run_slurm(["scontrol", "requeue", job_id])


def first_host(nodes: str) -> str:
    """The first host of a list in Slurm's short form: `n[07-09,12]` begins with `n07`."""
    listed = run_slurm(["scontrol", "show", "hostnames", nodes])
    return listed.split()[0] if listed and listed.split() else nodes


def problems(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Why a recipe cannot run under Slurm, by field; what only Slurm can tell, `submit` finds out."""
    found = {}
    if shutil.which("sbatch") is None:
        found["backend"] = "there is no Slurm on this machine (sbatch is not in the PATH)"
    if isinstance(recipe.get("devices"), (list, tuple)):
        found["devices"] = "Slurm chooses which devices: give their number"
    limit = recipe.get("slurm_time")
    if limit is not None and time_limit_s(limit) is None:
        found["slurm_time"] = f"{limit!r} is no time of Slurm's: write 30 (minutes), 12:00:00 or 1-12:00:00"
    own = [option for option in recipe.get("slurm_options") or () if _ours(option)]
    if own:
        found["slurm_options"] = f"{', '.join(own)}: finetui sets this itself"
    return found


def partitions() -> list[tuple[str, str, int, str]]:
    """Partitions that Slurm has: name, time limit, nodes, GPUs a node (`gpu:h100:8`, or empty). Empty without Slurm."""
    text = run_slurm(["sinfo", "--noheader", "--format=%R|%l|%D|%G"]) or ""
    rows: dict[tuple[str, str, str], int] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 4:
            name, limit, count, gres = fields
            key = (name, limit, gres.split("(")[0] if "gpu" in gres else "")
            rows[key] = rows.get(key, 0) + int(count)
    return [(name, limit, count, gres) for (name, limit, gres), count in rows.items()]


def _gpus(partition: str | None) -> list[str]:
    """GPUs of the nodes of a partition, or of all."""
    return [gres for name, _, _, gres in partitions() if gres and partition in (None, name)]


def _ours(option: str) -> bool:
    name = option.lstrip("-").split("=")[0].split()[0] if option.strip("- ") else ""
    return name in {"array", "chdir", "output", "error", "open-mode", "job-name", "comment", "signal", "nodes", "wrap"}


def _sbatch(script: Path) -> str:
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", str(script)], capture_output=True, text=True, timeout=3 * COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BadInput("Slurm did not answer sbatch within a minute.", fix="Try again in a moment.") from error
    if done.returncode:
        said = [line.removeprefix("sbatch: ").removeprefix("error: ").strip() for line in done.stderr.splitlines()]
        words = " ".join(filter(None, said)) or f"sbatch ended with exit status {done.returncode}"
        hint = next((hint for sign, hint in _HINTS if sign in words.lower()), f"The job's script is {script}.")
        named = ", ".join(dict.fromkeys(name for name, *_ in partitions())) or "none"
        raise BadInput("Slurm did not take the run.", why=f"It says: {words}", fix=hint.replace("{partitions}", named))
    return done.stdout.strip().split(";")[0]


def _scancel(*arguments: str) -> None:
    if run_slurm(["scancel", *arguments]) is None and shutil.which("scancel") is None:
        raise FinetuiError(
            "The run cannot be reached: there is no Slurm on this machine (scancel is not in the PATH).",
            fix="Stop it on the cluster's login node.",
        )


def _write_first(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record unless there is one: the job may have begun, and then its own says more."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.first")
    write_json(draft, record)
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


__all__ = ["Job", "first_host", "job_script", "partitions", "problems", "requeue", "stop", "submit"]
