"""Several datasets as one: mixed by weights, or one after the other in stages."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from tui.screens.dialogs import Dialog, key_words
from tui.screens.working import GivenUp, Progress
from tui.text import shorten
from tui.widgets.dataset_words import count_words, title_of
from tui.widgets.row_list import Cells, RowList, fitted

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from engine.datasets.versions import Made
    from store.records import Dataset

NAME_CELLS = 28
ABOUT = (
    "A weight is how often each row is taken: 1 once, 2 twice, 0.5 half of the rows. With a number of rows in all, "
    "weights are proportions. Training rows that ask what another dataset keeps back to evaluate on are left out."
)
SPLITS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Recipe:
    """What is to be made of some datasets, in words, and how."""

    title: str
    make: "Callable[[DatasetLibrary, Progress, GivenUp], Made]"


class MixDialog(Dialog[Recipe | None]):
    """Asks for a weight a dataset, a name and a size. Enter takes them, Esc gives `None`."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = ["dialogs.tcss", "mix.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("down", "app.focus_next", "down", id="mix.down", priority=True),
        Binding("up", "app.focus_previous", "up", id="mix.up", priority=True),
    ]
    title_text = "Mix datasets"

    def __init__(self, datasets: "Sequence[Dataset]") -> None:
        super().__init__()
        self.datasets = datasets

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            with Horizontal(classes="line"):
                yield Static("dataset", classes="name muted", markup=False)
                yield Static("weight", classes="weight muted", markup=False)
                yield Static("rows that it gives", classes="gives muted", markup=False)
            with VerticalScroll(id="parts", can_focus=False):
                for place, dataset in enumerate(self.datasets):
                    with Horizontal(classes="line"):
                        yield Static(shorten(title_of(dataset), NAME_CELLS), classes="name", markup=False)
                        yield Input("1", id=f"weight-{place}", classes="weight", compact=True)
                        yield Static("", id=f"gives-{place}", classes="gives muted", markup=False)
            with Horizontal(classes="line"):
                yield Static("name", classes="name muted", markup=False)
                yield Input(joint_name(self.datasets, "mix"), id="name", compact=True)
            with Horizontal(classes="line"):
                yield Static("rows in all", classes="name muted", markup=False)
                yield Input("", id="size", compact=True, placeholder="as many as the weights say")
            yield Static("", id="sum", markup=False)
            yield Static(ABOUT, classes="part muted", markup=False)
            keys = (("enter", "mix"), ("tab", "next field"), ("esc", "cancel"))
            yield Static(key_words(*keys), classes="keys", markup=False)

    def on_mount(self) -> None:
        self._show_counts()

    @on(Input.Changed)
    def _show_counts(self) -> None:
        from engine.datasets.making import mix_counts

        try:
            weights, size = self._weights(), self._rows_in_all()
            counts = mix_counts(self.datasets, weights, size)
        except ValueError as error:
            self._say(Content(str(error)).stylize("$text-error"))
            return
        total = sum(sum(one.values()) for one in counts)
        for place, (dataset, count) in enumerate(zip(self.datasets, counts, strict=True)):
            rows = sum(count.values())
            share = f" · {rows / total:.0%}" if total else ""
            again = " · repeated" if rows > dataset.rows else ""
            self.query_one(f"#gives-{place}", Static).update(f"{rows:,} of {dataset.rows:,}{share}{again}")
        splits = {split: sum(one.get(split, 0) for one in counts) for split in SPLITS}
        parts = [f"{count:,} {SPLITS[split]}" for split, count in splits.items() if count]
        self._say(Content.assemble((count_words(total, "row"), "bold"), f": {', '.join(parts)}"))

    def _say(self, words: Content) -> None:
        self.query_one("#sum", Static).update(words)

    def _weights(self) -> list[float]:
        return [self._weight(place) for place in range(len(self.datasets))]

    def _weight(self, place: int) -> float:
        text = self.query_one(f"#weight-{place}", Input).value.strip().removesuffix("%")
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight) or weight <= 0:
            raise ValueError(f"The weight of {title_of(self.datasets[place])} is a number above 0, such as 2 or 0.5.")
        return weight

    def _rows_in_all(self) -> int | None:
        text = self.query_one("#size", Input).value.strip().replace(",", "")
        if not text:
            return None
        if not text.isdecimal() or int(text) < len(self.datasets):
            raise ValueError(f"Rows in all is a whole number from {len(self.datasets)} on, or nothing.")
        return int(text)

    @on(Input.Submitted)
    def _take(self) -> None:
        name = self.query_one("#name", Input).value.strip()
        try:
            weights, size = self._weights(), self._rows_in_all()
            if not name:
                raise ValueError("The mix needs a name.")
        except ValueError as error:
            self._say(Content(str(error)).stylize("$text-error"))
            return
        parts = list(zip(self.datasets, weights, strict=True))
        title = f"Mixing {len(parts)} datasets"
        self.dismiss(Recipe(title, partial(_mix, parts, name, size)))

    def action_cancel(self) -> None:
        self.dismiss(None)


