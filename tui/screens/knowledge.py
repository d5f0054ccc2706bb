"""Notes: which collections there are, what is in them, and what would be found for a question."""

from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_bytes
from tui.screens.dialogs import ConfirmDialog
from tui.screens.page import Page
from tui.text import clean_line
from tui.widgets.dataset_words import count_words
from tui.widgets.find_line import FindLine
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.knowledge_passages import passage_content
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.knowledge.library import AddReport, Answer, KnowledgeLibrary
    from store.knowledge import KnowledgeSource
    from store.talk_records import Knowledge, Passage
    from tui.screens.working import GivenUp, Progress

FOUND = 8
"""Passages that a tried search shows."""
FOUND_LINES = 8
"""Of each of them."""
SHOWN = 40
"""Passages of a file that are shown, whole."""

EMPTY = """\
No notes yet.

Notes are files that answers can be based on: a handbook, a wiki, questions
that are asked often. A model is then asked with the passages that fit, so
that “notes or fine-tuning?” can be tried side by side in the chat.

Press a to add a folder or files."""


@dataclass(frozen=True)
class Collection:
    """A line of the list of collections."""

    knowledge: "Knowledge"

    @property
    def id(self) -> str:
        return self.knowledge.name


@dataclass(frozen=True)
class File:
    """A line of the list of files."""

    source: "KnowledgeSource"

    @property
    def id(self) -> str:
        return self.source.path


COLLECTIONS = (
    Column("notes", 12, lambda one: (clean_line(one.knowledge.name), ""), share=1),
    Column("files", 5, lambda one: (f"{one.knowledge.sources:,}", "dim"), right=True),
    Column("passages", 8, lambda one: (f"{one.knowledge.passages:,}", "dim"), right=True),
)
FILES = (
    Column("file", 12, lambda one: (clean_line(PurePath(one.source.path).name), ""), share=1),
    Column("size", 7, lambda one: (fmt_bytes(one.source.size_bytes), "dim"), right=True, needs=34),
    Column("passages", 8, lambda one: (f"{one.source.passages:,}", "dim"), right=True),
)


