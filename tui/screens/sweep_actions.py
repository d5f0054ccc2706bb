"""What one does to sweeps, the same on the list and on a sweep's own screen: new, stop, resume, remove."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.messages import OpenSweeps
from tui.screens.page import Page
from tui.text import clean_line

if TYPE_CHECKING:
    from store.records import Sweep

POLL_S = 1.0


class SweepActions(Page):
    """A page that acts on `current_sweep`, and reads anew when runs change or a second has gone by."""

    MODE = "queue"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new_sweep", "new sweep", id="sweep.new", tooltip="A new sweep, like this one"),
        Binding("s", "stop_sweep", "stop", id="sweep.stop", tooltip="Stop the sweep; its runs save first"),
        Binding("R", "resume_sweep", "resume", id="sweep.resume", tooltip="Go on with the sweep"),
        Binding("x", "remove_sweep", "remove", id="sweep.remove", show=False, tooltip="Remove it; its runs stay"),
    ]

    @property
    def current_sweep(self) -> "Sweep | None":
        """The sweep that the keys are about."""
        raise NotImplementedError

    def reload(self) -> None:
        """Read what is shown anew."""
        raise NotImplementedError

    def start_reading(self) -> None:
        """Read now, at every change of runs, and every second while the screen is the one at hand."""
        self.on_runs_changed(lambda _: self.reload())
        self.set_interval(POLL_S, lambda: self.reload() if self.is_current else None)
        self.reload()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        sweep = self.current_sweep
        if action == "stop_sweep":
            return sweep is not None and sweep.status.value == "running"
        if action == "resume_sweep":
            return sweep is not None and sweep.status.value in ("stopped", "failed", "lost")
        if action == "remove_sweep":
            return sweep is not None and not sweep.status.live
        return super().check_action(action, parameters)

    def action_new_sweep(self) -> None:
        """Vary the same recipe in another way; without a sweep, the recipe of the form for a new run."""
        from tui.screens.sweep_dialog import SweepDialog

        if sweep := self.current_sweep:
            dialog = SweepDialog(self.services, dict(sweep.spec.get("recipe", {})), like=sweep)
            self.app.push_screen(dialog, self._started)
        else:
            self.app.run_worker(self.finetui.action_mode("new_run"))
            self.notify("Fill the form, then press w to vary its fields.", title="New sweep", markup=False)

    def _started(self, values: dict[str, str] | None) -> None:
        if values:
            self.tracker.poll_now()
            self.post_message(OpenSweeps(values["id"]))

    def action_stop_sweep(self) -> None:
        """Let its runs save and end."""
        if sweep := self.current_sweep:
            body = "Runs at work save a checkpoint and end; those that wait are cancelled. Resume goes on from there."
            self._ask(f"Stop {sweep.name}?", body, "stop it", partial(self.services.sweeps.stop, sweep.id))

    def action_resume_sweep(self) -> None:
        """Go on where it was left."""
        if sweep := self.current_sweep:
            resume = partial(self.services.sweeps.resume, sweep.id)
            self._change(resume, self.reload, f"{clean_line(sweep.name)} cannot be resumed")

    def action_remove_sweep(self) -> None:
        """Forget the sweep; its runs stay."""
        if sweep := self.current_sweep:
            remove = partial(self.services.sweeps.remove, sweep.id)
            self._ask(f"Remove {sweep.name}?", "Its runs stay, as runs like any other.", "remove it", remove)

    def removed(self) -> None:
        """Called after a sweep was stopped or removed."""
        self.reload()

    def _ask(self, title: str, body: str, label: str, change: Callable[[], object]) -> None:
        from tui.screens.dialogs import ConfirmDialog

        def answered(yes: bool | None) -> None:
            if yes:
                self._change(change, self.removed, clean_line(title).rstrip("?") + " did not work")

        self.app.push_screen(ConfirmDialog(title, body, label), answered)

    def _change(self, change: Callable[[], object], then: Callable[[], object], title: str) -> None:
        def done(_: object) -> None:
            self.tracker.poll_now()
            then()

        self.in_thread(change, done, group="change", title=title, exclusive=False)
