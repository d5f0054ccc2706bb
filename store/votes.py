"""Votes between answers, and what they come to."""

import builtins
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from store.connection import Database
from store.errors import StoreError
from store.talk_records import Vote, Winner

OVERALL = "overall"
"""The criterion of a vote that asks for nothing in particular."""
JUDGE = "judge:"
"""What the name of a voter begins with who is a model."""
PEOPLE = "people"
"""Stands for all voters that are no models, where a voter is asked for."""


@dataclass(frozen=True)
class PairCount:
    """How the votes between two models went, whichever side each was on. `first` is less than `second`."""

    first: str
    second: str
    first_wins: int = 0
    second_wins: int = 0
    ties: int = 0
    both_bad: int = 0

    @property
    def preferences(self) -> int:
        """The votes that say something of which is better: all but `both_bad`."""
        return self.first_wins + self.second_wins + self.ties


@dataclass(frozen=True)
class WinRate:
    """The share of a model's votes that it won, ties as half a win; `both_bad` does not count."""

    share: float
    votes: int


class VoteStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, vote: Vote) -> None:
        """Keep a vote. It is on the disk, not only on its way there, when this returns.

        Raises `StoreError` where the id is taken, and for a model that is voted against itself.
        """
        if vote.left == vote.right:
            raise StoreError("A vote is between two models.", f"Both sides of it are {vote.left}.")
        row = (
            *(vote.id, vote.t, vote.voter, vote.criterion, vote.left, vote.right, vote.winner),
            *(json.dumps(vote.conversation, ensure_ascii=False), vote.left_text, vote.right_text),
            *(vote.note, vote.suite, vote.position),
        )
        with self._synced(), self._database.transaction() as connection:
            try:
                connection.execute(
                    f"INSERT INTO votes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is a vote {vote.id} already.") from error

    def delete(self, vote_id: str) -> None:
        """Take a vote back. Raises `StoreError` where there is none of that id."""
        with self._synced(), self._database.transaction() as connection:
            if not connection.execute("DELETE FROM votes WHERE id = ?", (vote_id,)).rowcount:
                raise StoreError(f"There is no vote {vote_id}.", "It was taken back meanwhile.")

    @contextmanager
    def _synced(self) -> Iterator[None]:
        """Commit as far as the disk: nobody casts the same vote twice. Inside a transaction, its own end decides."""
        connection = self._database.connection()
        if connection.in_transaction:
            yield
            return
        connection.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            connection.execute("PRAGMA synchronous = NORMAL")

    # reading

    def voters(self) -> builtins.list[str]:
        """Who voted so far, people before models, by name."""
        names = [name for (name,) in self._database.all("SELECT DISTINCT voter FROM votes ORDER BY voter")]
        return sorted(names, key=lambda name: name.startswith(JUDGE))

    def criteria(self) -> builtins.list[str]:
        """What was voted by so far: `overall` first, then the others by name."""
        names = [name for (name,) in self._database.all("SELECT DISTINCT criterion FROM votes ORDER BY criterion")]
        return sorted(names, key=lambda name: name != OVERALL)

    def count(self, criterion: str | None = None, voter: str | None = None) -> int:
        where, parameters = _where(criterion, None, voter)
        row = self._database.one(f"SELECT count(*) FROM votes WHERE {where}", parameters)
        return int(row[0]) if row else 0

    def pairs(
        self, criterion: str | None = OVERALL, *, models: Collection[str] | None = None, voter: str | None = None
    ) -> builtins.list[PairCount]:
        """The votes between each two models that were voted on, counted. Reads no text."""
        where, parameters = _where(criterion, models, voter)
        return _tallied(
            self._database.all(
                f"SELECT left_model, right_model, winner, count(*) FROM votes WHERE {where} GROUP BY 1, 2, 3",
                parameters,
            )
        )

    def judged(self, suite: str, criterion: str, voter: str) -> set[tuple[int, str, str]]:
        """What this voter judged of a suite: the prompt's position and the two models, the lesser id first."""
        return {
            (position, min(left, right), max(left, right))
            for position, left, right in self._database.all(
                "SELECT position, left_model, right_model FROM votes WHERE suite = ? AND criterion = ? AND voter = ?",
                (suite, criterion, voter),
            )
        }

    def win_rates(self, models: Collection[str], criterion: str = OVERALL) -> dict[str, WinRate]:
        """How often each of these models won, by everybody's votes; models without a vote are left out."""
        if self._database.one("SELECT 1 FROM votes LIMIT 1") is None:
            return {}
        wanted = json.dumps([*models])
        points: dict[str, float] = {}
        votes: dict[str, int] = {}
        for side, won in (("left_model", Winner.LEFT), ("right_model", Winner.RIGHT)):
            for model, winner, count in self._database.all(
                f"SELECT {side}, winner, count(*) FROM votes WHERE {side} IN (SELECT value FROM json_each(?)) "
                "AND criterion = ? AND winner <> 'both_bad' GROUP BY 1, 2",
                (wanted, criterion),
            ):
                votes[model] = votes.get(model, 0) + count
                share = 1.0 if winner == won else 0.5 if winner == Winner.TIE else 0.0
                points[model] = points.get(model, 0.0) + share * count
        return {model: WinRate(points[model] / count, count) for model, count in votes.items()}

    # last, because its name hides the type's

    def list(
        self, criterion: str | None = None, models: Collection[str] | None = None, voter: str | None = None
    ) -> builtins.list[Vote]:
        """Votes, the oldest first: of one criterion, between two of `models`, of one voter (or of all `PEOPLE`)."""
        where, parameters = _where(criterion, models, voter)
        return [
            _vote(row)
            for row in self._database.all(f"SELECT {_COLUMNS} FROM votes WHERE {where} ORDER BY t, key", parameters)
        ]


