"""What one does to suite runs, the same on the list and on a run's own screen: stop, go on, remove, judge, export."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.screens.page import Page
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.suites.state import SuiteState
    from tui.services import Services

POLL_S = 1.0


class SuiteActions(Page):
    """A page that acts on `current_run`, and reads anew every second while it is the one at hand."""

    MODE = "chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop_suite", "stop", id="suite.stop", tooltip="Stop asking; what was answered is kept"),
        Binding("R", "resume_suite", "go on", id="suite.resume", tooltip="Ask what is missing, and errors again"),
        Binding("b", "arena", "arena", id="suite.arena", tooltip="Vote blind between models on this suite"),
        Binding("J", "judge", "judge", id="suite.judge", tooltip="Have another model say which answers are better"),
        Binding("e", "export_suite", "export", id="suite.export", tooltip="Write the answers into a file"),
        Binding("x", "remove_suite", "remove", id="suite.remove", show=False, tooltip="Remove the suite run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.reading = False
        """Whether a reading is under way."""

    @property
    def current_run(self) -> "SuiteState | None":
        """The suite run that the keys are about."""
        raise NotImplementedError

    @property
    def current_suite(self) -> str:
        """The id of the suite that the keys are about; empty for none."""
        return self.current_run.run.suite if self.current_run else ""

    def reload(self) -> None:
        """Read what is shown anew."""
        raise NotImplementedError

    def start_reading(self) -> None:
        """Read now, and every second while the screen is the one at hand."""
        self.set_interval(POLL_S, lambda: self.reload() if self.is_current else None)
        self.reload()

    def on_screen_resume(self) -> None:
        if self.finetui.is_ready:
            self.reload()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        state = self.current_run
        if action == "stop_suite":
            return state is not None and str(state.stage) == "running"
        if action == "resume_suite":
            return state is not None and (
                str(state.stage) in ("stopped", "failed") or (_over(state) and state.errors > 0)
            )
        if action == "remove_suite":
            return state is not None and str(state.stage) != "running"
        if action == "export_suite":
            return state is not None and state.done > 0
        if action == "judge":
            return state is not None and state.done > 0 and len(state.run.models) > 1
        if action == "arena":
            return bool(self.current_suite)
        return super().check_action(action, parameters)

    def action_stop_suite(self) -> None:
        """End the process that asks; what was answered is kept."""
        if state := self.current_run:
            self._do(partial(_stop, self.services, state.id), f"{clean_line(state.run.name)} stops.")

    def action_resume_suite(self) -> None:
        """Ask what is missing."""
        if state := self.current_run:
            self._do(partial(_resume, self.services, state.id), f"{clean_line(state.run.name)} goes on.")

    def action_remove_suite(self) -> None:
        """Forget the suite run, once that is confirmed."""
        from tui.screens.dialogs import ConfirmDialog

        if state := self.current_run:
            body = f"Its {state.done} answers are gone then. The suite stays, and so do votes."
            remove = partial(self._do, partial(_remove, self.services, state), "Removed.", self.removed)
            dialog = ConfirmDialog(f"Remove {state.run.name}?", body, "remove it")
            self.app.push_screen(dialog, lambda sure: remove() if sure else None)

    def action_arena(self) -> None:
        """Vote blind between the models of this suite run on its prompts."""
        from tui.screens.arena import ArenaScreen

        state = self.current_run
        self.app.push_screen(ArenaScreen(state.run.models if state else (), self.current_suite))

    def action_judge(self) -> None:
        """What judges say of the answers, and a key to ask one."""
        from tui.screens.suite_judge import SuiteJudgeScreen

        if state := self.current_run:
            self.app.push_screen(SuiteJudgeScreen(state.id))

    def action_export_suite(self) -> None:
        """Ask for a file, and write the answers into it."""
        from tui.screens.dialogs import TextDialog

        if state := self.current_run:
            hint = "A .md, .csv or .jsonl file. A file that is there is not overwritten."
            dialog = TextDialog("Write the answers to", f"{clean_line(state.run.name)}.md", hint=hint)
            self.app.push_screen(dialog, partial(self._export, state.id))

    def _export(self, suite_run: str, path: str | None) -> None:
        if path:
            write = partial(_write, self.services, suite_run, Path(path).expanduser())
            self.in_thread(write, self._exported, group="suite-export", title="The answers cannot be written")

    def _exported(self, path: Path) -> None:
        self.notify(clean_line(str(path.absolute())), title="Written", markup=False)

    def removed(self) -> None:
        """The suite run is gone."""
        self.reload()

    def _do(self, what: Callable[[], object], said: str, then: Callable[[], object] | None = None) -> None:
        def done(_: object) -> None:
            self.notify(said, markup=False)
            (then or self.reload)()

        self.in_thread(what, done, group="suite-act", title="That did not work", exclusive=False)


def _over(state: "SuiteState") -> bool:
    return str(state.stage) == "done"


def _stop(services: "Services", suite_run: str) -> None:
    from engine.suites.state import stop_suite_run

    stop_suite_run(services.home, suite_run)


def _resume(services: "Services", suite_run: str) -> None:
    from engine.suites import driver

    services.store.suites.set_ended(suite_run, None)
    driver.start_driver(services.home, suite_run)


def _remove(services: "Services", state: "SuiteState") -> None:
    from engine.suites.state import remove_suite_run

    remove_suite_run(services.store, services.home, state.run)


def _write(services: "Services", suite_run: str, path: Path) -> Path:
    from engine.suites.export import export_suite_run
    from tui.widgets.suite_reading import read_run

    taken = read_run(services, suite_run)
    return export_suite_run(taken.suite, taken.state.run, taken.labels, taken.answers, path)
