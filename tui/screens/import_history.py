"""Imports runs of other trackers and machines: where they are, what was found there, and what came of it."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from tui.errors import Explained, explain
from tui.format import fmt_when
from tui.screens.dialogs import Dialog, key_words
from tui.screens.working import GivenUp, Progress, run_long
from tui.text import clean_line, shorten
from tui.widgets.history_paths import history_candidates
from tui.widgets.path_candidates import Candidate
from tui.widgets.path_input import PathInput

if TYPE_CHECKING:
    from engine.history import Findings, FoundRun, Outcome
    from tui.services import Services

LOOKED_WIDELY = 2_000
"""Folders that are looked through while somebody types; Enter looks through all."""
PATH_HINT = "a folder or a file: wandb/, outputs/, mlflow.db …"
ABOUT = (
    "Runs of W&B (offline files), TensorBoard, Trackio, MLflow and the Trainer, and finetui's own of another machine. "
    "A folder with many imports all of them. Those that are here already are brought up to date."
)
SOURCES = {
    "wandb": "W&B",
    "tensorboard": "TensorBoard",
    "trainer": "Trainer",
    "trackio": "Trackio",
    "mlflow": "MLflow",
    "finetui": "finetui",
}
STATES = {"new": ("new", "$text-success"), "more": ("has changed", "$text-warning"), "here": ("here", "$text-muted")}


@dataclass(frozen=True)
class Look:
    """What a typed path leads to."""

    text: str
    found: list[Candidate] = field(default_factory=list)
    """Completions, as long as the path is typed."""
    findings: "Findings | None" = None
    states: list[str] = field(default_factory=list)
    many: bool = False
    """Whether there were too many folders to look through at once."""
    problem: Explained | None = None


class ImportHistoryDialog(Dialog[list[str] | None]):
    """Asks where runs are and imports them. Answers with the ids of those that are here now, or `None`."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = ["dialogs.tcss", "path_dialog.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("tab,down", "app.focus_next", "next field", id="import.next_field"),
        Binding("shift+tab,up", "app.focus_previous", "field before", id="import.previous_field"),
    ]

    def __init__(self, services: "Services", path: str = "") -> None:
        super().__init__()
        self.title_text = "Import past runs"
        self._services = services
        self._first = path
        self._look = Look("")
        self._outcome: Outcome | None = None

    def compose(self) -> ComposeResult:
        with self.box("-wide", "-path"):
            yield PathInput(self._first, placeholder=PATH_HINT)
            with Horizontal(classes="line"):
                yield Static("tag", classes="label")
                yield Input(id="tag", compact=True, placeholder="none; or a tag for all of them")
            with VerticalScroll(id="preview", can_focus=False):
                yield Static("", id="lines", markup=False)
            yield Static("", classes="keys", markup=False)

    def on_mount(self) -> None:
        self._look_again()

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self._draw)

    # Where they are

    @property
    def _path(self) -> PathInput:
        return self.query_one(PathInput)

    @on(PathInput.Typed)
    @work(exclusive=True, group="look")
    async def _look_again(self) -> None:
        look = await asyncio.to_thread(look_at, self._path.value, self._services)
        if self.is_running:
            self._show(look)

    def _show(self, look: Look) -> None:
        self._look = look
        self._path.show(look.found)
        self._draw()

    def _draw(self) -> None:
        width = max(30, self.query_one("#box").content_size.width - 1)
        taken = min(len(self._look.found), 6) + 1 if self._look.found else 0
        room = max(4, self.app.size.height * 9 // 10 - 9 - taken)
        lines = outcome_lines(self._outcome, width) if self._outcome else look_lines(self._look, width, room)
        self.query_one("#preview").display = bool(lines)
        self.query_one("#lines", Static).update(Content("\n").join(lines))
        self._show_keys()

    def _show_keys(self) -> None:
        look = self._look
        if self._outcome is not None:
            keys = [("enter", "show them")]
        elif look.findings is not None or look.many:
            keys = [("enter", "import"), *([("tab", "complete")] if look.found else [("tab", "next field")])]
        elif look.found:
            keys = [("enter", "take it"), ("tab", "complete"), ("↑↓", "move")]
        else:
            keys = []
        self.query_one(".keys", Static).update(key_words(*keys, ("esc", "close" if self._outcome else "cancel")))

    # The import

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        look = self._look
        if self._outcome is not None:
            self.dismiss(self._outcome.ids)
        elif look.text != self._path.value:  # typed since: what is shown is not what would be imported
            self._look_again()
        elif look.findings is not None or look.many:
            self._import()
        elif look.found:
            self._path.take()

    def _import(self) -> None:
        tag = self.query_one("#tag", Input).value.strip()
        name = shorten(clean_line(PurePath(self._look.text.rstrip("/")).name or "runs"), 40)
        doing = partial(_import, self._services, self._look.text, [tag] if tag else [])
        run_long(self, f"Importing {name}", doing, self._done, given_up=self._look_again)

    def _done(self, outcome: "Outcome") -> None:
        self._outcome = outcome
        self._path.show([])
        self._draw()

    def action_cancel(self) -> None:
        self.dismiss(self._outcome.ids if self._outcome else None)


def _import(services: "Services", text: str, tags: list[str], progress: Progress, cancelled: GivenUp) -> "Outcome":
    """In a thread. Given up, it keeps the runs that are done; the one under way leaves nothing."""
    from engine.errors import Cancelled
    from engine.history import find_history, import_history

    def looked(_folders: int) -> None:
        if cancelled():
            raise Cancelled

    findings = find_history(Path(text), looked)
    return import_history(
        services.home, services.store, findings.runs, tags=tags, progress=lambda _name, share: progress(share)
    )


def look_at(text: str, services: "Services") -> Look:
    """What a path leads to: runs, else completions, else why there is nothing. Reads folders; for a thread."""
    from engine.errors import BadInput, Cancelled
    from engine.history import find_history
    from engine.history.importing import state_of

    typed = Path(text).expanduser()
    completions = history_candidates(text)
    if not text.strip() or (not typed.exists() and completions):
        return Look(text, completions)

    def looked(folders: int) -> None:
        if folders > LOOKED_WIDELY:
            raise Cancelled

    try:
        findings = find_history(typed, looked)
    except Cancelled:
        return Look(text, completions if text.endswith("/") else [], many=True)
    except BadInput as error:
        return Look(text, completions, problem=None if completions else explain(error))
    except Exception as error:  # whatever a half-typed path leads to, the dialog says it and lives on
        return Look(text, completions, problem=explain(error))
    states = [state_of(services.home, run) for run in findings.runs]
    return Look(text, completions if text.endswith("/") and len(findings.runs) > 1 else [], findings, states)


def look_lines(look: Look, width: int, room: int) -> list[Content]:
    """What was found, or what can be."""
    if look.problem is not None:
        parts = [clean_line(part) for part in look.problem if part]
        return [Content(parts[0]).stylize("$text-error"), *(Content(part).stylize("$text-muted") for part in parts[1:])]
    if look.many:
        return [Content("Many folders: Enter looks through all of them and imports what is there.")]
    if look.findings is None:
        return [Content(ABOUT).stylize("$text-muted")]
    runs = look.findings.runs
    counts = {state: look.states.count(state) for state in STATES}
    said = ", ".join(f"{count:,} {STATES[state][0]}" for state, count in counts.items() if count)
    lines = [Content.assemble((f"{len(runs):,} run{'s' * (len(runs) != 1)}", "bold"), f": {said}")]
    problems = [shorten(clean_line(problem), width) for problem in look.findings.problems[:2]]
    most = max(1, room - len(lines) - len(problems) - 1)
    shown = runs if len(runs) <= most else runs[: most - 1]
    lines += [_run_line(run, state, width) for run, state in zip(shown, look.states, strict=False)]
    if len(shown) < len(runs):
        lines.append(Content(f"and {len(runs) - len(shown):,} more").stylize("$text-muted"))
    return lines + [Content(problem).stylize("$text-warning") for problem in problems]


def _run_line(run: "FoundRun", state: str, width: int) -> Content:
    words, style = STATES[state]
    when = fmt_when(run.created) if run.created else ""
    room = max(10, width - 12 - 13 - 16 - 3)
    name = shorten(clean_line(run.name), room)
    return Content.assemble(
        f"{name:<{room}} ",
        (f"{SOURCES.get(run.source, clean_line(run.source)):<12}", "$text-muted"),
        (f"{words:<13}", style),
        (when, "$text-muted"),
    )


def outcome_lines(outcome: "Outcome", width: int) -> list[Content]:
    """What came of it."""
    from tui.cli.runs.importing import counted, skipped_words

    lines = [Content(counted(outcome)).stylize("bold")]
    if skipped := skipped_words(outcome):
        lines.append(Content(skipped).stylize("$text-muted"))
    problems = [f"{run.name}: {problem}" for run in outcome.runs for problem in run.problems]
    if problems:
        lines += [Content(""), Content("These could not be read:").stylize("$text-warning")]
        lines += [Content(shorten(clean_line(problem), width)) for problem in problems[:8]]
        if len(problems) > 8:
            lines.append(Content(f"and {len(problems) - 8:,} more").stylize("$text-muted"))
    return lines
