"""What a decision rests on: the recipe as it was asked for, the model, the device, the rows."""

from dataclasses import dataclass, replace
from typing import Any

from engine.models import ModelInfo
from engine.planning.architecture import Architecture
from engine.planning.lengths import Lengths
from engine.planning.records import DeviceFacts
from engine.recipe import Recipe


@dataclass(frozen=True)
class Facts:
    """All that is known of a run before anything is decided."""

    asked: Recipe
    model: ModelInfo
    architecture: Architecture | None
    """`None` where the model's config is not on this machine."""
    device: DeviceFacts
    device_count: int
    """Devices of this machine that a run could take."""
    lengths: Lengths
    shape: str
    """Kind of the dataset's rows: `conversation`, `text`, `preference`, `kto`, `prompts`."""
    staged: bool
    budget_bytes: int
    """What may be planned on one device: what is free there, by what earlier runs taught of the estimate."""

    @property
    def isolates(self) -> bool:
        """Whether rows that lie end to end are known to be kept apart: the families that are known to the planner take
        that from `position_ids`, with SDPA, with attention written out, and with flash attention."""
        return self.architecture is not None and self.architecture.known

    @property
    def row_by_row(self) -> bool:
        """Whether torch's own attention goes over rows that lie end to end one by one; `engine.worker.row_attention`
        does so where no layer has a window shorter than the rows."""
        model = self.architecture
        if model is None or not (model.known and model.sdpa) or self.asked.attn_implementation not in ("sdpa", "auto"):
            return False
        longest = int(self.lengths.train.max()) if len(self.lengths.train) else 0
        limit = self.asked.max_length
        return model.window is None or (longest if limit == "auto" else min(longest, limit)) <= model.window

    @property
    def precision(self) -> str:
        """The format of the compute that is counted with: the one asked for, the one measured, else the usual one."""
        if self.asked.precision != "auto":
            return self.asked.precision
        if self.device.probe is not None:
            return self.device.probe.best
        if self.device.kind == "cpu":
            return "fp32"
        return "bf16" if (self.device.capability or (0, 0)) >= (8, 0) else "fp16"

    def asking(self, changes: dict[str, Any]) -> "Facts":
        """The same with other fields of the recipe."""
        return replace(self, asked=self.asked.model_copy(update=changes))
