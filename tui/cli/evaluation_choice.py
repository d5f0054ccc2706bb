"""What `finetui eval` is asked for: which models, which rows, beside which other."""

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import BadInput, NotFound
from tui.cli.command import Session

if TYPE_CHECKING:
    from engine.evaluation.reading import Chosen
    from engine.evaluation.running import Options
    from store.evaluation_records import Evaluation

NOTHING = "none"
"""Stands for no model to compare with."""


def probes_of(retention: bool, probes: str) -> str:
    """The probes that are meant; empty for none."""
    from engine.evaluation.probes import GENERAL

    return probes or (GENERAL if retention else "")


def models_of(session: Session, texts: list[str]) -> list[str]:
    """The models that are measured, as the store keeps them; without any, the newest run that succeeded."""
    from engine.evaluation.subjects import named
    from tui.cli.chat import newest_finished

    if texts:
        store = session.current()
        return [named(store, session.home, text) for text in texts]
    newest = newest_finished(session)
    if newest is None:
        raise NotFound("No run has an adapter to evaluate yet.", fix="`finetui demo` makes one.")
    return [newest.id]


def rows_of(session: Session, models: list[str], *, split: str, dataset: str, suite: str, probes: str) -> "Chosen":
    """The rows, by what was asked for: of one kind alone."""
    from engine.evaluation.probes import probe_set
    from engine.evaluation.reading import choose_probes, choose_split, choose_suite
    from engine.evaluation.subjects import runs_of
    from engine.suites.reading import find_suite, read_suite

    if sum((bool(split or dataset), bool(suite), bool(probes))) > 1:
        raise BadInput(
            "An evaluation is of a split, of a suite, or of probes.",
            fix="Give one of --split, --suite and --retention, and evaluate again for the others.",
        )
    if suite:
        return choose_suite(read_suite(session.library, find_suite(session.library, suite)))
    if probes:
        return choose_probes(probe_set(probes))
    runs = runs_of(session.store, models)
    if not dataset and not runs:
        raise BadInput("It is not clear on which rows.", fix="Name a dataset with --dataset, or --suite, --retention.")
    return choose_split(session.library, session.library.resolve(dataset or runs[0].dataset_id), split)


def make(
    session: Session,
    chosen: "Chosen",
    models: list[str],
    against: str,
    options: "Options",
    *,
    rows: int | None,
    name: str,
) -> "Evaluation":
    """The evaluation, of which nothing is measured yet. `against` is `base`, `none` or a model."""
    from engine.evaluation.reading import some, trained_on
    from engine.evaluation.running import new_evaluation
    from engine.evaluation.subjects import base_for, named, runs_of, with_first

    store, home = session.store, session.home
    first = "" if against == NOTHING else base_for(store, models) if against == "base" else named(store, home, against)
    if chosen.kind == "retention" and (not first or [first] == models):
        raise BadInput(
            "What a model still knows is told beside another one.",
            fix="Name the model before with --against, for example --against base:starter.",
        )
    learnt = {run.dataset_id for run in runs_of(store, models)} if chosen.kind == "split" else set()
    datasets = [dataset for dataset in session.library.list() if dataset.id in learnt]
    chosen = replace(chosen, notes=(*chosen.notes, *trained_on(datasets)))
    drawn = some(chosen, rows, options.seed)
    return new_evaluation(home, store, drawn, with_first(models, first), options, name=name)
