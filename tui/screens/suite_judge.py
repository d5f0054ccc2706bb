"""What judges say of a suite run: which answers are better, and do people agree?"""

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.screens.chat_choices import AN_API, ApiDialog
from tui.screens.dialogs import Option, PickDialog
from tui.screens.form_dialog import Field, FormDialog, Values
from tui.screens.page import Page
from tui.text import clean_line
from tui.widgets.gauge import styled_bar
from tui.widgets.suite_judged import judged_content
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from engine.judging.criteria import Criterion
    from engine.judging.judge import Judged, JudgeProgress
    from engine.judging.pairs import AnswerPair
    from engine.judging.suite_runs import JudgeReport
    from store.talk_records import SuiteRun
    from tui.services import Services

TICK_S = 0.25
READ_S = 3.0
"""How often votes are read anew while a judge is at work."""
EMPTY = """\
No model has judged these answers yet.

n chooses one: a base model, a run, or a model at an OpenAI-compatible address.
It sees each two answers in both orders and says which is better. What it says
is kept as votes, apart from those of people. Large models judge better."""
NOBODY = "nobody"


@dataclass(frozen=True)
class Judging:
    """What is read: the suite run, its pairs of answers, names of models, a report a judge."""

    run: "SuiteRun"
    pairs: "list[AnswerPair]"
    labels: dict[str, str]
    reports: "list[JudgeReport]"


