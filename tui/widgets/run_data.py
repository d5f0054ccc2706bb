"""The data of a run: what it learned from, how good that is, and where it came from."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui.format import fmt_bytes, fmt_count, fmt_when
from tui.messages import OpenDataset
from tui.text import clean_line
from tui.widgets.dataset_words import count_words, title_of
from tui.widgets.diff_rows import SPLIT_WORDS
from tui.widgets.lineage_words import operation_words
from tui.widgets.pane_scroll import PaneScroll, facts_content
from tui.widgets.report_view import LEVELS, figures_content, grade_content
from tui.widgets.run_pane import RunPane
from tui.widgets.run_words import TONES

if TYPE_CHECKING:
    from engine.datasets.quality import Report
    from store.records import Dataset, Run
    from tui.services import Services

MOST_FAULTS, MOST_REASONS = 8, 4
MUTED = "$text-muted"


@dataclass(frozen=True)
class RunData:
    """What is known of a run's data. `dataset` is `None` where the version is not in this home."""

    run: "Run"
    dataset: "Dataset | None"
    trail: "list[Dataset]" = field(default_factory=list)
    """The versions that it was made from, the import first, itself last."""
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: "Report | None" = None
    newest: "Dataset | None" = None
    """The newest version of its name."""
    plan: dict[str, Any] = field(default_factory=dict)
    """The run's own figures of it; see docs/events.md."""


class DataPane(RunPane):
    """The dataset's card as the run has it; `o` or Enter opens its rows."""

    KEYS_TO = "#card"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o,enter", "open_dataset", "open the dataset", id="run.open_dataset", tooltip="Look at its rows"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._dataset_id = ""
        self._found: RunData | None = None

    def compose(self) -> ComposeResult:
        yield PaneScroll(id="card")

    def read(self, services: "Services", run: "Run") -> RunData:
        return read_run_data(services, run)

    def show(self, found: RunData) -> None:
        self._found = found
        self._dataset_id = found.dataset.id if found.dataset else ""
        self.query_one(PaneScroll).show(data_content(found, max(20, self.size.width - 4)))
        self.refresh_bindings()

    def on_resize(self) -> None:
        if self._found is not None:
            self.show(self._found)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._dataset_id) if action == "open_dataset" else True

    def action_open_dataset(self) -> None:
        self.post_message(OpenDataset(self._dataset_id))


def read_run_data(services: "Services", run: "Run") -> RunData:
    """Reads the store and the folders of the dataset's versions."""
    store, library = services.store, services.library
    plans = store.runs.events(run.id, ["plan"], limit=1)
    plan = dict(plans[-1].body) if plans else {}
    dataset = store.datasets.get(run.dataset_id) if run.dataset_id else None
    if dataset is None:
        return RunData(run, None, plan=plan)
    trail = library.lineage(dataset.id)[::-1]
    cards = {}
    for one in trail:
        try:
            cards[one.id] = library.card(one.id)
        except Exception:  # a version whose card is gone is shown by what the store knows
            cards[one.id] = {}
    newest = next(iter(store.datasets.find(dataset.name)), None)
    return RunData(run, dataset, trail, cards, _report(services, dataset.id), newest, plan)


def _report(services: "Services", dataset_id: str) -> "Report | None":
    from engine.datasets.quality import Report

    try:
        found = services.library.report(dataset_id)
        return Report.from_json(dict(found)) if found else None
    except Exception:  # kept by a version that wrote it otherwise: as good as none
        return None


def data_content(found: RunData, width: int) -> Content:
    """The card: what it is, what the run saw of it, its grade and faults, how it was made. `width` in cells."""
    dataset = found.dataset
    if dataset is None:
        return _gone(found)
    card = found.cards.get(dataset.id, {})
    parts = [_head(found, dataset), facts_content(_facts(found, dataset, card))]
    parts += [Content.assemble(("⚠ ", "$text-warning"), clean_line(words)) for words in dataset.warnings]
    parts += [Content(""), _quality(found, dataset, width), Content(""), _trail(found)]
    return Content("\n").join(parts)


def _head(found: RunData, dataset: "Dataset") -> Content:
    newest = found.newest
    newer = ""
    if newest is not None and newest.version > dataset.version:
        newer = f"   v{newest.version} is newer: {count_words(newest.rows, 'row')}"
    return Content.assemble((title_of(dataset), "bold $text-primary"), (newer, "$text-warning"), "\n")


