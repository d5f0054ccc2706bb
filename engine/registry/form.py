"""What a `model_info.json` may hold: a folder of the registry can be damaged, of another version, or somebody else's.

What is not of its kind is left out, as what is not known is. What this version knows nothing of stays.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from engine.runs.fields import finite, text
from store.records import LAST_STEP

Info = dict[str, Any]
Form = Callable[[Any], Any]
"""Gives a value as it may be, `None` where it may not be at all."""


def in_form(told: Mapping[str, Any]) -> Info:
    """`told` without what is of another kind than it should be, and such that it can be stored.

    Raises `ValueError` for what is nested too deeply.
    """
    try:
        plain = json.loads(text(json.dumps(told, ensure_ascii=False)))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return _table(_INFO, rest=_anything)(plain) or {}


def _word(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _count(value: Any) -> Any:
    return value if type(value) is int and 0 <= value <= LAST_STEP else None


def _figure(value: Any) -> Any:
    return value if finite(value) is not None else None


def _flag(value: Any) -> Any:
    return value if isinstance(value, bool) else None


def _anything(value: Any) -> Any:
    return value


def _table(fields: Mapping[str, Form], rest: Form | None = None) -> Form:
    """A table with these fields; others are as `rest` says, or left out."""

    def formed(value: Any) -> Any:
        if not isinstance(value, dict):
            return None
        found = {}
        for name, inner in value.items():
            form = fields.get(name, rest)
            if form is not None and (kept := form(inner)) is not None:
                found[name] = kept
        return found

    return formed


def _list(form: Form) -> Form:
    def formed(value: Any) -> Any:
        return [kept for one in value if (kept := form(one)) is not None] if isinstance(value, list) else None

    return formed


def _of(form: Form, *names: str) -> dict[str, Form]:
    return dict.fromkeys(names, form)


def _measured(value: Any) -> Any:
    """A figure of an evaluation, which nothing can be said of without its name and value."""
    found = _table(_of(_word, "metric") | _of(_count, "rows"), rest=_figure)(value)
    return found if found and "metric" in found and "value" in found else None


_EVALUATION = _table(
    _of(_word, "id", "name", "kind", "data", "data_id", "split", "beside", "unfinished")
    | _of(_count, "rows")
    | {"figures": _list(_measured)}
)
_INFO: dict[str, Form] = {
    **_of(_word, "kind", "name", "created", "description", "method", "template_hash"),
    **_of(_count, "v", "version", "size_bytes", "train_tokens"),
    "tags": _list(_word),
    "run": _table(
        _of(_word, "id", "name", "status", "created", "ended", "parent")
        | _of(_count, "step", "total_steps", "kept_step")
    ),
    "base": _table(_of(_word, "name", "kind", "revision", "licence")),
    "dataset": _table(
        _of(_word, "id", "name", "shape", "hub", "sha256", "licence", "grade")
        | _of(_count, "version", "rows")
        | {"splits": _table({}, rest=_count)}
    ),
    "recipe": _table({}, rest=_anything),
    "rows": _table(_of(_count, "train", "validation")),
    "parameters": _table(_of(_count, "trained", "total")),
    "training": _table({}, rest=_table(_of(_figure, "last", "best") | _of(_count, "best_step"))),
    "effect": _table(_of(_flag, "is_best_checkpoint"), rest=_figure),
    "evaluations": _list(_EVALUATION),
    "votes": _table(_of(_figure, "win_rate") | _of(_count, "votes")),
    "took": _table(_of(_word, "device", "precision", "currency") | _of(_count, "devices"), rest=_figure),
    "versions": _table({}, rest=_word),
}
