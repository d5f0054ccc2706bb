"""Asks which models are measured on which rows, and starts it as a process of its own."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Label, Static

from engine.errors import BadInput
from engine.evaluation.measures import known
from engine.evaluation.pace import Pace, expected_s
from tui.format import fmt_duration
from tui.screens.dialogs import Dialog, key_words
from tui.screens.suite_start import Candidate, CheckList
from tui.text import clean_line
from tui.widgets.row_list import Cells, RowList, fitted

if TYPE_CHECKING:
    from store.evaluation_records import Evaluation
    from tui.screens.page import Page
    from tui.services import Services

TOKENS, PROBE_TOKENS = 256, 32
"""Longest answers, of probes, where none is named."""
MOST = 100_000
LOW = 32
"""Below that many lines the lists are short."""
SPLITS = {
    "test": "held out",
    "validation": "held out; chose the checkpoint",
    "train": "the runs learnt these",
}


@dataclass(frozen=True)
class Model(Candidate):
    """A model that can be measured; `base` is as evaluations have it, `dataset` what it learnt from."""

    base: str = ""
    dataset: str = ""


@dataclass(frozen=True)
class Rows:
    """Rows that models can be measured on: one of `split` (of `dataset`), `suite` and `probes`."""

    label: str
    about: str
    rows: int
    dataset: str = ""
    split: str = ""
    suite: str = ""
    probes: str = ""


@dataclass(frozen=True)
class Choices:
    """All that can be chosen, and what is known of how long it takes."""

    models: "Sequence[Model]"
    rows: "Sequence[Rows]"
    paces: "dict[str, Pace]"


@dataclass(frozen=True)
class Start:
    """What is to be started. The first model is the one that the others are compared with."""

    models: tuple[str, ...]
    of: Rows
    rows: int | None
    max_new_tokens: int | None
    measures: tuple[str, ...]


class RowsList(RowList):
    """What rows there are, one a line; the one under the cursor is chosen."""

    def __init__(self, choices: "Sequence[Rows]") -> None:
        super().__init__(id="of")
        self.choices = choices

    def on_mount(self) -> None:
        self.set_count(len(self.choices))

    @property
    def chosen(self) -> "Rows | None":
        return self.choices[self.cursor] if self.cursor < len(self.choices) else None

    def cells(self, row: int, width: int) -> Cells:
        one = self.choices[row]
        mark = ("(•)", "mark") if row == self.cursor else ("( )", "dim")
        count = f"{one.rows:,}"
        return [(" ", ""), mark, (f" {fitted(clean_line(one.label), max(10, width // 2 - 4))}", ""),
                (f"  {count:>7}  {clean_line(one.about)}", "dim")]  # fmt: skip


class EvaluationStartDialog(Dialog[Start | None]):
    """Space chooses models, the cursor the rows, Enter starts, Esc gives `None`."""

    DEFAULT_CSS = """
    EvaluationStartDialog #models { height: auto; min-height: 2; max-height: 6; margin-bottom: 1; }
    EvaluationStartDialog #of { height: auto; min-height: 2; max-height: 5; margin-bottom: 1; }
    EvaluationStartDialog .line { height: 1; }
    EvaluationStartDialog .label { width: 16; color: $text-muted; }
    EvaluationStartDialog .line > Input, EvaluationStartDialog .line > Input:focus {
        width: 1fr; margin: 0; height: 1;
    }
    EvaluationStartDialog #outcome { height: auto; min-height: 2; max-height: 3; margin: 1 0; width: 1fr; }
    EvaluationStartDialog.-low #models { max-height: 4; margin-bottom: 0; border-bottom: solid $panel; }
    EvaluationStartDialog.-low #of { max-height: 4; margin-bottom: 0; border-bottom: solid $panel; }
    EvaluationStartDialog.-low #outcome { margin: 0; max-height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="dialog.cancel")]
    AUTO_FOCUS = "CheckList"

    def __init__(self, choices: Choices, chosen: Sequence[str]) -> None:
        super().__init__()
        self.title_text = "Evaluate"
        self.choices = choices
        self.models = {one.model: one for one in choices.models}
        self.chosen = with_base([self.models[model] for model in chosen if model in self.models])
        self.rows = _rows_for([self.models[model] for model in self.chosen], choices.rows)
        """The rows held out of what the first model learnt from before all others."""

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height < LOW, "-low")

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield CheckList(sorted(self.choices.models, key=lambda one: one.model not in self.chosen), self.chosen)
            yield RowsList(self.rows)
            for field, label, hint in (
                ("rows", "rows", "all of them; fewer are drawn at random"),
                ("tokens", "longest answer", f"{TOKENS} tokens, of probes {PROBE_TOKENS}"),
                ("measures", "measures", "those that suit the rows; else names: rouge_l perplexity …"),
            ):
                with Horizontal(classes="line"):
                    yield Label(label, classes="label", markup=False)
                    yield Input("", placeholder=hint, id=f"field-{field}", compact=True)
            yield Static("", id="outcome", markup=False)
            words = (("space", "choose"), ("tab", "next field"), ("enter", "start"), ("esc", "cancel"))
            yield Static(key_words(*words), classes="keys")

    @on(Input.Changed)
    @on(RowList.Highlighted)
    def _show(self) -> Start | None:
        """Say what would be measured; what is to be started, where it can be."""
        outcome = self.query_one("#outcome", Static)
        try:
            start = self._start()
        except BadInput as error:
            outcome.update(Content(f"{error.what} {error.fix}".strip()).stylize("$text-warning"))
            return None
        rows = min(start.of.rows, start.rows or start.of.rows)
        first = clean_line(self.models[start.models[0]].label)
        beside = f", beside {first}" if len(start.models) > 1 else ", beside no other"
        words = f"{rows:,} rows for {len(start.models)} model{'s' * (len(start.models) != 1)}{beside}. "
        pace = next(
            (found for model in start.models if (found := self.choices.paces.get(self.models[model].base))), None
        )
        tokens = start.max_new_tokens or (PROBE_TOKENS if start.of.probes else TOKENS)
        took = expected_s(pace, rows, len(start.models), tokens)
        if pace is not None and took is not None:
            words += f"Up to about {fmt_duration(took)}, by how fast {clean_line(pace.name)} was. "
        outcome.update(Content(f"{words}It goes on without finetui."))
        return start

    def _start(self) -> Start:
        """Raises `BadInput`."""
        ticked = self.query_one(CheckList).chosen
        models = tuple(one.model for one in self.choices.models if one.model in ticked)
        of = self.query_one(RowsList).chosen
        if not self.choices.models:
            raise BadInput("No model is there yet:", fix="train a run, or build the starter with `finetui demo`.")
        if not models:
            raise BadInput("Choose at least one model with space.")
        if of is None:
            raise BadInput("There are no rows to measure on.", fix="Import a dataset first.")
        if of.probes and len(models) < 2:
            raise BadInput("Probes say what a model still knows beside another.", fix="Choose its base as well.")
        measures = tuple(name for name in re.split(r"[\s,]+", self._value("measures")) if name)
        models = tuple(sorted(models, key=lambda one: self.models[one].base != one))  # base models are compared with
        return Start(models, of, self._number("rows"), self._number("tokens"), known(measures))

    def _number(self, field: str) -> int | None:
        text = self._value(field)
        if not text:
            return None
        if not text.isdecimal() or not 1 <= int(text) <= MOST:
            raise BadInput(f"{'Rows' if field == 'rows' else 'The longest answer'}: a number, 1 or more.")
        return int(text)

    def _value(self, field: str) -> str:
        return self.query_one(f"#field-{field}", Input).value.strip()

    @on(Input.Submitted)
    @on(RowList.Opened)
    def _take(self) -> None:
        if (start := self._show()) is not None:
            self.dismiss(start)

    def action_cancel(self) -> None:
        self.dismiss(None)


