"""What an evaluation came to: a table of figures, and the rows with every model's answer, the worst first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import BadInput
from engine.evaluation.answered import Answered
from engine.evaluation.folder import EvaluationDir
from engine.evaluation.measures import MEASURES, row_figures, worst_first
from engine.evaluation.rows import EvaluationRow
from engine.evaluation.running import counter_of
from engine.evaluation.safety import word_lists
from engine.evaluation.state import EvaluationState, state_of
from engine.evaluation.subjects import labels, runs_of
from engine.evaluation.targets import Target, TargetResult, judge
from engine.home import Home
from store import Store
from store.evaluation_records import Evaluation, Measured

TASKS = "lm_eval/"
"""Before the names of what tasks of lm-eval measured."""
_SORTS = {"split": ("rouge_l", "perplexity"), "suite": ("rouge_l", "repetition"), "retention": ("retention",)}
"""By what rows are sorted unless something else is said: the first that has figures."""


@dataclass(frozen=True)
class Results:
    """An evaluation with its figures."""

    state: EvaluationState
    labels: tuple[str, ...]
    figures: Mapping[tuple[int, str], Measured]
    """By model and metric."""
    metrics: tuple[str, ...]
    """In the order of tables: those of `MEASURES`, then tasks by name."""
    tokenizer: str
    """What tokens were counted by."""
    notes: tuple[str, ...]
    targets: Mapping[int, Sequence[TargetResult]] = field(default_factory=dict)
    """By model, of those that have a target."""

    @property
    def evaluation(self) -> Evaluation:
        return self.state.evaluation

    def label(self, metric: str) -> str:
        """What people call a metric."""
        return MEASURES[metric].label if metric in MEASURES else metric.removeprefix(TASKS)


@dataclass(frozen=True)
class ComparedRow:
    """One row with the answers of all models; `None` where a model has not answered yet."""

    row: EvaluationRow
    answers: tuple[Answered | None, ...]
    figure: float | None = None
    """What the rows are sorted by, of the model that they are sorted for."""


def results_of(store: Store, home: Home, evaluation: Evaluation, targets: tuple[Target, ...] = ()) -> Results:
    """What an evaluation came to so far, and how its models stand to the targets."""
    folder = EvaluationDir.of(home, evaluation.id)
    state = state_of(home, evaluation)  # before the rest is read: of one that is done, no figure is missing
    told = folder.read(folder.figures)
    figures = {(one.model, one.metric): one for one in store.evaluations.figures(evaluation.id)}
    measured = {metric for _, metric in figures}
    return Results(
        state,
        tuple(labels(store, evaluation.models)),
        figures,
        (*(name for name in MEASURES if name in measured), *sorted(measured - {*MEASURES})),
        str(told.get("tokenizer") or ""),
        tuple(told.get("notes") or evaluation.settings.get("notes") or ()),
        _judged(store, evaluation, figures, targets) if figures else {},
    )


def _judged(
    store: Store,
    evaluation: Evaluation,
    figures: Mapping[tuple[int, str], Measured],
    targets: tuple[Target, ...],
) -> dict[int, list[TargetResult]]:
    runs = {run.id: run for run in runs_of(store, evaluation.models)}
    own = {
        place: {metric: one.value for (model, metric), one in figures.items() if model == place}
        for place in range(len(evaluation.models))
    }
    return {
        place: judge(runs[model], own[place], targets) for place, model in enumerate(evaluation.models) if model in runs
    }


def rows_of(home: Home, evaluation: Evaluation) -> list[ComparedRow]:
    """Every row with the answers there are, in the order of the data."""
    folder = EvaluationDir.of(home, evaluation.id)
    by_row: dict[int, dict[int, Answered]] = {}
    for model, answer in folder.read_answers():
        by_row.setdefault(answer.row, {})[model] = answer
    return [
        ComparedRow(row, tuple(by_row.get(row.row, {}).get(model) for model in range(len(evaluation.models))))
        for row in folder.read_rows()
    ]


def worst_rows(
    home: Home, evaluation: Evaluation, *, model: int | None = None, by: str = ""
) -> tuple[list[ComparedRow], str]:
    """The rows by how badly one model (the last, unless given) answered them, and the measure that says so.

    Rows with an error come first, those without a figure last. Raises `BadInput` for a measure that rows do not have.
    """
    place = len(evaluation.models) - 1 if model is None else model
    rows = rows_of(home, evaluation)
    own = [answer for one in rows if (answer := one.answers[place]) is not None]
    first = [answer for one in rows if (answer := one.answers[0]) is not None] if place else None
    if by and not (by in MEASURES and MEASURES[by].by_row):
        there = ", ".join(name for name, one in MEASURES.items() if one.by_row)
        raise BadInput(f"Rows cannot be sorted by {by[:60]!r}.", fix=f"Choose among {there}.")
    counter = counter_of(home, EvaluationDir.of(home, evaluation.id))
    for name in [by] if by else _SORTS.get(evaluation.kind, ("rouge_l",)):
        figures = row_figures(name, own, first, counter, words=word_lists(home))
        if figures:
            break
    order = {row: number for number, row in enumerate(worst_first(name, figures))}
    failed = {answer.row for answer in own if answer.error}

    def rank(one: ComparedRow) -> tuple[bool, int, int]:
        return one.row.row not in failed, order.get(one.row.row, len(rows)), one.row.row

    ranked = sorted(rows, key=rank)
    return [ComparedRow(one.row, one.answers, figures.get(one.row.row)) for one in ranked], name
