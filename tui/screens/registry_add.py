"""A run's adapter registered from the keyboard: name, description, tags, and what would come of it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from engine.registry.naming import checked_description, checked_name, checked_tags
from tui.screens.form_dialog import Field, FormDialog, Values
from tui.text import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from store.evaluation_records import RegistryVersion
    from store.records import Run
    from store.registry import RegisteredName
    from tui.screens.page import Page
    from tui.screens.working import GivenUp, Progress
    from tui.services import Services


def register_run(page: "Page", run_id: str, then: "Callable[[RegistryVersion], object] | None" = None) -> None:
    """Ask under which name the run's adapter is to be kept, and keep it. `then` is called with the version."""

    def ask(found: "tuple[Run, list[RegisteredName], str]") -> None:
        run, names, suggested = found
        dialog = FormDialog(
            f"Register {run.name}",
            [
                Field("name", "name", suggested, "how it is called from now on"),
                Field("description", "description", "", "what it is for"),
                Field("tags", "tags", "", "with commas between"),
            ],
            partial(_outcome, names),
            label="register it",
        )
        page.app.push_screen(dialog, lambda values: _keep(page, run, values, then) if values else None)

    page.in_thread(partial(_read, page.services, run_id), ask, group="register", title="It cannot be registered")


def tags_of(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _read(services: "Services", run_id: str) -> "tuple[Run, list[RegisteredName], str]":
    """The run, the names there are, and the one to offer: that of the run it goes on from, else its own."""
    import re

    from engine.errors import NotFound

    run = services.store.runs.get(run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id} any more.")
    known = services.store.registry.of_run(run.id) or services.store.registry.of_run(run.parent or run.id)
    own = re.sub(r"[^A-Za-z0-9._-]+", "-", run.name).strip("-._")[:64]
    return run, services.store.registry.names(), known[0].name if known else own


def _outcome(names: "Sequence[RegisteredName]", values: Values) -> str:
    name = checked_name(values["name"])
    checked_description(values["description"])
    checked_tags(tags_of(values["tags"]))
    one = next((one for one in names if one.name == name), None)
    if one is None:
        return f"Its first version: {name}@1. The adapter is copied whole, with a model card."
    meant = f"v{one.promoted} stays promoted" if one.promoted else "it will be what the name means"
    return f"A new version beside {one.versions} of {name}; {meant}."


def _keep(page: "Page", run: "Run", values: Values, then: "Callable[[RegistryVersion], object] | None") -> None:
    from tui.screens.working import run_long

    def work(progress: "Progress", _: "GivenUp") -> "RegistryVersion":
        from engine.registry.registering import register

        services = page.services
        return register(
            services.home,
            services.store,
            run,
            values["name"],
            description=values["description"],
            tags=tags_of(values["tags"]),
            progress=progress,
        )

    def kept(version: "RegistryVersion") -> None:
        said = f"{clean_line(run.name)} is {version.name}@{version.version}."
        page.notify(said, title="Registered", markup=False)
        if then is not None:
            then(version)

    screen: Screen[Any] = page
    run_long(screen, f"Registering {run.name}", work, kept)
