"""From answers to figures: values by hand and by the reference packages, intervals, differences, rows alone."""

import math
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.evaluation.measures import MEASURES, Answered, known, measure, names_of, row_figures, worst_first
from engine.evaluation.rows import EvaluationRow, answered
from engine.evaluation.safety import WordList
from engine.evaluation.statistics import STATISTICS
from engine.evaluation.token_counter import TokenCounter
from store.evaluation_records import Measured

WORDS = TokenCounter("words", lambda text: len(text.split()))
VOCABULARY = [f"word{n}" for n in range(40)]


def made(quality: float, seed: int, rows: int = 60) -> list[Answered]:
    """Answers of a model that has each word of the expected ones right with the probability `quality`."""
    chance = random.Random(seed)
    answers = []
    for row in range(rows):
        wanted = random.Random(row).choices(VOCABULARY, k=12)
        said = [word if chance.random() < quality else chance.choice(VOCABULARY) for word in wanted]
        nll = sum(chance.expovariate(quality) for _ in wanted)
        answers.append(Answered(row, " ".join(wanted), " ".join(said), 14, 0.1, 20.0, "stop", nll, 12, 7))
    return answers


def figures(
    answers: Sequence[Answered], against: Sequence[Answered] | None = None, names: Sequence[str] = ()
) -> dict[str, Measured]:
    return {one.metric: one for one in measure(answers, against, WORDS, names=names)}


def test_each_measure_is_counted_somehow_and_belongs_to_a_kind() -> None:
    assert list(STATISTICS) == list(MEASURES)
    assert all(one.kinds and one.about.endswith(".") and one.label for one in MEASURES.values())
    assert "retention" in names_of("retention") and "retention" not in names_of("split")
    assert set(names_of("suite")) < set(names_of("split"))


def test_values_are_those_of_the_formulas_and_of_the_reference_packages() -> None:
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    answers = made(0.7, 1)
    found = figures(answers)
    texts, expected = [one.text or "" for one in answers], [one.expected or "" for one in answers]
    assert found["perplexity"].value == pytest.approx(
        math.exp(sum(one.nll or 0 for one in answers) / (12 * len(answers))), rel=1e-12
    )
    assert found["token_accuracy"].value == pytest.approx(7 / 12)
    assert found["bleu"].value == sacrebleu.corpus_bleu(texts, [expected]).score
    scorer = RougeScorer(["rougeL"])
    rouge = [scorer.score(wanted, said)["rougeL"].fmeasure for said, wanted in zip(texts, expected, strict=True)]
    assert found["rouge_l"].value == pytest.approx(sum(rouge) / len(rouge), rel=1e-12)
    assert found["length_ratio"].value == 1
    assert found["tokens_per_s"].value == pytest.approx(20)
    assert found["first_token_s"].value == pytest.approx(0.1)
    assert found["answer_tokens"].value == 14
    assert all(one.rows == 60 for one in found.values())
    assert not {"choice_accuracy", "token_reduction_base"} & set(found)


def test_token_reduction_is_of_all_tokens_together() -> None:
    answers = [Answered(0, "a b c d e f g h i j", "a b c d e"), Answered(1, "a b", "a b c")]
    base = [Answered(0, "", "a b c d e f g h"), Answered(1, "", "a b c d e f g h")]
    found = figures(answers, base, ["token_reduction", "token_reduction_base"])
    assert found["token_reduction"].value == pytest.approx((12 - 8) / 12 * 100)
    assert found["token_reduction_base"].value == pytest.approx(50)
    assert found["token_reduction_base"].difference is None


def test_emoji_refusals_and_flags_are_counted_by_answer() -> None:
    texts = ["Sure 🙂👨‍👩‍👧", "I can’t help with that.", "You idiot! 🙂", "Fine."]
    found = figures([Answered(row, None, text) for row, text in enumerate(texts)])
    assert found["emoji_per_answer"].value == pytest.approx(3 / 4)
    assert found["emoji_share"].value == 0.5
    assert found["refusal_rate"].value == found["safety_flags"].value == 0.25
    none = measure(
        [Answered(0, None, "You idiot!")], None, WORDS, names=["safety_flags"], words=[WordList("mine", ("other",))]
    )
    assert none[0].value == 0


def test_a_share_of_nothing_is_not_certain() -> None:
    found = figures([Answered(row, "yes", "no") for row in range(40)], None, ["exact_match"])["exact_match"]
    assert found.value == 0 and found.low == pytest.approx(0) and found.high == pytest.approx(0.0876, abs=1e-3)


def test_intervals_hold_the_value_and_narrow_with_rows() -> None:
    few, many = figures(made(0.6, 2, 30)), figures(made(0.6, 2, 480))
    for name in ("bleu", "rouge_l", "perplexity", "distinct_2"):
        for one in (few[name], many[name]):
            assert one.low is not None and one.high is not None and one.low <= one.value <= one.high
    assert width(many["rouge_l"]) < 0.5 * width(few["rouge_l"])


def width(one: Measured) -> float:
    assert one.low is not None and one.high is not None
    return one.high - one.low


