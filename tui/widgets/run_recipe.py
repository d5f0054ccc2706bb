"""The recipe of a run: what it trains, what was promised, every setting with where it comes from and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.content import Content

from tui.format import NONE, fmt_count, fmt_duration
from tui.text import clean, clean_line, shorten
from tui.widgets.pane_scroll import PaneScroll, facts_content
from tui.widgets.promise_words import promise_rows
from tui.widgets.run_pane import RunPane
from tui.widgets.run_words import STATES
from tui.widgets.settings_diff import value_words

if TYPE_CHECKING:
    from engine.insight.promises import Promises
    from store.records import Attempt, Run
    from tui.services import Services

MUTED = "$text-muted"
NEAR = 6
"""A preset that differs in more settings is not what the recipe started from."""
ABOUT = frozenset({"model", "revision", "dataset", "continue_from", "cost_per_hour", "devices"})
"""Settings that say what a run is about and where it runs: no preset decides them."""


@dataclass(frozen=True)
class RunRecipe:
    """A run's recipe with all that explains it."""

    run: "Run"
    text: str
    """`recipe.toml` as it is; empty where it cannot be read."""
    plan: dict[str, Any]
    attempts: "list[Attempt]"
    promises: "Promises"
    asked: dict[str, Any] = field(default_factory=dict)
    """The recipe as it was before `auto` was decided; empty where nobody kept it."""
    defaults: dict[str, Any] = field(default_factory=dict)
    preset: str = ""
    """The preset that what was asked for is nearest to."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from that preset, with the preset's values."""


class RecipePane(RunPane):
    """Facts first, then the recipe: settings that were changed stand out, the others are dim."""

    KEYS_TO = "#recipe-text"

    def compose(self) -> ComposeResult:
        yield PaneScroll(id="recipe-text")

    def read(self, services: "Services", run: "Run") -> RunRecipe:
        return read_run_recipe(services, run)

    def show(self, found: RunRecipe) -> None:
        self.query_one(PaneScroll).show(recipe_content(found))


def read_run_recipe(services: "Services", run: "Run") -> RunRecipe:
    """Reads the store, the run's folder and the presets."""
    from engine.insight.promises import read_promises
    from engine.recipe import Recipe
    from engine.runs.rundir import RunDir, read_json

    store, rundir = services.store, RunDir(Path(run.dir))
    plans = store.runs.events(run.id, ["plan"], limit=1)
    try:
        text = rundir.recipe.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    inputs = read_json(rundir.inputs)
    asked = inputs.get("asked") if isinstance(inputs, dict) else None
    asked = dict(asked) if isinstance(asked, dict) else {}
    defaults = {name: info.default for name, info in Recipe.model_fields.items()}
    preset, changes = nearest_preset(services, asked or run.recipe, defaults) if not run.source else ("", {})
    plan = dict(plans[-1].body) if plans else {}
    promises = read_promises(store, run)
    return RunRecipe(run, text, plan, store.runs.attempts(run.id), promises, asked, defaults, preset, changes)


