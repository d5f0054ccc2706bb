"""What is done with a comparison: which runs are in it, its table's columns and order, and reports of it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.runs.measures import lower_is_better
from tui.format import fmt_bytes, fmt_when
from tui.messages import ChatWith, NewRunLike
from tui.screens.dialogs import ConfirmDialog, Option, PickDialog
from tui.screens.page import Page
from tui.text import clean, clean_line
from tui.widgets.compare_columns import choices, default_keys
from tui.widgets.compare_table import CompareTable
from tui.widgets.lanes import LETTERS, Compared
from tui.widgets.run_words import eval_loss_of, state_of

if TYPE_CHECKING:
    from store import Store
    from store.records import Run

MOST_CHATS = 4
"""Runs that a chat is opened with, where nobody marked some."""


class CompareActions(Page):
    """The keys of the compare screen that are about its runs. It says what is to be read and shown anew."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: dict[str, int] = {}
        """Run ids in the order in which they were chosen, each with its place among the letters."""
        self.baseline = ""
        self.chosen = False
        """Whether somebody chose the runs; else the newest ones are shown."""
        self.compared: Compared | None = None

    @property
    def table(self) -> CompareTable:
        return self.query_one(CompareTable)

    def read_again(self) -> None:
        """Read the runs anew."""
        raise NotImplementedError

    def show_again(self) -> None:
        """Show what is known in another way."""
        raise NotImplementedError

    # Which runs

    def take_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs; the first is the baseline."""
        self.slots = {run_id: slot for slot, run_id in enumerate(dict.fromkeys(run_ids))}
        self.baseline = next(iter(self.slots), "")
        self.chosen = True

    def action_add(self) -> None:
        """Pick one more run."""
        if self.finetui.is_ready:
            store = self.services.store
            self.in_thread(lambda: store.runs.list(limit=1000), self._pick, group="pick")

    def _pick(self, runs: "list[Run]") -> None:
        found = [_option(run) for run in runs if run.id not in self.slots]
        if not found:
            self.notify("There is no other run.")
            return
        self.app.push_screen(PickDialog("Add a run to the comparison", found), self._picked)

    def _picked(self, run_id: str | None) -> None:
        if run_id is None:
            return
        taken = set(self.slots.values())
        self.slots[run_id] = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        self.baseline = self.baseline or run_id
        self.chosen = True
        self.read_again()

    def action_leave_out(self) -> None:
        """Leave the marked runs out, or the highlighted one. Nothing happens to the runs themselves."""
        lane = self.table.highlighted
        self._leave_out(list(self.table.marked) or ([lane.run.id] if lane else []))

    def action_only_marked(self) -> None:
        """Go on with the marked runs alone."""
        marked = self.table.marked
        if len(marked) > 1:
            others = [run_id for run_id in self.slots if run_id not in marked]
            marked.clear()
            self._leave_out(others)

    def _leave_out(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self.slots.pop(run_id, None)
        if self.baseline not in self.slots:
            self.baseline = next(iter(self.slots), "")
        self.chosen = True
        self.read_again()

    def action_baseline(self) -> None:
        """Measure the others against the highlighted run."""
        if lane := self.table.highlighted:
            self.baseline = lane.run.id
            self.show_again()

    def action_chat(self) -> None:
        """Chat with the marked runs, or with the first ones."""
        self.post_message(ChatWith(list(self.table.marked)[: len(LETTERS)] or list(self.slots)[:MOST_CHATS]))

    def action_new_like(self) -> None:
        if lane := self.table.highlighted:
            self.post_message(NewRunLike(lane.run.id))

    # The table

    def action_columns(self) -> None:
        """Choose the columns of the table."""
        from tui.screens.compare_dialogs import ColumnsDialog

        if self.compared is not None:
            shown = self.table.chosen if self.table.chosen is not None else default_keys(self.compared)
            self.app.push_screen(ColumnsDialog(choices(self.compared), shown, self._toggle_column))

    def _toggle_column(self, key: str) -> Sequence[str]:
        table = self.table
        if self.compared is None:
            return ()
        shown = list(table.chosen if table.chosen is not None else default_keys(self.compared))
        table.chosen = [one for one in shown if one != key] if key in shown else [*shown, key]
        self.show_again()
        return table.chosen

    def action_order(self) -> None:
        """Order the table by a column, best or largest first; by the same once more, the other way round."""
        if self.compared is None:
            return
        found = [Option("", "the order in which they were added")]
        found += [Option(key, title, kind) for key, (title, kind) in choices(self.compared).items()]
        self.app.push_screen(PickDialog("Order the runs by", found, selected=self.table.sort), self._ordered)

    def _ordered(self, key: str | None) -> None:
        table = self.table
        if key is None:
            return
        again = key == table.sort
        table.descending = not table.descending if again else bool(key) and lower_is_better(key) is False
        table.sort = key
        table.show_again()

    def action_reverse(self) -> None:
        """The other way round."""
        self.table.descending = not self.table.descending
        self.table.show_again()

    # Reports

    def action_report(self) -> None:
        """Write a report of these runs."""
        from tui.screens.compare_dialogs import ReportDialog, file_name

        if self.compared is None:
            return
        names = [clean_line(lane.run.name) for lane in self.compared.lanes]
        path = self.services.home.root / "reports" / file_name(names)
        self.app.push_screen(ReportDialog(path, len(names)), self._report_to)

    def _report_to(self, path: Path | None) -> None:
        if path is not None:
            self.in_thread(path.exists, partial(self._confirm_report, path), group="report")

    def _confirm_report(self, path: Path, there: bool) -> None:
        if not there:
            self._write_report(path, True)
            return
        words = f"{clean(str(path))} is there already. Write over it?"
        self.app.push_screen(ConfirmDialog("Write a report", words, "write over it"), partial(self._write_report, path))

    def _write_report(self, path: Path, agreed: bool | None) -> None:
        if agreed:
            store, home, ids = self.services.store, self.services.home.root, list(self.slots)
            self.notify(f"Writing {clean_line(path.name)} …")
            read = partial(_write, store, home, ids, path, self.baseline)
            self.in_thread(read, self._written, group="report", title="The report was not written", exclusive=False)

    def _written(self, found: tuple[Path, int]) -> None:
        path, size = found
        self.notify(f"The report is in {clean(str(path))} ({fmt_bytes(size)}).", timeout=12)


def _write(store: "Store", home: Path, run_ids: Sequence[str], path: Path, baseline: str) -> tuple[Path, int]:
    """Write it; the home's own folder of reports is made where it is missing."""
    from engine.errors import BadInput
    from engine.reports import write_report
    from tui.screens.compare_dialogs import kind_of

    kind = kind_of(path)
    if kind is None:
        raise BadInput(f"{path.name} does not say what kind of report it is to be.", fix="End it in .html, for one.")
    if path.parent == home / "reports":
        path.parent.mkdir(mode=0o700, exist_ok=True)
    written = write_report(store, run_ids, path, kind=kind, baseline=baseline)
    return written, written.stat().st_size


def _option(run: "Run") -> Option:
    state = state_of(run)
    loss, _, _ = eval_loss_of(run)
    words = [f"{state.symbol} {state.word}", f"eval {loss}" if loss else "", clean_line(run.model)]
    return Option(run.id, run.name, " · ".join([*filter(None, words), fmt_when(run.started or run.created)]))
