"""Counts the tokens of rows, many at a time. This is what other processes run of a large dataset."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from engine.datasets.rows import Row, Turn
from engine.tokens.messages import has_answer, is_text, learnt_turns
from engine.tokens.quick import quick_encoder
from engine.tokens.supervision import text_to_learn, token_spans, write_row
from engine.tokens.template import ChatTemplate, TemplateProblem, Written
from engine.tokens.tokenizer import TOKENIZER, Tokenizer

COLUMNS = ("total", "trained", "prompt", "system", "user", "assistant", "tool", "text")
"""What is counted of a row: all tokens; those that carry loss, -1 where the template refuses the row; those before the
first of them; and those of each role's own words."""

BYTES_A_TOKEN = 4
"""Where there is no tokenizer at all."""

_ROLES = {name: place for place, name in enumerate(COLUMNS)}
_TRAINED, _PROMPT = 1, 2


@dataclass(frozen=True)
class ByModel:
    """Count as a model's tokenizer in `folder` does, template included."""

    folder: str
    template: str
    assistant_only: bool


@dataclass(frozen=True)
class ByEncoding:
    """Count as an encoding of tiktoken does, turn by turn; its file is in `folder`. Without a name: by bytes."""

    name: str
    folder: str


def count_rows(rows: list[Row], how: ByModel | ByEncoding) -> Any:
    """(rows, columns) int32: `COLUMNS` of each row."""
    if parent_process() is not None:  # one of several: each keeps to its core
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return _by_model(rows, how) if isinstance(how, ByModel) else _by_encoding(rows, how)


class _Counter:
    """A tokenizer for counting: quickly where that is exact, by the tokenizer itself where it is not."""

    def __init__(self, folder: str) -> None:
        self.tokenizer = Tokenizer(Path(folder), "")
        self._quick = quick_encoder(Path(folder) / TOKENIZER)

    def encode(self, texts: list[str]) -> list[Any]:
        """Encodings that have a length and `char_to_token`, added tokens recognised and none added."""
        if not texts:
            return []
        if self._quick is None:
            return self._exactly(texts)
        found = [self._quick.encode(text) for text in texts]
        probes = sorted({0, len(texts) // 2, len(texts) - 1} | {place for place, one in enumerate(found) if not one})
        for place, exact in zip(probes, self._exactly([texts[place] for place in probes]), strict=True):
            quick = found[place]
            if quick is not None and len(quick) != len(exact):  # not the same after all
                self._quick = None
                return self._exactly(texts)
            found[place] = exact
        return found

    def _exactly(self, texts: list[str]) -> list[Any]:
        encodings: list[Any] = self.tokenizer.backend.encode_batch(texts, add_special_tokens=False)
        return encodings


@lru_cache(maxsize=2)
def _counter(folder: str) -> _Counter:
    return _Counter(folder)


def _by_model(rows: list[Row], how: ByModel) -> Any:
    import numpy as np

    counter = _counter(how.folder)
    tokenizer = counter.tokenizer
    counted = np.zeros((len(rows), len(COLUMNS)), dtype=np.int32)
    texts = [place for place, row in enumerate(rows) if is_text(row)]
    eos = tokenizer.special.eos_token
    encodings = tokenizer.backend.encode_batch_fast([text_to_learn(rows[place], eos) for place in texts])
    for place, encoding in zip(texts, encodings, strict=True):
        total = len(encoding)
        counted[place, [0, _TRAINED, _ROLES["text"]]] = total
    if len(texts) == len(rows):
        return counted
    known = set(texts)
    templates: dict[bool, ChatTemplate] = {}
    written: list[tuple[int, Written | None]] = []
    for place, row in enumerate(rows):
        if place not in known:
            tools = bool(row.tools)
            if tools not in templates:
                templates[tools] = tokenizer.template(how.template, assistant_only=how.assistant_only, tools=tools)
            written.append((place, _write(row, templates[tools])))
    batch = [one.text if one else _plain(rows[place]) for place, one in written]
    encodings = counter.encode(batch)
    for (place, one), encoding in zip(written, encodings, strict=True):
        counted[place] = _count(rows[place], one, encoding, how.assistant_only)
    return counted


def _write(row: Row, template: ChatTemplate) -> Written | None:
    try:
        return write_row(row, template)
    except TemplateProblem:
        return None


def _plain(row: Row) -> str:
    return "\n".join(turn.content for turn in learnt_turns(row))


def _count(row: Row, written: Written | None, encoding: Any, assistant_only: bool) -> list[int]:
    total = len(encoding)
    found = [total, 0, total, 0, 0, 0, 0, 0]
    if written is None:
        found[_TRAINED] = -1
        return found
    turns = learnt_turns(row)
    if not has_answer(row):
        pass
    elif not assistant_only:
        found[_TRAINED], found[_PROMPT] = total, 0
    else:
        end = 0
        for start, stop in token_spans(encoding, written.spans):
            if stop > start:
                found[_TRAINED] += max(0, stop - max(start, end))
                found[_PROMPT] = min(found[_PROMPT], start)
                end = max(end, stop)
    _count_roles(turns, written.text, encoding, found)
    return found


def _count_roles(turns: Sequence[Turn], text: str, encoding: Any, found: list[int]) -> None:
    """Tokens of each turn's own words, where the template leaves them as they are."""
    at = done = 0
    for turn in turns:
        content = turn.content.strip()
        start = text.find(content, at) if content else -1
        if start < 0:
            continue
        at = start + len(content)
        first, last = encoding.char_to_token(start), encoding.char_to_token(at - 1)
        if first is None or last is None:
            continue
        found[_ROLES[turn.role]] += max(0, last + 1 - max(first, done))
        done = max(done, last + 1)


def _by_encoding(rows: list[Row], how: ByEncoding) -> Any:
    import numpy as np

    count = byte_count if not how.name else encoding_count(how.name, how.folder)
    counted = np.zeros((len(rows), len(COLUMNS)), dtype=np.int32)
    for place, row in enumerate(rows):
        before = 0
        for turn in learnt_turns(row):
            tokens = count(turn.content + turn.calls)
            counted[place, _ROLES[turn.role]] += tokens
            counted[place, 0] += tokens
            if turn.role in ("assistant", "text"):
                if not counted[place, _TRAINED]:
                    counted[place, _PROMPT] = before
                counted[place, _TRAINED] += tokens
            before += tokens
        if not counted[place, _TRAINED]:
            counted[place, _PROMPT] = before
    return counted


def byte_count(text: str) -> int:
    """Tokens of a text where there is no tokenizer: a guess."""
    return -(-len(text.encode()) // BYTES_A_TOKEN)


@lru_cache(maxsize=2)
def encoding_count(name: str, folder: str) -> Any:
    """A function that counts the tokens of a text by that encoding of tiktoken, whose file is in `folder`."""
    os.environ["TIKTOKEN_CACHE_DIR"] = folder
    import tiktoken

    encode = tiktoken.get_encoding(name).encode_ordinary
    return lambda text: len(encode(text))