class KnowledgeScreen(Page):
    """The collections on the left with the files of one; on the right what a file holds, or what a search found."""

    MODE = "chat"
    TITLE = "Notes"
    CSS_PATH = "knowledge.tcss"
    AUTO_FOCUS = "#collections"
    HELP = """
**What can answers be based on, and would it be found?** A collection is a set of files, cut into passages. In the chat,
a pane that looks in notes is asked with the passages that fit the question best.

`/` tries a search in the collection under the cursor: type a question as you would ask a model, and see the passages it
would get, best first, with the matching words marked. Words are looked for without endings and accents; a collection
that was added with embeddings is searched by meaning as well.

`a` adds a folder or files, also to a collection that is there; `u` reads again what has changed; `x` forgets the
collection or the file under the cursor. Files on disk are never touched.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "try a search", id="knowledge.search", key_display="/", tooltip="Try a search"),
        Binding("a", "add", "add", id="knowledge.add", tooltip="Add a folder or files to the notes"),
        Binding("u", "refresh", "read again", id="knowledge.refresh", tooltip="Read again what has changed"),
        Binding("x", "remove", "forget", id="knowledge.remove", tooltip="Forget the collection or file at hand"),
        Binding("tab", "app.focus_next", "next list", id="knowledge.next", show=False),
    ]

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            with Vertical(id="lists"):
                yield ItemTable(COLLECTIONS, id="collections")
                yield ItemTable(FILES, id="files")
            with VerticalScroll(id="found"):
                yield Static("", id="about", markup=False)
                yield Static("", id="passages", markup=False)
        yield Static(Content(EMPTY), id="empty", markup=False)
        yield FindLine("a question, as you would ask a model")

    def on_mount(self) -> None:
        self.when_ready(self.reload)

    @property
    def library(self) -> "KnowledgeLibrary":
        return self.services.knowledge

    @property
    def current(self) -> str:
        """The collection under the cursor; empty where there is none."""
        line: Collection | None = self.query_one("#collections", ItemTable).highlighted if self.is_mounted else None
        return line.knowledge.name if line is not None else ""

    @property
    def current_file(self) -> "KnowledgeSource | None":
        line: File | None = self.query_one("#files", ItemTable).highlighted if self.is_mounted else None
        return line.source if line is not None else None

    # Lists

    def reload(self, select: str = "") -> None:
        """Read the collections anew, with the cursor on `select`, else where it was."""
        self.in_thread(self.library.all, partial(self._show, select), group="collections", title="No notes can be read")

    def _show(self, select: str, every: "list[Knowledge]") -> None:
        self.set_class(not every, "-empty")
        table = self.query_one("#collections", ItemTable)
        table.set_items([Collection(one) for one in every], select or None)
        if not every:
            self.query_one("#files", ItemTable).set_items([])
        self.refresh_bindings()

    @on(RowList.Highlighted, "#collections")
    def _other_collection(self) -> None:
        if name := self.current:
            self.in_thread(partial(self.library.sources, name), partial(self._show_files, name), group="files")
            self._search()
        self.refresh_bindings()

    def _show_files(self, name: str, sources: "list[KnowledgeSource]") -> None:
        if name == self.current:
            self.query_one("#files", ItemTable).set_items([File(source) for source in sources])

    @on(RowList.Opened, "#collections")
    def _opened(self) -> None:
        self.query_one("#files").focus()

    @on(RowList.Opened, "#files")
    def _opened_file(self) -> None:
        self.query_one("#found").focus()

    @on(RowList.Highlighted, "#files")
    def _other_file(self) -> None:
        source = self.current_file
        if source is None or self.query_one(FindLine).text:
            return
        read = partial(self.library.passages, self.current, source.path)
        self.in_thread(read, partial(self._show_file, source), group="passages", failed=lambda _: None)

    def _show_file(self, source: "KnowledgeSource", passages: "list[Passage]") -> None:
        if source == self.current_file and not self.query_one(FindLine).text:
            self._show_passages(clean_line(source.path), passages, "")

    # A search that is tried

    @on(FindLine.Changed)
    def _search(self) -> None:
        question, name = self.query_one(FindLine).text, self.current
        if not name:
            return
        if not question:
            self._other_file()
            return
        read = partial(self.library.answer, [name], question, FOUND)
        self.in_thread(read, partial(self._show_answer, name, question), group="passages", title="The search failed")

    def _show_answer(self, name: str, question: str, answer: "Answer") -> None:
        find = self.query_one(FindLine)
        if (name, question) != (self.current, find.text):
            return
        count = len(answer.passages)
        find.show_count(count_words(count, "passage") if count else "nothing has these words", none=not count)
        how = "by words and meaning" if answer.by_meaning else "by words"
        problem = f" · {clean_line(answer.problem.what)}" if answer.problem else ""
        self._show_passages(f"best of {clean_line(name)}, {how}{problem}", answer.passages, question)

    def _show_passages(self, about: str, passages: "list[Passage]", question: str) -> None:
        lines = FOUND_LINES if question else None
        parts = [passage_content(passage, question, lines=lines) for passage in passages[:SHOWN]]
        if len(passages) > SHOWN:
            parts.append(Content(f"and {count_words(len(passages) - SHOWN, 'more passage')}").stylize("$text-muted"))
        self.query_one("#about", Static).update(Content(about))
        self.query_one("#passages", Static).update(Content("\n\n").join(parts))
        self.query_one("#found").scroll_home(animate=False)

    @on(FindLine.Left)
    def _left_search(self) -> None:
        self.query_one("#found" if self.query_one(FindLine).is_open else "#collections").focus()

    # Acts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("search", "refresh", "remove"):
            return bool(self.current)
        return super().check_action(action, parameters)

    def action_search(self) -> None:
        """Try a search in the collection at hand."""
        self.query_one(FindLine).start()

    def action_back(self) -> None:
        """End the search first, then leave."""
        find = self.query_one(FindLine)
        if find.is_open:
            find.action_close()
        elif len(self.app.screen_stack) > 1:
            self.dismiss(None)  # who opened it may go on

    def action_add(self) -> None:
        """Add a folder or files."""
        from tui.screens.knowledge_add import AddNotesDialog

        if self.finetui.is_ready:
            self.app.push_screen(AddNotesDialog(self.library, self.current), self._added)

    def _added(self, name: str | None) -> None:
        self.reload(name or "")

    def action_refresh(self) -> None:
        """Read again what has changed in the collection at hand."""
        from tui.screens.working import run_long

        name = self.current
        work = partial(_refresh, self.library, name)
        run_long(self, f"Reading {clean_line(name)} again", work, self._refreshed, given_up=self.reload)

    def _refreshed(self, report: "AddReport") -> None:
        from tui.screens.knowledge_add import report_lines

        self.reload(report.name)
        self.notify(report_lines(report)[0].plain, title="Notes", markup=False)

    def action_remove(self) -> None:
        """Forget the file under the cursor where the cursor is among files, else the collection."""
        name, file = self.current, self.current_file
        if file is not None and self.focused is self.query_one("#files"):
            what, forget = clean_line(PurePath(file.path).name), partial(self.library.remove_source, name, file.path)
        else:
            what, forget = clean_line(name), partial(self.library.remove, name)

        def answered(yes: bool | None) -> None:
            if yes:
                self.in_thread(forget, lambda _: self.reload(), group="forget", exclusive=False)

        body = "It is found no more. What is on disk stays."
        self.app.push_screen(ConfirmDialog(f"Forget {what}?", body, "forget it"), answered)


def _refresh(library: "KnowledgeLibrary", name: str, progress: "Progress", given_up: "GivenUp") -> "AddReport":
    """In a thread. Given up, it keeps what was read until then."""
    from engine.errors import Cancelled

    report = library.refresh(name, lambda share, _: None if given_up() else progress(share), given_up)
    if report.stopped:
        raise Cancelled
    return report
