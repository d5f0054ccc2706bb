"""A new sweep over a recipe: which fields, which values, chosen how; what it comes to is said while one types."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import WorkType

from engine.errors import BadInput
from tui.format import fmt_duration
from tui.screens.form_dialog import Field, FormDialog, Values
from tui.text import clean, clean_line
from tui.widgets.recipe_fields import field_specs

if TYPE_CHECKING:
    from engine.sweeps.outlook import Outlook
    from engine.sweeps.spec import SweepSpec
    from store.records import Sweep
    from tui.services import Services

LINES = 4
"""Fields that can be varied here; a file for `finetui sweep` may vary more."""

LARGEST_GRID = 24
"""Up to so many combinations all of them are tried, where no method is named."""

STARTED = "id"

LOOK_S = 0.3
HINTS = (
    "learning_rate = 1e-4, 2e-4, 5e-4",
    "lora_r = 8, 16, 32",
    "warmup_ratio = 0..0.2 step 0.1",
    "weight_decay = 1e-4..1e-1 log",
)


class SweepDialog(FormDialog):
    """Starts a sweep; what it hands back has its id as `STARTED`. `like` fills the lines from another sweep."""

    def __init__(self, services: "Services", recipe: Mapping[str, Any], *, like: "Sweep | None" = None) -> None:
        self.services = services
        self.recipe = dict(recipe)
        self._timer: Timer | None = None
        self._starting = False
        self._outlook = ""
        self._like = dict(like.spec) if like else {}
        super().__init__("New sweep", _fields(self.recipe, self._like), self._words, label="start it")

    def on_mount(self) -> None:
        names = SuggestFromList([f"{name} = " for name in field_specs()], case_sensitive=False)
        for number in range(LINES):
            self.query_one(f"#field-line{number}", Input).suggester = names
        self.query_one("#field-line0", Input).focus()

    def spec(self) -> "SweepSpec":
        """The sweep as it is typed. Raises `BadInput` with everything that is wrong."""
        from engine.sweeps.lines import parse_search
        from engine.sweeps.space import Axis, grid_problem, grid_size
        from engine.sweeps.spec import make_spec, spec_problems

        typed = self.values
        search = parse_search("\n".join(typed[f"line{number}"] for number in range(LINES)))
        carried = {key: value for key, value in self._like.items() if key not in ("search", "recipe", "trials")}
        values: dict[str, Any] = carried | {"name": typed["name"], "search": search, "recipe": self.recipe}
        values |= {"method": typed["method"] or "tpe"} | _numbers(typed)
        if typed["prune"]:
            values["prune"] = _yes(typed["prune"])
        if not typed["method"] and not spec_problems(values):
            axes = {name: Axis.model_validate(axis) for name, axis in search.items()}
            laid_out = not any(grid_problem(name, axis) for name, axis in axes.items())
            values["method"] = "grid" if laid_out and grid_size(axes) <= LARGEST_GRID else "tpe"
        return make_spec(values)

    def _words(self, _: Values) -> str:
        """How many runs, chosen how, and as soon as it is known about how long they take."""
        spec = self.spec()
        chosen = "every combination" if spec.method == "grid" else f"chosen by {spec.method}"
        pruned = "; those that do worse are stopped" if spec.prune else ""
        return f"{spec.total} runs, {chosen}{pruned}.\n{self._outlook or '…'}"

    @on(Input.Changed)
    def _changed(self) -> None:
        """Plan the runs when the typing pauses."""
        self._outlook = ""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(LOOK_S, self._look)

    def _look(self) -> None:
        try:
            spec = self.spec()
        except BadInput:
            return
        # not the coroutine itself: a newer look may cancel this one before it starts
        look: WorkType[None] = partial(self._look_ahead, spec)
        self.run_worker(look, group="look", exclusive=True)

    async def _look_ahead(self, spec: "SweepSpec") -> None:
        from engine.sweeps.outlook import look_ahead

        try:
            found = await asyncio.to_thread(look_ahead, self.services.home, self.services.store, spec)
        except BadInput as error:
            self._outlook = clean(f"✗ {error.what}\n{error.why}")
        else:
            self._outlook = outlook_words(found)
        if self.is_running:
            self._show()

    def take(self) -> None:
        """Start the sweep, once."""
        if self._starting:
            return
        self._starting = True
        self.query_one("#outcome", Static).update("starting …")
        self.run_worker(self._start(self.spec()), group="start")

    async def _start(self, spec: "SweepSpec") -> None:
        try:
            sweep = await asyncio.to_thread(self.services.sweeps.start, spec)
        except Exception as error:  # shown, and the lines stay as they were typed
            self._starting = False
            if self.is_running:
                self.query_one("#outcome", Static).update(Content(clean(str(error))).stylize("$text-error"))
            return
        if self.is_running:
            self.dismiss(self.values | {STARTED: sweep.id})


def outlook_words(found: "Outlook") -> str:
    """About how long a sweep takes."""
    if found.time_s is None:
        return "How long they take is not known yet."
    each = fmt_duration(found.time_s / found.runs)
    return f"About {fmt_duration(found.time_s)} one after the other, {each} each ({clean_line(found.speed_source)})."


def _fields(recipe: Mapping[str, Any], like: Mapping[str, Any]) -> list[Field]:
    from engine.sweeps.lines import search_words
    from engine.sweeps.space import Axis

    search = like.get("search") or {}
    lines = [f"{name} = {search_words(Axis.model_validate(axis))}" for name, axis in search.items()]
    rate = recipe.get("learning_rate")
    if not lines and isinstance(rate, (int, float)):
        lines = [f"learning_rate = {search_words(Axis(values=(rate / 2, rate, rate * 2)))}"]
    lines += [""] * (LINES - len(lines))
    method, trials = str(like.get("method", "")), like.get("trials")
    return [
        Field("name", "name", str(like.get("name", "sweep"))),
        *(
            Field(f"line{number}", "" if number else "vary", lines[number], hint)
            for number, hint in enumerate(HINTS[:LINES])
        ),
        Field("method", "method", method, "by itself; grid, tpe or random"),
        Field("trials", "runs", str(trials or ""), "all of a grid, else 20"),
        Field("concurrency", "at once", str(like.get("concurrency", 1)), "1"),
        Field("prune", "prune", "no" if like.get("prune") is False else "yes", "yes or no"),
    ]


def _numbers(typed: Values) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, label in (("trials", "runs"), ("concurrency", "at once")):
        if typed[name]:
            try:
                found[name] = int(typed[name])
            except ValueError as error:
                raise BadInput(f"{label}: {typed[name]!r} is not a whole number.") from error
    return found


def _yes(text: str) -> bool:
    if text.casefold() not in ("yes", "y", "no", "n"):
        raise BadInput(f"prune: yes or no, not {text!r}.")
    return text.casefold().startswith("y")
