"""Turns that are empty, out of order, or answer nobody."""

import json
from collections.abc import Iterator
from typing import Any

from engine.datasets.quality.findings import Fault
from engine.datasets.rows import Row, Turn


def check_turns(row: Row, kind: str) -> Iterator[Fault]:
    """Faults in the order of the row's turns. `kind` is the dataset's, as `kind_of` says."""
    yield from _empty_turns(row)
    if kind == "text":
        return
    if kind == "preference":
        yield from _order("messages", row.messages)
        yield from _prompt_of_pair(row)
        for name, answer in (("chosen", row.chosen), ("rejected", row.rejected)):
            yield from _answer_of_pair(name, answer)
    elif kind == "prompts":  # one prompt after the other is what a suite is made of
        yield from (fault for fault in _order("messages", row.messages) if fault.code == "system-late")
    else:
        yield from _order("messages", row.messages)
        yield from _ending(row.messages)
    yield from _tools(row)


def _empty_turns(row: Row) -> Iterator[Fault]:
    for name, turns in (("messages", row.messages), ("chosen", row.chosen), ("rejected", row.rejected)):
        for place, turn in enumerate(turns):
            if not turn.calls and (not turn.content or turn.content.isspace()):
                said = "is only white space" if turn.content else "is empty"
                yield Fault("empty-turn", f"{name}[{place}].content", f"{said} ({turn.role} turn)")


def _order(name: str, turns: tuple[Turn, ...], *, begun: bool = False) -> Iterator[Fault]:
    """Roles in a row that no template expects. Several tools may answer one after the other.

    `begun` says whether anybody but the system has spoken before.
    """
    before = ""
    for place, turn in enumerate(turns):
        role = turn.role
        if role == "system":
            if begun:
                yield Fault("system-late", f"{name}[{place}].role", "is a system turn after the conversation began")
            elif before == "system":
                yield Fault("role-order", f"{name}[{place}].role", "is a second system turn")
        elif role == before and role != "tool":
            yield Fault("role-order", f"{name}[{place}].role", f"is {role}, like the turn before it")
        if role == "assistant" and not begun and any(later.role == "user" for later in turns[place:]):
            yield Fault("assistant-first", f"{name}[{place}].role", "is the assistant's, before the user said anything")
        begun = begun or role != "system"
        before = role


def _ending(turns: tuple[Turn, ...]) -> Iterator[Fault]:
    answers = [turn for turn in turns if turn.role == "assistant" and (turn.calls or turn.content.strip())]
    if not answers:
        yield Fault("no-answer", "messages", "has no assistant turn with words")
        return
    if not any(turn.role == "user" for turn in turns):
        yield Fault("no-question", "messages", "has no user turn")
    if turns[-1].role != "assistant":
        yield Fault("last-turn", f"messages[{len(turns) - 1}].role", f"is {turns[-1].role}, and it is the last turn")


def _prompt_of_pair(row: Row) -> Iterator[Fault]:
    if not any(turn.role == "user" for turn in row.messages):
        yield Fault("no-question", "messages", "has no user turn")
    elif row.messages[-1].role == "assistant" and row.chosen and row.chosen[0].role == "assistant":
        place = len(row.messages) - 1
        yield Fault("role-order", f"messages[{place}].role", "is assistant, like the answer after it")


def _answer_of_pair(name: str, turns: tuple[Turn, ...]) -> Iterator[Fault]:
    if not any(turn.role == "assistant" and (turn.calls or turn.content.strip()) for turn in turns):
        yield Fault("no-answer", name, "has no assistant turn with words")
        return
    yield from _order(name, turns, begun=True)
    if turns[-1].role != "assistant":
        yield Fault("last-turn", f"{name}[{len(turns) - 1}].role", f"is {turns[-1].role}, and it is the last turn")


def _tools(row: Row) -> Iterator[Fault]:
    """Calls without answers, answers without calls, and calls of what is not on offer.

    A call may be the last turn: then the call is what is learnt.
    """
    offered = _offered(row.tools)
    chains = [("messages", row.messages, 0)]
    if row.chosen or row.rejected:
        chains += [("chosen", row.chosen, len(row.messages)), ("rejected", row.rejected, len(row.messages))]
    for name, own, shared in chains:
        turns = (*row.messages, *own) if shared else own
        for place in range(shared, len(turns)):
            turn = turns[place]
            field = f"{name}[{place - shared}]"
            if turn.role == "tool" and not _called(turns[:place]):
                yield Fault("tool-without-call", f"{field}.role", "is a tool's answer, and no call came before it")
            if not turn.calls:
                continue
            if place + 1 < len(turns) and turns[place + 1].role != "tool":
                yield Fault(
                    "call-without-answer", f"{field}.calls", f"is followed by {turns[place + 1].role}, not tool"
                )
            for called in _names(turn.calls):
                if offered and called not in offered:
                    yield Fault("unknown-tool", f"{field}.calls", f"calls {called!r}, which the row does not offer")


def _called(before: tuple[Turn, ...]) -> bool:
    """Whether the nearest turn before that is not a tool's calls a tool."""
    caller = next((turn for turn in reversed(before) if turn.role != "tool"), None)
    return caller is not None and bool(caller.calls)


def _names(calls: str) -> list[str]:
    return [str(call["name"]) for call in _json_list(calls) if isinstance(call, dict) and call.get("name")]


def _offered(tools: str) -> set[str]:
    """Names of the tools on offer; empty where they are not known."""
    names = set()
    for tool in _json_list(tools):
        inner = tool.get("function", tool) if isinstance(tool, dict) else {}
        if isinstance(inner, dict) and inner.get("name"):
            names.add(str(inner["name"]))
    return names


def _json_list(text: str) -> list[Any]:
    if not text:
        return []
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return value if isinstance(value, list) else [value]
