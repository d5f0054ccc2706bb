"""Exports a run: what is to be made of it, where, and then what came of it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Label, Static

from engine.export.spec import ABOUT, GGUF_KINDS, GGUF_TYPES, KINDS, MERGED_KINDS, MERGED_TYPES, Kind, Result
from tui.export_words import result_lines
from tui.format import fmt_bytes
from tui.screens.dialogs import Dialog, key_words
from tui.screens.export_dialog import FolderSuggester
from tui.text import clean, clean_line
from tui.widgets.row_list import Cells, RowList

if TYPE_CHECKING:
    from engine.export.plan import ExportPlan
    from engine.home import Home
    from store.records import Run
    from tui.screens.page import Page

FOLDER = "~/finetui-exports"
"""Where exports go unless another place is named."""


def export_run(page: "Page", run: "Run") -> None:
    """Ask what to make of `run`, make it with a bar in front of `page`, and show what came of it."""
    from tui.screens.working import GivenUp, Progress, run_long

    home = page.services.home

    def made(result: Result) -> None:
        page.app.push_screen(ExportedDialog(result))

    def start(plan: "ExportPlan | None") -> None:
        if plan is None:
            return

        def make(progress: Progress, given_up: GivenUp) -> Result:
            from engine.export.running import export_run as do

            return do(home, plan, lambda _doing, share: progress(share), given_up)

        run_long(page, f"Exporting {clean_line(run.name)} as {plan.spec.kind}", make, made)

    page.app.push_screen(ExportRunDialog(home, run), start)


class KindList(RowList):
    """The kinds of export, one a line."""

    def on_mount(self) -> None:
        self.set_count(len(KINDS))

    @property
    def kind(self) -> Kind:
        """The one under the cursor."""
        return KINDS[self.cursor]

    def cells(self, row: int, width: int) -> Cells:
        kind = KINDS[row]
        return [(f" {kind:<9}", ""), (ABOUT[kind], "dim")]


class ExportRunDialog(Dialog["ExportPlan | None"]):
    """Enter makes it, Esc gives `None`. What it needs, or why it cannot be, is said before."""

    DEFAULT_CSS = """
    ExportRunDialog #kinds { height: 6; margin-bottom: 1; }
    ExportRunDialog .line { height: 1; }
    ExportRunDialog .label { width: 12; color: $text-muted; }
    ExportRunDialog .line > Input, ExportRunDialog .line > Input:focus { width: 1fr; margin: 0; height: 1; }
    ExportRunDialog #outcome { height: auto; min-height: 3; max-height: 8; margin: 1 0; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
    ]
    AUTO_FOCUS = "KindList"

    def __init__(self, home: "Home", run: "Run") -> None:
        super().__init__()
        self.home = home
        self.run_row = run
        self.title_text = f"Export {run.name}"
        self._named = ""
        """The place that was put in here, and not by somebody."""

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield KindList(id="kinds")
            for field, label in (("dest", "to"), ("type", "type"), ("repo", "on the hub")):
                with Horizontal(classes="line", id=f"line-{field}"):
                    yield Label(label, classes="label", markup=False)
                    suggester = FolderSuggester() if field == "dest" else None
                    yield Input("", id=f"field-{field}", compact=True, suggester=suggester, select_on_focus=False)
            yield Static("", id="outcome", markup=False)
            keys = key_words(("↑↓", "choose"), ("tab", "next field"), ("enter", "make it"), ("esc", "cancel"))
            yield Static(keys, classes="keys")

    @on(RowList.Highlighted)
    def _choose(self, event: RowList.Highlighted) -> None:
        if isinstance(event, RowList.Opened):
            return
        kind = self._kind
        types = GGUF_TYPES if kind in GGUF_KINDS else MERGED_TYPES if kind in MERGED_KINDS else ()
        self.query_one("#line-type").display = bool(types)
        self.query_one("#line-repo").display = kind == "hub"
        number_type = self.query_one("#field-type", Input)
        number_type.placeholder = f"{', '.join(types)}; {_usual(kind)} where it is left empty"
        self.query_one("#field-repo", Input).placeholder = "OWNER/NAME; it is pushed from the command line"
        if number_type.value.strip() not in ("", *types):
            number_type.value = ""
        place = self.query_one("#field-dest", Input)
        if place.value == self._named:
            self._named = place.value = _usual_place(self.run_row.name, kind)
        self._look()

    @on(Input.Changed)
    def _typed(self) -> None:
        self._look()

    @property
    def _kind(self) -> Kind:
        return self.query_one(KindList).kind

    def _value(self, field: str) -> str:
        return self.query_one(f"#field-{field}", Input).value.strip()

    def _planned(self) -> "Callable[[], ExportPlan]":
        """What plans the export as the fields say it. It looks at files: call it in a thread."""
        from engine.export.plan import plan_export

        return partial(
            plan_export,
            self.home,
            self.run_row,
            self._kind,
            Path(self._value("dest")),
            type=self._value("type"),
            repo=self._value("repo") if self._kind == "hub" else "",
        )

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        """Say what it needs, or why it cannot be."""
        await self._try()

    async def _try(self) -> "ExportPlan | None":
        import asyncio

        from tui.errors import explain

        outcome = self.query_one("#outcome", Static)
        if not self._value("dest"):
            outcome.update(Content("Say where it is to be.").stylize("$text-warning"))
            return None
        try:
            plan = await asyncio.to_thread(self._planned())
        except Exception as error:  # whatever it is, it is said here
            what, why, fix = explain(error)
            outcome.update(Content(clean("\n".join(filter(None, (what, why, fix))))).stylize("$text-warning"))
            return None
        outcome.update(Content(clean(plan_words(plan))))
        return plan

    @on(Input.Submitted)
    @on(RowList.Opened)
    def _enter(self) -> None:
        self._take()

    @work(exclusive=True, group="look")
    async def _take(self) -> None:
        if (plan := await self._try()) is not None and self.is_running:
            self.dismiss(plan)

    def action_cancel(self) -> None:
        self.dismiss(None)


