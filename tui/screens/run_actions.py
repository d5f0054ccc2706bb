"""What one does to runs on the list and on a run's own screen alike: stop, resume, mend, rename, tag, note, remove."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tui.format import fmt_bytes
from tui.messages import ChatWith, NewRunLike, OpenRun
from tui.screens.page import Page
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.insight.failures import Failure
    from store.records import Run


class RunActions(Page):
    """A page that acts on `current_run`. Each action asks first where something would be lost."""

    def __init__(self) -> None:
        super().__init__()
        self._being_fixed: set[str] = set()

    @property
    def current_run(self) -> "Run | None":
        """The run that the keys are about."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        run = self.current_run
        if action in ("stop_run", "kill_run"):
            return run is not None and run.status.live
        if action in ("resume_run", "fix_run", "why_run"):
            return run is not None and run.status.value in ("stopped", "failed", "lost")
        if action == "remove_run":
            return run is not None and not run.status.live
        if action in ("chat", "new_like", "rename_run", "tag_run", "note_run"):
            return run is not None
        return super().check_action(action, parameters)

    def action_chat(self) -> None:
        if run := self.current_run:
            self.post_message(ChatWith([run.id]))

    def action_new_like(self) -> None:
        if run := self.current_run:
            self.post_message(NewRunLike(run.id))

    def action_stop_run(self) -> None:
        """Let the run save a checkpoint and end."""
        run = self.current_run
        if run is None:
            return
        self._ask(
            f"Stop {run.name}?",
            "It saves a checkpoint and ends. Resume goes on from there.",
            "stop it",
            partial(self.services.manager.stop, run.id),
            run.id,
        )

    def action_kill_run(self) -> None:
        """End the run at once, without saving."""
        run = self.current_run
        if run is None:
            return
        self._ask(
            f"Kill {run.name}?",
            "It ends at once. What it learnt since its last checkpoint is lost.",
            "kill it",
            partial(self.services.manager.stop, run.id, now=True),
            run.id,
        )

    def action_resume_run(self) -> None:
        """Go on from the last checkpoint."""
        if run := self.current_run:
            self._change(partial(self.services.manager.resume, run.id), run.id, "The run cannot be resumed")

    def action_fix_run(self) -> None:
        """Do what is suggested for a run that ended other than well; ask first where there is a question."""
        if run := self.current_run:
            self._with_failure(run, partial(self._fix, run))

    def action_why_run(self) -> None:
        """Say why the run ended, with the evidence, and offer what is suggested."""
        from tui.screens.failure_dialog import FailureDialog

        def show(run: "Run", failure: "Failure") -> None:
            dialog = FailureDialog(run, failure)
            self.app.push_screen(dialog, lambda yes: self._fix(run, failure) if yes else None)

        if run := self.current_run:
            self._with_failure(run, partial(show, run))

    def _with_failure(self, run: "Run", then: "Callable[[Failure], object]") -> None:
        from engine.insight.failures import failure_of

        read = partial(failure_of, self.services.store, run)
        self.in_thread(read, lambda failure: then(failure) if failure else None, group="failure")

    def _fix(self, run: "Run", failure: "Failure") -> None:
        from tui.screens.dialogs import ConfirmDialog

        if failure.action.value == "edit":
            self.post_message(NewRunLike(run.id))
        elif failure.question:
            dialog = ConfirmDialog(f"{failure.title}", failure.question, failure.offer)
            self.app.push_screen(dialog, lambda yes: self._carry_out(run, failure) if yes else None)
        else:
            self._carry_out(run, failure)

    def _carry_out(self, run: "Run", failure: "Failure") -> None:
        """Launch or resume, once at a time: planning a run takes a moment, and keys repeat."""
        from engine.insight.fixing import apply_fix
        from tui.errors import show_error

        if run.id in self._being_fixed:
            return
        self._being_fixed.add(run.id)

        def done(run_id: str) -> None:
            self._being_fixed.discard(run.id)
            self.tracker.announce(run.id, run_id)
            self.tracker.poll_now()
            if run_id != run.id:
                self.post_message(OpenRun(run_id))

        def refused(error: Exception) -> None:
            self._being_fixed.discard(run.id)
            show_error(self.app, error, "That did not work")

        services = self.services
        self.in_thread(
            partial(apply_fix, services.manager, services.store, run, failure),
            done,
            group="change",
            failed=refused,
            exclusive=False,
        )

    def action_remove_run(self) -> None:
        """Ask, saying what would be deleted, then delete the run."""
        run = self.current_run
        if run is None:
            return
        self.in_thread(
            partial(_what_is_deleted, run.dir),
            lambda words: self._ask(
                f"Remove {run.name}?", words, "delete it", partial(self.services.manager.remove, run.id), run.id
            ),
            group="measure",
        )

    def action_rename_run(self) -> None:
        if run := self.current_run:
            self._ask_text("Rename the run", run.name, "", partial(self.services.store.runs.rename, run.id), run.id)

    def action_note_run(self) -> None:
        if run := self.current_run:
            self._ask_text(
                f"Note on {run.name}",
                run.notes,
                "empty removes the note",
                partial(self.services.store.runs.set_note, run.id),
                run.id,
                may_be_empty=True,
            )

    def action_tag_run(self) -> None:
        if run := self.current_run:
            tags = set(run.tags)
            self._ask_text(
                f"Tags of {run.name}",
                ", ".join(run.tags),
                "separated by commas",
                lambda text: self._set_tags(run.id, tags, text),
                run.id,
                may_be_empty=True,
            )

    def _set_tags(self, run_id: str, before: set[str], text: str) -> None:
        after = {tag.strip() for tag in text.split(",") if tag.strip()}
        for tag in sorted(after - before):
            self.services.store.runs.add_tag(run_id, tag)
        for tag in sorted(before - after):
            self.services.store.runs.remove_tag(run_id, tag)

    def _ask(self, title: str, body: str, label: str, change: Callable[[], object], run_id: str) -> None:
        from tui.screens.dialogs import ConfirmDialog

        def answered(yes: bool | None) -> None:
            if yes:
                self._change(change, run_id, clean_line(title).rstrip("?") + " did not work")

        self.app.push_screen(ConfirmDialog(title, body, label), answered)

    def _ask_text(
        self,
        title: str,
        value: str,
        hint: str,
        change: Callable[[str], object],
        run_id: str,
        *,
        may_be_empty: bool = False,
    ) -> None:
        from tui.screens.dialogs import TextDialog

        def answered(text: str | None) -> None:
            if text is not None and text != value and (text or may_be_empty):
                self._change(partial(change, text), run_id, "That was not kept")

        self.app.push_screen(TextDialog(title, value, hint=hint), answered)

    def _change(self, change: Callable[[], object], run_id: str, title: str) -> None:
        def done(_: object) -> None:
            self.tracker.announce(run_id)
            self.tracker.poll_now()

        self.in_thread(change, done, group="change", title=title, exclusive=False)


def _what_is_deleted(folder: str) -> str:
    from pathlib import Path

    from engine.runs.rundir import RunDir

    run_dir = RunDir(Path(folder))
    files = [file for file in run_dir.path.rglob("*") if file.is_file() and not file.is_symlink()]
    size = fmt_bytes(sum(file.stat().st_size for file in files))
    checkpoints = len(run_dir.committed_checkpoints())
    parts = ["its recipe, metrics, samples and log"]
    if checkpoints:
        parts.append(f"{checkpoints} {'checkpoint' if checkpoints == 1 else 'checkpoints'}")
    if run_dir.adapter.is_dir():
        parts.append("the adapter")
    return f"This deletes {', '.join(parts)}: {size} in\n{run_dir.path}\nChats with it are kept. It cannot be undone."
