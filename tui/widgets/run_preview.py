"""What the highlighted run is about: its loss curve and its facts beside it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_bytes, fmt_cost, fmt_duration, fmt_number, fmt_rate
from tui.text import clean, clean_line, shorten
from tui.widgets.chart_data import ChartSeries, Marker
from tui.widgets.line_chart import LineChart, SoloChart
from tui.widgets.run_curves import last_sample, read_loss
from tui.widgets.run_headline import failure_line
from tui.widgets.run_words import EVAL_LOSS, TONES, TRAIN_LOSS, peak_of, phase_of, recipe_line, state_of, took_s

if TYPE_CHECKING:
    from engine.insight.failures import Failure
    from store import Store
    from store.records import Run


@dataclass(frozen=True)
class Preview:
    """What is read from the store for one run."""

    run: "Run"
    loss: list[ChartSeries]
    markers: list[Marker]
    rows: str
    sample: tuple[str, str] | None
    failure: "Failure | None" = None


def read_preview(store: "Store", run_id: str, columns: int) -> Preview | None:
    """The preview of a run, or `None` where it is gone. Call it in a thread."""
    from engine.insight.failures import failure_of

    run = store.runs.get(run_id)
    if run is None:
        return None
    loss, markers = read_loss(store, run, columns)
    dataset = store.datasets.get(run.dataset_id) if run.dataset_id else None
    rows = ""
    if dataset is not None:
        splits = " / ".join(f"{count:,}" for count in dataset.splits.values())
        rows = f" v{dataset.version} · {splits} rows"
    sample = last_sample(store.runs.events(run_id, ["sample"], limit=1))
    return Preview(run, loss, markers, rows, sample, failure_of(store, run))


class RunPreview(Horizontal):
    """A chart and facts; `show` fills them."""

    DEFAULT_CSS = """
    RunPreview { height: 1fr; min-height: 8; border: round $border-blurred; border-title-color: $foreground;
                 padding: 0 1; }
    RunPreview > LineChart { width: 1fr; height: 100%; }
    RunPreview > Static { width: 42%; max-width: 64; height: 100%; padding-left: 2; }
    RunPreview.-side { layout: vertical; height: 100%; width: 38%; }
    RunPreview.-side > LineChart { height: 1fr; width: 100%; }
    RunPreview.-side > Static { width: 100%; max-width: 100%; height: auto; padding: 1 0 0 0; }
    """

    def compose(self) -> ComposeResult:
        yield SoloChart(empty="no loss yet", interactive=False)
        yield Static("", markup=False, id="facts")

    @property
    def columns(self) -> int:
        """Columns of the chart, for what to ask the store for."""
        return self.query_one(LineChart).columns

    def show(self, preview: Preview | None) -> None:
        """Show what was read; nothing changes where the run is gone."""
        if preview is None:
            return
        self.border_title = Content(clean_line(preview.run.name))
        chart = self.query_one(LineChart)
        chart.empty = "no loss yet" if preview.run.status.live else "no loss was recorded"
        chart.set_series(preview.loss, preview.markers)
        self.query_one("#facts", Static).update(_facts(preview))


def _facts(preview: Preview) -> Content:
    run = preview.run
    state = state_of(run)
    failure = preview.failure if run.status.value != "stopped" else None
    # The line about a failure says what happened; a reason that nothing is known of says more than that line.
    reason = clean_line(run.reason) if failure is None or failure.code.value == "unknown" else ""
    lines = [
        Content.assemble(
            (f"{state.symbol} {state.word}", TONES[state.tone]), (f"  {reason}" if reason else "", "$text-muted")
        )
    ]
    if failure is not None:
        lines.append(failure_line(failure))
    if phase := phase_of(run):
        lines.append(Content(phase))
    lines.append(_losses(run))
    step = f"step {run.step:,}" + (f"/{run.total_steps:,}" if run.total_steps else "")
    if run.status.live and run.eta_s is not None:
        step += f" · {fmt_duration(run.eta_s)} left"
    elif (took := took_s(run)) is not None:
        step += f" · took {fmt_duration(took)}"
    if run.tokens_per_s is not None:
        step += f" · {fmt_rate(run.tokens_per_s)} tok/s"
    if peak := peak_of(run):
        step += f" · peak {fmt_bytes(peak)}"
    if run.cost is not None:
        step += f" · cost {fmt_cost(run.cost)}"
    lines.append(Content(step))
    lines.append(Content(f"{clean_line(run.dataset)}{preview.rows}"))
    lines.append(Content(f"{clean_line(run.model)} · {recipe_line(run.recipe)}"))
    if run.tags:
        lines.append(Content.assemble(("tags ", "$text-muted"), ", ".join(clean_line(tag) for tag in run.tags)))
    if run.notes:
        lines.append(Content.assemble(("note ", "$text-muted"), clean(run.notes)))
    if run.alerts or run.warnings:
        lines.append(Content.assemble((_problems(run), "$text-warning")))
    if preview.sample:
        prompt, answer = preview.sample
        lines.append(Content.assemble((shorten(prompt, 100), "$text-muted")))
        lines.append(Content(f"“{shorten(answer, 240)}”"))
    return Content("\n").join(lines)


def _losses(run: "Run") -> Content:
    parts: list[tuple[str, str]] = [("loss  ", "$text-muted")]
    for name, label in ((TRAIN_LOSS, "train"), (EVAL_LOSS, "eval")):
        latest = run.metrics.get(name)
        if latest is not None:
            parts += [(f"{label} ", "$text-muted"), (f"{fmt_number(latest.last)}  ", "bold")]
    best = run.metrics.get(EVAL_LOSS)
    if best is not None and best.min is not None:
        parts.append((f"best {fmt_number(best.min)} at step {best.min_step}", "$text-success"))
    return Content.assemble(*parts) if len(parts) > 1 else Content.assemble(("no loss yet", "$text-muted"))


def _problems(run: "Run") -> str:
    parts = []
    if run.alerts:
        parts.append(f"⚠ {run.alerts} {'alert' if run.alerts == 1 else 'alerts'}")
    if run.warnings:
        parts.append(f"{run.warnings} {'line' if run.warnings == 1 else 'lines'} of the event log damaged or unknown")
    return " · ".join(parts)