def nearest_preset(
    services: "Services", recipe: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The preset that differs least from a recipe, and the settings that do, with the preset's values."""
    from engine.presets import list_presets

    best: tuple[str, dict[str, Any]] = ("", {})
    for preset in list_presets(services.home):
        if preset.problem:
            continue
        values = {**defaults, **preset.values}
        names = [name for name in defaults if name in recipe and name not in ABOUT]
        changes = {name: values[name] for name in names if not _same(recipe[name], values[name])}
        if len(changes) <= NEAR and (not best[0] or len(changes) < len(best[1])):
            best = (preset.name, changes)
    return best


def recipe_content(found: RunRecipe) -> Content:
    """What the run trains, its attempts, its folder; then the recipe as TOML with the reasons."""
    return Content("\n").join([facts_content(_facts(found)), Content(""), *_toml(found)])


def _facts(found: RunRecipe) -> "list[tuple[str, Content | str]]":
    plan, run = found.plan, found.run
    rows: list[tuple[str, Content | str]] = [("folder", clean_line(run.dir))]
    if plan:
        trainable, total = plan.get("trainable_parameters"), plan.get("total_parameters")
        share = f" ({trainable / total:.2%})" if trainable and total else ""
        rows += [
            ("trainable", f"{fmt_count(trainable)} of {fmt_count(total)} parameters{share}"),
            ("rows", f"{fmt_count(plan.get('train_rows'))} to train, {fmt_count(plan.get('eval_rows'))} to evaluate"),
            ("tokens", f"{fmt_count(plan.get('train_tokens'))} an epoch"),
            ("device", f"{clean_line(str(plan.get('device', NONE)))}, {clean_line(str(plan.get('precision', NONE)))}"),
        ]
        if plan.get("linear4bit"):
            rows.append(("4-bit", f"{plan['linear4bit']} Linear4bit modules"))
    rows += promise_rows(found.promises)
    for attempt in found.attempts:
        word = STATES[attempt.status.value].word
        took = fmt_duration(attempt.ended - attempt.started) if attempt.ended is not None else "now"
        reason = f", {clean_line(attempt.reason)}" if attempt.reason else ""
        began = "" if attempt.from_step is None else f"from step {attempt.from_step}, "
        rows.append((f"attempt {attempt.number}", f"{began}{took}, {word}{reason}"))
    if found.preset:
        rows.append(("preset", _preset_words(found)))
    return rows


def _preset_words(found: RunRecipe) -> Content:
    recipe = found.asked or found.run.recipe
    if not found.changes:
        return Content.assemble(found.preset, (", unchanged", MUTED))
    changes = ", ".join(
        f"{name} {shorten(value_words(value), 20)} → {shorten(value_words(recipe.get(name)), 20)}"
        for name, value in found.changes.items()
    )
    return Content.assemble((f"nearest is {found.preset}, from which differ: ", MUTED), changes)


def _toml(found: RunRecipe) -> list[Content]:
    if not found.text.strip():
        return [_unreadable(found.run)]
    lines = clean(found.text).rstrip().splitlines()
    changed = {name for line in lines if (name := _field(line)) in found.defaults and _is_changed(found, name)}
    legend = Content.assemble(
        ("● ", "$text-primary"),
        ("differs from the default   ", MUTED),
        ("◦ ", "$text-success"),
        ("chosen by the planner", MUTED),
    )
    shown = [legend] if changed or found.promises.reasons else []
    return [*shown, *(_toml_line(line, found, changed) for line in lines)]


def _toml_line(line: str, found: RunRecipe, changed: set[str]) -> Content:
    """A line of the recipe: whether its value was changed or planned, what the default is, why it is so."""
    key, sign, value = line.partition(" = ")
    if not sign:
        return Content.assemble(("  ", ""), (line, MUTED if line.startswith(("#", "[")) else ""))
    reasons = found.promises.reasons
    planned = key in reasons
    mark = ("◦ ", "$text-success") if planned else ("● ", "$text-primary") if key in changed else ("  ", "")
    why = clean_line(reasons[key]) if planned else ""
    if key in changed and not planned and found.defaults.get(key) is not None and key not in ABOUT:
        why = f"default {shorten(value_words(found.defaults[key]), 30)}"
    plain = key in changed or planned
    return Content.assemble(
        mark,
        (key, "$text-primary" if plain else MUTED),
        (" = ", MUTED),
        (value, "bold" if key in changed else "" if plain else MUTED),
        (f"   {why}" if why else "", MUTED),
    )


def _field(line: str) -> str:
    return line.partition(" = ")[0].strip()


def _is_changed(found: RunRecipe, name: str) -> bool:
    """Whether somebody asked for another value than the default: what the planner chose for `auto` is no change."""
    recipe = found.asked if name in found.asked else found.run.recipe
    return name in recipe and not _same(recipe[name], found.defaults[name])


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a setting are the same, JSON's lists and Python's tuples alike."""
    if isinstance(one, list | tuple) or isinstance(other, list | tuple):
        return isinstance(one, list | tuple) and isinstance(other, list | tuple) and [*one] == [*other]
    return one is other if isinstance(one, bool) or isinstance(other, bool) else bool(one == other)


def _unreadable(run: "Run") -> Content:
    if run.source:
        values = {name: value for name, value in run.recipe.items() if value is not None}
        if not values:
            return Content("No settings were imported with this run.").stylize(MUTED)
        width = max(map(len, values))
        return Content("\n").join(
            Content.assemble((f"{clean_line(name):<{width}}  ", "$text-primary"), shorten(value_words(value), 200))
            for name, value in values.items()
        )
    words = "recipe.toml cannot be read: it is not in the run's folder, or is not yours to read."
    return Content(words).stylize("$text-warning")
