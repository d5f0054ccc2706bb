"""How charts are drawn: axes, dots, curves, words; without an app."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.widgets import axes
from tui.widgets.braille import Braille
from tui.widgets.chart_data import ChartSeries, Marker, curve_of, nearest, smooth, thinned
from tui.widgets.chart_families import families, title_of
from tui.widgets.chart_look import Look
from tui.widgets.chart_order import ChartOrder, layout, matches
from tui.widgets.chart_plot import Line, Plot
from tui.widgets.chart_scales import Scale, axes_of, step_at, steps_of, x_at

STEPS = list(range(1, 101))
FALLING = [3.0 - step / 50 for step in STEPS]


def text_of(line: Line) -> str:
    return "".join(text for text, _ in line)


def drawn(
    series: Sequence[ChartSeries],
    look: Look | None = None,
    *,
    width: int = 80,
    height: int = 20,
    markers: Sequence[Marker] = (),
    crosshair: float | None = None,
) -> list[str]:
    plot = Plot(series, markers, look or Look(), width, height, "nothing")
    return [text_of(line) for line in plot.lines(crosshair)]


def y_labels(lines: Sequence[str]) -> list[str]:
    return [line.split("┤")[0].strip() for line in lines if "┤" in line]


def cells(plot: Plot) -> dict[tuple[int, int], tuple[str, str]]:
    """Row and column of each cell between the legend and the x-axis, with its character and colour."""
    found = {}
    for row, line in enumerate(plot.lines()[1:-1]):
        column = 0
        for text, name in line:
            for char in text:
                found[row, column] = (char, name)
                column += 1
    return found


class TestAxes:
    def test_ticks_are_round_and_not_too_many(self) -> None:
        assert axes.ticks(0.83, 3.1, 5) == [1.0, 1.5, 2.0, 2.5, 3.0]
        assert axes.labels(axes.ticks(0.83, 3.1, 5)) == ["1.0", "1.5", "2.0", "2.5", "3.0"]
        assert len(axes.ticks(0, 1e6, 4)) <= 4
        assert axes.ticks(1, 1, 4) == axes.ticks(0, math.inf, 4) == axes.ticks(0, 5e-324, 4) == []

    def test_labels_stay_short_and_apart(self) -> None:
        assert axes.labels([0.0, 50_000.0, 100_000.0]) == ["0", "50k", "100k"]
        assert axes.labels([1e6, 1.5e6, 2e6]) == ["1.0M", "1.5M", "2.0M"]
        assert axes.labels([100_002.0, 100_004.0]) == ["100,002", "100,004"]
        assert axes.labels([1.5]) == ["1.5"]
        assert axes.labels([0.0]) == ["0"]
        assert axes.labels([5e-5, 1e-4]) == ["5e-5", "1e-4"]
        assert axes.labels([2e15, 4e15]) == ["2e15", "4e15"]
        assert axes.time_labels(axes.time_ticks(0, 3600, 5)) == ["0", "15 m", "30 m", "45 m", "1 h"]
        assert axes.time_labels(axes.time_ticks(3.0, 4.0, 4)) == ["3 s", "3.5 s", "4 s"]

    def test_log_ticks_are_powers_of_ten(self) -> None:
        assert axes.log_ticks(0.002, 30, 6) == pytest.approx([0.01, 0.1, 1.0, 10.0])

    def test_bounds_grow_in_round_steps(self) -> None:
        assert axes.rounded(1, 100) == (0, 100)
        ends = {axes.rounded(0, last)[1] for last in range(1000, 2000)}
        assert len(ends) <= 21
        assert all(last <= axes.rounded(0, last)[1] <= last * 1.06 for last in range(1000, 2000))

    @given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
    def test_round_bounds_take_in_what_they_are_made_for(self, one: float, other: float) -> None:
        low, high = axes.around(min(one, other), max(one, other))
        first, last = axes.rounded(low, high)
        slack = (high - low) * 1e-6
        assert first <= low + slack
        assert high - slack <= last


class TestBraille:
    def test_a_cell_belongs_to_whom_drew_in_it_last(self) -> None:
        grid = Braille(1, 1)
        grid.dot(0, 0, 1)
        grid.dot(1, 0, 1)
        assert grid.char(0, 0) == "⠉"
        grid.dot(1, 3, 2)
        assert grid.char(0, 0) == "⢀"
        assert grid.owners[0][0] == 2

    def test_a_stroke_fills_its_column_and_no_other(self) -> None:
        grid = Braille(2, 3)
        grid.stroke(1, 10, 3, 1)
        assert [grid.char(0, row) for row in range(3)] == ["⢀", "⢸", "⠸"]
        assert [grid.char(1, row) for row in range(3)] == [" ", " ", " "]

    def test_a_line_is_cut_at_the_edges(self) -> None:
        grid = Braille(2, 1)
        grid.line(-1e9, 0, 1e9, 0, 1)
        assert [grid.char(column, 0) for column in range(2)] == ["⠉", "⠉"]
        grid = Braille(2, 1)
        grid.line(-5, -5, -1, -1, 1)
        assert grid.char(0, 0) == " "

    @given(st.tuples(*[st.integers(0, 39)] * 4))
    def test_a_line_has_no_holes_and_both_its_ends(self, ends: tuple[int, int, int, int]) -> None:
        grid = Braille(20, 10)
        x0, y0, x1, y1 = ends
        grid.line(x0, y0, x1, y1, 1)
        bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
        dots = {(x, y) for x in range(40) for y in range(40) if grid.masks[y >> 2][x >> 1] & bits[y & 3][x & 1]}
        assert {(x0, y0), (x1, y1)} <= dots
        reached, rim = {(x0, y0)}, [(x0, y0)]
        while rim:
            x, y = rim.pop()
            near = {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)} & dots - reached
            reached |= near
            rim += near
        assert reached == dots


class TestCurves:
    def test_smoothing_keeps_gaps_and_starts_at_the_first_value(self) -> None:
        smoothed = smooth([2.0, math.nan, 4.0], 0.5)
        assert smoothed[0] == 2.0
        assert math.isnan(smoothed[1])
        assert 2.0 < smoothed[2] < 4.0

    def test_thinning_keeps_extremes_and_gaps(self) -> None:
        values = [1.0] * 1000
        values[500] = 9.0
        values[700:800] = [math.nan] * 100
        curve = thinned(curve_of(ChartSeries("a", range(1000), values)), 10)
        assert len(curve.xs) == 100
        assert max(value for value in curve.high if math.isfinite(value)) == 9.0
        assert sum(math.isnan(value) for value in curve.ys) == 10

    def test_a_point_at_the_end_moves_nothing_before_it(self) -> None:
        values = [random.Random(7).random() for _ in range(500)]
        before = thinned(curve_of(ChartSeries("a", range(499), values[:499])), 7)
        after = thinned(curve_of(ChartSeries("a", range(500), values)), 7)
        assert after.ys[:-1] == before.ys[:-1]
        later = thinned(curve_of(ChartSeries("a", range(70, 500), values[70:])), 7)
        assert later.ys == after.ys[10:]

    @given(st.integers(0, 1999), st.floats(0.5, 300))
    def test_a_spike_survives_thinning(self, place: int, width: float) -> None:
        values = [1.0] * 2000
        values[place] = 50.0
        assert max(thinned(curve_of(ChartSeries("a", range(2000), values)), width).high) == 50.0

    def test_a_log_axis_has_gaps_where_a_value_is_not_above_zero(self) -> None:
        curve = curve_of(ChartSeries("a", [1, 2], [0.0, 2.0]), log=True)
        assert math.isnan(curve.ys[0])
        assert curve.ys[1] == 2.0

    def test_points_out_of_order_are_put_in_order(self) -> None:
        assert curve_of(ChartSeries("a", [3, 1, 2], [30.0, 10.0, 20.0])).ys == [10.0, 20.0, 30.0]


SCALE: Scale = ([0, 100, 200, 400], [0.0, 1.0, 3.0, 4.0])


class TestScales:
    def test_steps_in_between_and_beyond(self) -> None:
        assert x_at(SCALE, 150) == 2.0
        assert x_at(SCALE, 800) == 8.0
        assert step_at(SCALE, 2.0) == 150
        assert step_at(SCALE, -1.0) == -100
        assert math.isnan(x_at(SCALE, math.nan)) and math.isnan(x_at(((0,), (0.0,)), math.nan))

    @given(st.floats(-1000, 1000))
    def test_a_step_and_its_x_turn_into_each_other(self, step: float) -> None:
        assert step_at(SCALE, x_at(SCALE, step)) == pytest.approx(step, abs=1e-6)

    @given(
        st.lists(st.tuples(st.floats(0.5, 50), st.floats(1e-3, 1e6)), min_size=2, max_size=40),
        st.floats(0, 1),
        st.floats(0, 1),
    )
    def test_a_view_turns_into_steps_and_back(self, gaps: list[tuple[float, float]], one: float, other: float) -> None:
        steps = [sum(gap for gap, _ in gaps[: index + 1]) for index in range(len(gaps))]
        tokens = [sum(gap for _, gap in gaps[: index + 1]) for index in range(len(gaps))]
        series = ChartSeries("a", steps, steps, scales={"tokens": (steps, tokens)})
        first, last = sorted(tokens[0] + share * (tokens[-1] - tokens[0]) for share in (one, other))
        view = steps_of([series], "tokens", (first, last))
        assert steps[0] - 1e-6 <= view[0] <= view[1] <= steps[-1] + 1e-6
        back = [x_at((steps, tokens), step) for step in view]
        assert back == pytest.approx([first, last], rel=1e-6, abs=1e-6)

    def test_what_goes_back_or_is_no_number_is_left_out_of_a_scale(self) -> None:
        series = ChartSeries(
            "a", [1, 9], [1.0, 2.0], scales={"tokens": ([1, 2, 3, 4, 5], [10, math.nan, 5, 30, math.inf])}
        )
        assert curve_of(series, x_axis="tokens").xs == [10.0, pytest.approx(10 + 8 * 20 / 3)]

    def test_the_axes_are_those_that_are_known(self) -> None:
        assert axes_of([ChartSeries("a", [1], [1.0])]) == ["step"]
        timed = ChartSeries("a", [1], [1.0], times=[5.0], scales={"epoch": ([1], [0.1])})
        assert axes_of([timed]) == ["step", "epoch", "time"]

    def test_all_curves_count_time_from_one_moment(self) -> None:
        train = ChartSeries("train", [1, 2], [1.0, 1.0], times=[110.0, 120.0], began=100.0)
        evals = ChartSeries("eval", [2], [1.0], times=[121.0], began=100.0)
        assert curve_of(train, x_axis="time").xs == [10.0, 20.0]
        assert curve_of(evals, x_axis="time").xs == [21.0]

    def test_the_nearest_point(self) -> None:
        series = ChartSeries("a", [10, 20, 30], [1.0, 2.0, 3.0], scales={"tokens": ([0, 30], [0.0, 300.0])})
        assert nearest(series, 24) == (20.0, 2.0)
        assert nearest(series, 260, x_axis="tokens") == (30.0, 3.0)
        assert nearest(ChartSeries("a", [], []), 1) is None


class TestPlot:
    def test_a_spike_shows_among_a_million_points(self) -> None:
        values = [1.0] * 20_000
        values[12_345] = 8.0
        lines = drawn([ChartSeries("a", range(20_000), values)])
        assert "8" in y_labels(lines)
        assert sum(any(0x2800 < ord(char) < 0x2900 for char in line) for line in lines[1:-1]) > 10

    def test_a_later_curve_takes_the_cells_of_an_earlier_one(self) -> None:
        flat = [2.0] * 100
        plot = Plot(
            [ChartSeries("train", STEPS, FALLING, "train"), ChartSeries("eval", STEPS, flat, "eval")],
            [],
            Look(),
            80,
            20,
        )
        rows = {row for (row, _), (_, name) in cells(plot).items() if name == "eval"}
        [row] = rows
        own = [char for (at, _), (char, name) in cells(plot).items() if at == row and name == "eval"]
        assert len(set(own[2:-2])) == 1  # no dot of the other curve is mixed in where they cross

    def test_the_raw_curve_is_dimmed_behind_the_smoothed_one(self) -> None:
        values = [2 + (step % 2) for step in STEPS]
        names = {name for _, name in cells(Plot([ChartSeries("a", STEPS, values, "1")], [], Look(), 80, 20)).values()}
        assert "1" in names and "1-soft" not in names
        smoothed = Plot([ChartSeries("a", STEPS, values, "1")], [], Look(smoothing=0.9), 80, 20)
        names = {name for _, name in cells(smoothed).values()}
        assert {"1", "1-soft"} <= names

    def test_smoothing_moves_no_axis(self) -> None:
        series = [ChartSeries("a", STEPS, [2 + (step % 7) / 3 for step in STEPS], "1")]
        assert y_labels(drawn(series)) == y_labels(drawn(series, Look(smoothing=0.9)))

    def test_where_there_is_no_number_is_marked(self) -> None:
        values = [1.0 + step / 100 for step in STEPS]
        values[49] = math.nan
        lines = drawn([ChartSeries("a", STEPS, values, "1")])
        assert "× NaN or infinite" in lines[0]
        assert lines[-2].count("×") == 1
        assert lines[-1].index("40") < lines[-2].index("×") < lines[-1].index("60")

    def test_markers_are_shown_on_every_axis(self) -> None:
        series = [
            ChartSeries(
                "a",
                STEPS,
                FALLING,
                times=[1e9 + step for step in STEPS],
                scales={"epoch": ([0, 100], [0, 3]), "tokens": ([0, 100], [0, 1e6])},
            )
        ]
        markers = [Marker(50, "◆", "checkpoint"), Marker(80, "★", "best", FALLING[79]), Marker(20, "⚠", "overfits")]
        places = set()
        for axis in ("step", "epoch", "time", "tokens"):
            lines = drawn(series, Look(axis=axis), markers=markers)
            assert sum(line.count("★") for line in lines[1:]) == 1
            assert "◆ checkpoint" in lines[0] and "⚠ overfits" in lines[0]
            places.add(lines[-2].index("◆"))
        assert max(places) - min(places) <= 4  # rounded ends of the axes aside, the same place

    def test_a_marker_out_of_sight_is_not_in_the_legend(self) -> None:
        series = [ChartSeries("a", STEPS, FALLING)]
        lines = drawn(series, Look(view=(60, 90)), markers=[Marker(50, "◆", "checkpoint")])
        assert "◆" not in "".join(lines)

    def test_the_crosshair_reads_each_curve_and_says_where(self) -> None:
        series = [ChartSeries("train", STEPS, FALLING), ChartSeries("eval", [50, 100], [2.5, 1.5])]
        lines = drawn(series, crosshair=40)
        assert "step 40" in lines[0]
        assert "train 2.200" in lines[0]
        assert "eval 2.500 @50" in lines[0]

    def test_the_crosshair_says_the_extremes_of_what_a_point_stands_for(self) -> None:
        series = [ChartSeries("train", [1, 2, 3], [1.0, 1.0, 1.0], "1", [1.0, 0.5, 1.0], [1.0, 8.0, 1.0])]
        assert "1.000 (0.5000…8.000)" in drawn(series, crosshair=2)[0]
        assert "…" not in drawn(series)[0]

    def test_x_in_words_of_the_axis(self) -> None:
        scales: dict[str, Scale] = {"epoch": ([0, 100], [0, 3]), "tokens": ([0, 100], [0, 2e6])}
        series = [ChartSeries("a", STEPS, FALLING, scales=scales)]
        epochs = drawn(series, Look(axis="epoch"), crosshair=1.5)
        assert "epoch 1.50 · step 50" in epochs[0]
        assert epochs[-1].split()[-1] == "epoch"
        tokens = drawn(series, Look(axis="tokens"), crosshair=1e6)
        assert "1.0 M tokens" in tokens[0]
        assert "1.0M" in tokens[-1] and tokens[-1].split()[-1] == "tokens"

    def test_a_series_without_the_axis_is_left_out_not_misplaced(self) -> None:
        known = ChartSeries("a", [1, 2], [1.0, 2.0], scales={"epoch": ([1, 2], [0.5, 1.0])})
        lines = drawn([known, ChartSeries("b", [1, 2], [99.0, 99.0])], Look(axis="epoch"))
        assert "b –" in lines[0]
        assert not any("99" in label for label in y_labels(lines))

    def test_a_narrow_legend_keeps_title_and_figures(self) -> None:
        series = [ChartSeries("train", STEPS, FALLING), ChartSeries("eval", [50, 100], [2.5, 1.5])]
        markers = [Marker(50, "◆", "checkpoint")]
        look = Look(title="loss", among=True, smoothing=0.9, view=(1, 100))
        for width, gone in ((100, ""), (60, "checkpoint"), (40, "smoothed"), (26, "train")):
            legend = drawn(series, look, width=width, markers=markers)[0]
            assert "loss" in legend and "1.000" in legend and "1.500" in legend
            assert len(legend) <= width
            assert not gone or gone not in legend

    def test_a_narrow_legend_of_many_runs_keeps_their_letters(self) -> None:
        runs = [ChartSeries(f"{letter} emoji-r{letter}-lr1e4", STEPS, FALLING) for letter in "ABCDE"]
        wide, narrow, least = (drawn(runs, Look(title="loss"), width=width)[0] for width in (200, 80, 50))
        assert "━ A emoji-rA-lr1e4 1.000" in wide
        for legend in (narrow, least):
            assert all(f"{letter} 1.000" in legend for letter in "ABCDE")
            assert "emo" not in legend and "━" not in legend

    def test_one_point_is_seen(self) -> None:
        lines = drawn([ChartSeries("a", [7], [1.25])])
        assert "•" in "".join(lines[1:])
        assert "one point so far" in lines[0]

    def test_a_live_curve_does_not_shake(self) -> None:
        """Over a hundred new points the axes change a few times, and in between no cell of the past does."""
        noise = random.Random(3)
        values = [1 + 2 * math.exp(-step / 100) + noise.gauss(0, 0.05) for step in range(600)]
        rescaled = 0
        before: Plot | None = None
        for count in range(500, 600):
            plot = Plot([ChartSeries("a", range(count), values[:count])], [], Look(), 100, 20)
            if before and (plot.x_range, plot.y_range) != (before.x_range, before.y_range):
                rescaled += 1
            elif before:
                past = 90 * (count - 20) // 620
                old, new = ([text_of(line)[:past] for line in each.lines()[1:]] for each in (before, plot))
                assert old == new
            before = plot
        assert rescaled <= 8

    def test_words_where_there_is_nothing_to_draw(self) -> None:
        assert "nothing" in "".join(drawn([]))
        assert "only NaN so far" in "".join(drawn([ChartSeries("a", [1, 2], [math.nan, math.inf])]))
        assert "values above 0" in "".join(drawn([ChartSeries("a", [1, 2], [-1.0, 0.0])], Look(log=True)))
        assert "0 shows the whole" in "".join(drawn([ChartSeries("a", [1], [1.0])], Look(view=(50, 60))))

    @given(st.integers(16, 60), st.floats(0, 1))
    def test_a_marker_anywhere_has_its_column(self, width: int, share: float) -> None:
        lines = drawn(
            [ChartSeries("a", STEPS, FALLING)],
            Look(view=(0, 50.4)),
            width=width,
            markers=[Marker(share * 51, "◆", "x")],
        )
        shown = sum(line.count("◆") for line in lines[1:])
        assert shown == 1 if share * 51 <= 50.4 else shown <= 1

    def test_hostile_names_stay_on_their_line(self) -> None:
        lines = drawn([ChartSeries("[red]a\x1b[31m\nb", STEPS, FALLING)], markers=[Marker(5, "◆", "x\x1b]0;y\x07\n")])
        assert "[red]a b" in lines[0]
        assert not any(char in "".join(lines) for char in "\x1b\n\x07")

    @given(st.lists(st.floats(0.1, 10), min_size=3, max_size=50), st.data())
    def test_what_is_no_number_never_moves_the_bounds(self, values: list[float], data: st.DataObject) -> None:
        steps = list(range(len(values)))
        broken = list(values)
        for value in data.draw(st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=9)):
            broken.insert(data.draw(st.integers(0, len(broken))), value)
        # The same numbers at the same steps; what is no number lies between them.
        kept = [index for index, value in enumerate(broken) if math.isfinite(value)]
        plain = ChartSeries("a", kept, [broken[index] for index in kept], "1")
        look = Look(view=(0.0, float(len(broken))))
        assert len(steps) == len(kept)
        assert y_labels(drawn([ChartSeries("a", range(len(broken)), broken, "1")], look)) == y_labels(
            drawn([plain], look)
        )

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_never_an_exception(self, data: st.DataObject) -> None:
        number = st.floats(allow_nan=True, allow_infinity=True)
        series = []
        for _ in range(data.draw(st.integers(0, 3))):
            values = data.draw(st.lists(number, max_size=30))
            steps = data.draw(st.one_of(st.just(list(range(len(values)))), st.just(sorted(map(_not_nan, values)))))
            extremes = data.draw(st.one_of(st.none(), st.lists(number, min_size=len(values), max_size=len(values))))
            times = data.draw(st.one_of(st.none(), st.lists(number, min_size=len(values), max_size=len(values))))
            scale = data.draw(st.lists(number, max_size=5))
            series.append(
                ChartSeries(
                    data.draw(st.text(max_size=5)),
                    steps,
                    values,
                    "1",
                    extremes,
                    extremes,
                    times=times,
                    tag=data.draw(st.sampled_from(["", "A"])),
                    scales={"epoch": (scale, scale)},
                )
            )
        ends = sorted([data.draw(st.floats(-1e300, 1e300)), data.draw(st.floats(-1e300, 1e300))])
        look = Look(
            view=data.draw(st.sampled_from([None, (ends[0], ends[1])])),
            log=data.draw(st.booleans()),
            smoothing=data.draw(st.sampled_from([0.0, 0.9])),
            axis=data.draw(st.sampled_from(["step", "epoch", "time", "tokens"])),
            from_zero=data.draw(st.booleans()),
            title=data.draw(st.sampled_from(["", "loss"])),
        )
        width, height = data.draw(
            st.one_of(
                st.sampled_from([(0, 0), (1, 1), (16, 3), (17, 4), (500, 200)]),
                st.tuples(st.integers(1, 120), st.integers(1, 40)),
            )
        )
        markers = [Marker(data.draw(number), "★", "best", data.draw(number))]
        plot = Plot(series, markers, look, width, height, "nothing")
        for crosshair in (None, data.draw(st.floats(-1e300, 1e300))):
            lines = plot.lines(crosshair)
            assert len(lines) == height
            assert all(len(text_of(line)) <= width for line in lines[1:])


def _not_nan(value: float) -> float:
    return 0.0 if math.isnan(value) else value


class TestFamilies:
    def test_train_and_eval_share_a_chart_and_the_loss_comes_first(self) -> None:
        names = [
            "gpu10/memory_used_bytes",
            "gpu2/memory_used_bytes",
            "gpu2/memory_peak_bytes",
            "system/cpu_percent",
            "train/tokens_per_s",
            "train/zeta",
            "eval/loss",
            "train/grad_norm",
            "train/learning_rate",
            "eval/mean_token_accuracy",
            "train/mean_token_accuracy",
            "train/loss",
        ]
        found = families(names)
        assert list(found) == [
            "loss",
            "mean_token_accuracy",
            "learning_rate",
            "grad_norm",
            "tokens_per_s",
            "zeta",
            "gpu2/memory",
            "gpu10/memory",
            "system/cpu",
        ]
        assert found["loss"] == ("train/loss", "eval/loss")
        assert found["gpu2/memory"] == ("gpu2/memory_peak_bytes", "gpu2/memory_used_bytes")
        assert sorted(name for names in found.values() for name in names) == sorted(names)

    def test_names_of_other_programs(self) -> None:
        assert families(["loss", "val/loss", "my/metric", "train"]) == {
            "loss": ("val/loss", "loss"),
            "my/metric": ("my/metric",),
            "train": ("train",),
        }

    @given(st.lists(st.text(max_size=12)))
    def test_no_metric_is_lost_whatever_its_name(self, names: list[str]) -> None:
        assert sorted(name for family in families(names).values() for name in family) == sorted(set(names))

    @pytest.mark.parametrize(
        ("family", "title"),
        [
            ("grad_norm", "gradient norm"),
            ("gpu0/memory", "gpu0 memory"),
            ("loss", "loss"),
            ("my/own_metric", "my own metric"),
        ],
    )
    def test_titles_are_words(self, family: str, title: str) -> None:
        assert title_of(family) == title


class TestOrder:
    def test_pins_are_on_every_page(self) -> None:
        order = ChartOrder({name: name for name in "abcdefg"}, cursor="a")
        assert order.shown(3) == ["a", "b", "c"]
        order.cursor = "c"
        order.pin()
        assert order.shown(3) == ["c", "a", "b"]
        order.turn(1, 3)
        assert order.shown(3) == ["c", "d", "e"]
        assert order.cursor == "d"
        assert order.pages(3) == 3

    def test_a_page_is_full_where_there_are_enough(self) -> None:
        order = ChartOrder({name: name for name in "abcde"}, cursor="a")
        order.turn(1, 4)
        assert order.shown(4) == ["b", "c", "d", "e"]
        assert order.cursor == "e"

    @given(st.integers(0, 12), st.integers(1, 9), st.lists(st.integers(0, 11), max_size=4), st.data())
    def test_the_cursor_is_always_in_sight(self, count: int, room: int, pins: list[int], data: st.DataObject) -> None:
        order = ChartOrder(
            {str(number): str(number) for number in range(count)}, [str(pin) for pin in dict.fromkeys(pins)]
        )
        order.follow(room)
        for _ in range(8):
            act = data.draw(st.sampled_from(["move", "turn", "pin"]))
            if act == "pin":
                order.pin()
                order.follow(room)
            else:
                (order.move if act == "move" else order.turn)(data.draw(st.sampled_from([-1, 1, 5])), room)
            shown = order.shown(room)
            assert len(shown) == len(set(shown)) == min(room, count)
            assert order.cursor in shown or not count

    def test_every_chart_can_be_reached(self) -> None:
        order = ChartOrder({str(number): str(number) for number in range(11)}, ["3", "7"])
        order.follow(4)
        seen = set(order.shown(4))
        for _ in range(12):
            order.move(1, 4)
            seen |= set(order.shown(4))
        assert seen == set(order.titles)

    def test_patterns(self) -> None:
        assert matches("", "loss", "loss")
        assert matches("gpu mem", "gpu0/memory", "gpu0 memory")
        assert matches("GPU*", "gpu0/memory", "gpu0 memory")
        assert not matches("gpu", "loss", "loss")
        assert not matches("los?s", "loss", "loss")

    @given(st.integers(1, 9), st.integers(1, 300), st.integers(1, 100))
    def test_a_layout_has_a_place_for_each(self, count: int, width: int, height: int) -> None:
        columns, rows = layout(count, width, height)
        assert columns * (rows - 1) < count <= columns * rows

    def test_layouts_that_one_would_choose(self) -> None:
        assert layout(1, 80, 24) == (1, 1)
        assert layout(4, 120, 36) == (2, 2)
        assert layout(9, 200, 60) == (3, 3)
        assert layout(2, 40, 40) == (1, 2)
        assert layout(2, 160, 20) == (2, 1)
