"""The batch script of a run under Slurm: readable, and good to be submitted by hand. Standard library only."""

import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WARNING_S = 120
"""So long before its time limit a job is told: time for one step, an evaluation and a checkpoint.

A quarter of the limit where that is less: Slurm tells a job at once whose limit is shorter than the warning.
"""

_GPU_OPTIONS = ("--gres", "--gpus", "-G")
"""Options of the recipe that say themselves which GPUs a job gets."""

CORES_PER_GPU = 4
"""Processor cores asked for with each GPU: for the process itself, its reading ahead and what it saves."""

_CORE_OPTIONS = ("--cpus-per-", "-c", "--exclusive")
"""The same for cores."""

_SCRIPT = """\
#!/bin/bash
# The run {name} ({id}) as a job of Slurm. finetui wrote this; `sbatch {script}` submits it again.

# What squeue shows.
#SBATCH --job-name={slug}
#SBATCH --comment=finetui:{id}

# Where it runs and what it prints: the run's folder, behind what its log holds. All nodes must see this folder.
#SBATCH --chdir={folder}
#SBATCH --output=log.txt
#SBATCH --open-mode=append

# What it needs: one task a node, which starts one process a device.
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
{needs}
# {warning} seconds before its time limit it is told: it saves a checkpoint and goes back into the queue.
#SBATCH --signal=B:TERM@{warning}

# Preempted, or on a node that failed, it is queued again and goes on from its last checkpoint.
#SBATCH --requeue
{more}
# The run's own supervisor takes the place of this shell, so that Slurm's signals reach it.
# Each time the job is queued again is an attempt of its own.
{environment}exec {supervisor} \\
  --attempt $(({attempt} + ${{SLURM_RESTART_COUNT:-0}})) --job "$SLURM_JOB_ID" \\
  --worker {worker}
"""


def script_text(
    folder: Path,
    recipe: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    attempt: int,
    gpus: bool,
    supervisor: Sequence[str],
    worker: Sequence[str],
    python_path: str = "",
) -> str:
    """`job.sbatch` of a run. `gpus`: whether the cluster has any to ask for. `recipe` holds the fields of a recipe."""
    options = tuple(recipe.get("slurm_options") or ())
    devices = int(inputs.get("processes") or 1)
    needs = []
    if not _given(options, _CORE_OPTIONS):
        needs.append(f"#SBATCH --cpus-per-task={devices * (CORES_PER_GPU if gpus else 1)}")
    if gpus and not _given(options, _GPU_OPTIONS):
        needs.append(f"#SBATCH --gpus-per-node={devices}")
    for option, name in (("partition", "slurm_partition"), ("account", "slurm_account"), ("time", "slurm_time")):
        if value := recipe.get(name):
            needs.append(f"#SBATCH --{option}={_quoted(str(value))}")
    limit_s = time_limit_s(recipe.get("slurm_time"))
    warning = WARNING_S if limit_s is None else max(1, min(WARNING_S, limit_s // 4))
    more = [f"#SBATCH {_option(option)}" for option in options]
    return _SCRIPT.format(
        name=_one_line(str(inputs["name"])),
        id=inputs["id"],
        script=shlex.quote(str(folder / "job.sbatch")),
        slug=slug(str(inputs["name"])),
        folder=_quoted(str(folder)),
        nodes=int(recipe.get("nodes") or 1),
        needs="".join(f"{line}\n" for line in needs),
        warning=warning,
        more="".join(f"{line}\n" for line in ["", "# The recipe's slurm_options.", *more] if more),
        environment=f"export PYTHONPATH={shlex.quote(python_path)}\n" if python_path else "",
        supervisor=shlex.join(supervisor),
        attempt=attempt,
        worker=shlex.join(worker),
    )


def time_limit_s(text: str | None) -> int | None:
    """A time limit in seconds: `30` (minutes), `30:00`, `12:00:00`, `1-12`, `1-12:30` or `1-12:30:00`.

    `None` where there is none, or it is no such time.
    """
    days, dash, rest = (text or "").strip().rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in (*parts, *([days] if dash else []))) or len(parts) > 3:
        return None
    numbers = [int(part) for part in parts]
    if dash or len(numbers) == 3:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    return int(days or 0) * 86_400 + hours * 3_600 + minutes * 60 + seconds


def slug(name: str) -> str:
    """`name` as one word of letters, digits and dashes, which every tool of Slurm shows whole."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = "".join(c if c.isalnum() or c in "._-" else "-" for c in plain).strip("-.")
    return f"finetui-{words}"[:60]


def _given(options: Sequence[str], names: tuple[str, ...]) -> bool:
    """Whether the recipe itself has one of these options."""
    return any(_option(option).startswith(names) for option in options)


def _option(text: str) -> str:
    """One of `slurm_options`, with its two dashes, on one line."""
    line = _one_line(text)
    line = line if line.startswith("-") else f"--{line}"
    name, sign, value = line.partition("=")
    return f"{name}={_quoted(value)}" if sign else line


def _quoted(value: str) -> str:
    """A value as sbatch reads it in a directive."""
    value = _one_line(value)
    return value if value and not any(c in value for c in " \"'\\#") else '"' + value.replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    """Nothing that is given can begin a line of its own in the script."""
    return " ".join(text.split())
