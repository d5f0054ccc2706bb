"""What the screens of evaluations read: all of them, and one with its rows. Everything here blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from engine.errors import BadInput
from engine.evaluation.categories import by_category, categories_of, category_of
from engine.evaluation.measures import MEASURES
from engine.evaluation.results import ComparedRow, Results, results_of, rows_of, worst_rows
from engine.evaluation.running import find_evaluation
from engine.evaluation.safety import Flag, flags, word_lists
from engine.evaluation.state import states_of
from engine.evaluation.subjects import labels
from engine.evaluation.targets import read_targets
from engine.runs.driver_folder import Stage
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.evaluation.state import EvaluationState
    from store.evaluation_records import Measured
    from tui.services import Services


@dataclass(frozen=True)
class Listed:
    """An evaluation as it stands, with names for its models and its data."""

    state: "EvaluationState"
    labels: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def data(self) -> str:
        """What it is of: `support v1, test`."""
        one = self.state.evaluation
        name = str(one.settings.get("data_name", one.data))
        return clean_line(f"{name}, {one.split}" if one.split else name)


@dataclass(frozen=True)
class ShownRow:
    """A row with what the safety lists found in each model's answer."""

    compared: ComparedRow
    flags: Sequence[Sequence[Flag]] = ()

    @property
    def id(self) -> str:
        return str(self.compared.row.row)

    @property
    def category(self) -> str:
        return clean_line(category_of(self.compared))

    def said(self, place: int) -> str:
        """What a model said, or chose, or why it did not; empty where it has not answered yet."""
        answer = self.compared.answers[place]
        if answer is None:
            return ""
        if answer.error:
            return answer.error
        if answer.choice_nll:
            return chosen_of(self.compared, place)
        return answer.text or ""

    @cached_property
    def words(self) -> str:
        """All of it, to look for words in."""
        said = [self.said(place) for place in range(len(self.compared.answers))]
        row = self.compared.row
        return clean("\n".join([self.category, row.question, row.expected or "", *said])).casefold()


@dataclass(frozen=True)
class Taken:
    """One evaluation with everything that is shown of it. `model` and `by` say how the rows are sorted."""

    results: Results
    rows: Sequence[ShownRow]
    categories: Sequence[str]
    model: int
    by: str
    asked_by: str = ""
    """What they were asked to be sorted by; empty for the usual."""
    target_problem: str = ""
    """Why targets are not understood."""

    @property
    def state(self) -> "EvaluationState":
        return self.results.state


def chosen_of(one: ComparedRow, place: int) -> str:
    """The choice that a model holds most likely, per token."""
    answer = one.answers[place]
    if answer is None or not answer.choice_nll:
        return ""
    costs = [cost / max(1, tokens) for cost, tokens in zip(answer.choice_nll, answer.choice_tokens, strict=False)]
    likeliest = min(range(len(costs)), key=costs.__getitem__) if costs else -1
    return one.row.choices[likeliest] if 0 <= likeliest < len(one.row.choices) else ""


def read_listing(services: "Services", model: str = "") -> list[Listed]:
    """The evaluations, newest first; of one model where it is named."""
    store = services.store
    found = store.evaluations.of_model(model) if model else store.evaluations.list()
    return [
        Listed(state, tuple(clean_line(label) for label in labels(store, state.evaluation.models)))
        for state in states_of(services.home, found)
    ]


def read_evaluation(
    services: "Services", evaluation: str, model: int | None = None, by: str = "", known: Taken | None = None
) -> Taken:
    """The evaluation as it is now; `known` itself where nothing can have changed since.

    Rows are the worst first once it is done, in the order of the data before. Raises `NotFound` where it was removed.
    """
    store, home = services.store, services.home
    found = find_evaluation(store, evaluation)
    try:
        targets, problem = read_targets(home), ""
    except BadInput as error:
        targets, problem = (), f"{error.what} {error.fix}"
    results = results_of(store, home, found, targets)
    state = results.state
    place = len(found.models) - 1 if model is None else min(model, len(found.models) - 1)
    if known is not None and (known.model, known.asked_by) == (place, by) and known.state == state:
        return known
    if state.stage is Stage.DONE:
        rows, sorted_by = worst_rows(home, found, model=place, by=by)
    else:
        rows, sorted_by = rows_of(home, found), ""
    lists = word_lists(home) if "safety_flags" in found.settings.get("measures", ()) else ()
    shown = [
        ShownRow(one, [flags(answer.text, lists) if answer and answer.text else () for answer in one.answers])
        for one in rows
    ]
    return Taken(results, shown, categories_of(rows), place, sorted_by, by, problem)


def read_categories(services: "Services", taken: Taken, metric: str) -> "Mapping[str, Sequence[Measured | None]]":
    """One measure of all models, category by category."""
    rows = [one.compared for one in taken.rows]
    return by_category(services.home, taken.results.evaluation, rows, metric)


def sortable(results: Results) -> list[str]:
    """The measures that rows can be sorted by."""
    return [metric for metric in results.metrics if metric in MEASURES and MEASURES[metric].by_row]


def matching(rows: Sequence[ShownRow], words: str, category: str) -> list[ShownRow]:
    """Rows of a category (all where it is empty) that hold every word."""
    wanted = clean(words).casefold().split()
    return [
        row
        for row in rows
        if (not category or row.category == clean_line(category)) and all(word in row.words for word in wanted)
    ]
