"""What a comparison draws, without a screen: parallel coordinates, curves that are dim, letters at their ends."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.records import Latest, Run, Status
from tui.widgets.chart_data import ChartSeries
from tui.widgets.chart_look import Look
from tui.widgets.chart_plot import Plot
from tui.widgets.compare_curves import chart_titles
from tui.widgets.compare_table import ordered
from tui.widgets.lanes import Compared, Eyes, Lane
from tui.widgets.parallel_axes import metric_axis, setting_axis, shares_of_best, tells_nothing
from tui.widgets.parallel_plot import Line, draw

SETTINGS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.lists(st.integers(), max_size=3)
)


def text_of(lines: Any) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


class TestAxes:
    def test_numbers_by_size_and_by_ratio_where_they_span_much(self) -> None:
        axis = setting_axis("lora_r", [8, 16, 12])
        assert axis.heights == [0.0, 1.0, 0.5] and not axis.log
        assert sorted(axis.ticks) == [(0.0, "8"), (0.5, "12"), (1.0, "16")]
        rates = setting_axis("learning_rate", [1e-5, 1e-4, 1e-3])
        assert rates.log and rates.heights == [0.0, pytest.approx(0.5), 1.0]
        assert setting_axis("learning_rate", [1e-5, 1e-3], log=False).log is False

    def test_what_is_no_number_stands_below_the_numbers(self) -> None:
        axis = setting_axis("max_length", ["auto", 512, 1024, None])
        auto, low, high, nothing = axis.heights
        assert auto is not None and low is not None and nothing is not None
        assert auto < nothing < low < 1.0 == high
        assert {words for _, words in axis.ticks} == {"auto", "–", "512", "1024"}

    def test_words_are_categories(self) -> None:
        assert setting_axis("packing", [True, False, True]).heights == [1.0, 0.0, 1.0]
        assert setting_axis("optim", ["auto", "b", 3]).heights == [0.5, 1.0, 0.0]
        assert tells_nothing([f"/tmp/{number}" for number in range(9)]) and not tells_nothing(list(range(9)))

    def test_the_better_side_is_on_top(self) -> None:
        assert metric_axis("eval/loss", [1.0, 2.0, None]).heights == [1.0, 0.0, None]
        assert metric_axis("train/tokens_per_s", [1.0, 2.0, None]).heights == [0.0, 1.0, None]
        assert shares_of_best("eval/loss", [3.0, None, 1.0, 2.0]) == [0.0, None, 1.0, 0.5]

    @given(st.lists(SETTINGS, min_size=1, max_size=30), st.booleans())
    def test_every_value_has_a_place(self, values: list[Any], log: bool) -> None:
        for axis in (setting_axis("a", values), setting_axis("a", values, log)):
            assert all(height is not None and -1e-9 <= height <= 1 + 1e-9 for height in axis.heights)


class TestParallel:
    def test_axes_labels_letters_and_a_line_between_them(self) -> None:
        axes = [setting_axis("lora_r", [8, 16]), metric_axis("eval/loss", [2.0, 1.0])]
        lines = [Line("A", [axis.heights[0] for axis in axes], "rank-0")]
        lines.append(Line("B", [axis.heights[1] for axis in axes], "current"))
        drawn = draw(axes, lines, 0, 60, 12)
        shown = text_of(drawn)
        assert shown[0].startswith(" lora_r") and "eval loss" in shown[1]
        assert "┤16" in shown[2] and "┤1.000" in shown[2] and shown[2].rstrip().endswith("B")
        assert "┤8" in shown[-1] and shown[-1].rstrip().endswith("A")
        assert all(len(line) == 60 for line in shown)
        assert ("B", "current") in drawn[2] and any(tone == "rank-0" for _, tone in drawn[-1])

    @given(
        st.lists(st.lists(SETTINGS, min_size=3, max_size=3), min_size=1, max_size=12),
        st.integers(1, 200),
        st.integers(1, 60),
    )
    def test_never_an_exception_at_any_size(self, values: list[list[Any]], width: int, height: int) -> None:
        axes = [setting_axis(f"setting_{number}", row) for number, row in enumerate(values)]
        lines = [Line("AB", [axis.heights[run] for axis in axes], "rank-1") for run in range(3)]
        assert all(len(line) == width for line in text_of(draw(axes, lines, 0, width, height)))


class TestCurves:
    def test_a_chart_a_metric_evaluations_first(self) -> None:
        names = ["train/loss", "eval/loss", "train/learning_rate", "train/epoch", "gpu0/power_w", "eval/bleu", "x/y_z"]
        assert chart_titles(names) == {
            "eval/loss": "eval loss",
            "train/loss": "train loss",
            "train/learning_rate": "learning rate",
            "eval/bleu": "eval bleu",
            "x/y_z": "x y z",
            "gpu0/power_w": "gpu0 power",
        }
        assert chart_titles([]) == {"eval/loss": "eval loss"}

    def test_letters_of_two_characters_take_two_cells(self) -> None:
        series = [ChartSeries(f"{tag} run", [0, 1, 2], [1.0, 2.0, 3.0], "1", tag=tag) for tag in ("AA", "B", "AC")]
        lines = text_of(Plot(series, [], Look(), 40, 10).lines())
        assert lines[1].endswith("ACBAA") or lines[2].endswith("ACBAA")
        assert all(len(line) <= 40 for line in lines[1:])

    def test_quiet_curves_are_drawn_but_not_named(self) -> None:
        series = [ChartSeries(f"R{number}", [0, 1], [0.0, 1.0], "dim", quiet=True) for number in range(300)]
        series.append(ChartSeries("B best", [0, 1], [1.0, 0.0], "2"))
        lines = text_of(Plot(series, [], Look(), 60, 12).lines())
        assert "B best" in lines[0] and "R1" not in lines[0]


def run(run_id: str, **fields: Any) -> Run:
    known: dict[str, Any] = dict.fromkeys(
        ("started", "ended", "total_steps", "eta_s", "tokens_per_s", "peak_vram_bytes", "cost", "phase_progress")
    )
    known |= {"heartbeat": None, "best_step": None, "created": 0.0, "attempt": 1, "step": 0, "recipe": {}, "tags": ()}
    text = dict.fromkeys(("reason", "model", "method", "dataset", "dataset_id", "phase", "notes", "dir"), "")
    return Run(id=run_id, name=run_id, status=Status.SUCCEEDED, **(known | text | fields))


def compared(losses: list[float | None], settings: dict[str, list[Any]]) -> Compared:
    from engine.runs.compare import Comparison, best_index

    runs = [
        run(f"r{number}", metrics={} if loss is None else {"eval/loss": Latest(loss, loss, loss, 1, 1)})
        for number, loss in enumerate(losses)
    ]
    metrics = {"eval/loss": losses}
    best = {"eval/loss": best_index("eval/loss", losses)}
    comparison = Comparison(runs, settings, metrics, best, [None] * len(runs), "")
    return Compared([Lane(one, slot, one.name) for slot, one in enumerate(runs)], comparison, settings)


class TestLanes:
    def test_few_are_all_loud_of_many_only_those_that_are_looked_at(self) -> None:
        few = compared([1.0, 2.0], {})
        assert Eyes("r0").loud(few) == {"r0", "r1"}
        many = compared([3.0 - number / 10 for number in range(20)], {})
        assert Eyes("r0", "r4", frozenset({"r7"})).loud(many) == {"r0", "r4", "r7", "r19"}

    def test_the_order_of_the_rows(self) -> None:
        found = compared([2.0, None, 1.0, 3.0], {"lora_r": [8, "auto", 4, None]})
        assert ordered(found, "", descending=False) == [0, 1, 2, 3]
        assert ordered(found, "eval/loss", descending=False) == [2, 0, 3, 1]
        assert ordered(found, "eval/loss", descending=True) == [3, 0, 2, 1], "without a figure: last either way"
        assert ordered(found, "cfg.lora_r", descending=False) == [2, 0, 1, 3]
        assert ordered(found, "cfg.gone", descending=True) == [0, 1, 2, 3]
