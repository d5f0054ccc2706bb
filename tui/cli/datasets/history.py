"""How a version was made, in words, from its card."""

from collections.abc import Callable
from typing import Any

Operation = dict[str, Any]


def operation_words(card: dict[str, Any]) -> str:
    """`filter where tokens < 100, 474 → 426 rows`."""
    operation = card.get("operation") or {"kind": "import"}
    kind = str(operation.get("kind"))
    tell = _TOLD.get(kind)
    before, after = operation.get("before"), operation.get("after")
    counts = f"{before:,} → {after:,} rows" if isinstance(before, int) and isinstance(after, int) else ""
    words = f"{kind} {tell(operation)}".strip() if tell else kind
    return ", ".join(part for part in (words, *notes(operation), counts) if part)


def notes(operation: Operation) -> list[str]:
    """What is worth knowing beside the rows before and after."""
    return [
        words.format(count=count)
        for key, words in _NOTES.items()
        if isinstance(count := operation.get(key), int) and count
    ]


_NOTES = {
    "moved": "{count:,} in another split",
    "changed": "{count:,} changed",
    "straddling": "{count:,} of the groups in several splits",
    "repeated": "{count:,} taken again",
    "leaks": "{count:,} left out that another part evaluates on",
}


def _imported(operation: Operation) -> str:
    shape = operation.get("shape")
    mapping = operation.get("mapping") or {}
    said = [
        f"as {shape}" if shape and shape != "auto" else "",
        "with " + ", ".join(f"{field}={column}" for field, column in mapping.items()) if mapping else "",
        f"where {operation['where']}" if operation.get("where") else "",
    ]
    return " ".join(part for part in said if part)


def _split(operation: Operation) -> str:
    shares = "/".join(f"{100 * share:g}" for share in (operation.get("shares") or {}).values())
    by, near = operation.get("by"), operation.get("near")
    return " ".join(
        [shares, *([f"by {by}"] * bool(by)), *([f"near {near:g}"] if near else []), f"seed {operation.get('seed')}"]
    )


def _mixed(operation: Operation) -> str:
    weights = operation.get("weights") or {}
    return "of " + ", ".join(f"{weight:g} × {name}" for name, weight in weights.items())


def _staged(operation: Operation) -> str:
    return ", ".join(f"{one.get('name')} v{one.get('version')}" for one in operation.get("stages") or [])


def _edited(operation: Operation) -> str:
    return f"{operation['dropped']:,} dropped" if operation.get("dropped") else ""


_TOLD: dict[str, Callable[[Operation], str]] = {
    "import": _imported,
    "filter": lambda operation: f"where {operation.get('where')}",
    "dedupe": lambda operation: f"near {operation['near']:g}" if operation.get("near") else "",
    "subset": lambda operation: f"seed {operation.get('seed')}",
    "split": _split,
    "mix": _mixed,
    "stage": _staged,
    "edit": _edited,
}
