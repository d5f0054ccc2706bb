"""Blind answers: who says what is hidden behind letters, and a person says which is better."""

import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import TYPE_CHECKING

from engine.errors import BadInput
from store.talk_records import Vote, Winner
from tui.cli.chat_answers import Answer, Conversation, Seat, show_text
from tui.cli.command import Session
from tui.cli.output import paint
from tui.text import clean_line

if TYPE_CHECKING:
    from store import Store

CHOICES = {"a": Winner.LEFT, "b": Winner.RIGHT, "t": Winner.TIE, "n": Winner.BOTH_BAD}
QUESTION = "Which is better? a, b, t (tie), n (neither is good); Enter leaves it open: "


def lettered(seats: Sequence[Seat]) -> list[Seat]:
    """The seats in random order, each with a letter instead of its name."""
    if len(seats) > len(ascii_uppercase):
        raise BadInput(f"There are not letters enough for {len(seats)} models.")
    shuffled = random.SystemRandom().sample(seats, len(seats))
    return [replace(seat, label=letter) for seat, letter in zip(shuffled, ascii_uppercase, strict=False)]


def who_was_who(seats: Sequence[Seat]) -> str:
    """`A is demo, B is base`."""
    return ", ".join(f"{seat.label} is {clean_line(seat.pane.label)}" for seat in seats)


def check_votable(seats: Sequence[Seat]) -> None:
    """Raises `BadInput` where there are not two models to vote between."""
    if len(seats) != 2 or seats[0].voted == seats[1].voted:
        raise BadInput(
            f"A blind vote is between two models; here {'is' if len(seats) == 1 else 'are'} {len(seats)}.",
            fix="Name one --run, which is compared with its base. `finetui arena` chooses pairs out of many.",
        )


def voter_name(session: Session) -> str:
    """Who votes: who did last, else what this machine calls whoever is at it."""
    from engine.arena.entrants import read_bench, user_name

    return read_bench(session.home).voter or user_name() or "me"


def ask_for_vote(
    store: "Store", voter: str, seats: Sequence[Seat], conversation: Conversation, answers: Sequence[Answer]
) -> Vote | None:
    """Ask which answer is better, keep the vote and say who was who; None where it is left open.

    Raises `EOFError` at Ctrl-D.
    """
    if any(answer.error for answer in answers):
        show_text("Without two answers there is nothing to vote on.\n")
        return None
    while True:
        word = input(QUESTION).strip().lower()
        if not word:
            return None
        if word[0] in CHOICES:
            break
        show_text("a, b, t or n.\n")
    left, right = seats
    vote = Vote(
        f"v{secrets.token_hex(6)}",
        time.time(),
        voter,
        "overall",
        left.voted,
        right.voted,
        CHOICES[word[0]],
        tuple(conversation),
        answers[0].text,
        answers[1].text,
    )
    store.votes.add(vote)
    show_text(paint(f"Kept. {who_was_who(seats)}.", "dim") + "\n")
    return vote
