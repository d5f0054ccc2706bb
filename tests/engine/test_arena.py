"""Ratings, which pair tells most, and votes as training data."""

import json
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.arena.entrants import Bench, checked_name, read_bench, save_bench, with_criterion
from engine.arena.export import export_votes
from engine.arena.matches import Arena, questions_of
from engine.arena.pairing import gain, next_pair, pairs_of
from engine.arena.ratings import MEAN, PRIOR, SCALE, fit, likelihood, rate, ratings, wilson
from engine.arena.turns import known_to, turned
from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput
from engine.home import Home
from engine.suites.reading import Suite, SuitePrompt
from store import Store, open_store
from store.talk_records import SuiteAnswer, SuiteRun, Vote, Winner
from store.votes import PairCount

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WON = """
0 7 9 7 7 9 11
6 0 7 5 11 9 9
4 6 0 7 7 8 12
6 8 6 0 6 7 10
6 2 6 7 0 7 12
4 4 5 6 6 0 6
2 4 1 3 1 7 0
"""


def baseball() -> list[PairCount]:
    """The American League East of 1987: how often the team of the row beat that of the column."""
    won = np.array([[int(cell) for cell in line.split()] for line in WON.strip().splitlines()])
    return [
        PairCount(
            one, other, int(won[TEAMS.index(one), TEAMS.index(other)]), int(won[TEAMS.index(other), TEAMS.index(one)])
        )
        for one, other in pairs_of(TEAMS)
    ]


def vote(number: int, left: str, right: str, winner: Winner, **fields: Any) -> Vote:
    known: dict[str, Any] = {
        "id": f"v{number}",
        "t": float(number),
        "voter": "ann",
        "criterion": "overall",
        "conversation": ({"role": "user", "content": f"question {number}"},),
        "left_text": f"{left} says {number}",
        "right_text": f"{right} says {number}",
    }
    return Vote(left=left, right=right, winner=winner, **(known | fields))


def test_two_models_have_the_log_odds_of_their_votes() -> None:
    """Without much of a prior: 75 to 25 is odds of 3, and 400 points are odds of 10."""
    best, other = rate([PairCount("a", "b", 7500, 2500)])
    assert best.score - other.score == pytest.approx(400 * np.log10(3), abs=0.5)
    assert (best.score + other.score) / 2 == pytest.approx(MEAN)
    # The textbook's error of log-odds, √(1/7500 + 1/2500), halved: each side is half the distance from the mean.
    assert best.high - best.score == pytest.approx(1.96 * SCALE * np.sqrt(1 / 7500 + 1 / 2500) / 2, rel=1e-3)


