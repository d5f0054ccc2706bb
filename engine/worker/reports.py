"""Telling others the metrics: TensorBoard, Trackio, Weights & Biases, where the recipe asks for it.

What they write lies in the run's folder, and nothing leaves the machine unless its user is logged in there.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from engine.runs.failure_codes import FailureCode
from engine.worker.refusal import Refusal

FOLDER = "reports"
PROJECT = "finetui"
_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}
"""Either will do; the second only writes."""


def prepare_reports(report_to: Sequence[str], run: Path) -> None:
    """Set where each of them writes: `reports/` in the run's folder. Raises `Refusal` for a package that is missing.

    Called before their libraries are used, which read these settings then. What the user has set stays.
    """
    missing = [name for name in report_to if not any(map(find_spec, _PACKAGES.get(name, (name,))))]
    if missing:
        raise Refusal(
            f"report_to: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed here.",
            code=FailureCode.LIBRARY,
            fix=f"`pip install {' '.join(missing)}`, or leave {' and '.join(missing)} out of report_to.",
        )
    for name in report_to:
        folder = run / FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        for variable, value in _settings(name, folder).items():
            os.environ.setdefault(variable, value)


def _settings(name: str, folder: Path) -> dict[str, str]:
    if name == "tensorboard":
        return {"TENSORBOARD_LOGGING_DIR": str(folder)}
    if name == "trackio":
        return {"TRACKIO_DIR": str(folder)}
    found = {"WANDB_DIR": str(folder), "WANDB_PROJECT": PROJECT}
    return found if _logged_in() else found | {"WANDB_MODE": "offline"}


def _logged_in() -> bool:
    """Whether W&B has a key: without one it would ask for it, and nobody is there to answer."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return "api.wandb.ai" in (Path.home() / ".netrc").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
