"""The logic of comparing runs."""

from dataclasses import replace

from engine.runs.compare import best_index, compare, differing_settings, lower_is_better, sentence
from store import open_store
from store.records import Run
from tests.cli.conftest import Cli, MakeRun


def runs_of(cli: Cli, make_run: MakeRun, *recipes: dict[str, object]) -> list[Run]:
    from engine.home import find_home

    for number, recipe in enumerate(recipes):
        make_run(f"r{number}", f"run-{number}", evals=((0, 3.0), (3, 1.0 + number / 4)), **recipe)
    store = open_store(find_home().db)
    found = [store.runs.get(f"r{number}") for number in range(len(recipes))]
    store.close()
    return [run for run in found if run is not None]


def test_which_side_is_better() -> None:
    assert lower_is_better("eval/loss") and lower_is_better("eval/perplexity")
    assert lower_is_better("train/tokens_per_s") is False and lower_is_better("eval/mean_token_accuracy") is False
    assert lower_is_better("train/grad_norm") is None
    assert best_index("eval/loss", [2.0, None, 1.0]) == 2
    assert best_index("train/tokens_per_s", [2.0, 1.0]) == 0
    assert best_index("eval/loss", [1.0, 1.0]) is None and best_index("eval/loss", [1.0, None]) is None
    assert best_index("train/grad_norm", [1.0, 2.0]) is None


def test_two_versions_of_one_dataset_differ(cli: Cli, make_run: MakeRun) -> None:
    one, two = runs_of(cli, make_run, {}, {})
    assert differing_settings([one, two]) == {}
    two = replace(two, dataset_id="dother")
    assert differing_settings([one, two]) == {"dataset": ["d0123456789", "dother"]}
    two = replace(two, dataset="other")
    assert differing_settings([one, two]) == {"dataset": ["support", "other"]}


def test_a_setting_that_one_run_does_not_have_differs(cli: Cli, make_run: MakeRun) -> None:
    one, two = runs_of(cli, make_run, {}, {"revision": "v2"})
    assert differing_settings([one, two]) == {"revision": [None, "v2"]}


def test_three_runs_in_a_sentence(cli: Cli, make_run: MakeRun) -> None:
    from engine.home import find_home

    runs_of(cli, make_run, {}, {"lora_r": 4, "seed": 1, "weight_decay": 0.1, "max_length": 64, "lora_alpha": 8}, {})
    store = open_store(find_home().db)
    found = compare(store, ["r2", "r1", "r0"])
    store.close()
    assert found.sentence == (
        "run-0 is best by 0.25 eval loss, before run-1; "
        "they differ in max_length, lora_r, lora_alpha and 2 more settings."
    )
    assert found.best["eval/loss"] == 2


def test_without_a_figure_there_is_no_winner(cli: Cli, make_run: MakeRun) -> None:
    one, two = runs_of(cli, make_run, {}, {})
    assert sentence([one, two], {}, {}, {}) == "There is no loss to compare yet; their recipes are the same."
    even = sentence([one, two], {"dataset": [1, 2]}, {"eval/loss": [1.0, 1.0]}, {"eval/loss": None})
    assert even.startswith("They come to the same eval loss; they differ in dataset.") and "different data" in even
