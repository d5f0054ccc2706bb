"""Asks which models a suite is put to, and how they answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Label, Static

from engine.suites.endpoints import FarModel
from tui.screens.chat_choices import ApiDialog
from tui.screens.dialogs import Dialog, key_words
from tui.screens.form_dialog import Values
from tui.text import clean_line
from tui.widgets.row_list import Cells, RowList, fitted

if TYPE_CHECKING:
    from tui.services import Services


@dataclass(frozen=True)
class Candidate:
    """A model that can be asked."""

    model: str
    """`base:NAME`, a run's id, or `api:NAME` for one at an address."""
    label: str
    about: str


@dataclass(frozen=True)
class Start:
    """What is to be started."""

    suite: str
    models: tuple[str, ...]
    name: str
    max_new_tokens: int
    temperature: float
    far: "tuple[FarModel, ...]" = ()
    """Models at an address that were added; they are known from then on."""


class CheckList(RowList):
    """Models, one a line, those that are asked with a cross."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "choose", id="suite_start.choose", tooltip="Ask this model, or not"),
    ]

    def __init__(self, candidates: Sequence[Candidate], chosen: Sequence[str]) -> None:
        super().__init__(id="models")
        self.candidates = list(candidates)
        self.chosen: dict[str, None] = dict.fromkeys(
            model for model in chosen if model in {one.model for one in candidates}
        )

    def on_mount(self) -> None:
        self.set_count(len(self.candidates))

    def cells(self, row: int, width: int) -> Cells:
        one = self.candidates[row]
        mark = "[x]" if one.model in self.chosen else "[ ]"
        name = fitted(clean_line(one.label), max(10, width // 2 - 4))
        return [(f" {mark} ", "mark" if one.model in self.chosen else "dim"), (name, ""), (f"  {one.about}", "dim")]

    def add(self, candidate: Candidate) -> None:
        """One more model, which is asked; another of the same name makes way."""
        self.candidates = [one for one in self.candidates if one.model != candidate.model] + [candidate]
        self.chosen[candidate.model] = None
        self.set_count(len(self.candidates))
        self.move_to(len(self.candidates) - 1)
        self.refresh()

    def action_choose(self) -> None:
        """Ask this model, or not, and go down a row."""
        model = self.candidates[self.cursor].model
        if model in self.chosen:
            del self.chosen[model]
        else:
            self.chosen[model] = None
        self.action_move(1)


class SuiteStartDialog(Dialog[Start | None]):
    """Space chooses models, Enter starts, Esc gives `None`."""

    DEFAULT_CSS = """
    SuiteStartDialog #models { height: auto; min-height: 3; max-height: 9; margin-bottom: 1; }
    SuiteStartDialog .line { height: 1; }
    SuiteStartDialog .label { width: 16; color: $text-muted; }
    SuiteStartDialog .line > Input, SuiteStartDialog .line > Input:focus { width: 1fr; margin: 0; height: 1; }
    SuiteStartDialog #outcome { height: auto; min-height: 1; margin: 1 0; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("a", "add_api", "an API", id="suite_start.api", tooltip="A model at an OpenAI-compatible address"),
    ]
    AUTO_FOCUS = "CheckList"

    def __init__(self, suite: str, title: str, prompts: int, candidates: Sequence[Candidate], chosen: Sequence[str]):
        super().__init__()
        self.suite = suite
        self.title_text = f"Ask {title}"
        self.prompts = prompts
        self.candidates = candidates
        self.chosen = chosen
        self.far: dict[str, FarModel] = {}
        """Models at an address that were added here."""

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield CheckList(self.candidates, self.chosen)
            for field, label, value, hint in (
                ("name", "name", "", "the suite's"),
                ("tokens", "longest answer", "256", "tokens"),
                ("temperature", "temperature", "0", "0 is greedy"),
            ):
                with Horizontal(classes="line"):
                    yield Label(label, classes="label", markup=False)
                    yield Input(value, placeholder=hint, id=f"field-{field}", compact=True)
            yield Static("", id="outcome", markup=False)
            words = key_words(
                ("space", "choose"), ("a", "an API"), ("tab", "next field"), ("enter", "start"), ("esc", "cancel")
            )
            yield Static(words, classes="keys")

    @on(Input.Changed)
    @on(RowList.Highlighted)
    def _show(self) -> Start | None:
        """Say what would be asked; what is to be started, where it can be."""
        chosen = tuple(self.query_one(CheckList).chosen)
        tokens, temperature = (self._value(field) for field in ("tokens", "temperature"))
        problem = ""
        if not self.query_one(CheckList).candidates:
            problem = "No model is there yet: train a run, build the starter with `finetui demo`, or press a."
        elif not chosen:
            problem = "Choose at least one model with space."
        elif not tokens.isdecimal() or not 1 <= int(tokens) <= 100_000:
            problem = "The longest answer is a number of tokens, 1 or more."
        elif not _is_temperature(temperature):
            problem = "The temperature is a number, 0 to 5."
        outcome = self.query_one("#outcome", Static)
        if problem:
            outcome.update(Content(problem).stylize("$text-warning"))
            return None
        models = f"{len(chosen)} model{'s' * (len(chosen) != 1)}"
        outcome.update(Content(f"{self.prompts} prompts for {models}. It goes on without finetui."))
        far = tuple(self.far.values())
        return Start(self.suite, chosen, self._value("name"), int(tokens), float(temperature), far)

    def _value(self, field: str) -> str:
        return self.query_one(f"#field-{field}", Input).value.strip()

    @on(Input.Submitted)
    @on(RowList.Opened)
    def _take(self) -> None:
        if (start := self._show()) is not None:
            self.dismiss(start)

    def action_add_api(self) -> None:
        """Ask for a model at an address."""
        self.app.push_screen(ApiDialog(), self._add_api)

    def _add_api(self, values: Values | None) -> None:
        if values is not None:
            far = FarModel(values["model"], values["url"], values["key_env"])
            self.far[far.model] = far
            self.query_one(CheckList).add(Candidate(far.model, far.name, f"at {far.host}"))
            self._show()

    def action_cancel(self) -> None:
        self.dismiss(None)


