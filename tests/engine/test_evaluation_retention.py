"""Probes: what ships is sound, what users write is read, and what a model kept is counted."""

import json
from pathlib import Path

import pytest

from engine.errors import BadInput, NotFound
from engine.evaluation.measures import Answered, measure
from engine.evaluation.probes import SHIPPED, Probe, probe_set
from engine.evaluation.retention import chosen_right, right, right_answer_nll
from engine.evaluation.text_measures import says
from engine.evaluation.token_counter import TokenCounter

WORDS = TokenCounter("words", lambda text: len(text.split()))


@pytest.mark.parametrize(("name", "least"), [("general", 100), ("exact", 40), ("starter", 40)])
def test_shipped_probes_are_many_different_and_answerable(name: str, least: int) -> None:
    probes = probe_set(name).probes
    assert len(probes) >= least
    assert len({probe.question for probe in probes}) == len(probes)
    assert all(probe.category for probe in probes)
    for probe in probes:
        assert probe.expected not in probe.question.split()
        if probe.answer is None:
            assert says(f"It is {probe.expected}.", [probe.expected])
            assert not says(probe.question, [probe.expected, *probe.accept]), probe.question
        else:
            assert probe.choices[probe.answer] == probe.expected


def test_the_right_choice_of_the_general_probes_has_no_usual_place_or_length() -> None:
    probes = probe_set("general").probes
    for place in range(4):
        assert 0.15 < sum(probe.answer == place for probe in probes) / len(probes) < 0.35
    longest = sum(len(probe.expected) > max(len(c) for c in probe.choices if c != probe.expected) for probe in probes)
    assert longest / len(probes) < 0.4
    assert {probe.category for probe in probes} >= {"science", "geography", "arithmetic", "language", "common sense"}


def test_a_probe_is_a_row() -> None:
    row = Probe("Why?", "Because", accept=("cause",), category="odd").row(7)
    assert (row.row, row.question, row.expected, row.choices, row.answer) == (7, "Why?", "Because", (), None)
    assert row.about == {"category": "odd", "accept": ["cause"]}
    assert [row.row for row in probe_set("exact").rows] == list(range(len(probe_set("exact").probes)))
    assert "general" in SHIPPED


def test_probes_of_the_users_own_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    lines = [
        {"question": "Which?", "choices": ["a", "b"], "answer": 1},
        {"question": "Which now?", "choices": ["a", "b"], "answer": "a", "category": "letters"},
        {"question": "Who?", "answer": " Ada ", "accept": ["Lovelace"]},
    ]
    file.write_text("\ufeff" + "\n\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = probe_set(str(file))
    assert found.name == str(file)
    assert found.probes == (
        Probe("Which?", "b", ("a", "b"), 1),
        Probe("Which now?", "a", ("a", "b"), 0, category="letters"),
        Probe("Who?", "Ada", accept=("Lovelace",)),
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Expecting"),
        ("[1]", "no JSON object"),
        ('{"question": " ", "answer": "x"}', "no question"),
        ('{"question": "q"}', "no answer"),
        ('{"question": "q", "answer": 4}', "no answer"),
        ('{"question": "q", "answer": "x", "accept": "y"}', "no list"),
        ('{"question": "q", "choices": ["a"], "answer": 0}', "2 to 20 choices"),
        ('{"question": "q", "choices": ["a", "a "], "answer": 0}', "2 to 20 choices"),
        ('{"question": "q", "choices": ["a", "b"], "answer": 2}', "none of its choices"),
        ('{"question": "q", "choices": ["a", "b"], "answer": true}', "none of its choices"),
        ('{"question": "q", "choices": ["a", "b"], "answer": 0, "category": 3}', "category"),
    ],
)
def test_a_line_that_is_no_probe_is_named(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(f'{{"question": "q", "answer": "x"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        probe_set(str(file))
    assert "Line 2 of mine.jsonl" in refused.value.what
    assert why in refused.value.why
    assert '"choices"' in refused.value.fix


def test_probes_that_are_not_there_or_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no probes 'genral'"):
        probe_set("genral")
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(BadInput, match="There are no probes"):
        probe_set(str(tmp_path / "none.jsonl"))
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        probe_set(str(tmp_path / "bytes.jsonl"))


def choice(row: int, *costs: float, tokens: tuple[int, ...] = (1, 1), answer: int = 0) -> Answered:
    return Answered(row, answer=answer, choice_nll=costs, choice_tokens=tokens)


def test_the_right_choice_has_to_be_the_likeliest_by_token_or_in_all() -> None:
    long = choice(0, 4.0, 3.0, tokens=(4, 1))
    assert chosen_right(long) is True
    assert chosen_right(long, per_token=False) is False
    assert chosen_right(choice(0, 1.0, 1.0)) is False
    assert chosen_right(Answered(0)) is None
    assert chosen_right(choice(0, answer=0)) is None


def test_words_count_where_there_are_no_choices() -> None:
    assert right(Answered(0, "Paris", "It is Paris.")) is True
    assert right(Answered(0, "Eight", "There are 8.", about={"accept": ["8"]})) is True
    assert right(Answered(0, "Paris", "Lyon")) is False
    assert right(Answered(0, "Paris", None)) is None
    assert right_answer_nll(choice(0, 4.0, 3.0, tokens=(4, 1))) == (4.0, 4)
    assert right_answer_nll(Answered(0, "Paris", nll=2.5, scored_tokens=2)) == (2.5, 2)
    assert right_answer_nll(Answered(0, "Paris")) is None


def test_retention_is_of_the_probes_that_the_base_gets_right() -> None:
    """Of 20 probes the base has 16 right; of these the model has 12, and one more that the base has not."""
    good, bad = (1.0, 2.0), (2.0, 1.0)
    base = [choice(row, *(good if row < 16 else bad)) for row in range(20)]
    own = [choice(row, *(good if row < 12 or row == 18 else bad)) for row in range(20)]
    found = {one.metric: one for one in measure(own, base, WORDS)}
    kept = found["retention"]
    assert (kept.value, kept.rows, kept.difference) == (75.0, 16, None)
    assert kept.low == pytest.approx(50.5, abs=0.1) and kept.high == pytest.approx(89.8, abs=0.1)  # Wilson's, 12 of 16
    assert found["probe_accuracy"].value == 13 / 20
    assert found["probe_accuracy"].difference == pytest.approx(-3 / 20)
    same = {one.metric: one for one in measure(base, base, WORDS)}
    assert same["retention"].value == same["retention_perplexity"].value == 100
    assert "retention" not in {one.metric for one in measure(base, None, WORDS)}


def test_the_perplexity_that_was_kept_is_the_bases_over_the_models() -> None:
    base = [choice(row, 2.0, 3.0, tokens=(2, 1)) for row in range(10)]
    own = [choice(row, 4.0, 3.0, tokens=(2, 1)) for row in range(10)]
    (found,) = measure(own, base, WORDS, names=["retention_perplexity"])
    assert found.value == pytest.approx(100 * 2.718281828**-1)
    assert found.low == found.high == pytest.approx(found.value)
