"""Figures of texts: equal to sacrebleu and rouge-score called directly, and to what counting by hand gives."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.statistics import bleu_of_many
from engine.evaluation.text_measures import (
    bleu_counts,
    bleu_of,
    common_sequence,
    distinct_parts,
    ngrams,
    repeated,
    rouge_l,
    same,
    says,
    words,
)

TEXTS = st.text(st.sampled_from("ab cd.,!?\n1Zé🙂漢"), max_size=60)
WORDS = ["the", "a", "cat", "dog", "sat", "on", "mat,", "ran.", "Fast!", "12", "é", "🙂"]


def made(seed: int, rows: int) -> tuple[list[str], list[str]]:
    """Answers and what was expected: alike, with an empty one and an equal one among them."""
    chance = random.Random(seed)
    expected = [" ".join(chance.choices(WORDS, k=chance.randint(3, 30))) for _ in range(rows)]
    texts = [
        " ".join(word if chance.random() < 0.7 else chance.choice(WORDS) for word in one.split()) for one in expected
    ]
    texts[0], texts[1] = "", expected[1]
    return texts, expected


def score(texts: Sequence[str], expected: Sequence[str]) -> float:
    return bleu_of(np.sum(bleu_counts(texts, expected), axis=0))


@pytest.mark.parametrize("seed", range(4))
def test_bleu_is_sacrebleus_to_the_last_digit(seed: int) -> None:
    import sacrebleu

    texts, expected = made(seed, 40)
    assert score(texts, expected) == sacrebleu.corpus_bleu(texts, [expected], force=True).score
    few = score(texts[:2], expected[:2])
    assert few == sacrebleu.corpus_bleu(texts[:2], [expected[:2]], force=True).score
    for text, wanted in zip(texts, expected, strict=True):
        alone = bleu_of(bleu_counts([text], [wanted])[0], sentence=True)
        assert alone == sacrebleu.sentence_bleu(text, [wanted]).score


@pytest.mark.parametrize("texts", [["", ""], ["x", "y"], ["the cat", "the dog"]])
def test_bleu_is_sacrebleus_where_there_is_next_to_nothing(texts: list[str]) -> None:
    import sacrebleu

    assert score(texts, ["the cat", "a dog"]) == sacrebleu.corpus_bleu(texts, [["the cat", "a dog"]]).score


def test_bleu_of_resamples_is_sacrebleus() -> None:
    """Of few and of many rows, so that there are sums without matches of the longer runs, and without any."""
    texts, expected = made(5, 40)
    counts = np.array(bleu_counts(texts, expected))
    chance = np.random.default_rng(0)
    drawn = np.array([counts[chance.integers(0, 40, chance.integers(1, 6))].sum(axis=0) for _ in range(300)])
    sums = np.concatenate([drawn, counts, np.zeros((1, 10))])
    assert (sums[:, 5] == 0).any() and (sums[:, 5] > 0).any()
    assert bleu_of_many(sums) == pytest.approx([bleu_of(one) for one in sums.tolist()], rel=1e-12, abs=1e-12)


@given(TEXTS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_rouge_l_is_rouge_scores_to_the_last_digit(text: str, expected: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    assert rouge_l(text, expected) == RougeScorer(["rougeL"]).score(expected, text)["rougeL"].fmeasure


def test_rouge_l_is_rouge_scores_on_longer_texts() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    for text, expected in zip(*made(9, 60), strict=True):
        assert rouge_l(text, expected) == scorer.score(expected, text)["rougeL"].fmeasure


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_common_sequence_is_the_longest_one(one: list[str], other: list[str]) -> None:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
    assert common_sequence(one, other) == table[-1][-1]


def test_words_are_what_people_call_so_in_any_script() -> None:
    assert words("Don’t stop, it's 12.5 °C! 🙂") == ("don’t", "stop", "it's", "12", "5", "c")
    assert words("我喜欢猫") == ("我", "喜", "欢", "猫")
    assert words("Привет, мир") == ("привет", "мир")


def test_repetition_is_the_share_of_word_runs_that_came_before() -> None:
    assert repeated("one two three") is None
    assert repeated("a b c d e f") == 0
    assert repeated("no no no no no no no no") == pytest.approx(1 - 1 / 5)


def test_equal_texts_are_equal_whatever_the_white_space() -> None:
    assert same(" one\n two ", "one two")
    assert same("caf\u00e9", "cafe\u0301")
    assert not same("one two", "One two")


@pytest.mark.parametrize(
    ("text", "accepted", "right"),
    [
        ("Paris", ["Paris"], True),
        ("The capital of France is **Paris**.", ["paris"], True),
        ("<think>Is it Lyon? No.</think>\n\nIt is Paris.", ["Paris"], True),
        ("It is Lyon. Some say Paris.", ["Paris"], False),
        ("Lyon\nParis", ["Paris"], False),
        ("parisian", ["Paris"], False),
        ("Leonardo da Vinci painted it.", ["da Vinci"], True),
        ("There are eight of them", ["8", "eight"], True),
        ("It is 1,000 g.", ["1000"], True),
        ("It is 3.5", ["5"], False),
        ("It is 15", ["5"], False),
        ("It is -5", ["5"], False),
        ("It is −5", ["-5"], True),
        ("The Nile", ["the Nile"], True),
        ("H₂O", ["H2O"], True),
        ("", ["Paris"], False),
        ("anything", ["?!"], False),
        ("The letter a", ["A"], True),
    ],
)
def test_an_answer_is_right_by_the_words_of_its_first_sentence(text: str, accepted: list[str], right: bool) -> None:
    assert says(text, accepted) is right


def distinct(texts: Sequence[str], length: int) -> float:
    runs = [run for text in texts for run in ngrams(words(text), length)]
    return len(set(runs)) / len(runs)


@pytest.mark.parametrize("length", [1, 2])
def test_the_mean_of_the_parts_is_distinct_n(length: int) -> None:
    texts, _ = made(3, 50)
    parts = np.array(distinct_parts(texts, length))
    assert parts[:, 0].sum() / parts[:, 1].sum() == pytest.approx(distinct(texts, length), abs=1e-12)
    assert distinct_parts(["", "!"], length) == []


def test_distinct_n_varies_by_its_parts_as_it_does_from_sample_to_sample() -> None:
    """The standard error by the parts, against the deviation of distinct-1 over fresh samples of the same kind."""
    vocabulary = [f"w{n}" for n in range(400)]

    def sample(chance: random.Random) -> list[str]:
        return [" ".join(chance.choices(vocabulary, k=chance.randint(5, 25))) for _ in range(60)]

    chance = random.Random(1)
    samples = [sample(chance) for _ in range(80)]
    deviation = np.std([distinct(texts, 1) for texts in samples])
    errors = [np.std([part for part, _ in distinct_parts(texts, 1)]) / 60**0.5 for texts in samples[:20]]
    assert float(np.mean(errors)) == pytest.approx(float(deviation), rel=0.35)
