"""What one does to registered versions: promote, roll back, compare, describe, refresh, check, remove."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType

from tui.messages import OpenRun
from tui.screens.page import Page
from tui.text import clean_line

if TYPE_CHECKING:
    from tui.screens.form_dialog import Values
    from tui.screens.working import GivenUp, Progress
    from tui.services import Services
    from tui.widgets.registry_table import Listed


class RegistryActions(Page):
    """A page that acts on `current`, the version under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "promote", "promote", id="registry.promote", tooltip="Make the name mean this version"),
        Binding("b", "roll_back", "roll back", id="registry.roll_back", tooltip="To what was promoted before"),
        Binding("c", "compare", "compare", id="registry.compare", tooltip="Compare with the version before"),
        Binding("d", "describe", "describe", id="registry.describe", tooltip="Change description and tags"),
        Binding("u", "refresh_card", "update card", id="registry.refresh", tooltip="Take in new evaluations"),
        Binding("v", "check", "check files", id="registry.check", show=False, tooltip="By the digest of each file"),
        Binding("o", "open_run", "its run", id="registry.run", show=False, tooltip="Open the run it comes from"),
        Binding("x", "remove", "remove", id="registry.remove", show=False, tooltip="Remove the version"),
    ]

    @property
    def current(self) -> "Listed | None":
        """The version that the keys are about."""
        raise NotImplementedError

    def reload(self, select: str = "") -> None:
        """Read the list anew, with the cursor on `select`."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        one = self.current
        if action == "promote":
            return one is not None and not one.is_promoted
        if action == "roll_back":
            return one is not None and one.before is not None
        if action == "compare":
            return one is not None and one.registered.versions > 1
        if action in ("describe", "refresh_card", "check", "remove", "open_run"):
            return one is not None
        return super().check_action(action, parameters)

    def action_promote(self) -> None:
        """Ask, then make the name mean this version."""
        if one := self.current:
            now = one.registered.promoted
            before = f"It means v{now} now; b goes back to that." if now else "None was promoted so far."
            body = f"{one.version.name} then means v{one.version.version}, wherever it is asked for by name. {before}"
            promote = partial(_promote, self.services, one.version.name, one.version.version)
            self._sure(f"Promote {one.id}?", body, "promote it", promote, f"{one.version.name} means {one.id} now.")

    def action_roll_back(self) -> None:
        """Ask, then go back to what was promoted before."""
        if (one := self.current) and one.before is not None:
            name = one.version.name
            body = f"{name} then means v{one.before} again, which was promoted before v{one.registered.promoted}."
            back = partial(_roll_back, self.services, name)
            self._sure(f"Roll {name} back?", body, "roll back", back, f"{name} means v{one.before} again.")

    def action_compare(self) -> None:
        """Beside the version before it; the first one beside the newest."""
        from tui.screens.registry_compare import RegistryCompareScreen

        if one := self.current:
            other = one.earlier or one.registered.newest
            self.app.push_screen(RegistryCompareScreen(one.version.name, other, one.version.version))

    def action_describe(self) -> None:
        """Ask for other words, and write the card anew."""
        from tui.screens.form_dialog import Field, FormDialog

        if one := self.current:
            fields = [
                Field("description", "description", one.version.description.replace("\n", " "), "what it is for"),
                Field("tags", "tags", ", ".join(one.version.tags), "with commas between"),
            ]
            dialog = FormDialog(f"About {one.id}", fields, _words_checked, label="keep it")
            self.app.push_screen(dialog, partial(self._describe, one))

    def _describe(self, one: "Listed", values: "Values | None") -> None:
        if values is not None:
            self._do(partial(_describe, self.services, one, values), f"The card of {one.id} is written anew.", one.id)

    def action_refresh_card(self) -> None:
        """Take evaluations that came since onto the card."""
        if one := self.current:
            self._do(partial(_refresh, self.services, one), f"The card of {one.id} is up to date.", one.id)

    def action_check(self) -> None:
        """Read every file and compare it with what was registered."""
        from tui.screens.working import run_long

        if one := self.current:
            said = f"{one.id}: every file is what was registered."
            done = partial(self._said, said)
            run_long(self, f"Checking {one.id}", partial(_check, self.services, one), done)

    def _said(self, text: str, _: object) -> None:
        self.notify(text, markup=False)

    def action_open_run(self) -> None:
        """The run that it comes from."""
        if one := self.current:
            if self.services.store.runs.get(one.version.run) is None:
                self.notify("That run was removed; the version has all that it needs.", markup=False)
            else:
                self.post_message(OpenRun(one.version.run))

    def action_remove(self) -> None:
        """Ask, then remove the version with its files."""
        if one := self.current:
            last = " It is the only one, so the name is gone, too." if one.registered.versions == 1 else ""
            body = f"Its files are deleted.{last} The run stays, if it is still there."
            remove = partial(_remove, self.services, one.version.name, one.version.version)
            self._sure(f"Remove {one.id}?", body, "delete it", remove, f"{one.id} is removed.")

    def _sure(self, title: str, body: str, label: str, do: Callable[[], object], said: str) -> None:
        from tui.screens.dialogs import ConfirmDialog

        select = self.current.id if self.current else ""
        dialog = ConfirmDialog(title, body, label)
        self.app.push_screen(dialog, lambda yes: self._do(do, said, select) if yes else None)

    def _do(self, do: Callable[[], Any], said: str, select: str) -> None:
        def done(_: object) -> None:
            self.notify(clean_line(said), markup=False)
            self.reload(select)

        self.in_thread(do, done, group="registry-act", title="That did not work", exclusive=False)


def _words_checked(values: "Values") -> str:
    from engine.registry.naming import checked_description, checked_tags
    from tui.screens.registry_add import tags_of

    checked_description(values["description"])
    checked_tags(tags_of(values["tags"]))
    return "The card and model_info.json are written anew; the adapter stays as it is."


def _promote(services: "Services", name: str, version: int) -> None:
    from engine.registry.keeping import promote

    promote(services.home, services.store, name, version)


def _roll_back(services: "Services", name: str) -> None:
    from engine.registry.keeping import roll_back

    roll_back(services.home, services.store, name)


def _describe(services: "Services", one: "Listed", values: "Values") -> None:
    from engine.registry.keeping import describe
    from tui.screens.registry_add import tags_of

    words, tags = values["description"], tags_of(values["tags"])
    describe(services.home, services.store, one.version, description=words, tags=tags)


def _refresh(services: "Services", one: "Listed") -> None:
    from engine.registry.keeping import refresh

    refresh(services.home, services.store, one.version)


def _check(services: "Services", one: "Listed", _progress: "Progress", _given_up: "GivenUp") -> bool:
    from engine.registry.keeping import checked

    checked(services.home, one.version)
    return True


def _remove(services: "Services", name: str, version: int) -> None:
    from engine.registry.keeping import remove

    remove(services.home, services.store, name, version)