def with_base(models: "Sequence[Model]") -> list[str]:
    """These models, and the base of the first of them."""
    base = next((one.base for one in models if one.base and one.base != one.model), "")
    return list(dict.fromkeys([*([base] if base else []), *(one.model for one in models)]))


def _rows_for(models: "Sequence[Model]", rows: "Sequence[Rows]") -> "list[Rows]":
    """All rows, those of what the first model learnt from first."""
    learnt = next((one.dataset for one in models if one.dataset), None)
    return sorted(rows, key=lambda one: one.dataset != learnt)


def read_choices(services: "Services") -> Choices:
    """What there is to choose from. Call it in a thread."""
    from engine.evaluation.pace import paces
    from engine.evaluation.probes import SHIPPED, probe_set
    from engine.models import list_models
    from engine.suites.seating import BASE
    from tui.widgets.chat_seats import runs_with_adapter

    store, home = services.store, services.home
    runs = runs_with_adapter(store)
    ready = [info.name for info in list_models(home) if info.ready]
    names = dict.fromkeys([*ready, *(run.model for run in runs)])
    registered = [version for name in store.registry.names() for version in store.registry.versions(name.name)]
    models = [Model(f"{BASE}{name}", f"{name} (base)", "base model", f"{BASE}{name}") for name in names]
    models += [
        Model(run.id, run.name, f"{run.method} on {clean_line(run.model)}", f"{BASE}{run.model}", run.dataset_id)
        for run in runs
    ]
    for version in registered:
        label = f"{version.name}@{version.version}"
        about = f"registered, on {clean_line(version.base)}"
        models.append(Model(label, label, about, f"{BASE}{version.base}", version.dataset))
    rows, suites = [], []
    learnt = {run.dataset_id: None for run in runs}
    datasets = {dataset.id: dataset for dataset in services.library.list()}
    for dataset in [datasets[one] for one in (*learnt, *(datasets.keys() - learnt.keys())) if one in datasets]:
        name = f"{dataset.name} v{dataset.version}"
        if dataset.shape == "prompts":
            suites.append(Rows(name, "suite of prompts", dataset.rows, suite=dataset.id))
            continue
        for split in SPLITS:
            if count := dataset.splits.get(split):
                about = SPLITS[split] if dataset.id in learnt else ""
                rows.append(Rows(f"{name}, {split}", about, count, dataset=dataset.id, split=split))
    probes = [
        Rows(f"probes {name}", about, len(probe_set(name).probes), probes=name) for name, about in SHIPPED.items()
    ]
    return Choices(models, [*rows, *suites, *probes], paces(home, store))