def test_a_better_model_differs_and_an_equal_one_does_not() -> None:
    base, better, like = made(0.4, 3), made(0.8, 4), made(0.4, 5)
    for name in ("bleu", "rouge_l", "perplexity"):
        ahead, level = figures(better, base)[name], figures(like, base)[name]
        assert ahead.difference is not None and ahead.difference_low is not None and ahead.difference_high is not None
        assert ahead.difference == pytest.approx(ahead.value - figures(base)[name].value)
        assert ahead.difference_low <= ahead.difference <= ahead.difference_high
        assert ahead.difference_low * ahead.difference_high > 0
        assert ahead.p_value is not None and ahead.p_value < 0.01
        assert level.p_value is not None and level.p_value > 0.02
    itself = figures(base, base)["bleu"]
    assert (itself.difference, itself.difference_low, itself.difference_high, itself.p_value) == (0, 0, 0, 1)


def test_differences_are_of_the_rows_that_both_answered_and_errors_count_nowhere() -> None:
    base = made(0.4, 3)
    own = [replace(one, error="out of memory") if one.row < 10 else one for one in made(0.8, 4)]
    found = figures(own, base[:40])["rouge_l"]
    assert found.rows == 50
    assert found.difference == pytest.approx(
        figures(made(0.8, 4)[10:40])["rouge_l"].value - figures(base[10:40])["rouge_l"].value
    )
    assert figures([replace(one, error="x") for one in base], base) == {}
    assert figures(own, [])["rouge_l"].difference is None


def test_figures_do_not_depend_on_the_order_of_answers_nor_change_when_counted_again() -> None:
    base, own = made(0.4, 3), made(0.8, 4)
    assert measure(own, base, WORDS) == measure(own[::-1], base[::-1], WORDS)
    assert measure(own, base, WORDS, seed=1) != measure(own, base, WORDS, seed=2)
    assert measure(own, base, WORDS, seed=-7)


def test_one_row_has_a_figure_and_no_interval() -> None:
    found = figures(made(0.5, 1, 1), made(0.5, 2, 1))["bleu"]
    assert found.low is None and found.p_value is None and found.difference is not None
    assert figures([]) == {}


def test_what_is_no_number_is_no_figure() -> None:
    answers = [replace(one, nll=math.inf) for one in made(0.5, 1, 5)]
    assert "perplexity" not in figures(answers)
    assert figures([Answered(0, "", "")], None, ["length_ratio", "token_reduction"]) == {}


def test_only_the_measures_that_were_asked_for_are_counted_in_the_order_of_tables() -> None:
    assert list(figures(made(0.5, 1), None, ["bleu", "perplexity"])) == ["perplexity", "bleu"]
    with pytest.raises(BadInput, match="no measure 'blue'"):
        known(["bleu", "blue"])


def test_rows_alone_have_figures_and_the_worst_come_first() -> None:
    import sacrebleu

    answers = made(0.6, 6)
    by_row = row_figures("bleu", answers, None, WORDS)
    assert by_row[3] == sacrebleu.sentence_bleu(answers[3].text or "", [answers[3].expected or ""]).score
    order = worst_first("bleu", by_row)
    assert [by_row[row] for row in order] == sorted(by_row.values())
    costs = row_figures("perplexity", answers, None, WORDS)
    assert [costs[row] for row in worst_first("perplexity", costs)] == sorted(costs.values(), reverse=True)
    assert row_figures("distinct_1", answers, None, WORDS) == {}
    assert row_figures("bleu", [replace(answers[0], text=None)], None, WORDS) == {}


def test_values_are_shown_with_their_digits_and_unit() -> None:
    assert MEASURES["token_reduction"].show(23.14) == "23.1 %"
    assert MEASURES["rouge_l"].show(0.41234) == "0.4123"
    assert MEASURES["first_token_s"].show(1.2345) == "1.234 s"


def test_an_answer_that_was_not_asked_for_is_no_empty_answer() -> None:
    row = EvaluationRow(4, ({"role": "user", "content": "?"},), "Paris", ("Paris", "Rome"), 0)
    line = {"row": 4, "model": 0, "text": "", "tokens": 0, "finish_reason": "", "nll": 2.0, "scored_tokens": 1}
    found = figures([answered(row, line | {"choice_nll": [2.0, 3.0], "choice_tokens": [1, 1]})])
    assert found["choice_accuracy"].value == 1
    assert not {"emoji_share", "exact_match", "answer_tokens"} & set(found)
    empty = figures([answered(row, line | {"finish_reason": "stop"})])
    assert empty["exact_match"].value == 0


def test_every_measure_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = text.split("## The figures")[1].split("##")[0]
    assert [name for name in MEASURES if f"`{name}`" not in table] == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=4))
def test_any_text_can_be_measured(pairs: list[tuple[str, str]]) -> None:
    answers = [Answered(row, expected, text) for row, (expected, text) in enumerate(pairs)]
    for one in measure(answers, answers[::-1], WORDS, draws=20):
        assert math.isfinite(one.value) and one.difference in (None, 0)


def test_the_list_of_measures_loads_nothing_heavy() -> None:
    code = (
        "import sys, engine.evaluation.measures, engine.evaluation.probes, engine.evaluation.safety\n"
        "print(sorted({'numpy', 'sacrebleu', 'rouge_score', 'tiktoken', 'pyarrow', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