def _is_temperature(text: str) -> bool:
    try:
        return 0 <= float(text) <= 5
    except ValueError:
        return False


def read_candidates(services: "Services") -> list[Candidate]:
    """The base models that are ready, then the runs that have an adapter, the newest first, then models at an address
    that was named before. Call it in a thread."""
    from engine.models import list_models
    from engine.suites.endpoints import known_endpoints
    from engine.suites.seating import BASE
    from tui.widgets.chat_seats import runs_with_adapter

    runs = runs_with_adapter(services.store)
    ready = [info.name for info in list_models(services.home) if info.ready]
    bases = dict.fromkeys([*ready, *(run.model for run in runs)])
    return [
        *(Candidate(f"{BASE}{name}", name, "base model") for name in bases),
        *(Candidate(run.id, run.name, f"{run.method} on {clean_line(run.model)}") for run in runs),
        *(Candidate(far.model, far.name, f"at {far.host}") for far in known_endpoints(services.home).values()),
    ]


def default_models(candidates: Sequence[Candidate]) -> list[str]:
    """The newest run beside its base."""
    run = next((one for one in candidates if not one.model.startswith(("base:", "api:"))), None)
    if run is None:
        return [one.model for one in candidates[:1]]
    base = f"base:{run.about.partition(' on ')[2]}"
    return [*(one.model for one in candidates if one.model == base), run.model]


def start_suite(services: "Services", start: Start) -> str:
    """Make the suite run and start the process that asks it; its id. Raises `FinetuiError`."""
    from engine.inference.pool import Sampling
    from engine.suites import driver
    from engine.suites.endpoints import keep_endpoint, known_endpoints
    from engine.suites.reading import read_suite
    from engine.suites.running import new_suite_run
    from engine.suites.seating import panes_of

    for far in start.far:
        keep_endpoint(services.home, far)
    panes_of(services.store, services.home, start.models)
    known = known_endpoints(services.home)
    endpoints = {model: known[model].pane() for model in start.models if model in known}
    suite = read_suite(services.library, services.library.resolve(start.suite))
    sampling = Sampling(max_new_tokens=start.max_new_tokens, temperature=start.temperature)
    run = new_suite_run(services.store, suite, start.models, sampling, name=start.name, endpoints=endpoints)
    driver.start_driver(services.home, run.id)
    return run.id
