"""What is measured of every row, as one number a column: lengths, and keys that are equal for what is the same."""

import re
from hashlib import blake2b

from engine.datasets.emoji import count_emoji
from engine.datasets.rows import Row, Turn, all_turns, answer_text, prompt_text

SPLITS = ("train", "validation", "test")
TRAIN = SPLITS.index("train")
OTHER_SPLIT = len(SPLITS)

COLUMNS: dict[str, str] = {
    "split": "u1",  # place in SPLITS, or OTHER_SPLIT
    "prompt_key": "u8",  # equal for rows that ask exactly the same
    "prompt_form": "u8",  # the same but for case, spacing and punctuation
    "answer_form": "u8",  # equal but for case and spacing
    "prompt_chars": "i4",
    "answer_chars": "i4",
    "row_chars": "i4",
    "prompt_words": "i4",
    "answer_words": "i4",
    "turns": "i4",
    "emoji": "i4",  # in what is to be learnt
    "echo": "u1",  # whether the answer is the prompt
    "label": "i1",  # 1 good, 0 bad, -1 none
    "longer": "i1",  # of a pair: 1 where the chosen answer is longer, -1 where the rejected one is
    "same_pair": "u1",  # whether both answers of a pair are the same
}
"""The columns with their NumPy types."""

_WORDS = re.compile(r"\w+")
_FORMED_CHARS = 20_000


def measure(row: Row) -> tuple[int, ...]:
    """The row's numbers in the order of `COLUMNS`."""
    answer = answer_text(row)
    prompt = prompt_text(row)
    said_before = [turn.content for turn in row.messages if turn.role not in ("assistant", "text")]
    context = "\0".join((*said_before, row.tools)) if said_before else answer
    answer_words = answer.split()
    longer, same_pair = _pair(row)
    turns = all_turns(row)
    return (
        SPLITS.index(row.split) if row.split in SPLITS else OTHER_SPLIT,
        _key(context),
        _key(_form(context)),
        _key(" ".join(answer_words).casefold()),
        len(prompt),
        len(answer),
        sum(len(turn.content) for turn in turns),
        len(prompt.split()),
        len(answer_words),
        len(turns),
        count_emoji(answer),
        _echoes(row),
        -1 if row.label is None else int(row.label),
        longer,
        same_pair,
    )


def _form(text: str) -> str:
    """The words of `text` without case and punctuation; of a very long one the beginning so, and the rest as it is."""
    words = " ".join(_WORDS.findall(text[:_FORMED_CHARS].casefold()))
    return f"{words}\0{text[_FORMED_CHARS:]}" if words else text


def _key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _echoes(row: Row) -> bool:
    """Whether the last answer says what the user said just before it, and no more."""
    turns = (*row.messages, *row.chosen[:1])
    if len(turns) < 2 or turns[-1].role != "assistant" or turns[-2].role != "user":
        return False
    asked, answer = turns[-2].content.strip(), turns[-1].content.strip()
    if abs(len(asked) - len(answer)) > 20:  # white space and punctuation may differ
        return False
    said = _WORDS.findall(answer.casefold())
    return bool(said) and _WORDS.findall(asked.casefold()) == said


def _pair(row: Row) -> tuple[int, bool]:
    """Which answer of a preference pair is longer, and whether both are the same but for white space."""
    if not row.chosen and not row.rejected:
        return 0, False
    chosen, rejected = _said(row.chosen), _said(row.rejected)
    same = chosen == rejected and [turn.calls for turn in row.chosen] == [turn.calls for turn in row.rejected]
    return (len(chosen) > len(rejected)) - (len(chosen) < len(rejected)), same


def _said(turns: tuple[Turn, ...]) -> str:
    return " ".join(" ".join(turn.content for turn in turns).split())
