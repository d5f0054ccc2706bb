"""Turns of a conversation, from a list of messages whatever its keys and roles are called."""

from collections.abc import Sequence
from typing import Any

from engine.datasets.rows import RowError, Turn, json_kind
from engine.datasets.shapes.names import CALLERS, ROLES
from engine.datasets.shapes.text import is_plain, parsed, shown, text_of
from engine.datasets.shapes.tools import calls_in, calls_of
from engine.datasets.shapes.transcript import is_transcript, turns_in

_ROLE_KEYS = ("role", "from", "speaker", "author")
_CONTENT_KEYS = ("content", "value", "text", "message")
_EXCHANGES = (("human", "assistant"), ("user", "assistant"), ("input", "output"), ("prompt", "response"))
_TURN_KEYS = frozenset({*_ROLE_KEYS, *_CONTENT_KEYS, "tool_calls", "function_call"})
_PLAIN = {name: role for name, role in ROLES.items() if name not in CALLERS}


def turns_of(value: Any, field: str, ignored: set[str]) -> list[Turn]:
    """The turns of a list of messages, of such a list in JSON, or of a transcript. Raises `RowError`.

    A list of texts is a conversation whose first turn is the user's. Keys of messages that have no place in a turn are
    added to `ignored`.
    """
    if isinstance(value, str):
        if is_transcript(value):
            return turns_in(value, field)
        found = parsed(value)
        value = found if isinstance(found, list) else value
    if not isinstance(value, list):
        raise RowError(field, f"is {json_kind(value)}, not a list of turns")
    if not value:
        raise RowError(field, "is empty")
    turns = []
    for index, item in enumerate(value):
        # Nearly all turns are plain: these few tests tell, and the careful way does the rest.
        if type(item) is dict and (len(item) == 2 or _has_no_more(item)):
            name, content = item.get("role"), item.get("content")
            if name is None and content is None:
                name, content = item.get("from"), item.get("value")
            if type(name) is str and name in _PLAIN and type(content) is str and is_plain(content):
                turns.append(Turn(_PLAIN[name], content))
                continue
        if exchange := _exchange(item, f"{field}[{index}]", index):
            turns += exchange
            continue
        turn = turn_of(item, f"{field}[{index}]", ignored)
        if turn.role != "system" or turn.content.strip():  # an empty system turn says that there is none
            turns.append(turn)
    return turns


def _exchange(item: Any, place: str, index: int) -> list[Turn]:
    """The turns of an item that is no message: question and answer in one object, or texts that take turns.

    Empty for a message, and for what is none of these.
    """
    if isinstance(item, str):
        return [Turn("assistant" if index % 2 else "user", text_of(item, place))]
    if not isinstance(item, dict) or any(key in item for key in _ROLE_KEYS):
        return []
    for asked, said in _EXCHANGES:
        if asked in item and said in item:
            own = item.get("system")
            system = [Turn("system", text_of(own, f"{place}.system"))] if own else []
            question = Turn("user", text_of(item[asked], f"{place}.{asked}"))
            return [*system, question, Turn("assistant", text_of(item[said], f"{place}.{said}"))]
    return []


def turn_of(item: Any, place: str, ignored: set[str]) -> Turn:
    """One message as a turn. Raises `RowError`."""
    if not isinstance(item, dict):
        raise RowError(place, f"is {json_kind(item)}, not a turn with role and content")
    role_key = next((key for key in _ROLE_KEYS if key in item), "role")
    content_key = next((key for key in _CONTENT_KEYS if key in item), "content")
    if item.get(role_key) is None:
        raise RowError(f"{place}.{role_key}" if role_key in item else place, "has no role")
    name = item[role_key]
    name = name.strip().lower() if isinstance(name, str) else name
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        problem = f"is {shown(item[role_key])}; known roles are system, user, assistant and tool"
        raise RowError(f"{place}.{role_key}", problem)
    ignored.update(str(key) for key, value in item.items() if key not in _TURN_KEYS and value is not None)
    calls = _calls(item, place)
    content = item.get(content_key)
    field = f"{place}.{content_key}"
    if calls:
        if role != "assistant":
            raise RowError(place, f"is a {role} turn that calls a tool; only the assistant can")
        return Turn(role, "" if content is None else text_of(content, field, empty=True), calls)
    if content_key not in item:
        raise RowError(place, "has no content")
    if name in CALLERS and (calls := calls_in(content, field)):
        return Turn(role, "", calls)
    return Turn(role, text_of(content, field, empty=role == "system"))


def check_conversation(turns: Sequence[Turn], field: str) -> None:
    """Raises `RowError` for turns from which nothing can be learnt."""
    if turns and turns[-1].role == "assistant":
        return
    if not any(turn.role == "assistant" for turn in turns):
        raise RowError(field, "has no assistant turn, so there is nothing to learn")
    raise RowError(field, f"ends with a {turns[-1].role} turn; the last turn must be the assistant's")


def _has_no_more(item: dict[str, Any]) -> bool:
    """Whether all but role and content is null, as tables write what other rows have."""
    return "role" in item and all(value is None for key, value in item.items() if key not in ("role", "content"))


def _calls(item: dict[str, Any], place: str) -> str:
    if calls := item.get("tool_calls"):
        return calls_of(calls, f"{place}.tool_calls")
    if call := item.get("function_call"):
        return calls_of([call], f"{place}.function_call")
    return ""


def are_messages(value: Any) -> bool:
    """Whether a cell is a list of messages; a list of typed parts of one is none."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and not are_parts(value)


def are_parts(value: Any) -> bool:
    """Whether a cell is a list of typed parts (text, images) of one message."""
    return isinstance(value, list) and any(
        isinstance(item, dict) and "type" in item and not any(key in item for key in _ROLE_KEYS) for item in value
    )
