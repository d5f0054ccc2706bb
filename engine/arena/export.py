"""Votes as preference pairs, to train with DPO."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.arena.turns import LEFT, RIGHT, answers, said_by, same, shared
from engine.errors import BadInput, FinetuiError
from engine.private import share
from store.talk_records import Vote, Winner


@dataclass(frozen=True)
class Exported:
    """What became of the votes. `unusable` ones prefer an answer to the same one, or an answer is empty."""

    pairs: int
    ties: int
    both_bad: int
    unusable: int


def export_votes(votes: Sequence[Vote], file: Path, *, overwrite: bool = False) -> Exported:
    """Write one JSON object a line for each vote that prefers one answer, in the conversational form of DPO:

        {"prompt": [{"role", "content"} …], "chosen": [{"role": "assistant", "content"}], "rejected": […],
         "metadata": {"voter", "criterion", "chosen_model", "rejected_model", "note", "suite", "position", "vote"}}

    Of several turns the chosen and the rejected one are all messages after the first question, the later questions too.
    The file appears whole or not at all. Raises `BadInput` where it exists and `overwrite` is not set, where it cannot
    be written, and where no vote prefers an answer.
    """
    if file.exists() and not overwrite:
        raise BadInput(
            f"{file} exists.", why="Nothing is overwritten unasked.", fix="Choose another, or add --overwrite."
        )
    preferring = [vote for vote in votes if vote.winner in (Winner.LEFT, Winner.RIGHT)]
    pairs = [_pair(vote) for vote in preferring if _usable(vote)]
    told = Exported(
        len(pairs),
        sum(vote.winner is Winner.TIE for vote in votes),
        sum(vote.winner is Winner.BOTH_BAD for vote in votes),
        len(preferring) - len(pairs),
    )
    if not pairs:
        raise BadInput(
            "There is no vote that prefers one answer to another.",
            why=f"Of {len(votes):,} votes, {told.ties:,} are ties and {told.both_bad:,} say that both are bad.",
            fix="`finetui arena` asks for votes.",
        )
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as out:
            for pair in pairs:
                out.write(json.dumps(pair, ensure_ascii=False) + "\n")
        share(temporary)
        temporary.replace(file)
    except OSError as error:
        raise FinetuiError(f"{file} cannot be written.", why=f"The system says: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return told


def _usable(vote: Vote) -> bool:
    left = answers(vote.conversation, LEFT, vote.left_text)
    right = answers(vote.conversation, RIGHT, vote.right_text)
    return all(text.strip() for text in [*left, *right]) and not same(left, right)


def _pair(vote: Vote) -> dict[str, Any]:
    left = (vote.left, said_by(vote.conversation, LEFT, vote.left_text))
    right = (vote.right, said_by(vote.conversation, RIGHT, vote.right_text))
    chosen, rejected = (left, right) if vote.winner is Winner.LEFT else (right, left)
    about: dict[str, Any] = {
        "voter": vote.voter,
        "criterion": vote.criterion,
        "chosen_model": chosen[0],
        "rejected_model": rejected[0],
        "vote": vote.id,
    }
    if vote.note:
        about["note"] = vote.note
    if vote.suite:
        about |= {"suite": vote.suite, "position": vote.position}
    return {"prompt": shared(vote.conversation), "chosen": chosen[1], "rejected": rejected[1], "metadata": about}
