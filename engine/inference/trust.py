"""What is known of a trained model once a server has loaded it: whether it is on, and on what it was trained on."""

from dataclasses import asdict, dataclass
from typing import Any

NO_EFFECT = 1e-4
"""A change of the logits below this is rounding: the adapter says what its base says."""


@dataclass(frozen=True)
class Trust:
    """The checks of an adapter or a whole model; `None` where one could not be made. `warnings` say what to do."""

    base_matches: bool | None
    """Whether the loaded base model, and its revision, are those that it was trained on."""
    template_matches: bool | None
    """Whether its conversations are written by the chat template that it was trained with."""
    delta: float | None
    """How far it moves the logits: at each token of a few prompts the largest absolute change, averaged over them."""
    merged_agrees: bool | None
    """Whether layers with the adapter merged into them give what they give with it beside them."""
    warnings: tuple[str, ...]

    def words(self) -> str:
        """For a title: `adapter on (Δ 3.1)`, and what does not match."""
        if self.delta is None:
            state = "loaded"
        elif self.delta < NO_EFFECT:
            state = "adapter without effect (Δ 0)"
        else:
            state = f"adapter on (Δ {self.delta:.1f})" if self.delta >= 0.95 else f"adapter on (Δ {self.delta:.1g})"
        parts = [state]
        parts += ["another base model"] if self.base_matches is False else []
        parts += ["another template"] if self.template_matches is False else []
        parts += ["merged differs"] if self.merged_agrees is False else []
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Trust":
        """Raises `KeyError` for an object that is none."""
        return cls(
            value["base_matches"],
            value["template_matches"],
            value["delta"],
            value["merged_agrees"],
            tuple(str(warning) for warning in value["warnings"]),
        )