class SuiteJudgeScreen(Page):
    """The reports of all judges on one suite run, one at a time; a judge at work is shown above."""

    MODE = "chat"
    TITLE = "Judge"
    CSS_PATH = "suite_judge.tcss"
    AUTO_FOCUS = "#scroll"
    HELP = """
**Which answers are better, says another model.** `n` chooses the judge and the criteria; models favour their own
answers, so take one that did not answer itself. Each two answers to a prompt, in all its turns, are shown to it in both
orders; where its verdicts differ, that is a tie. `[` and `]` go through the judges.

*Order changed* is how often the verdict changed with the order, *longer won* how often the longer answer did. *Agrees
with people* is the share of the same verdicts among votes of people on the same answers, *kappa* that share beyond
what chance would give.

What was judged is kept vote by vote. `s` stops, and so does leaving this screen; `n` goes on from there.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "judge", "ask a judge", id="suite_judge.start", tooltip="Choose who judges, and by what"),
        Binding("s", "stop", "stop", id="suite_judge.stop", tooltip="Stop judging; what was judged is kept"),
        Binding("left_square_bracket", "other(-1)", "judge before", id="suite_judge.before", show=False),
        Binding("right_square_bracket", "other(1)", "other judge", id="suite_judge.after", key_display="[ ]"),
        Binding("j", "scroll(1)", "down", id="suite_judge.down", show=False),
        Binding("k", "scroll(-1)", "up", id="suite_judge.up", show=False),
        Binding("escape", "back", "back", id="page.back", key_display="esc", tooltip="Back to the answers"),
    ]

    def __init__(self, suite_run: str) -> None:
        super().__init__()
        self.suite_run = suite_run
        self.judging: Judging | None = None
        self._stop = threading.Event()
        self._at_work = False
        self._at: JudgeProgress | None = None
        """Set in the thread that judges."""
        self._status = ""
        self._show_next = ""
        """The judge to show once its votes are read."""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        yield TabLine({NOBODY: ""})
        with VerticalScroll(id="scroll"):
            yield Static("", id="report", markup=False)
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self._show_head)
        self.set_interval(READ_S, lambda: self._read_again() if self._at_work else None)
        self.when_ready(self._read_again)

    def on_unmount(self) -> None:
        self._stop.set()

    def on_resize(self) -> None:
        self._show_report()

    def _read_again(self) -> None:
        read = partial(_read, self.services, self.suite_run)
        self.in_thread(read, self._show, group="judging", failed=self._unread)

    def _unread(self, error: Exception) -> None:
        self.cannot_be_shown(error, "There is nothing to judge")

    def _show(self, judging: Judging) -> None:
        self.judging = judging
        tabs = self.query_one(TabLine)
        tabs.tabs = {one.voter: clean_line(one.voter) for one in judging.reports} or {NOBODY: ""}
        if self._show_next in tabs.tabs or tabs.active not in tabs.tabs:
            tabs.active = self._show_next if self._show_next in tabs.tabs else next(iter(tabs.tabs))
            self._show_next = ""
        tabs.refresh()
        self.set_class(not judging.reports, "-empty")
        self._show_head()
        self._show_report()
        self.refresh_bindings()

    def _show_head(self) -> None:
        if (judging := self.judging) is None:
            return
        parts: list[Content | str | tuple[str, str]] = [(clean_line(judging.run.name), "bold")]
        parts.append((f"  {len(judging.pairs):,} pairs of answers", "$text-muted"))
        if self._at_work:
            at = self._at
            done = at.done / max(1, at.total) if at is not None and at.done else None
            parts += ["  ", styled_bar(done, 12)]
            status = clean_line(self._status) or "asking the judge"
            words = f"{at.done} of {at.total} judged" if at is not None and at.done else status
            parts.append((f" {words}", "$text-primary"))
            if at is not None and at.unclear:
                parts.append((f"  {at.unclear} without a verdict", "$text-warning"))
        self.query_one("#head", Static).update(Content.assemble(*parts))

    def _show_report(self) -> None:
        judging = self.judging
        report = next((one for one in judging.reports if one.voter == self._active), None) if judging else None
        if judging is not None and report is not None:
            content = judged_content(report, judging.labels, self.size.width - 3)
            self.query_one("#report", Static).update(content)

    @property
    def _active(self) -> str:
        return self.query_one(TabLine).active

    def on_tab_line_chosen(self) -> None:
        self._show_report()

    def action_scroll(self, lines: int) -> None:
        self.query_one("#scroll", VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_other(self, places: int) -> None:
        """The report of another judge."""
        self.query_one(TabLine).move(places)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "judge":
            return self.judging is not None and not self._at_work
        if action == "stop":
            return self._at_work
        if action == "other":
            return self.judging is not None and len(self.judging.reports) > 1
        return super().check_action(action, parameters)

    # Asking a judge

    def action_judge(self) -> None:
        """Choose who judges."""
        from engine.arena.entrants import candidates

        self.in_thread(partial(candidates, self.services.store, self.services.home), self._pick, group="pick")

    def _pick(self, found: list[tuple[str, str, str]]) -> None:
        asked = self.judging.run.models if self.judging else ()
        choices = [
            Option(model, name, f"answered itself · {words}" if model in asked else words)
            for model, name, words in reversed(found)
        ]
        self.app.push_screen(PickDialog("Who judges", [*choices, AN_API]), self._picked)

    def _picked(self, model: str | None) -> None:
        if model == AN_API.id:
            self.app.push_screen(ApiDialog(), self._far)
        elif model is not None:
            self._ask_criteria(model)

    def _far(self, values: Values | None) -> None:
        from engine.suites.endpoints import FarModel, keep_endpoint

        if values is not None:
            far = FarModel(values["model"], values["url"], values["key_env"])
            keep = partial(keep_endpoint, self.services.home, far)
            self.in_thread(keep, lambda _: self._ask_criteria(far.model), group="endpoint", exclusive=False)

    def _ask_criteria(self, model: str) -> None:
        from engine.judging.criteria import KNOWN

        fields = (
            Field("criteria", "criteria", ", ".join(KNOWN), hint="your own: brief=says it in few words"),
            Field("tokens", "longest reply", "512", hint="tokens; models that think need more"),
        )
        dialog = FormDialog("By what it judges", fields, self._preview, label="start")
        self.app.push_screen(dialog, partial(self._start, model))

    def _preview(self, values: Values) -> str:
        from engine.errors import BadInput

        criteria = _criteria(values["criteria"])
        if not values["tokens"].isdecimal() or int(values["tokens"]) < 16:
            raise BadInput("The longest reply is a number of tokens, 16 or more.")
        pairs = len(self.judging.pairs) if self.judging else 0
        by = f"{len(criteria)} {'criterion' if len(criteria) == 1 else 'criteria'}"
        return f"{pairs:,} pairs by {by}, each in both orders. What it judged before is not asked again."

    def _start(self, model: str, values: Values | None) -> None:
        from engine.judging.judge import voter_of
        from engine.judging.suite_runs import judge_suite_run
        from engine.suites.endpoints import API

        if values is None or self.judging is None or self._at_work:
            return
        self._stop, self._at_work, self._at, self._status = threading.Event(), True, None, ""
        self._show_next = voter_of(model.removeprefix(API))
        work = partial(
            judge_suite_run,
            self.services.home,
            self.services.store,
            self.judging.pairs,
            model,
            _criteria(values["criteria"]),
            max_new_tokens=int(values["tokens"]),
            on_status=self._hear_status,
            on_progress=self._hear_progress,
            stop=self._stop.is_set,
        )
        self.in_thread(work, self._judged, group="judge", failed=self._failed, exclusive=False)
        self.refresh_bindings()

    def _hear_status(self, line: str) -> None:
        self._status = line

    def _hear_progress(self, at: "JudgeProgress") -> None:
        self._at = at

    def _judged(self, judged: "Judged") -> None:
        self._at_work = False
        words = "Stopped; what was judged is kept." if judged.stopped else f"{judged.asked + judged.kept} pairs judged."
        if judged.unclear:
            words += f" {judged.unclear} without a verdict that can be read."
        if judged.failures:
            words += f" {len(judged.failures)} could not be asked: {judged.failures[0]}"
        self.notify(clean_line(words), severity="warning" if judged.failures else "information", markup=False)
        self._read_again()

    def _failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self._at_work = False
        self._read_again()
        show_error(self.app, error, "The judge cannot go on")

    def action_stop(self) -> None:
        """Stop judging."""
        self._stop.set()


def _criteria(text: str) -> "list[Criterion]":
    """The criteria of a line: names, and `name=meaning`, between commas. Raises `BadInput`."""
    from engine.judging.criteria import criteria_of

    return criteria_of([part.strip() for part in text.split(",") if part.strip()])


def _read(services: "Services", suite_run: str) -> Judging:
    """Call it in a thread."""
    from engine.judging.suite_runs import judged_by
    from engine.suites.kept import suite_of
    from engine.suites.running import find_suite_run
    from engine.suites.seating import labels_of

    run = find_suite_run(services.store, suite_run)
    pairs, reports = judged_by(services.store, suite_of(services.library, run), run)
    labels = [clean_line(label) for label in labels_of(services.store, run.models)]
    return Judging(run, pairs, dict(zip(run.models, labels, strict=True)), reports)
