"""What was said of a run before it began and what came of it, in a line each."""

from typing import TYPE_CHECKING, Any

from tui.format import fmt_bytes, fmt_duration, fmt_number

if TYPE_CHECKING:
    from engine.insight.promises import Promises


def promise_rows(promises: "Promises") -> list[tuple[str, str]]:
    """Label and words: planned, rehearsed, adapter. What is not known has no row."""
    rows = [
        ("planned", _planned(promises)),
        ("rehearsed", _rehearsed(promises.rehearsal)),
        ("adapter", _adapter(promises.adapter_effect)),
    ]
    return [(label, text) for label, text in rows if text]


def _planned(promises: "Promises") -> str:
    parts = []
    if _is_number(promises.planned_bytes):
        parts.append(fmt_bytes(promises.planned_bytes))
    if _is_number(promises.planned_s):
        spread = f" ± {fmt_duration(promises.planned_spread_s)}" if _is_number(promises.planned_spread_s) else ""
        parts.append(fmt_duration(promises.planned_s) + spread)
    return ", ".join(parts)


def _rehearsed(found: dict[str, Any]) -> str:
    if not found:
        return ""
    parts = ["fits" if found.get("ok") else "did not fit"]
    peak, estimated = found.get("peak_bytes"), found.get("estimated_bytes")
    if _is_number(peak):
        beside = f" beside {fmt_bytes(estimated)} estimated" if _is_number(estimated) else ""
        parts.append(f"{fmt_bytes(peak)} for the longest batch{beside}, libraries apart")
    if _is_number(found.get("seconds")):
        parts.append(f"took {fmt_duration(found['seconds'])}")
    return ", ".join(parts)


def _adapter(effect: dict[str, Any]) -> str:
    largest, mean_kl = effect.get("max_logit_change"), effect.get("mean_kl")
    if not _is_number(largest):
        return ""
    if not largest:
        return "changes nothing: the base model answers"
    text = f"is on: it changes logits by up to {fmt_number(largest)}"
    if _is_number(mean_kl):
        text += f", {fmt_number(mean_kl)} nats a token"
    return f"{text}, on {effect.get('probes', '?')} prompts"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