def test_the_known_strengths_of_a_season(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agresti, Categorical Data Analysis, 10.6: strengths against Baltimore by maximum likelihood alone."""
    known = {"Milwaukee": 1.581, "Detroit": 1.436, "Toronto": 1.294, "New York": 1.248, "Boston": 1.108}
    assert [rating.model for rating in rate(baseball())] == [*TEAMS]
    monkeypatch.setattr("engine.arena.ratings.PRIOR", 1e4)
    found = fit(baseball())
    baltimore = found.strength[found.place["Baltimore"]]
    for team, strength in (known | {"Cleveland": 0.684}).items():
        assert found.strength[found.place[team]] - baltimore == pytest.approx(strength, abs=6e-4)


def test_no_other_strengths_are_likelier() -> None:
    """Against a search that knows nothing of derivatives."""
    counts = [PairCount("a", "b", 7, 2, 3), PairCount("a", "c", 1, 0), PairCount("b", "c", 4, 5, 1, 2)]
    found = fit(counts)
    won = np.array([[0, 8.5, 1], [3.5, 0, 4.5], [0, 5.5, 0]])
    best, width, chance = np.zeros(3), 1.0, np.random.default_rng(1)
    while width > 1e-7:
        tried = [best + width * step for step in chance.normal(size=(200, 3))]
        nearer = max(tried, key=lambda strength: likelihood(strength, won))
        if likelihood(nearer, won) > likelihood(best, won):
            best = nearer
        else:
            width /= 2
    assert np.allclose(best, found.strength, atol=1e-4)
    assert likelihood(found.strength, won) >= likelihood(best, won) - 1e-9


def test_only_wins_and_no_votes_stay_finite() -> None:
    by_model = {rating.model: rating for rating in rate([PairCount("a", "b", 50)], ["a", "b", "c"])}
    unknown, lost = by_model["c"], by_model["b"]
    assert by_model["a"].score < MEAN + 2 * PRIOR * SCALE
    assert by_model["a"].score > unknown.score > lost.score
    assert unknown.votes == 0 and unknown.win_rate is None
    assert unknown.high - unknown.low > lost.high - lost.low
    assert rate([]) == []


def test_ties_are_half_a_win_and_both_bad_says_nothing() -> None:
    votes = [vote(1, "a", "b", Winner.TIE), vote(2, "b", "a", Winner.TIE), vote(3, "a", "b", Winner.BOTH_BAD)]
    one, other = ratings(votes)
    assert one.score == pytest.approx(MEAN) and other.score == pytest.approx(MEAN)
    assert (one.votes, one.wins, one.ties, one.losses, one.both_bad, one.win_rate) == (2, 0, 2, 0, 1, 0.5)
    assert ratings(votes, "warm") == []
    won = ratings([*votes, vote(4, "b", "a", Winner.RIGHT)])
    assert [rating.model for rating in won] == ["a", "b"] and won[0].win_rate == 2 / 3


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    chance = np.random.default_rng(7)
    truth = np.array([0.9, 0.3, -0.2, -1.0])
    held = []
    for _ in range(150):
        counts = []
        for a, b in combinations(range(4), 2):
            wins = int(chance.binomial(25, 1 / (1 + np.exp(truth[b] - truth[a]))))
            counts.append(PairCount(f"m{a}", f"m{b}", wins, 25 - wins))
        for rating in rate(counts):
            true = MEAN + SCALE * truth[int(rating.model[1])]
            held.append(rating.low <= true <= rating.high)
    assert 0.92 < np.mean(held) < 0.98


def test_wilson_against_known_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I
    for share, count, low, high in (
        (81 / 263, 263, 0.2553, 0.3662),
        (0.0, 20, 0.0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ):
        assert wilson(share, count) == pytest.approx((low, high), abs=1e-4)


def test_every_pair_is_seen_before_one_is_seen_again() -> None:
    chance = random.Random(3)
    open_pairs = pairs_of("abcd")
    counts: list[PairCount] = []
    seen = []
    for _ in open_pairs:
        pair = next_pair(open_pairs, counts, chance)
        assert pair is not None
        seen.append((min(pair), max(pair)))
        counts.append(PairCount(min(pair), max(pair), first_wins=1))
    assert sorted(seen) == open_pairs


def test_near_equals_with_few_votes_are_shown_next() -> None:
    chance = random.Random(1)
    equal, apart, often = PairCount("a", "b", 3, 3), PairCount("a", "c", 6, 0), PairCount("b", "c", 60, 60)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    for _ in range(5):
        shown = next_pair(pairs, [equal, apart, PairCount("b", "c", 6, 0)], chance)
        assert shown is not None and set(shown) == {"a", "b"}
    shown = next_pair([("a", "b"), ("b", "c")], [equal, often], chance)
    assert shown is not None and set(shown) == {"a", "b"}
    assert gain(0.5, 1.0) > gain(0.9, 1.0) > gain(0.9, 0.1) > 0


def test_pairs_on_the_screen_are_not_shown_again_at_once_and_sides_change() -> None:
    chance = random.Random(5)
    counts = [PairCount("a", "b", 1), PairCount("a", "c", 1)]
    shown = next_pair(pairs_of("abc"), counts, chance)
    assert shown is not None and set(shown) == {"b", "c"}
    again = next_pair([("a", "b"), ("b", "c")], [], chance, waiting=[shown])
    assert again is not None and set(again) == {"a", "b"}
    assert next_pair([], counts, chance) is None
    sides = {next_pair([("a", "b")], counts, chance) for _ in range(20)}
    assert sides == {("a", "b"), ("b", "a")}


@pytest.fixture
def store(home: Home) -> Any:
    opened = open_store(home.ensure().db)
    yield opened
    opened.close()


def test_votes_import_as_preference_pairs(home: Home, store: Store, tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be kind."}
    history = (
        system,
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi! 👋"},
        {"role": "user", "content": "Where is\nmy parcel?"},
    )
    votes = [vote(number, "r1", "base:starter", Winner.LEFT if number % 2 else Winner.RIGHT) for number in range(10)]
    votes += [
        vote(10, "r1", "base:starter", Winner.RIGHT, conversation=history, note="kinder", suite="d1", position=3),
        vote(11, "r1", "base:starter", Winner.TIE),
        vote(12, "r1", "base:starter", Winner.BOTH_BAD),
        vote(13, "r1", "base:starter", Winner.LEFT, left_text="the same", right_text="the same"),
        vote(14, "r1", "base:starter", Winner.LEFT, right_text=" \n"),
    ]
    file = tmp_path / "votes.jsonl"
    told = export_votes(votes, file)
    assert (told.pairs, told.ties, told.both_bad, told.unusable) == (11, 1, 1, 2)
    last = json.loads(file.read_text().splitlines()[10])
    assert last["prompt"] == list(history)
    assert last["chosen"] == [{"role": "assistant", "content": "base:starter says 10"}]
    assert last["rejected"] == [{"role": "assistant", "content": "r1 says 10"}]
    assert last["metadata"]["chosen_model"] == "base:starter" and last["metadata"]["note"] == "kinder"

    library = DatasetLibrary(home, store)
    dataset = library.import_file(file, shape="preference")
    assert (dataset.shape, dataset.rows) == ("preference", 11)
    rows = {row.messages[-1].content: row for row in library.iterate(dataset.id)}
    kept = rows["Where is\nmy parcel?"]
    assert [(turn.role, turn.content) for turn in kept.messages] == [(one["role"], one["content"]) for one in history]
    assert [turn.content for turn in kept.chosen] == ["base:starter says 10"]
    assert [turn.content for turn in kept.rejected] == ["r1 says 10"]
    assert kept.metadata["voter"] == "ann" and kept.metadata["criterion"] == "overall"
    assert library.import_file(file, name="again").shape == "preference"
    library.close()


def test_nothing_to_export_and_nothing_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    with pytest.raises(BadInput, match="no vote"):
        export_votes([vote(1, "a", "b", Winner.TIE)], file)
    assert not file.exists()
    file.write_text("mine")
    with pytest.raises(BadInput, match="exists"):
        export_votes([vote(1, "a", "b", Winner.LEFT)], file)
    assert file.read_text() == "mine"
    assert export_votes([vote(1, "a", "b", Winner.LEFT)], file, overwrite=True).pairs == 1
    assert [path.name for path in tmp_path.glob("*.jsonl*")] == ["votes.jsonl"]


def suite_of(count: int) -> Suite:
    return Suite("d1", "asks", 1, tuple(SuitePrompt(number, (f"q{number}", "and then?")) for number in range(count)))


def test_every_match_is_shown_once_to_each_voter_by_each_criterion(store: Store) -> None:
    models = ("base:starter", "r1", "r2")
    arena = Arena(store, models, questions_of(suite_of(2)), voter="ann", chance=random.Random(2))
    shown = []
    while (match := arena.next()) is not None:
        shown.append((match.question.text, match.pair))
        arena.vote(match, Winner.LEFT, (("x", "1"), ("y", "2")))
    assert sorted(shown) == sorted((f"q{number}", pair) for number in range(2) for pair in pairs_of(models))
    assert {pair for _, pair in shown[:3]} == set(pairs_of(models))
    assert (arena.progress().judged, arena.progress().total, arena.progress().votes) == (6, 6, 6)
    arena.criterion = "warm"
    assert arena.next() is not None and arena.progress().judged == 0
    ben = Arena(store, models, questions_of(suite_of(2)), voter="ben")
    assert ben.next() is not None and (ben.progress().judged, ben.progress().votes) == (0, 6)
    # Who comes back goes on where they were.
    again = Arena(store, models, questions_of(suite_of(2)), voter="ann")
    assert again.next() is None
    vote = store.votes.list()[-1]
    again.undo(vote)
    match = again.next()
    assert match is not None and match.pair == (min(vote.left, vote.right), max(vote.left, vote.right))
    again.skip(match)
    assert again.next() is None


def test_a_vote_on_several_turns_is_a_pair_of_conversations_for_dpo(home: Home, store: Store, tmp_path: Path) -> None:
    arena = Arena(store, ["a", "b"], questions_of(suite_of(1)), voter="ann")
    match = arena.next()
    assert match is not None and match.question.turns == 2
    arena.vote(match, Winner.RIGHT, (("left 1", "left 2"), ("right 1", "right 2")))
    (kept,) = store.votes.list()
    assert known_to(kept.conversation, "left")[1] == {"role": "assistant", "content": "left 1"}
    assert (kept.left_text, kept.right_text) == ("left 2", "right 2")
    assert turned(turned(kept.conversation)) == kept.conversation
    file = tmp_path / "votes.jsonl"
    assert export_votes([kept], file).pairs == 1
    row = json.loads(file.read_text())
    assert row["prompt"] == [{"role": "user", "content": "q0"}]
    assert [message["content"] for message in row["chosen"]] == ["right 1", "and then?", "right 2"]
    assert [message["content"] for message in row["rejected"]] == ["left 1", "and then?", "left 2"]
    library = DatasetLibrary(home, store)
    dataset = library.import_file(file, shape="preference", validation=0)
    (read,) = library.iterate(dataset.id)
    assert [turn.content for turn in read.messages] == ["q0"]
    assert [turn.content for turn in read.chosen] == ["right 1", "and then?", "right 2"]
    library.close()


@pytest.mark.parametrize("ties", [False, True])
def test_the_same_answer_twice_is_passed_over_and_counted(store: Store, ties: bool) -> None:
    store.suites.add(SuiteRun("s1", "d1", "asks", 1.0, ("a", "b"), {}, 3))
    store.suites.append(
        SuiteAnswer("s1", model, position, turn, f"{position}.{turn}{'!' * (model if position == 1 else 0)}")
        for model in range(2)
        for position in range(3)
        for turn in range(2)
    )
    arena = Arena(store, ["a", "b"], questions_of(suite_of(4)), voter="ann", same_are_ties=ties)
    first = arena.next()
    assert first is not None and first.question.position == 1 and first.stored is not None
    assert {first.stored[0], first.stored[1]} == {("1.0", "1.1"), ("1.0!", "1.1!")}
    asked = arena.next([first])
    assert asked is not None and asked.question.position == 3 and asked.stored is None
    assert not arena.pass_over(asked, (("x", "y"), ("x", "z")))
    assert arena.pass_over(asked, (("x", "y "), ("x", "y")))
    assert arena.next([first]) is None
    told = arena.progress()
    assert (told.judged, told.same, told.total) == ((3, 0, 4) if ties else (0, 3, 4))
    assert [vote.winner for vote in store.votes.list()] == [Winner.TIE] * (3 if ties else 0)
    arena.criterion, arena.same_are_ties = "warm", True
    assert arena.next([first]) is None, "they are the same by any criterion"
    assert store.votes.count("warm") == 3


def test_typed_questions_come_first_and_waiting_matches_are_not_repeated(store: Store) -> None:
    arena = Arena(store, ["a", "b"], questions_of(suite_of(2)), voter="ann")
    first = arena.next()
    assert first is not None
    second = arena.next([first])
    assert second is not None and second.question != first.question
    assert arena.next([first, second]) is None
    arena.ask("mine")
    typed = arena.next([first])
    assert typed is not None and typed.question.text == "mine" and typed.conversation == typed.question.conversation
    vote = arena.vote(typed, Winner.TIE, (("x",), ("y",)))
    assert arena.next([first, second]) is None and arena.progress().judged == 1
    arena.undo(vote)
    again = arena.next()
    assert again is not None and again.question.text == "mine"


def test_the_bench_is_kept_and_names_are_checked(home: Home) -> None:
    home.ensure()
    assert read_bench(home) == Bench()
    bench, name = with_criterion(Bench("ann"), "  Very  Playful ")
    assert name == "very playful" and bench.criteria[-1] == "very playful"
    assert with_criterion(bench, "overall")[0] == bench == with_criterion(bench, "very playful")[0]
    save_bench(home, bench)
    assert read_bench(home) == bench
    (home.root / "arena.json").write_text("[1")
    assert read_bench(home) == Bench()
    for wrong in ("", "judge:me", "people", "x" * 41, "a\x1b[2J"):
        with pytest.raises(BadInput):
            checked_name(wrong, "voter")
