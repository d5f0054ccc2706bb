"""What somebody asks to be evaluated: which rows, which models beside which, as the evaluation that it becomes."""

from collections.abc import Sequence
from dataclasses import replace

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput
from engine.evaluation.probes import probe_set
from engine.evaluation.reading import Chosen, choose_probes, choose_split, choose_suite, some, trained_on
from engine.evaluation.running import Options, new_evaluation
from engine.evaluation.subjects import base_for, named, runs_of, with_first
from engine.home import Home
from engine.suites.reading import find_suite, read_suite
from store import Store
from store.evaluation_records import Evaluation

BASE, NOTHING = "base", "none"
"""Stand for the base of the first run, and for no model to compare with."""


def rows_asked(
    library: DatasetLibrary,
    store: Store,
    models: Sequence[str],
    *,
    split: str = "",
    dataset: str = "",
    suite: str = "",
    probes: str = "",
) -> Chosen:
    """The rows, by what was asked for: of one kind alone. Without any, those held out of the first run's data."""
    if sum((bool(split or dataset), bool(suite), bool(probes))) > 1:
        raise BadInput(
            "An evaluation is of a split, of a suite, or of probes.",
            fix="Give one of --split, --suite and --retention, and evaluate again for the others.",
        )
    if suite:
        return choose_suite(read_suite(library, find_suite(library, suite)))
    if probes:
        return choose_probes(probe_set(probes))
    runs = runs_of(store, models)
    if not dataset and not runs:
        raise BadInput("It is not clear on which rows.", fix="Name a dataset with --dataset, or --suite, --retention.")
    return choose_split(library, library.resolve(dataset or runs[0].dataset_id), split)


def asked(
    home: Home,
    store: Store,
    library: DatasetLibrary,
    chosen: Chosen,
    models: Sequence[str],
    against: str,
    options: Options,
    *,
    rows: int | None,
    name: str = "",
) -> Evaluation:
    """The evaluation, of which nothing is measured yet. `against` is `base`, `none` or a model."""
    first = "" if against == NOTHING else base_for(store, models) if against == BASE else named(store, home, against)
    if chosen.kind == "retention" and (not first or [first] == [*models]):
        raise BadInput(
            "What a model still knows is told beside another one.",
            fix="Name the model before with --against, for example --against base:starter.",
        )
    learnt = {run.dataset_id for run in runs_of(store, models)} if chosen.kind == "split" else set()
    datasets = [dataset for dataset in library.list() if dataset.id in learnt]
    chosen = replace(chosen, notes=(*chosen.notes, *trained_on(datasets)))
    drawn = some(chosen, rows, options.seed)
    return new_evaluation(home, store, drawn, with_first(models, first), options, name=name)
