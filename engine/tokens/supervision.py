"""A row as the model sees it: its tokens, and which of them are trained. Token for token as the trainer has it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.datasets.rows import Row, Turn
from engine.tokens.messages import has_answer, is_text, learnt_turns, plain_text, template_messages, template_tools
from engine.tokens.template import ChatTemplate, Written
from engine.tokens.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `text` is its piece of the row's text; empty for the second and further tokens of one character.

    `trained`: carries loss, unless it is `truncated`, that is beyond the longest sequence. `special`: no part of plain
    text, such as the end of a turn.
    """

    id: int
    text: str
    trained: bool
    truncated: bool
    special: bool


@dataclass(frozen=True)
class Rendered:
    """A row as the model sees it. The texts of the tokens make up `text`; a token that is added to it has its own.

    `total` counts all tokens, `trained` those that carry loss and are not cut off, `cut` those beyond `max_length`.
    """

    text: str
    tokens: list[Token]
    total: int
    trained: int
    cut: int
    warnings: list[str]
    template: str = ""
    """The template's name; empty for plain text. `training` is TRL's for the model's family."""
    rejected: "Rendered | None" = field(default=None)
    """The prompt with the answer that is not wanted, of a preference pair."""


def render_row(
    row: Row,
    tokenizer: Tokenizer,
    *,
    template: str = "own",
    max_length: int | None = 1024,
    assistant_only: bool = True,
) -> Rendered:
    """The row as a model with `tokenizer` would be trained on it.

    `template` is one of `tokenizer.templates()` or a Jinja file; plain text needs none. Of a preference pair the chosen
    answer is what is learnt, and `rejected` shows the other. Raises `BadInput` for a template that is not there, and
    where the template refuses the row.
    """
    if is_text(row):
        return _render_text(row, tokenizer, max_length)
    chosen = _chosen_template(row, tokenizer, template, assistant_only)
    rendered = _render_turns(row, learnt_turns(row), tokenizer, chosen, max_length, assistant_only)
    if not row.rejected:
        return rendered
    other = _render_turns(row, (*row.messages, *row.rejected), tokenizer, chosen, max_length, assistant_only)
    return replace(rendered, rejected=other)


def write_row(row: Row, template: ChatTemplate, turns: Sequence[Turn] | None = None) -> Written:
    """The row's conversation as text, by `template`; a question without an answer invites one."""
    turns = learnt_turns(row) if turns is None else turns
    style = template.call_style if has_tools(row, turns) else "words"
    return template.write(
        template_messages(turns, style),
        template_tools(row.tools, style),
        generation_prompt=not any(turn.role == "assistant" for turn in turns),
    )


def text_to_learn(row: Row, eos_token: str | None) -> str:
    """Plain text as TRL learns it: the end of text follows, where it is not there already."""
    text = plain_text(row)
    return text if not eos_token or text.endswith(eos_token) else text + eos_token


def _chosen_template(row: Row, tokenizer: Tokenizer, name: str, assistant_only: bool) -> ChatTemplate:
    return tokenizer.template(name, assistant_only=assistant_only, tools=bool(row.tools))


def has_tools(row: Row, turns: Sequence[Turn]) -> bool:
    return bool(row.tools) or any(turn.calls or turn.role == "tool" for turn in turns)


def _render_text(row: Row, tokenizer: Tokenizer, max_length: int | None) -> Rendered:
    eos = tokenizer.special.eos_token
    text = text_to_learn(row, eos)
    encoding = tokenizer.backend.encode(text, add_special_tokens=True)
    warnings = []
    if eos is None:
        warnings.append(f"{tokenizer.name} has no end-of-text token, so the model would not learn to stop.")
    if max_length is not None and len(encoding) > max_length:
        warnings.append(
            f"{len(encoding) - max_length:,} of {len(encoding):,} tokens are beyond max_length and cut off."
        )
    trained = [True] * len(encoding)
    return _rendered(text, encoding, trained, tokenizer, max_length, warnings, "")


def _render_turns(
    row: Row,
    turns: Sequence[Turn],
    tokenizer: Tokenizer,
    template: ChatTemplate,
    max_length: int | None,
    assistant_only: bool,
) -> Rendered:
    written = write_row(row, template, turns)
    encoding = tokenizer.backend.encode(written.text, add_special_tokens=False)
    answered = any(turn.role == "assistant" for turn in turns)
    if not answered:
        trained = [False] * len(encoding)
    elif assistant_only:
        trained = assistant_mask(encoding, written.spans)
    else:
        trained = [True] * len(encoding)
    warnings = _tool_warnings(row, turns, template)
    if not answered:
        warnings.append("There is no answer in this row, so nothing of it is trained.")
    else:
        if not has_answer(row):
            warnings.append("The answer is marked as not wanted: fine-tuning on answers leaves the row out.")
        if assistant_only and not template.marks:
            warnings.append(_no_marks(tokenizer, template))
        else:
            warnings += _mask_warnings(written, encoding, trained, tokenizer, max_length, assistant_only)
    return _rendered(written.text, encoding, trained, tokenizer, max_length, warnings, template.name)