def start_evaluation(services: "Services", start: Start) -> "Evaluation":
    """Make the evaluation and start the process that measures; raises `FinetuiError`."""
    from engine.evaluation import driver
    from engine.evaluation.asking import NOTHING, asked, rows_asked
    from engine.evaluation.running import Options

    store, library, of = services.store, services.library, start.of
    first, *others = start.models
    chosen = rows_asked(
        library, store, start.models, split=of.split, dataset=of.dataset, suite=of.suite, probes=of.probes
    )
    options = Options(max_new_tokens=start.max_new_tokens, measures=start.measures)
    models, against = (others, first) if others else ([first], NOTHING)
    made = asked(services.home, store, library, chosen, models, against, options, rows=start.rows)
    driver.start_driver(services.home, made.id)
    return made


def evaluate(page: "Page", models: Sequence[str], then: "Callable[[Evaluation], object] | None" = None) -> None:
    """Ask what is to be measured, `models` (the newest run, if none) ticked beside their base; start it and show it."""

    def ask(choices: Choices) -> None:
        ticked = [one.model for one in choices.models if one.model in models]
        newest = next((one.model for one in choices.models if one.dataset), "")
        dialog = EvaluationStartDialog(choices, ticked or [newest])
        page.app.push_screen(dialog, lambda start: begin(start) if start is not None else None)

    def begin(start: Start) -> None:
        do = partial(start_evaluation, page.services, start)
        page.in_thread(do, started, group="evaluation-start", title="It cannot be evaluated", exclusive=False)

    def started(evaluation: "Evaluation") -> None:
        from tui.screens.evaluation import EvaluationScreen

        if then is not None:
            then(evaluation)
        page.app.push_screen(EvaluationScreen(evaluation.id))

    page.in_thread(
        partial(read_choices, page.services), ask, group="evaluation-choices", title="It cannot be evaluated"
    )
