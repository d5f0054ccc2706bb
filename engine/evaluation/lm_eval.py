"""Tasks of EleutherAI's `lm-eval`, where it is installed: the command that runs them, and what came of it."""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

from engine.arena.ratings import Z95
from engine.errors import BadInput, FinetuiError
from store.evaluation_records import Measured

INSTALL = 'pip install "lm-eval[hf]"'
PREFIX = "lm_eval/"
"""Before the figures' names: `lm_eval/hellaswag/acc_norm`."""
_TASK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")
_LOWER = ("perplexity", "bits_per_byte", "ter", "brier_score", "mse", "rmse", "wer", "cer")


@dataclass(frozen=True)
class LmEvalModel:
    """A model as `lm-eval` loads it: `base` a name or a folder, `adapter` a LoRA adapter's folder."""

    base: str
    adapter: Path | None = None
    revision: str | None = None
    four_bit: bool = False
    trust_remote_code: bool = False


def is_installed() -> bool:
    """Whether `lm-eval` can be run by this Python."""
    return find_spec("lm_eval") is not None


def check(tasks: Sequence[str]) -> None:
    """Raises `FinetuiError` where `lm-eval` is not installed, `BadInput` for what is no task's name."""
    for task in tasks:
        if not _TASK.fullmatch(task):
            raise BadInput(
                f"{task[:80]!r} is no task's name.", fix="`python -m lm_eval ls tasks` lists those that there are."
            )
    if tasks and not is_installed():
        raise FinetuiError(
            "The tasks need lm-eval, which is not installed.",
            why="It is another project's, and large; finetui's own measures do without it.",
            fix=f"{INSTALL}, in the environment that finetui runs in.",
        )


def command(
    model: LmEvalModel,
    tasks: Sequence[str],
    output: Path,
    *,
    limit: int | None = None,
    batch: int | None = None,
    device: str | None = None,
    seed: int = 0,
) -> list[str]:
    """What runs the tasks and writes results under `output`. Raises as `check` does.

    `limit` is the most rows of each task; without `batch` `lm-eval` looks for the largest that fits, without `device`
    it takes the first GPU, where there is one.
    """
    check(tasks)
    arguments = {"pretrained": model.base}
    if model.adapter is not None:
        arguments["peft"] = str(model.adapter)
    if model.revision:
        arguments["revision"] = model.revision
    if model.four_bit:
        arguments |= {"load_in_4bit": "True", "bnb_4bit_quant_type": "nf4"}
    if model.trust_remote_code:
        arguments["trust_remote_code"] = "True"
    for value in arguments.values():
        if "," in value or "=" in value:
            raise BadInput(
                f"lm-eval cannot be given {value[:200]!r}.",
                why="It reads a comma or an equals sign as the end of a value.",
                fix="Move or link the folder to a path without them.",
            )
    argv = [sys.executable, "-m", "lm_eval", "--model", "hf"]
    argv += ["--model_args", ",".join(f"{name}={value}" for name, value in arguments.items())]
    argv += ["--tasks", ",".join(tasks), "--output_path", str(output), "--seed", str(seed)]
    argv += ["--batch_size", str(batch) if batch else "auto"]
    if limit is not None:
        argv += ["--limit", str(limit)]
    if device is not None:
        argv += ["--device", device]
    return argv


def read_results(folder: Path, *, evaluation: str = "", model: int = 0) -> list[Measured]:
    """The figures of the newest results file under `folder`, by task, then by metric.

    Intervals are 1.96 of the standard errors that `lm-eval` states; where it states none there is none. Raises
    `FinetuiError` where there are no results, or none that can be read.
    """
    found = sorted(folder.rglob("results*.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise FinetuiError("lm-eval left no results.", fix="Its output above says why.")
    try:
        document = json.loads(found[-1].read_text(encoding="utf-8"))
        results, samples = document["results"], document.get("n-samples") or {}
        return [
            figure
            for task, its in sorted(results.items())
            for figure in _of_task(str(task), its, _rows(samples.get(task)), evaluation, model)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FinetuiError(
            f"The results of lm-eval in {found[-1].name} cannot be read.",
            why=f"{type(error).__name__}: {error}",
            fix="Look whether the installed version of lm-eval is 0.4 or newer.",
        ) from error


def lower_is_better(name: str) -> bool:
    """Whether less is better of a figure `lm_eval/TASK/METRIC`: perplexities and error rates."""
    return name.rsplit("/", 1)[-1].endswith(_LOWER)


def _of_task(task: str, its: Mapping[str, Any], rows: int, evaluation: str, model: int) -> list[Measured]:
    """`its` has `METRIC,FILTER` → value beside `METRIC_stderr,FILTER`."""
    figures = []
    for key, value in its.items():
        metric, _, kept = key.partition(",")
        if metric.endswith("_stderr") or not _is_number(value) or "," not in key:
            continue
        name = f"{PREFIX}{task}/{metric}" + (f"({kept})" if kept not in ("none", "") else "")
        error = its.get(f"{metric}_stderr,{kept}")
        reach = Z95 * error if _is_number(error) else None
        low, high = (float(value) - reach, float(value) + reach) if reach is not None else (None, None)
        figures.append(Measured(evaluation, model, name, float(value), low, high, rows))
    return figures


def _rows(counts: Any) -> int:
    return int(counts.get("effective") or 0) if isinstance(counts, Mapping) else 0


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