def assistant_mask(encoding: Any, spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Which tokens the assistant says, by the rules of `apply_chat_template(return_assistant_tokens_mask=True)`."""
    mask = [False] * len(encoding)
    for start, end in token_spans(encoding, spans):
        mask[start:end] = [True] * max(0, end - start)
    return mask


def token_spans(encoding: Any, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of characters as spans of tokens, (start, end)."""
    found = []
    for start, end in spans:
        first = encoding.char_to_token(start)
        if first is None:
            break
        last = encoding.char_to_token(end - 1) if end else None
        found.append((first, last + 1 if last else len(encoding)))
    return found


def _rendered(
    text: str,
    encoding: Any,
    trained: list[bool],
    tokenizer: Tokenizer,
    max_length: int | None,
    warnings: list[str],
    template: str,
) -> Rendered:
    ids = encoding.ids
    limit = len(ids) if max_length is None else max_length
    added = tokenizer.added
    tokens = [
        Token(id, piece, is_trained, place >= limit, added.get(id, False))
        for place, (id, piece, is_trained) in enumerate(zip(ids, _pieces(text, encoding), trained, strict=True))
    ]
    return Rendered(
        text, tokens, len(ids), sum(trained[:limit]), max(0, len(ids) - limit), warnings, template, rejected=None
    )


def _pieces(text: str, encoding: Any) -> list[str]:
    """The text, a piece a token. A character of several tokens belongs to the first of them."""
    added = encoding.special_tokens_mask
    pieces: list[str] = []
    done = 0
    for (_, end), token, is_added in zip(encoding.offsets, encoding.tokens, added, strict=True):
        if is_added:
            pieces.append(token)
            continue
        pieces.append(text[done:end])
        done = max(done, end)
    if done < len(text):  # a tokenizer may leave out what is at the end
        last = max((place for place, is_added in enumerate(added) if not is_added), default=None)
        if last is not None:
            pieces[last] += text[done:]
    return pieces


def _no_marks(tokenizer: Tokenizer, template: ChatTemplate) -> str:
    if template.name == "own":
        said = f"The chat template of {tokenizer.name} does not mark what the assistant says, and TRL has none for it"
    else:
        said = f"The template {template.name} does not mark what the assistant says"
    return f"{said}: set assistant_only_loss = false to learn from whole conversations, or choose another template."


def _tool_warnings(row: Row, turns: Sequence[Turn], template: ChatTemplate) -> list[str]:
    if not has_tools(row, turns) or template.call_style != "words":
        return []
    said = "The template takes no tools: calls are written into the answer as text"
    return [said + (", and the tools on offer are left out." if row.tools else ".")]


def _mask_warnings(
    written: Written,
    encoding: Any,
    trained: list[bool],
    tokenizer: Tokenizer,
    max_length: int | None,
    assistant_only: bool,
) -> list[str]:
    """What is odd about the tokens that are trained."""
    warnings = []
    limit = len(trained) if max_length is None else max_length
    total, kept = sum(trained), sum(trained[:limit])
    if not total:
        return ["Nothing of this row is trained: the template marks no word of the assistant's in it."]
    if not kept:
        return [f"Nothing of this row is trained: its answer begins beyond max_length ({limit:,}). Raise max_length."]
    if kept < total and assistant_only:
        warnings.append(f"The answer is cut off: {total - kept:,} of its {total:,} tokens are beyond max_length.")
    elif len(trained) > limit:
        warnings.append(_cut_off(len(trained), limit))
    if total == len(trained):
        warnings.append(
            "Every token is trained, the question too: the template marks all of it."
            if assistant_only
            else "Every token is trained, the question too."
        )
    if assistant_only:
        if written.moved:
            warnings.append("The template marks the answer within a macro, so other words than the answer are trained.")
        first = encoding.char_to_token(written.spans[0][0])
        if first is not None and encoding.offsets[first][0] < written.spans[0][0]:
            warnings.append("The first trained token begins before the answer: it holds a part of the question, too.")
        if kept == total and not _ends_turn(written, encoding, trained, tokenizer):
            warnings.append("The end of the turn is not trained, so the model would not learn to stop.")
    return warnings


def _cut_off(total: int, limit: int) -> str:
    return f"{total - limit:,} of {total:,} tokens are beyond max_length and cut off."


def _ends_turn(written: Written, encoding: Any, trained: list[bool], tokenizer: Tokenizer) -> bool:
    """Whether the last trained token that is not white space is one of the added tokens, as TRL asks."""
    for place in range(len(trained) - 1, -1, -1):
        if trained[place]:
            start, end = encoding.offsets[place]
            if written.text[start:end].strip():
                return encoding.ids[place] in tokenizer.added
    return False