class ExportedDialog(Dialog[None]):
    """What was written, how it was checked, and how to use it. `c` copies the commands."""

    DEFAULT_CSS = "ExportedDialog #told { height: auto; max-height: 22; margin-bottom: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "close", id="dialog.close"),
        Binding("c", "copy", "copy the commands", id="exported.copy"),
    ]

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.title_text = "Exported"
        self.result = result

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            with VerticalScroll(id="told"):
                yield Static(clean("\n".join(result_lines(self.result))), markup=False)
            yield Static(key_words(("c", "copy the commands"), ("esc", "close")), classes="keys")

    def action_copy(self) -> None:
        """Copy the commands that use it, or where it is."""
        from tui.clipboard import copy

        self.notify(copy(self.app, "\n".join(self.result.commands) or self.result.path))

    def action_close(self) -> None:
        self.dismiss(None)


def plan_words(plan: "ExportPlan") -> str:
    """What it will be, and what it needs."""
    room = f"{fmt_bytes(plan.disk_bytes)} of the {fmt_bytes(plan.disk_free_bytes)} that are free"
    memory = f"\nMerging takes {fmt_bytes(plan.memory_bytes)} of memory." if plan.memory_bytes else ""
    return f"About {fmt_bytes(plan.dest_bytes)}; while it is written, {room}.{memory}"


def _usual(kind: Kind) -> str:
    from engine.export.plan import USUAL_TYPE

    return USUAL_TYPE.get(kind, "the base's own")


def _usual_place(name: str, kind: Kind) -> str:
    from engine.export.plan import model_name

    stem = f"{FOLDER}/{model_name(name)}"
    return f"{stem}.gguf" if kind == "gguf" else f"{stem}-{kind}"
