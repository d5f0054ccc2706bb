"""A row as chat templates take it: a list of messages, each a dict. One conversion, for the app and for the trainer."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from engine.datasets.rows import Row, Turn

CallStyle = Literal["objects", "strings", "words"]
"""How a template takes tool calls: their arguments as objects, or as JSON text, or not at all: then the call is written
into the assistant's words, and the tool's answer is the user's."""

Message = dict[str, Any]


def learnt_turns(row: Row) -> tuple[Turn, ...]:
    """The turns that fine-tuning on wanted answers reads: of a preference pair the prompt and the chosen answer."""
    return (*row.messages, *row.chosen)


def is_text(row: Row) -> bool:
    """Whether the row is plain text, which no template is put around."""
    return any(turn.role == "text" for turn in row.messages)


def plain_text(row: Row) -> str:
    """The text of a row that is plain text."""
    return "\n".join(turn.content for turn in row.messages if turn.role == "text")


def has_answer(row: Row) -> bool:
    """Whether an assistant speaks, and its words are wanted."""
    return row.label is not False and any(turn.role == "assistant" for turn in learnt_turns(row))


def template_messages(turns: Sequence[Turn], style: CallStyle) -> list[Message]:
    """The turns as messages: `role`, `content`, and where there are any `tool_calls`, and the `name` of a tool."""
    found: list[Message] = []
    called: list[str] = []
    before = ""
    for turn in turns:
        calls = parse_calls(turn.calls) if turn.calls else []
        if style == "words":
            said = _in_words(turn, calls)
            if turn.role == before == "tool":  # one turn for the answers of several tools: many templates alternate
                found[-1]["content"] += "\n" + said["content"]
            else:
                found.append(said)
            before = turn.role
            continue
        message: Message = {"role": turn.role, "content": turn.content}
        if calls:
            message["tool_calls"] = [_as_function(call, style) for call in calls]
            called = [call["name"] for call in calls]
        elif turn.role == "tool" and called:
            message["name"] = called.pop(0)
        found.append(message)
    return found


def template_tools(tools: str, style: CallStyle) -> list[Message] | None:
    """The tools on offer as functions, or `None` where there are none, or the template does not take them."""
    if not tools or style == "words":
        return None
    try:
        listed = json.loads(tools)
    except ValueError:
        return None
    found = [
        tool if "function" in tool or "name" not in tool else {"type": "function", "function": tool}
        for tool in (listed if isinstance(listed, list) else [listed])
        if isinstance(tool, dict)
    ]
    return found or None


def parse_calls(calls: str) -> list[dict[str, Any]]:
    """The calls of a turn, each with `name` and `arguments`; what is no call is left out."""
    try:
        listed = json.loads(calls)
    except ValueError:
        return []
    found = []
    for call in listed if isinstance(listed, list) else [listed]:
        inner = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            found.append({"name": inner["name"], "arguments": _parsed(inner.get("arguments"))})
    return found


def _parsed(arguments: Any) -> Any:
    """Arguments that are JSON text as what they say."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return arguments
    return {} if arguments is None else arguments


def _as_function(call: dict[str, Any], style: CallStyle) -> dict[str, Any]:
    arguments = call["arguments"]
    if style == "strings" and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", "function": {"name": call["name"], "arguments": arguments}}


def _in_words(turn: Turn, calls: list[dict[str, Any]]) -> Message:
    """A turn for a template without tools."""
    if turn.role == "tool":
        return {"role": "user", "content": f"<tool_response>\n{turn.content}\n</tool_response>"}
    words = [f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" for call in calls]
    return {"role": turn.role, "content": "\n".join([turn.content, *words] if turn.content else words)}