_COLUMNS = (
    "id, t, voter, criterion, left_model, right_model, winner, conversation, left_text, right_text, note, suite, "
    "position"
)


def _where(criterion: str | None, models: Collection[str] | None, voter: str | None) -> tuple[str, builtins.list[Any]]:
    clauses, parameters = ["1"], []
    if criterion is not None:
        clauses.append("criterion = ?")
        parameters.append(criterion)
    if models is not None:
        wanted = json.dumps([*models])
        for side in ("left_model", "right_model"):
            clauses.append(f"{side} IN (SELECT value FROM json_each(?))")
            parameters.append(wanted)
    if voter == PEOPLE:
        clauses.append(f"voter NOT LIKE '{JUDGE}%'")
    elif voter is not None:
        clauses.append("voter = ?")
        parameters.append(voter)
    return " AND ".join(clauses), parameters


def _vote(row: tuple[Any, ...]) -> Vote:
    about: list[Any] = [*row[:6], Winner(row[6]), tuple(json.loads(row[7])), *row[8:]]
    return Vote(*about)


def counts_of(votes: Iterable[Vote], criterion: str | None = OVERALL) -> builtins.list[PairCount]:
    """As `VoteStore.pairs`, of votes at hand."""
    chosen = (vote for vote in votes if criterion is None or vote.criterion == criterion)
    return _tallied((vote.left, vote.right, vote.winner, 1) for vote in chosen)


def _tallied(rows: Iterable[tuple[Any, ...]]) -> builtins.list[PairCount]:
    """Left model, right model, winner and number of votes, put together by pair."""
    found: dict[tuple[str, str], builtins.list[int]] = {}
    for left, right, winner, count in rows:
        first_won = Winner.LEFT if left < right else Winner.RIGHT
        place = 2 if winner == Winner.TIE else 3 if winner == Winner.BOTH_BAD else 0 if winner == first_won else 1
        found.setdefault((min(left, right), max(left, right)), [0, 0, 0, 0])[place] += count
    return [PairCount(*pair, *found[pair]) for pair in sorted(found)]
