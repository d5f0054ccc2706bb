"""The ways to make a version of a dataset, each with its counts before anything is kept; and the screening."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput
from tui.screens.dataset_pane import ask
from tui.screens.dataset_trail import Trail, trail_of_findings
from tui.screens.dialogs import ConfirmDialog, Option, PickDialog
from tui.screens.form_dialog import Field, FormDialog, Values
from tui.screens.working import GivenUp, Progress, run_long
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.screening import Finding
    from engine.datasets.versions import Made
    from store.records import Dataset
    from tui.screens.dataset_versions import VersionActions

Work = Callable[[Progress, GivenUp], Any]

CHOICES = (
    Option("filter", "filter", "keep the rows that match a condition"),
    Option("exact", "remove exact duplicates", "of rows that are the same the first stays"),
    Option("near", "remove near duplicates", "of rows almost the same; you say how near"),
    Option("split", "split anew", "shares of train, validation and test"),
    Option("subset", "diverse subset", "so many rows, as unlike as can be"),
    Option("screen", "screening", "look for personal data or harmful words"),
)
KINDS = (
    Option("personal", "personal data", "addresses, telephone numbers, cards, keys …"),
    Option("harmful", "harmful words", "by word lists"),
    Option("both", "both", ""),
)
LARGEST_SEED = 2**32 - 1
SPLITS = ("train", "validation", "test")


class VersionMaker:
    """Asks what to make of the dataset that a screen shows, and opens what came of it."""

    def __init__(self, page: "VersionActions", dataset: "Dataset") -> None:
        self.page = page
        self.dataset = dataset
        self.library = page.services.library

    def ask(self) -> None:
        """The list of ways."""
        title = f"Make a version of {title_of(self.dataset)}"
        self._push(PickDialog(title, CHOICES), lambda choice: getattr(self, f"_{choice}")())

    def _push(self, dialog: Any, then: Callable[[Any], object]) -> None:
        ask(self.page, dialog, then)

    def _do(self, title: str, work: Work, then: Callable[[Any], object]) -> None:
        run_long(self.page, f"{title} {title_of(self.dataset)}", work, then)

    def _filter(self) -> None:
        self.page.action_filter_rows()

    # Duplicates

    def _exact(self) -> None:
        from engine.datasets.similarity import exact_groups

        def find(progress: Progress, cancelled: GivenUp) -> "list[list[int]]":
            return exact_groups(self.library, self.dataset, progress=progress, cancelled=cancelled)

        self._do("Looking for duplicates in", find, partial(self._duplicates_found, None))

    def _near(self) -> None:
        fields = [Field("near", "how alike", "0.9", "0.5 to 1; 1 is the same words")]
        words = "Rows are compared by the words that follow each other. 0.9 finds small rewordings, 0.7 loose ones."

        def preview(values: Values) -> str:
            read_share_of_words(values["near"])
            return words

        self._push(FormDialog("Remove near duplicates", fields, preview, label="look for them"), self._look_for_near)

    def _look_for_near(self, values: Values) -> None:
        from engine.datasets.similarity import near_groups

        near = read_share_of_words(values["near"])

        def find(progress: Progress, cancelled: GivenUp) -> "list[list[int]]":
            return near_groups(self.library, self.dataset, near, progress=progress, cancelled=cancelled)

        self._do("Looking for near duplicates in", find, partial(self._duplicates_found, near))

    def _duplicates_found(self, near: float | None, groups: "list[list[int]]") -> None:
        """Say how many would go; the rows can be stepped through whatever the answer is."""
        before = self.dataset.rows
        gone = sum(len(group) - 1 for group in groups)
        kind = "exact duplicates" if near is None else f"near duplicates (at least {near:g} alike)"
        if not gone:
            self.page.notify(f"No {kind} were found.", markup=False)
            return
        self.page.follow(duplicates_trail(groups), show=False)
        largest = max(len(group) for group in groups)
        body = (
            f"{before:,} → {before - gone:,} rows: of {count_words(len(groups), 'group')} the first row stays, "
            f"{count_words(gone, 'row')} go. The largest group has {largest:,}.\n"
            "To look at them first, leave it: n and p then go through the groups."
        )
        title = f"Remove {gone:,} {kind}?"

        def make(progress: Progress, cancelled: GivenUp) -> "Made":
            from engine.datasets.making import dedupe

            return dedupe(self.library, self.dataset, near=near, progress=progress, cancelled=cancelled)

        dialog = ConfirmDialog(title, body, "remove them")
        self._push(dialog, lambda _: self._do("Removing duplicates from", make, self.page.open_made))

    # Splits

    def _split(self) -> None:
        total = self.dataset.rows
        rows = self.dataset.splits
        now = "/".join(f"{100 * rows.get(split, 0) / total:.0f}" for split in SPLITS) if total else ""
        fields = [
            Field("shares", "shares", "80/10/10", "train/validation/test, such as 90/10/0"),
            Field("seed", "seed", "42"),
            Field("by", "kept alike by", "", "a metadata key: each split has its share of every value; or empty"),
        ]

        def preview(values: Values) -> str:
            _, validation, test = read_shares(values["shares"])
            read_seed(values["seed"])
            counts = [round(total * share) for share in (validation, test)]
            after = " / ".join(f"{count:,}" for count in (total - sum(counts), *counts))
            before = " / ".join(f"{rows.get(split, 0):,}" for split in SPLITS)
            return (
                f"rows   {before} ({now} %)  →  about {after}\n"
                "Rows that are the same, or ask the same, stay in one split."
            )

        def make(values: Values, progress: Progress, cancelled: GivenUp) -> "Made":
            from engine.datasets.making import resplit

            train, validation, test = read_shares(values["shares"])
            return resplit(
                self.library,
                self.dataset,
                train=train,
                validation=validation,
                test=test,
                seed=read_seed(values["seed"]),
                by=values["by"] or None,
                progress=progress,
                cancelled=cancelled,
            )

        dialog = FormDialog(f"Split {title_of(self.dataset)} anew", fields, preview, label="split")
        self._push(dialog, lambda values: self._do("Splitting", partial(make, values), self.page.open_made))

    # A subset

    def _subset(self) -> None:
        total = self.dataset.rows
        fields = [Field("size", "rows", f"{max(1, total // 2)}"), Field("seed", "seed", "42")]

        def preview(values: Values) -> str:
            size = read_count(values["size"], total)
            read_seed(values["seed"])
            return f"{total:,} → {size:,} rows, as unlike each other as can be."

        def make(values: Values, progress: Progress, cancelled: GivenUp) -> "Made":
            from engine.datasets.making import subset

            size, seed = read_count(values["size"], total), read_seed(values["seed"])
            return subset(self.library, self.dataset, size, seed=seed, progress=progress, cancelled=cancelled)

        dialog = FormDialog(f"A diverse subset of {title_of(self.dataset)}", fields, preview, label="choose them")
        self._push(dialog, lambda values: self._do("Choosing rows of", partial(make, values), self.page.open_made))

    # Screening

    def _screen(self) -> None:
        self._push(PickDialog("Screen the rows for", KINDS), self._look_for)

    def _look_for(self, kind: str) -> None:
        kinds = ("personal", "harmful") if kind == "both" else (kind,)

        def look(progress: Progress, cancelled: GivenUp) -> "list[Finding]":
            from engine.datasets.screening import screen

            return screen(self.library, self.dataset, kinds=kinds, progress=progress, cancelled=cancelled)

        self._do("Screening", look, partial(self._screened, kind))

    def _screened(self, kind: str, findings: "list[Finding]") -> None:
        words = {"personal": "personal data", "harmful": "harmful words"}.get(kind, "personal data or harmful words")
        if not findings:
            self.page.notify(f"No {words} were found. The patterns do not know everything.", markup=False)
            return
        trail = trail_of_findings("finding", findings)
        rows = count_words(len(trail.rows), "row")
        self.page.follow(trail)
        self.page.notify(f"{words} in {rows}; n and p go through them. Nothing was dropped.", markup=False)


def duplicates_trail(groups: "list[list[int]]") -> Trail:
    """The groups' rows, each with the row that would stay in its place."""
    notes: dict[int, tuple[str, ...]] = {}
    for group in groups:
        first, *others = group
        notes[first] = (f"the first of {len(group):,} that are alike: this one stays",)
        notes |= dict.fromkeys(others, (f"like row {first + 1:,}",))
    return Trail("duplicate", tuple(sorted(notes)), notes)


