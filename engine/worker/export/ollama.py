"""A Modelfile for Ollama: the chat template in Ollama's own language, and where an answer ends.

Ollama writes prompts by a Go template. Ours is found by asking the chat template itself: what it writes before and
behind what each speaker says. It is only used where it gives the very text of the chat template for several
conversations; a template that does more than that is left to Ollama, which knows the usual ones by their Jinja.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

_SAID = "\x00said%d\x00"
_ROLES = ("system", "user", "assistant")
_TRIED: tuple[tuple[str, ...], ...] = (
    ("user",),
    ("system", "user"),
    ("user", "assistant", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
)


@dataclass(frozen=True)
class Turns:
    """What a template writes around what is said: (before, behind) by role, at the very start, and for an answer."""

    around: dict[str, tuple[str, str]]
    start: str
    answer: str

    def text(self, roles: Sequence[str], said: Sequence[str]) -> str:
        """A conversation, with the beginning of the answer that is wanted."""
        parts = (self.around[role][0] + text + self.around[role][1] for role, text in zip(roles, said, strict=True))
        return self.start + "".join(parts) + self.answer


def turns_of(tokenizer: Any) -> Turns | None:
    """How the chat template writes a conversation, or `None` where that cannot be said turn by turn."""
    if not isinstance(tokenizer.chat_template, str):
        return None
    try:
        found = _find(tokenizer)
    except Exception:  # templates refuse what they are not made for, in whatever way
        return None
    return found


def _find(tokenizer: Any) -> Turns | None:
    start = ""
    bos = tokenizer.bos_token or ""
    long = _written(tokenizer, ("user", "assistant", "user"))
    before, between = long.split(_SAID % 0)[0], long.split(_SAID % 0)[1].split(_SAID % 1)[0]
    behind_answer = long.split(_SAID % 1)[1].split(_SAID % 2)[0]
    last = long.split(_SAID % 2)[1]
    if bos and before.startswith(bos):
        start, before = bos, before[len(bos) :]
    if not behind_answer.endswith(before):
        return None
    after_assistant = behind_answer[: len(behind_answer) - len(before)]
    whole = _written(tokenizer, ("user",), answer=False).split(_SAID % 0)[1]
    if not last.startswith(whole) or not between.startswith(whole):
        return None
    around = {"user": (before, whole), "assistant": (between[len(whole) :], after_assistant)}
    system = _system(tokenizer, start, before)
    if system is not None:
        around["system"] = system
    turns = Turns(around, start, last[len(whole) :])
    for roles in _TRIED:
        if "system" in roles and system is None:
            continue
        said = [_SAID % place for place in range(len(roles))]
        if turns.text(roles, said) != _written(tokenizer, roles):
            return None
    return turns


def _system(tokenizer: Any, start: str, before_user: str) -> tuple[str, str] | None:
    """What stands around a system message; `None` for a template that takes none."""
    try:
        text = _written(tokenizer, ("system", "user"))
    except Exception:
        return None
    head, _, rest = text.partition(_SAID % 0)
    behind = rest.split(_SAID % 1)[0]
    if not rest or not head.startswith(start) or not behind.endswith(before_user):
        return None
    return head[len(start) :], behind[: len(behind) - len(before_user)]


def _written(tokenizer: Any, roles: Sequence[str], *, answer: bool = True) -> str:
    messages = [{"role": role, "content": _SAID % place} for place, role in enumerate(roles)]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer))


def go_template(turns: Turns) -> str:
    """The template in Go's language."""
    cases: list[str] = []
    for role in _ROLES:
        if role in turns.around:
            before, behind = (_literal(part) for part in turns.around[role])
            word = "{{ if" if not cases else "{{ else if"
            cases.append(f'{word} eq $m.Role "{role}" }}}}{before}{{{{ $m.Content }}}}{behind}')
    body = "".join(cases) + "{{ end }}"
    return _literal(turns.start) + "{{ range $m := .Messages }}" + body + "{{ end }}" + _literal(turns.answer)


def _literal(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def modelfile(file: str, turns: Turns | None, stops: Sequence[str], context: int | None, adds_start: bool) -> str:
    """The Modelfile beside the GGUF `file`. `adds_start`: the file has the first token put before every prompt."""
    lines = [f"FROM ./{file}", ""]
    template = go_template(replace(turns, start="") if adds_start else turns) if turns is not None else ""
    if template and '"""' not in template:
        lines += [f'TEMPLATE """{template}"""', ""]
    lines += [f"PARAMETER stop {_quoted(stop)}" for stop in stops]
    lines += [f"PARAMETER num_ctx {context}"] if context else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
