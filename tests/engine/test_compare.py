"""Runs side by side: what differs, which is best, and the sentences that say so."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import NotFound
from engine.runs.compare import best_index, compare, differing_settings, lower_is_better
from engine.runs.compare_words import pair_sentence, sentence
from engine.runs.goes_with import goes_with
from engine.runs.measures import figure, noise_of
from store import Store, open_store
from store.records import IngestBatch, Latest, Status
from tests.store.builders import add_points, new_run, the

STEADY = (3.0, 2.0, 1.5, 1.3, 1.2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "finetui.db")
    yield opened
    opened.close()


def add(
    store: Store,
    run_id: str,
    evals: Sequence[float] = (),
    *,
    train: Sequence[float] = (),
    status: Status = Status.SUCCEEDED,
    **fields: Any,
) -> None:
    """A run that was evaluated every ten steps."""
    recipe = {"dataset": "support", "learning_rate": 1e-4, "lora_r": 8, "packing": True} | fields.pop("recipe", {})
    store.runs.add(new_run(run_id, recipe=recipe, **fields))
    if evals:
        add_points(store, run_id, {"eval/loss": [(10 * n, value, 1.0 * n) for n, value in enumerate(evals, 1)]})
    if train:
        add_points(store, run_id, {"train/loss": [(n, value, 1.0 * n) for n, value in enumerate(train, 1)]})
    start = store.runs.ingest_offset(run_id)
    assert store.runs.ingest(IngestBatch(run_id, start, start + 1, updates={"status": status}))


class TestFigures:
    def test_which_side_is_better(self) -> None:
        assert lower_is_better("eval/loss") and lower_is_better("eval/perplexity")
        assert lower_is_better("train/tokens_per_s") is False and lower_is_better("eval/mean_token_accuracy") is False
        assert lower_is_better("train/grad_norm") is None

    def test_best_is_one_or_none(self) -> None:
        assert best_index("eval/loss", [2.0, None, 1.0]) == 2
        assert best_index("train/tokens_per_s", [2.0, 1.0]) == 0
        assert best_index("eval/loss", [1.0, 1.0]) is None and best_index("eval/loss", [1.0, None]) is None
        assert best_index("train/grad_norm", [1.0, 2.0]) is None

    def test_evaluations_count_with_their_best_and_training_with_its_last(self) -> None:
        latest = Latest(last=2.0, min=1.0, max=3.0, step=30, min_step=20)
        assert figure("eval/loss", latest) == 1.0 and figure("train/loss", latest) == 2.0
        assert figure("eval/mean_token_accuracy", latest) == 3.0
        assert figure("train/loss", replace(latest, last=math.nan)) is None

    def test_noise_is_what_neither_a_line_nor_a_bend_explains(self) -> None:
        assert noise_of([5.0, 4.0, 3.0, 2.0, 1.0]) == pytest.approx(0.0, abs=1e-9)
        assert noise_of([1.0, 1.2, 1.0, 1.2, 1.0, 1.2]) == pytest.approx(0.117, abs=0.01)
        assert noise_of([4.0, 3.0, 2.0, 1.0, 2.0, 3.0, 4.0]) == pytest.approx(0.0, abs=0.01)
        noise = random.Random(1)
        assert noise_of([2 - n / 50 + noise.gauss(0, 0.1) for n in range(200)]) == pytest.approx(0.1, rel=0.2)
        assert noise_of([1.0, 2.0, 3.0, 4.0]) is None and noise_of([math.nan] * 9) is None


class TestSettings:
    def test_two_versions_of_one_dataset_differ(self, store: Store) -> None:
        add(store, "r1")
        one = the(store.runs.get("r1"))
        assert differing_settings([one, one]) == {}
        other = replace(one, dataset_id="dother")
        assert differing_settings([one, other]) == {"dataset": ["d0123456789", "dother"]}
        assert differing_settings([one, replace(other, dataset="mine")]) == {"dataset": ["tickets v1", "mine"]}

    def test_one_dataset_by_its_name_and_by_its_id_is_the_same(self, store: Store) -> None:
        add(store, "r1", recipe={"dataset": "tickets"})
        add(store, "r2", recipe={"dataset": "d0123456789"})
        assert compare(store, ["r1", "r2"]).differing == {}

    def test_a_setting_that_one_run_does_not_have_differs(self, store: Store) -> None:
        add(store, "r1")
        add(store, "r2", recipe={"revision": "v2", "packing": 1})
        assert compare(store, ["r1", "r2"]).differing == {"packing": [True, 1], "revision": [None, "v2"]}

    def test_a_run_that_is_gone(self, store: Store) -> None:
        with pytest.raises(NotFound):
            compare(store, ["gone"])


class TestTwo:
    def test_what_changed_and_what_it_did(self, store: Store) -> None:
        add(store, "r1", (3.0, 1.2))
        add(store, "r2", (3.1, 1.09, 1.5), recipe={"learning_rate": 2e-4, "lora_r": 16})
        found = compare(store, ["r1", "r2"])
        assert found.sentence == (
            "r1 → r2: learning_rate 1e-4 → 2e-4 and lora_r 8 → 16; eval loss 1.200 → 1.090, better by 0.11 (9.2 %)."
        )
        assert sentence(found, baseline=1) == (
            "r2 → r1: learning_rate 2e-4 → 1e-4 and lora_r 16 → 8; eval loss 1.090 → 1.200, worse by 0.11 (10 %)."
        )

    def test_many_changes_are_counted(self, store: Store) -> None:
        add(store, "r1", (1.0,))
        more = {"lora_r": 4, "packing": False, "seed": 1, "weight_decay": 0.1, "max_length": 64}
        add(store, "r2", (1.0,), recipe=more)
        assert compare(store, ["r1", "r2"]).sentence == (
            "r1 → r2: lora_r 8 → 4, packing yes → no, seed – → 1 and 2 more settings; eval loss 1.000 in both."
        )

    def test_training_loss_where_there_is_no_other(self, store: Store) -> None:
        add(store, "r1", (1.0,), train=(2.0,))
        add(store, "r2", train=(1.0,))
        assert "train loss 2.000 → 1.000, better by 1 (50 %)." in compare(store, ["r1", "r2"]).sentence

    def test_without_a_figure_there_is_no_winner(self, store: Store) -> None:
        add(store, "r1", (1.0,))
        add(store, "r2", (math.nan,))
        assert compare(store, ["r1", "r2"]).sentence == (
            "r1 → r2: their recipes are the same; there is no loss to compare yet."
        )

    def test_a_difference_within_the_noise_says_so(self, store: Store) -> None:
        shaky = (3.0, 1.2, 1.0, 1.2, 1.0, 1.2, 1.0, 1.2, 1.0)
        add(store, "r1", shaky)
        add(store, "r2", [value - 0.05 for value in shaky])
        add(store, "r3", [value - 0.8 for value in shaky])
        assert "within the noise of the last evaluations (±0." in compare(store, ["r1", "r2"]).sentence
        assert "noise" not in compare(store, ["r1", "r3"]).sentence
        add(store, "r4", STEADY[:2])
        assert "noise" not in compare(store, ["r1", "r4"]).sentence, "of two evaluations nobody can tell"

    def test_figures_show_what_tells_them_apart(self, store: Store) -> None:
        add(store, "r1", (1.00001,))
        add(store, "r2", (1.00002,))
        assert "1.00001 → 1.00002, worse by 1e-05 (0.001 %)" in compare(store, ["r1", "r2"]).sentence

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"dataset_id": "dother"}, "They learned from different data"),
            ({"recipe": {"model": "other"}}, "Their base models differ"),
            ({"recipe": {"seed": 7}}, "Only the seed differs"),
            ({"status": Status.TRAINING}, "r2 is still at work."),
        ],
    )
    def test_what_to_be_careful_about(self, store: Store, fields: dict[str, Any], words: str) -> None:
        add(store, "r1", STEADY)
        add(store, "r2", STEADY, **fields)
        assert words in compare(store, ["r1", "r2"]).sentence

    def test_two_of_one_name_are_told_apart_and_names_are_text(self, store: Store) -> None:
        add(store, "r1", name="same\x1b[31m")
        add(store, "r2", name="same\x1b[31m", recipe={"note": "x\x1b[0m\n" + "y" * 100})
        said = compare(store, ["r1", "r2"]).sentence
        assert "(r1) → " in said and "(r2): " in said and "\x1b" not in said and "\n" not in said and len(said) < 200


class TestMany:
    def test_best_by_how_much_before_whom_and_what_that_one_has(self, store: Store) -> None:
        for number in range(3):
            add(store, f"r{number}", (3.0, 1.0 + number / 4), recipe={"lora_r": 8 * (number + 1)})
        found = compare(store, ["r2", "r1", "r0"])
        assert found.sentence == (
            "r0 is best of 3: eval loss 1.000, better by 0.25 (20 %) than r1, which has lora_r 16 instead of 8."
        )
        assert found.best["eval/loss"] == 2
        assert pair_sentence(found, 0, 2).startswith("r2 → r0: lora_r 24 → 8; eval loss 1.500 → 1.000, better by 0.5")

    def test_the_setting_that_goes_with_the_best(self, store: Store) -> None:
        for number in range(8):
            settings = {"learning_rate": 10.0 ** -(number + 2), "lora_r": (8, 16)[number % 2]}
            add(store, f"r{number}", (3.0, 1.0 + number / 4), recipe=settings)
        said = compare(store, [f"r{number}" for number in range(8)]).sentence
        assert said.startswith("r0 is best of 8: eval loss 1.000, better by 0.25 (20 %) than r1. ")
        assert said.endswith("Higher learning_rate goes with lower eval loss (rank correlation -1.00).")

    def test_the_same_settings_on_data_that_differs_elsewhere(self, store: Store) -> None:
        for number in range(3):
            add(store, f"r{number}", (1.0 + number / 4,), dataset_id="dother" if number == 2 else "d1")
        assert compare(store, ["r0", "r1", "r2"]).sentence == (
            "r0 is best of 3: eval loss 1.000, better by 0.25 (20 %) than r1, which has the same settings. "
            "Not all of them learned from the same data, so their losses are not of the same rows."
        )

    def test_ties_and_no_figures(self, store: Store) -> None:
        for number in range(3):
            add(store, f"r{number}", recipe={"lora_r": number})
        assert compare(store, ["r0", "r1", "r2"]).sentence == "There is no loss to compare yet; they differ in lora_r."
        for number in range(3):
            add(store, f"s{number}", (1.0,))
        assert compare(store, ["s0", "s1", "s2"]).sentence == (
            "The best of them come to the same eval loss; their recipes are the same."
        )


class TestGoesWith:
    def test_too_few_runs_and_chance_are_nothing(self) -> None:
        assert goes_with({"a": [1, 2, 3, 4]}, [1.0, 2.0, 3.0, 4.0]) == []
        assert goes_with({"a": [1, 5, 2, 4, 3, 6]}, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == []

    def test_categories_and_settings_that_change_together(self) -> None:
        packing, losses = [True] * 6 + [False] * 6, [1.0 + number / 10 for number in range(12)]
        (trend,) = goes_with({"packing": packing}, losses)
        assert (trend.setting, trend.value, trend.correlation < -0.8) == ("packing", "yes", True)
        both = goes_with({"a": list(range(12)), "b": [-2 * number for number in range(12)]}, losses)
        assert [(trend.setting, round(trend.correlation, 6)) for trend in both] == [("a", 1), ("b", -1)]

    @given(
        st.lists(
            st.tuples(
                st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())),
                st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            ),
            max_size=12,
        )
    )
    def test_never_an_exception(self, rows: list[tuple[Any, float | None]]) -> None:
        for trend in goes_with({"a": [value for value, _ in rows]}, [known for _, known in rows]):
            assert -1 - 1e-9 <= trend.correlation <= 1 + 1e-9