class StageDialog(Dialog[Recipe | None]):
    """Asks for the order of the stages and a name. Enter takes them, Esc gives `None`."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = ["dialogs.tcss", "mix.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
    ]
    title_text = "Stages, one after the other"

    def __init__(self, datasets: "Sequence[Dataset]") -> None:
        super().__init__()
        self.datasets = datasets

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            words = "They are learnt in this order: first the general, last what matters most."
            yield Static(words, classes="part muted", markup=False)
            yield StageRows(self.datasets, id="stages")
            with Horizontal(classes="line"):
                yield Static("name", classes="name muted", markup=False)
                yield Input(joint_name(self.datasets, "stages"), id="name", compact=True)
            yield Static("", id="sum", markup=False)
            keys = (("enter", "put together"), ("J K", "move a stage"), ("tab", "name"), ("esc", "cancel"))
            yield Static(key_words(*keys), classes="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(StageRows).styles.height = min(10, len(self.datasets))
        total = sum(one.rows for one in self.datasets)
        self.query_one("#sum", Static).update(f"{count_words(total, 'row')} in {len(self.datasets)} stages")

    @on(Input.Submitted)
    @on(RowList.Opened)
    def _take(self) -> None:
        name = self.query_one("#name", Input).value.strip()
        if not name:
            self.query_one("#sum", Static).update(Content("The stages need a name.").stylize("$text-error"))
            return
        stages = list(self.query_one(StageRows).stages)
        self.dismiss(Recipe(f"Putting {len(stages)} datasets in order", partial(_stage, stages, name)))

    def action_cancel(self) -> None:
        self.dismiss(None)


class StageRows(RowList):
    """The stages in their order. J and K move the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("J,shift+down", "carry(1)", "later", id="stages.later", show=False),
        Binding("K,shift+up", "carry(-1)", "earlier", id="stages.earlier", show=False),
    ]

    def __init__(self, stages: "Sequence[Dataset]", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.stages = list(stages)

    def on_mount(self) -> None:
        self.set_count(len(self.stages))

    def action_carry(self, places: int) -> None:
        """Put the stage under the cursor before or after its neighbour."""
        other = self.cursor + places
        if 0 <= other < len(self.stages):
            self.stages[self.cursor], self.stages[other] = self.stages[other], self.stages[self.cursor]
            self.move_to(other)

    def cells(self, row: int, width: int) -> Cells:
        stage = self.stages[row]
        return [
            (f" {row + 1}  ", "dim"),
            (fitted(title_of(stage), NAME_CELLS), ""),
            (f" {stage.rows:>9,} rows", "dim"),
        ]


def joint_name(datasets: "Sequence[Dataset]", kind: str) -> str:
    """A name for what is made of several: `support-emoji-mix`; the kind alone where that would be long."""
    names = list(dict.fromkeys(one.name for one in datasets))
    name = "-".join([*names, kind])
    return name if len(name) <= 40 else kind


def _mix(
    parts: "Sequence[tuple[Dataset, float]]",
    name: str,
    size: int | None,
    library: "DatasetLibrary",
    progress: Progress,
    cancelled: GivenUp,
) -> "Made":
    from engine.datasets.making import mix

    return mix(library, parts, name=name, size=size, progress=progress, cancelled=cancelled)


def _stage(
    stages: "Sequence[Dataset]", name: str, library: "DatasetLibrary", progress: Progress, cancelled: GivenUp
) -> "Made":
    from engine.datasets.making import stage

    return stage(library, stages, name=name, progress=progress, cancelled=cancelled)
