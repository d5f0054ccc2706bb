"""Tools: the calls that an assistant makes, and the definitions of what is on offer."""

from typing import Any

from engine.datasets.rows import RowError, json_kind
from engine.datasets.shapes.text import dumped, parsed


def calls_of(value: Any, field: str) -> str:
    """A list of calls as JSON, each `{"name", "arguments"}`, without OpenAI's wrapper. Raises `RowError`."""
    if not isinstance(value, list) or not all(isinstance(call, dict) for call in value):
        raise RowError(field, "is not a list of calls")
    return dumped([_call(call, f"{field}[{index}]") for index, call in enumerate(value)], field)


def calls_in(value: Any, field: str) -> str:
    """The calls that a turn of a tool's caller is: JSON of one call or of several. Empty for a turn that is text."""
    found = parsed(value) if isinstance(value, str) else value
    calls = found if isinstance(found, list) else [found]
    if not calls or not all(isinstance(call, dict) and _is_named(call) for call in calls):
        return ""
    return calls_of(calls, field)


def tools_of(value: Any, field: str) -> str:
    """Definitions of tools as a JSON list; empty for none. Raises `RowError`."""
    if isinstance(value, str):
        if not value.strip():
            return ""
        found = parsed(value)
        if found is None:
            raise RowError(field, "is not a list of tools in JSON")
        value = found
    if not value:
        return ""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise RowError(field, f"is {json_kind(value)}, not a list of tools")
    if bad := next((item for item in value if not isinstance(item, dict)), None):
        raise RowError(field, f"holds {json_kind(bad)}, which defines no tool")
    return dumped(value, field)


def are_tools(value: Any) -> bool:
    """Whether a column's value defines tools, or says that there are none."""
    try:
        tools_of(value, "")
    except RowError:
        return False
    return True


def _is_named(call: dict[str, Any]) -> bool:
    inner = call.get("function")
    name = inner.get("name") if isinstance(inner, dict) else call.get("name")
    return isinstance(name, str) and bool(name.strip())


def _call(call: dict[str, Any], field: str) -> dict[str, Any]:
    if not _is_named(call):
        raise RowError(field, "is a call without a name")
    inner = call["function"] if isinstance(call.get("function"), dict) else call
    return {"name": inner["name"], "arguments": _arguments(inner)}


def _arguments(call: dict[str, Any]) -> Any:
    """As an object or a list where they are one; else as the text that they are."""
    value = call.get("arguments", call.get("parameters"))
    if value is None:
        return {}
    if isinstance(value, str):
        found = parsed(value)
        return value if found is None else found
    return value if isinstance(value, (dict, list)) else dumped(value, "arguments")
