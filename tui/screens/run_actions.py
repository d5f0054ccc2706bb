"""What one does to runs on the list and on a run's own screen alike: stop, resume, mend, rename, tag, note, remove."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tui.format import fmt_bytes
from tui.messages import ChatWith, NewRunLike, OpenDataset, OpenRun
from tui.screens.page import Page
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.insight.diagnosis import Act, Finding
    from engine.insight.failures import Failure
    from store.records import Run


ENDED_EARLY = frozenset({"stopped", "failed", "lost"})
FAILED = frozenset({"failed", "lost"})


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
            return run is not None and run.status.live and not run.source
        if action == "resume_run":
            return run is not None and run.status in ENDED_EARLY
        if action in ("fix_run", "why_run"):
            return run is not None and (run.status in ENDED_EARLY or bool(run.finding))
        if action == "ignore_finding":
            return run is not None and bool(run.finding)
        if action == "remove_run":
            return run is not None and not run.status.live
        if action in ("evaluate", "register_run"):
            return run is not None and not run.status.live and not run.source
        if action in ("chat", "evaluations", "export_run", "new_like", "rename_run", "tag_run", "note_run"):
            return run is not None
        return super().check_action(action, parameters)

    def action_chat(self) -> None:
        if (run := self.current_run) and not self._is_imported(run, "so there is no adapter here to chat with"):
            self.post_message(ChatWith([run.id]))

    def action_export_run(self) -> None:
        """Ask what to make of it: a merged model, GGUF, the adapter itself."""
        from tui.screens.export_run import export_run

        if (run := self.current_run) and not self._is_imported(run, "so its weights are not here"):
            export_run(self, run)

    def action_evaluate(self) -> None:
        """Choose what it is measured beside, and on which rows."""
        from tui.screens.evaluation_start import evaluate

        if run := self.current_run:
            evaluate(self, [run.id])

    def action_evaluations(self) -> None:
        """What it was measured at."""
        from tui.screens.evaluations import EvaluationsScreen

        if run := self.current_run:
            self.app.push_screen(EvaluationsScreen(run.id, run.name))

    def action_register_run(self) -> None:
        """Keep its adapter under a name."""
        from tui.screens.registry_add import register_run

        if run := self.current_run:
            register_run(self, run.id)

    def action_new_like(self) -> None:
        if (run := self.current_run) and not self._is_imported(run, "and its settings are no recipe of finetui"):
            self.post_message(NewRunLike(run.id))

    def _is_imported(self, run: "Run", why: str) -> bool:
        """Whether the run came from elsewhere; says then why the key does nothing."""
        if not run.source:
            return False
        self.notify(f"{clean_line(run.name)} was imported ({clean_line(run.source)}), {why}.", severity="warning")
        return True

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
        if (run := self.current_run) and not self._is_imported(run, "so there is no checkpoint here to go on from"):
            self._change(partial(self.services.manager.resume, run.id), run.id, "The run cannot be resumed")

    def action_fix_run(self) -> None:
        """Do what is suggested: about a failure, else about the worst finding. Ask first where there is a question."""
        run = self.current_run
        if run is None or self._is_imported(run, "so nothing can be done about it here"):
            return
        if not _is_about_finding(run):
            self._with_failure(run, partial(self._fix, run))
            return

        def act(findings: "list[Finding]") -> None:
            if findings and findings[0].acts:
                self._act(run, findings[0].acts[0])
            elif findings:
                self.notify("There is nothing to do about it with one key; w says more.")

        self._with_findings(run, act)

    def action_why_run(self) -> None:
        """Say why the run ended or what was found out about it, with the evidence, and offer what is suggested."""
        run = self.current_run
        if run is None:
            return
        if _is_about_finding(run):
            self._with_findings(run, partial(self._why_found, run))
        elif not self._is_imported(run, "and no more is known of how it ended"):
            self._with_failure(run, partial(self._why_failed, run))

    def _why_failed(self, run: "Run", failure: "Failure") -> None:
        from tui.screens.failure_dialog import FailureDialog

        dialog = FailureDialog(run, failure)
        self.app.push_screen(dialog, lambda yes: self._fix(run, failure) if yes else None)

    def _why_found(self, run: "Run", findings: "list[Finding]") -> None:
        from tui.screens.finding_dialog import Answer, FindingDialog

        def answered(answer: Answer | None) -> None:
            if answer is None:
                return
            if answer.act is None:
                self._dismiss(run, answer.finding)
            elif not self._is_imported(run, "so nothing can be done about it here"):
                self._act(run, answer.act)

        if findings:
            self.app.push_screen(FindingDialog(run, findings), answered)

    def action_ignore_finding(self) -> None:
        """Say that what was found out does not matter: it is not shown again for this run."""
        if run := self.current_run:
            self._with_findings(run, lambda findings: self._dismiss(run, findings[0]) if findings else None)

    def _dismiss(self, run: "Run", finding: "Finding") -> None:
        self._change(partial(self.services.store.findings.dismiss, run.id, finding.code), run.id, "That was not kept")

    def _with_findings(self, run: "Run", then: "Callable[[list[Finding]], object]") -> None:
        from tui.widgets.run_detail import read_findings

        self.in_thread(partial(read_findings, self.services.store, run), then, group="findings")

    def _act(self, run: "Run", act: "Act") -> None:
        """Do it, after its question where it has one."""
        from engine.insight.acting import apply_act
        from tui.screens.dialogs import ConfirmDialog

        if act.code == "data":
            self.post_message(OpenDataset(run.dataset_id))
            return
        services = self.services
        do = partial(apply_act, services.manager, services.store, run, act)
        if not act.question:
            self._carry_out(run, do)
            return
        title = act.offer[:1].upper() + act.offer[1:] + "?"
        dialog = ConfirmDialog(title, act.question, "do it")
        self.app.push_screen(dialog, lambda yes: self._carry_out(run, do) if yes else None)

    def _with_failure(self, run: "Run", then: "Callable[[Failure], object]") -> None:
        from engine.insight.failures import failure_of

        read = partial(failure_of, self.services.store, run)
        self.in_thread(read, lambda failure: then(failure) if failure else None, group="failure")

    def _fix(self, run: "Run", failure: "Failure") -> None:
        from engine.insight.fixing import apply_fix
        from tui.screens.dialogs import ConfirmDialog

        services = self.services
        do = partial(apply_fix, services.manager, services.store, run, failure)
        if failure.action.value == "edit":
            self.post_message(NewRunLike(run.id))
        elif failure.question:
            dialog = ConfirmDialog(f"{failure.title}", failure.question, failure.offer)
            self.app.push_screen(dialog, lambda yes: self._carry_out(run, do) if yes else None)
        else:
            self._carry_out(run, do)

    def _carry_out(self, run: "Run", do: "Callable[[], str]") -> None:
        """Launch, resume or stop, once at a time: planning a run takes a moment, and keys repeat."""
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

        self.in_thread(do, done, group="change", failed=refused, exclusive=False)

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


def _is_about_finding(run: "Run") -> bool:
    """Whether what is suggested for a run is about a finding: a failure comes before it, a mere stop after."""
    return bool(run.finding) and (run.status not in FAILED or bool(run.source))


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
