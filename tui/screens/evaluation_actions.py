"""What one does to evaluations, the same on the list and on one's own screen: stop, go on, remove, export."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.screens.page import Page
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.evaluation.state import EvaluationState
    from tui.services import Services

POLL_S = 1.0


class EvaluationActions(Page):
    """A page that acts on `current_state`, and reads anew every second while it is the one at hand."""

    MODE = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop_evaluation", "stop", id="evaluation.stop", tooltip="Stop it; what was measured is kept"),
        Binding("R", "resume_evaluation", "go on", id="evaluation.resume", tooltip="Measure what is missing"),
        Binding("x", "remove_evaluation", "remove", id="evaluation.remove", show=False, tooltip="Remove it"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.reading = False
        """Whether a reading is under way."""

    @property
    def current_state(self) -> "EvaluationState | None":
        """The evaluation that the keys are about."""
        raise NotImplementedError

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
        state = self.current_state
        if action == "stop_evaluation":
            return state is not None and str(state.stage) == "running"
        if action == "resume_evaluation":
            return state is not None and str(state.stage) in ("stopped", "failed")
        if action == "remove_evaluation":
            return state is not None and str(state.stage) != "running"
        return super().check_action(action, parameters)

    def action_stop_evaluation(self) -> None:
        """End the process that measures, once that is confirmed."""
        if state := self.current_state:
            body = f"{state.done:,} of {state.total:,} answers are kept. R measures the rest later."
            self._ask(
                f"Stop {state.evaluation.name}?", body, "stop it", partial(_stop, self.services, state), "It stops."
            )

    def action_resume_evaluation(self) -> None:
        """Measure what is missing."""
        if state := self.current_state:
            self._do(partial(_resume, self.services, state), f"{clean_line(state.evaluation.name)} goes on.")

    def action_remove_evaluation(self) -> None:
        """Forget the evaluation, once that is confirmed."""
        if state := self.current_state:
            body = "Its answers and figures are gone then. The models and the data stay."
            remove = partial(_remove, self.services, state)
            self._ask(f"Remove {state.evaluation.name}?", body, "remove it", remove, "Removed.", self.removed)

    def removed(self) -> None:
        """The evaluation is gone."""
        self.reload()

    def _ask(
        self,
        title: str,
        body: str,
        label: str,
        what: Callable[[], object],
        said: str,
        then: Callable[[], object] | None = None,
    ) -> None:
        from tui.screens.dialogs import ConfirmDialog

        self.app.push_screen(
            ConfirmDialog(title, body, label), lambda sure: self._do(what, said, then) if sure else None
        )

    def _do(self, what: Callable[[], object], said: str, then: Callable[[], object] | None = None) -> None:
        def done(_: object) -> None:
            self.notify(said, markup=False)
            (then or self.reload)()

        self.in_thread(what, done, group="evaluation-act", title="That did not work", exclusive=False)


def _stop(services: "Services", state: "EvaluationState") -> None:
    from engine.evaluation.state import stop_evaluation

    stop_evaluation(services.home, state.id)


def _resume(services: "Services", state: "EvaluationState") -> None:
    from engine.evaluation import driver

    driver.start_driver(services.home, state.id)


def _remove(services: "Services", state: "EvaluationState") -> None:
    from engine.evaluation.state import remove_evaluation

    remove_evaluation(services.store, services.home, state.evaluation)