def _facts(found: RunData, dataset: "Dataset", card: dict[str, Any]) -> list[tuple[str, Content | str]]:
    splits = " · ".join(
        f"{count:,} {SPLIT_WORDS.get(name, clean_line(name))}" for name, count in dataset.splits.items()
    )
    source = card.get("source")
    source = source if isinstance(source, dict) else {}
    size = f", {fmt_bytes(source['bytes'])}" if isinstance(source.get("bytes"), int) else ""
    turns, chars = _table(card, "turns"), _table(card, "chars")
    lengths = f"{turns['mean']:.3g} turns, {chars['mean']:,.0f} characters a row" if turns and chars else ""
    return [
        ("rows", f"{dataset.rows:,}  ({splits})" if splits else f"{dataset.rows:,}"),
        ("shape", dataset.shape),
        ("on average", lengths),
        ("tokens", f"{fmt_count(dataset.tokens)} in all" if dataset.tokens else ""),
        ("this run", seen_words(found.plan, found.run.recipe)),
        ("system prompt", clean_line(str(card.get("system") or ""))),
        ("source", clean_line(str(source.get("file", dataset.source))) + size),
        ("imported" if not dataset.parent else "made", fmt_when(dataset.created)),
        ("id", dataset.id),
    ]


def seen_words(plan: dict[str, Any], recipe: dict[str, Any]) -> str:
    """What the run makes of the data: rows, tokens an epoch, how many of them it learns from, where it cuts."""
    parts = []
    if isinstance(rows := plan.get("train_rows"), int):
        evaluated = plan.get("eval_rows")
        parts.append(f"trains on {rows:,}" + (f", evaluates on {evaluated:,}" if isinstance(evaluated, int) else ""))
    if isinstance(tokens := plan.get("train_tokens"), int):
        learnt = plan.get("trained_tokens")
        share = f", learns from {learnt / tokens:.0%} of them" if isinstance(learnt, int) and tokens else ""
        parts.append(f"{fmt_count(tokens)} tokens an epoch{share}")
    if isinstance(recipe.get("max_length"), int):
        parts.append(f"cut at {recipe['max_length']:,} tokens")
    return " · ".join(parts)


def _quality(found: RunData, dataset: "Dataset", width: int) -> Content:
    report = found.report
    if report is None:
        words = "Not checked yet. Open it (o) and press V for a report: duplicates, leaks between splits, empty turns …"
        return Content(words).stylize(MUTED)
    lines = [grade_content(report, width, MOST_REASONS)]
    checks = [check for check in report.checks if check.count and check.level != "info"]
    checks.sort(key=lambda one: (one.level != "error", -one.count))
    for check in checks[:MOST_FAULTS]:
        mark, tone = LEVELS.get(check.level, ("·", "dim"))
        rows = f"  {count_words(check.count, 'row')}"
        lines.append(Content.assemble((f" {mark} ", TONES[tone]), clean_line(check.title), (rows, MUTED)))
    if len(checks) > MOST_FAULTS:
        lines.append(Content(f"   and {len(checks) - MOST_FAULTS} more").stylize(MUTED))
    lines += [Content(""), figures_content(report)] if checks else [figures_content(report)]
    return Content("\n").join(lines)


def _trail(found: RunData) -> Content:
    lines = [Content("how it came to be").stylize(MUTED)]
    for place, one in enumerate(found.trail):
        words = operation_words(one, found.cards.get(one.id, {}))
        start = "  " * min(place, 8) + ("└ " if place else "  ")
        grade = f" · grade {one.grade}" if one.grade else ""
        lines.append(
            Content.assemble(
                start,
                (title_of(one), "$text-primary" if one is found.trail[-1] else ""),
                (f"  {count_words(one.rows, 'row')} · {words}{grade}", MUTED),
            )
        )
    return Content("\n").join(lines)


def _gone(found: RunData) -> Content:
    run = found.run
    name = clean_line(run.dataset) or "The data"
    if run.source:
        words = f"{name} is not in this home: the run was imported, and its data was not.\n"
        fix = "finetui datasets import FILE brings it in; new runs can then be trained on it."
    elif run.dataset_id:
        words = f"{name} ({clean_line(run.dataset_id)}) is not in this home any more: the version was removed.\n"
        fix = "Import its file again, under Datasets: the same rows get the same id, and stand here again."
    else:
        words, fix = "It is not known which dataset this run was trained on.\n", ""
    seen = seen_words(found.plan, run.recipe)
    return Content.assemble((words, "$text-warning"), (fix, MUTED), f"\n\nThe run {seen}." if seen else "")


def _table(card: dict[str, Any], name: str) -> dict[str, float]:
    """Figures of a card with a mean; empty where there are none."""
    found = card.get(name)
    mean = found.get("mean") if isinstance(found, dict) else None
    return {"mean": float(mean)} if isinstance(mean, int | float) else {}
