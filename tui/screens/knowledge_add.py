"""Adds notes: where they are and to which collection, then how far it is and what came of it."""

import asyncio
import os
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from tui.errors import explain
from tui.screens.dialogs import Dialog, key_words
from tui.text import clean_line, shorten
from tui.widgets.dataset_words import count_words
from tui.widgets.gauge import styled_bar
from tui.widgets.knowledge_paths import note_candidates
from tui.widgets.path_input import PathInput

if TYPE_CHECKING:
    from engine.knowledge.embeddings import Embeddings
    from engine.knowledge.library import AddReport, KnowledgeLibrary

REFRESH_S = 0.1
ABOUT = (
    "Text, Markdown, HTML and PDF files. A folder adds all of them below it; added again, only what has changed is "
    "read. Questions are matched by words; with an embeddings endpoint also by meaning."
)


class AddNotesDialog(Dialog[str | None]):
    """Answers with the name of the collection that notes were added to, or `None`."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = ["dialogs.tcss", "path_dialog.tcss", "knowledge_add.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("tab,down", "app.focus_next", "next field", id="import.next_field"),
        Binding("shift+tab,up", "app.focus_previous", "field before", id="import.previous_field"),
    ]

    def __init__(self, library: "KnowledgeLibrary", name: str = "") -> None:
        super().__init__()
        self.title_text = "Add notes"
        self._library = library
        self._name = name
        self._progress: tuple[float, str] | None = None
        """While it works: the share that is done, and what is at hand."""
        self._stopped = False
        self._report: AddReport | None = None

    def compose(self) -> ComposeResult:
        with self.box("-wide", "-path"):
            yield PathInput(placeholder="a folder, a file, or docs/**/*.md")
            with Horizontal(classes="line"):
                yield Static("to", classes="label")
                yield Input(self._name, id="name", compact=True, placeholder="by itself: the folder's name")
            with Horizontal(classes="line"):
                yield Static("embeddings", classes="label")
                yield Input(id="url", compact=True, placeholder="none; or http://…/v1")
                yield Input(id="model", compact=True, placeholder="its model")
                yield Input(id="key", compact=True, placeholder="key in $VAR")
            with VerticalScroll(id="preview", can_focus=False):
                yield Static("", id="lines", markup=False)
            yield Static("", classes="keys", markup=False)

    def on_mount(self) -> None:
        self._look()
        self._draw()
        self.set_interval(REFRESH_S, self._show_progress)

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    # Where they are

    @property
    def _path(self) -> PathInput:
        return self.query_one(PathInput)

    @on(PathInput.Typed)
    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        found = await asyncio.to_thread(note_candidates, self._path.value)
        if self.is_running and self._report is None and self._progress is None:
            self._path.show(found)

    # Reading them

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._report is not None:
            self.dismiss(self._report.name)
        elif self._progress is None:
            self._add()

    @work(group="add")
    async def _add(self) -> None:
        from engine.knowledge.embeddings import Embeddings

        path, url = self._value("path"), self._value("url")
        name = self._value("name") or name_for(path)
        embeddings = Embeddings(url, self._value("model"), self._value("key").removeprefix("$")) if url else None
        self._progress, self._stopped = (0.0, "looking for files"), False
        self._draw()
        try:
            report = await asyncio.to_thread(partial(self._read, name, path, embeddings))
        except Exception as error:  # whatever it is, the dialog says it and lives on
            self._progress = None
            if self.is_running:
                self._draw([part for part in explain(error) if part])
                self._look()
            return
        self._progress, self._report = None, report
        if self.is_running:
            self._draw()

    def _read(self, name: str, path: str, embeddings: "Embeddings | None") -> "AddReport":
        return self._library.add(name, [path], self._tell, lambda: self._stopped, embeddings=embeddings)

    def _tell(self, share: float, words: str) -> None:
        """In the thread."""
        self._progress = (share, words)

    def _show_progress(self) -> None:
        if self._progress is not None:
            share, words = self._progress
            words = "stopping …" if self._stopped else shorten(clean_line(words), 40)
            line = Content.assemble(styled_bar(share, 30), f"  {min(share, 0.99):.0%}  ", (words, "$text-muted"))
            self.query_one("#lines", Static).update(line)

    def _draw(self, problem: list[str] | None = None) -> None:
        at_work, done = self._progress is not None, self._report is not None
        for line in self.query(Input):
            line.disabled = at_work
        if at_work or done:
            self._path.show([])
        if problem:
            lines = [Content(clean_line(problem[0])).stylize("$text-error")]
            lines += [Content(clean_line(part)).stylize("$text-muted") for part in problem[1:]]
        elif self._report is not None:
            lines = report_lines(self._report)
        else:
            lines = [Content(ABOUT).stylize("$text-muted")]
        self.query_one("#lines", Static).update(Content("\n").join(lines))
        self._show_progress()
        if not at_work and (self.focused is None or done):
            self._path.start()
        keys = [("enter", "show them")] if done else [("enter", "add"), ("tab", "complete")]
        end = "stop; what is read stays" if at_work else "close" if done else "cancel"
        self.query_one(".keys", Static).update(key_words(*([] if at_work else keys), ("esc", end)))

    def action_cancel(self) -> None:
        """Stop what is at work; else close."""
        if self._progress is not None:
            self._stopped = True
        else:
            self.dismiss(self._report.name if self._report else None)

    def on_unmount(self, _: events.Unmount) -> None:
        self._stopped = True


def name_for(path: str) -> str:
    """What a collection is called that nobody names: like the folder or the file, or what is before the pattern."""
    whole = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - `~nobody` stays as it is
    plain = [part for part in whole.parts if not any(one in part for one in "*?[")]
    return shorten(clean_line(PurePath(plain[-1]).stem if len(plain) > 1 else ""), 40) or "notes"


def report_lines(report: "AddReport") -> list[Content]:
    """What came of it, in lines."""
    counts = {
        "new": len(report.added),
        "changed": len(report.changed),
        "unchanged": report.unchanged,
        "gone": len(report.removed),
    }
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "no files"
    head = f"{clean_line(report.name)}: {said}; {count_words(report.passages, 'passage')} read."
    lines = [Content(head).stylize("bold")]
    if report.stopped:
        lines.append(Content("Stopped; what was read stays. Add it again to go on.").stylize("$text-warning"))
    if report.vectors:
        lines.append(Content(f"{count_words(report.vectors, 'passage')} can be found by meaning."))
    if report.problem is not None:
        lines.append(Content(f"No vectors: {clean_line(report.problem.what)}").stylize("$text-error"))
    not_read = [*report.partial, *report.skipped]
    if not_read:
        lines += [Content(""), Content("Not read, or not to the end:").stylize("$text-warning")]
        lines += [Content(f"{clean_line(PurePath(one.path).name)} {clean_line(one.why)}") for one in not_read[:8]]
        if len(not_read) > 8:
            lines.append(Content(f"and {len(not_read) - 8:,} more").stylize("$text-muted"))
    return lines