def read_share_of_words(text: str) -> float:
    """How alike rows must be: `0.9`, `90 %`. Raises `BadInput`."""
    try:
        share = float(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0.5 <= share <= 1:
        raise BadInput(f"{text!r} is not a likeness.", fix="Give 0.5 to 1, for example 0.9.")
    return share


def read_shares(text: str) -> tuple[float, float, float]:
    """Shares of train, validation and test: `80/10/10`, `0.9/0.1`. Raises `BadInput`."""
    fix = "Give two or three that come to 100, for example 80/10/10 or 90/10."
    try:
        parts = [float(part.strip().removesuffix("%")) for part in text.replace(",", "/").split("/")]
    except ValueError:
        raise BadInput(f"{text!r} are not shares.", fix=fix) from None
    if not 2 <= len(parts) <= 3 or min(parts) < 0 or parts[0] <= 0:
        raise BadInput(f"{text!r} are not shares.", fix=fix)
    whole = 100.0 if sum(parts) > 1.5 else 1.0
    if abs(sum(parts) - whole) > whole / 100:
        raise BadInput(f"{text} come to {sum(parts):g}.", fix=fix)
    train, validation, test = (part / whole for part in [*parts, 0.0][:3])
    return train, validation, test


def read_seed(text: str) -> int:
    """A seed. Raises `BadInput`."""
    if not text.isdecimal() or len(text) > 10 or int(text) > LARGEST_SEED:
        raise BadInput(f"{text!r} is no seed.", fix=f"Give 0 to {LARGEST_SEED}.")
    return int(text)


def read_count(text: str, total: int) -> int:
    """How many rows, fewer than there are. Raises `BadInput`."""
    digits = text.replace(",", "").strip()
    if not digits.isdecimal() or len(digits) > 12 or not 0 < int(digits) < total:
        raise BadInput(f"{text!r} rows cannot be chosen.", fix=f"Give 1 to {total - 1:,}.")
    return int(digits)
