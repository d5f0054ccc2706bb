"""New run: will this fit, what will it cost, what is wrong with it?"""

from dataclasses import replace
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from tui.messages import OpenRun, OpenSweeps
from tui.screens.look_ahead import LookAhead
from tui.screens.recipe_choices import RecipeChoices, without_kept
from tui.text import clean_line
from tui.widgets.launch_panel import plan_content
from tui.widgets.launch_plan import (
    Plan,
    Surroundings,
    dataset_reference,
    dataset_words,
    decisions,
    live_names,
    make_plan,
    model_words,
    next_name,
    read_surroundings,
)
from tui.widgets.recipe_fields import field_specs
from tui.widgets.recipe_form import NAME, PRESET, Head, RecipeForm

if TYPE_CHECKING:
    from store.records import Dataset, Run
    from tui.services import Services

Like = tuple[Surroundings, "Run | None", str, "Dataset | None", dict[str, Any]]
"""A run to start from: what there is, the run, a name for its variant, its dataset, its recipe."""

LOOK_UP_S = 0.1
NARROW = 110
ROOMY = 160
FIRST_PRESET = "quick-look"


class NewRunScreen(RecipeChoices):
    """A recipe as a form, and beside it what a launch would do."""

    MODE = "new_run"
    TITLE = "New run"
    CSS_PATH = "new_run.tcss"
    AUTO_FOCUS = "FormLines"
    HELP = """
**Will this fit, what will it cost, what is wrong with it?** Pick a model, a dataset and a preset, change what you
like, press `l`. The panel says at every change what the run would take and what stands in its way.

What is `auto` is decided by the planner: → is what it chose, and the line below the form says why. Where a run does
not fit, `a` `b` `c` take a suggestion each, and `L` launches it anyway. A run that needs memory that others have now
waits for its turn by itself.

`/` goes to a field by its name. `Enter` edits it, digits start a new number at once, `Space` or `←` `→` go through
choices, `u` takes a change back. ✱ marks what differs from the preset, or from the run that this one starts from.
Applying a preset keeps the model and the dataset. Digits elsewhere go to the other screens as everywhere.

A launched run goes on when you leave. It trains at once where a device is free, else when its turn comes.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "launch", "launch", id="new_run.launch", tooltip="Launch the run"),
        Binding("a", "suggestion(0)", "make it fit", id="new_run.first", tooltip="Take the first suggestion"),
        Binding("b", "suggestion(1)", "second", id="new_run.second", show=False, tooltip="Take the second suggestion"),
        Binding("c", "suggestion(2)", "third", id="new_run.third", show=False, tooltip="Take the third suggestion"),
        Binding("L", "launch(True)", "launch anyway", id="new_run.force", tooltip="Launch it though it does not fit"),
        Binding("d", "pick('dataset')", "dataset", id="new_run.dataset", tooltip="Pick the dataset"),
        Binding("m", "pick('model')", "model", id="new_run.model", tooltip="Pick the base model"),
        Binding("p", "pick('preset')", "preset", id="new_run.preset", tooltip="Start from a preset"),
        Binding("i", "import_file", "import", id="new_run.import", tooltip="Import a file as a dataset"),
        Binding("s", "save_preset", "save preset", id="new_run.save", show=False, tooltip="Keep this as a preset"),
        Binding("e", "show_toml", "toml", id="new_run.toml", show=False, tooltip="The recipe as TOML"),
        Binding("w", "sweep", "sweep", id="new_run.sweep", show=False, tooltip="Launch it often, fields varied"),
        Binding("slash", "find_field", "find", id="new_run.find", show=False, tooltip="Go to a field by its name"),
        Binding("r", "pick('name')", "name", id="new_run.name", show=False, tooltip="Name the run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.plan = Plan([], {}, [])
        """What a launch would do now."""
        self._ahead = LookAhead(self, self.draft, self.show_plan)
        self._like: tuple[str | None, str | None] | None = None
        self._launching = False
        self._timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        with Container(id="body"):
            with Vertical(id="fields"):
                yield RecipeForm(self.draft)
                yield Static("", id="about", markup=False)
            with VerticalScroll(id="plan", classes="panel", can_focus=False):
                yield Static("", id="plan-text", markup=False)

    def on_mount(self) -> None:
        self.query_one("#plan").border_title = "before you launch"
        self._show_about()
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(lambda _: self._read_live())
        self.reload()

    def on_screen_resume(self) -> None:
        """What there is to choose from may have changed while another screen was shown."""
        if self.finetui.is_ready:
            self.reload()

    def show_like(self, run_id: str | None, dataset_id: str | None) -> None:
        """Start from a run's recipe, or with a dataset."""
        self._like = (run_id, dataset_id)
        self.when_ready(self.reload)

    # What there is

    @property
    def chosen_dataset(self) -> "Dataset | None":
        return self._ahead.found.dataset

    def start_with(self, dataset: "Dataset") -> None:
        self._like = (None, dataset.id)
        self.reload()

    def reload(self) -> None:
        like, first = self._like, self.around is None
        if like is None:
            self.in_thread(partial(read_surroundings, self.services), partial(self._show_around, first), group="around")
        else:
            read = partial(_read_like, self.services, *like)
            self.in_thread(read, partial(self._show_like, first), group="around", title="The run cannot be read")

    def _read_live(self) -> None:
        """Runs came or went: how long a new one waits may be another."""
        if self.around is not None and self.is_current:
            self.in_thread(partial(live_names, self.services), self._show_live, group="live")

    def _show_live(self, live: tuple[str, ...]) -> None:
        if self.around is not None and live != self.around.live:
            self.around = replace(self.around, live=live)
            self.show_plan()

    def _show_around(self, first: bool, around: Surroundings) -> None:
        self.around = around
        if first:
            self._choose_first(around)
        if not self.draft.values["dataset"] and around.datasets:
            self.draft.set("dataset", dataset_reference(around.datasets[0], around.datasets))
        self._look_up()

    def _show_like(self, first: bool, found: "Like") -> None:
        around, run, name, dataset, asked = found
        self._like = None
        self._show_around(first, around)
        if run is not None:
            self.draft.start_from(f"run {run.name}", asked, keep=())
            self.run_name = name
        if dataset is not None:
            self.draft.set("dataset", dataset_reference(dataset, around.datasets))
        form = self.query_one(RecipeForm)
        form.lines.go_to("model" if run is not None else "dataset")
        form.lines.focus()
        self._look_up()

    def _choose_first(self, around: Surroundings) -> None:
        """Sensible beginnings: the model used last, the quick look."""
        preset = next((one for one in around.presets if one.name == FIRST_PRESET and not one.problem), None)
        if preset is not None:
            self.draft.start_from(preset.name, without_kept(preset.values))
        usable = [model.name for model in around.models if model.ready and model.kind != "starter"]
        if around.last_model:
            self.draft.set("model", around.last_model)
        elif usable:
            self.draft.set("model", usable[0])

    def _look_up(self) -> None:
        """Find the model and the dataset that the draft names, then say what a launch would do."""
        self.show_plan()
        self._ahead.ask()

    def on_unmount(self) -> None:
        self._ahead.give_up()

    def show_plan(self) -> None:
        if self.around is None:
            return
        draft, found = self.draft, self._ahead.found
        plan = self.plan = make_plan(draft, self.around, found)
        width = self.query_one("#plan").content_size.width
        compact = self.has_class("-narrow")
        content = plan_content(plan, draft, compact=compact, width=width, working=self._ahead.working)
        self.query_one("#plan-text", Static).update(content)
        changed = len(draft.changed)
        lines = self.query_one(RecipeForm).lines
        lines.extra = plan.problems
        lines.decided = decisions(found.ahead.plan if found.ahead else None, draft)
        lines.head = {
            NAME: Head(self.run_name or self._default_name(), "" if self.run_name else "by itself"),
            "model": Head(str(draft.values["model"]), model_words(found.model)),
            "dataset": Head(str(draft.values["dataset"]) or "none", dataset_words(found.dataset)),
            PRESET: Head(draft.source or "none", f"{changed} changed" if changed else "", "mark"),
        }
        lines.refresh()
        self._show_about()
        self.refresh_bindings()

    def _default_name(self) -> str:
        from engine.runs.launcher import default_name

        recipe, dataset = self.draft.recipe(), self.chosen_dataset
        return default_name(recipe, dataset.name) if recipe is not None and dataset is not None else ""

    # The field under the cursor

    @on(RecipeForm.Moved)
    def _show_about(self) -> None:
        lines = self.query_one(RecipeForm).lines
        spec = lines.spec
        words = {
            NAME: "what the run is called; a name that is taken gets a number",
            "model": field_specs()["model"].help,
            "dataset": field_specs()["dataset"].help,
            PRESET: "where the fields below start from; it keeps model and dataset",
        }
        help_text = words[lines.field] if spec is None else spec.help
        hint = "enter edits" if lines.field == NAME else "enter picks"
        if spec is not None:
            editing = self.query_one(RecipeForm).editing
            hint = f"{spec.hint}; enter takes it, esc leaves it as it was" if editing else spec.hint
        problem = lines.extra.get(lines.field) or self.draft.problems.get(lines.field, "")
        why = self._why(lines.field)
        second = f"✗ {clean_line(problem)}" if problem else why or hint
        tone = "$text-error" if problem else "" if why else "$text-muted"
        about = self.query_one("#about", Static)
        width, height = max(20, about.content_size.width), max(2, about.content_size.height)
        said = wrap(second, width, max_lines=height - 1, placeholder=" …")
        above = wrap(help_text, width, max_lines=max(1, height - len(said)), placeholder=" …")
        about.update(Content.assemble("\n".join(above), "\n", ("\n".join(said), tone)))
        self.refresh_bindings()

    def _why(self, field: str) -> str:
        """Why the planner chose what it chose for a field that is `auto`."""
        form, found = self.query_one(RecipeForm), self._ahead.found
        chosen = form.lines.decided.get(field)
        if chosen is None or form.editing or found.ahead is None or found.ahead.plan is None:
            return ""
        reason = found.ahead.plan.reasons.get(field, "")
        return f"auto → {chosen}" + (f": {clean_line(reason)}" if reason else "")

    @on(RecipeForm.Changed)
    def _field_changed(self) -> None:
        self.changed()

    def changed(self) -> None:
        """Show the plan at once; look at the files when the typing pauses."""
        self.show_plan()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(LOOK_UP_S, lambda: self._look_up() if self.finetui.is_ready else None)

    @on(RecipeForm.PickWanted)
    def _pick_wanted(self, event: RecipeForm.PickWanted) -> None:
        self.action_pick(event.field)

    # What is done with the recipe

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "launch":
            if parameters and "memory" not in self.plan.problems:
                return False
            return not self._launching
        if action == "suggestion":
            return len(self.plan.suggestions) > int(str(parameters[0]))
        return super().check_action(action, parameters)

    def action_suggestion(self, number: int) -> None:
        """Change the recipe as a suggestion says."""
        one = self.plan.suggestions[number]
        for name, value in one.changes.items():
            self.draft.set(name, value)
        self.changed()

    def action_launch(self, force: bool = False) -> None:
        """Launch the run, or go to the first field that stands in the way. `force` launches one that does not fit."""
        recipe = self.draft.recipe()
        problems = {name: text for name, text in self.plan.problems.items() if not (force and name == "memory")}
        if self.around is None or self._launching:
            return
        if recipe is None or problems:
            self._say_problem(problems)
            return
        self._launching = True
        self.refresh_bindings()
        launch = partial(self.services.manager.launch, recipe, name=self.run_name or None, force=force)
        self.in_thread(launch, self._launched, group="launch", failed=self._not_launched, exclusive=False)

    def _say_problem(self, problems: dict[str, str]) -> None:
        """Go to the first field that stands in the way, and say what is wrong with it."""
        field = next(iter(problems), "dataset")
        if field in field_specs():
            self.query_one(RecipeForm).lines.go_to(field)
        text = clean_line(problems.get(field, ""))
        help_text = " · a makes it fit" if field == "memory" and self.plan.suggestions else ""
        self.notify(f"{field}: {text}{help_text}", title="Not launched", severity="error", markup=False)

    def _launched(self, run: "Run") -> None:
        self._launching = False
        self.run_name = ""
        self.tracker.poll_now()
        self.post_message(OpenRun(run.id))

    def _not_launched(self, error: Exception) -> None:
        from tui.errors import show_error

        self._launching = False
        self.refresh_bindings()
        show_error(self.app, error, "The run was not launched")
        self.reload()

    def action_sweep(self) -> None:
        """Vary some fields of this recipe: a sweep."""
        from tui.screens.sweep_dialog import SweepDialog

        if self.finetui.is_ready:
            self.app.push_screen(SweepDialog(self.services, self.draft.values), self._sweep_started)

    def _sweep_started(self, values: dict[str, str] | None) -> None:
        if values:
            self.post_message(OpenSweeps(values["id"]))

    def action_show_toml(self) -> None:
        """The recipe as the TOML that `finetui train` takes."""
        from tui.screens.reading import ReadingDialog

        recipe = self.draft.recipe()
        if recipe is None:
            problems = "\n".join(f"{name}: {text}" for name, text in self.draft.problems.items())
            self.app.push_screen(ReadingDialog("No recipe yet", problems))
            return
        self.app.push_screen(ReadingDialog("Recipe · finetui train FILE launches it too", recipe.to_toml()))

    def action_back(self) -> None:
        """Leave the field that is being edited as it was."""
        form = self.query_one(RecipeForm)
        if form.editing:
            form.finish_edit(keep=False)

    @on(Input.Changed, "#editor")
    def _typing(self, event: Input.Changed) -> None:
        event.stop()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self.set_class(event.size.width >= ROOMY, "-roomy")
        self.call_after_refresh(self.show_plan)


def _read_like(services: "Services", run_id: str | None, dataset_id: str | None) -> "Like":
    """The surroundings, the run to start from with a name for its variant, the dataset, and the recipe.

    That is the one that was asked for, so that what was left to the planner still is.
    """
    from engine.runs.rundir import RunDir, read_json

    around = read_surroundings(services)
    run = services.store.runs.get(run_id) if run_id else None
    wanted = dataset_id or (run.dataset_id if run else "")
    dataset = services.store.datasets.get(wanted) if wanted else None
    asked: dict[str, Any] = {}
    if run is not None:
        inputs = read_json(RunDir(services.home.runs / run.id).inputs)
        kept = inputs.get("asked") if isinstance(inputs, dict) else None
        values = kept if isinstance(kept, dict) else run.recipe
        asked = {name: value for name, value in values.items() if name in field_specs()}
    return around, run, next_name(services, run.name) if run else "", dataset, asked
