"""The card of what was exported: what came with the adapter, and what was done to it."""

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from engine.export.spec import Difference, Spec

if TYPE_CHECKING:
    from engine.worker.export.merge import Merged

_FENCE = "---\n"


def write_card(spec: Spec, folder: Path, merged: "Merged | None") -> None:
    """Write `README.md`: the adapter's own card where there is one, its front matter put right, and what was merged."""
    front, body = _own_card(Path(spec.source.adapter) if spec.source.adapter else Path(spec.source.base))
    if not Path(spec.source.base_name).is_absolute():
        front["base_model"] = spec.source.base_name
    else:
        front.pop("base_model", None)  # a folder of this machine says nothing to others
    if merged is not None:
        front |= {"library_name": "transformers", "base_model_relation": "finetune"}
    front.setdefault("pipeline_tag", "text-generation")
    text = body.strip() or f"# {spec.name}"
    told = _merge_section(spec, merged) if merged is not None else ""
    matter = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"{_FENCE}{matter}{_FENCE}\n{text}\n{told}", encoding="utf-8")


def difference_words(found: Difference) -> str:
    """`1.2e-06 of the largest logit, the same next token at 100.0 %`."""
    return f"{found.relative:.1e} of the largest logit, the same next token at {found.same_next:.1%} of {found.tokens}"


def _own_card(folder: Path) -> tuple[dict[str, object], str]:
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}, ""
    if text.startswith(_FENCE) and _FENCE in text[4:]:
        matter, _, body = text[4:].partition(_FENCE)
        try:
            front = yaml.safe_load(matter)
        except yaml.YAMLError:
            front = {}
        return (front if isinstance(front, dict) else {}), body
    return {}, text


def _merge_section(spec: Spec, merged: "Merged") -> str:
    if spec.source.adapter is None:
        return ""
    rows = [("merged into", merged.base_weights), ("number format", merged.dtype)]
    for label, found in (
        ("merged against adapter, float32", merged.merged),
        ("these files against adapter", merged.saved),
        ("merged against adapter on the quantised base", merged.trained),
    ):
        rows += [(label, difference_words(found))] if found is not None else []
    lines = "\n".join(f"| {name} | {text} |" for name, text in rows)
    return f"\n## Merged\n\n| | |\n|---|---|\n{lines}\n"
