"""What the screens of suites read: suites, suite runs, one of them with its answers. Everything here blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.suites.figures import CategoryFigures, ModelFigures
    from engine.suites.reading import Suite, SuitePrompt
    from engine.suites.state import SuiteState
    from store.records import Dataset
    from store.talk_records import SuiteAnswer
    from tui.services import Services


REMOVED = "removed"
"""Stands for the name of a suite whose dataset is gone."""


@dataclass(frozen=True)
class ListedSuite:
    """A suite, and how often it was asked."""

    dataset: "Dataset"
    asked: int

    @property
    def id(self) -> str:
        return self.dataset.id


@dataclass(frozen=True)
class ListedRun:
    """A suite run as it stands, with names for its suite and models."""

    state: "SuiteState"
    suite: str
    labels: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.state.id


@dataclass(frozen=True)
class Listing:
    """All there is."""

    suites: list[ListedSuite]
    runs: list[ListedRun]


@dataclass(frozen=True)
class Answered:
    """A prompt, and what each model said to it, by turn and model."""

    prompt: "SuitePrompt"
    answers: "dict[tuple[int, int], SuiteAnswer]" = field(default_factory=dict)

    def text(self, model: int) -> str | None:
        """All that a model said, on one line; `None` where it has not answered yet."""
        own = [self.answers[turn, model] for turn in range(len(self.prompt.turns)) if (turn, model) in self.answers]
        return clean_line(" ⏎ ".join(one.error or one.text for one in own)) if own else None

    def failed(self, model: int) -> bool:
        return any(one.error for (_, place), one in self.answers.items() if place == model)

    @cached_property
    def words(self) -> str:
        """All of it, to look for words in."""
        said = [one.error or one.text for one in self.answers.values()]
        return "\n".join([self.prompt.category, *self.prompt.turns, *said]).casefold()


@dataclass(frozen=True)
class TakenRun:
    """A suite run with everything that is shown of it."""

    state: "SuiteState"
    suite: "Suite"
    labels: list[str]
    rows: list[Answered]
    figures: "list[ModelFigures]"
    categories: "list[CategoryFigures]"
    """The same, category by category."""

    @property
    def answers(self) -> "list[SuiteAnswer]":
        return [one for row in self.rows for one in row.answers.values()]


def read_listing(services: "Services") -> Listing:
    """The suites and the suite runs, newest first."""
    from engine.suites.seating import labels_of
    from engine.suites.state import states_of

    store = services.store
    runs = store.suites.list()
    datasets = {dataset.id: dataset for dataset in services.library.list()}
    asked = [run.suite for run in runs]
    names = {one: f"{clean_line(dataset.name)} v{dataset.version}" for one, dataset in datasets.items()}
    return Listing(
        [ListedSuite(one, asked.count(one.id)) for one in datasets.values() if one.shape == "prompts"],
        [
            ListedRun(state, names.get(state.run.suite, REMOVED), _labels(labels_of(store, state.run.models)))
            for state in states_of(store, services.home, runs)
        ],
    )


def read_run(services: "Services", suite_run: str, known: TakenRun | None = None) -> TakenRun:
    """The run as it is now; `known` itself where that was over and nothing has been asked since.

    Raises `NotFound` where the run was removed.
    """
    from engine.suites.figures import figures_by_category, figures_of
    from engine.suites.kept import shown_suite
    from engine.suites.running import find_suite_run
    from engine.suites.seating import labels_of
    from engine.suites.state import states_of

    store = services.store
    run = find_suite_run(store, suite_run)
    if known is not None and run.ended is not None and run.ended == known.state.run.ended:
        return known
    [state] = states_of(store, services.home, [run])
    run, answers = state.run, store.suites.answers(run.id)  # after it, so that none is missing once it is done
    suite = shown_suite(services.library, run, answers)
    rows = {prompt.position: Answered(prompt) for prompt in suite.prompts}
    for one in answers:
        if one.position in rows:
            rows[one.position].answers[one.turn, one.model] = one
    labels = list(_labels(labels_of(store, run.models)))
    models = len(run.models)
    figures, categories = figures_of(suite, models, answers), figures_by_category(suite, models, answers)
    return TakenRun(state, suite, labels, list(rows.values()), figures, categories)


def matching(rows: Sequence[Answered], words: str, category: str) -> list[Answered]:
    """Rows of a category (all where it is empty) that hold every word."""
    wanted = clean(words).casefold().split()
    return [
        row
        for row in rows
        if (not category or row.prompt.category == category) and all(word in row.words for word in wanted)
    ]


def _labels(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(clean_line(label) for label in labels)
