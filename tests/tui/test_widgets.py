"""Figures, text and drawing, without an app where none is needed."""

import math
from datetime import datetime
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from tui.app import FinetuiApp
from tui.format import fmt_bytes, fmt_delta, fmt_duration, fmt_number, fmt_percent, fmt_rate, fmt_when
from tui.text import clean, clean_line, shorten
from tui.themes import default_theme, load_themes, series_colors
from tui.widgets import axes
from tui.widgets.braille import Braille
from tui.widgets.chart_data import ChartSeries, curve_of, smooth, thinned
from tui.widgets.chart_plot import Look, Plot
from tui.widgets.gauge import bar
from tui.widgets.line_chart import LineChart, Marker
from tui.widgets.log_tail import MOST_LINES, LogReader
from tui.widgets.run_columns import fit, gap_of


class TestText:
    def test_escapes_and_control_bytes_are_taken_out(self) -> None:
        assert clean("a\x1b[31mred\x1b[0m b\x00c\x07") == "ared bc"
        assert clean("\x1b]0;title\x07x\x1b]52;c;Zm9v\x1b\\y") == "xy"
        assert clean("\x9b31mz") == "z"

    def test_an_escape_that_never_ends_takes_nothing_of_the_next_one(self) -> None:
        assert "\x1b" not in clean("\x1b]0;open \x1b[31m text")

    def test_lines_and_tabs_stay_readable(self) -> None:
        assert clean("a\tb\r\nc") == "a    b\nc"
        assert clean_line(" a\n\n b\t c ") == "a b c"

    def test_text_cannot_turn_the_direction_or_break_the_encoding(self) -> None:
        assert clean("abc\u202edef\u2066") == "abcdef"
        assert clean("\ud800x").encode() == "\ufffdx".encode()

    def test_shorten(self) -> None:
        assert shorten("abcdef", 4) == "abc…"
        assert shorten("abc", 4) == "abc"


class TestFormat:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(1.0384, "1.038"), (0.0, "0"), (12345.6, "12,346"), (2e-4, "2e-4"), (2.5e-7, "2.5e-7"), (0.05, "0.05")],
    )
    def test_numbers_have_four_digits(self, value: float, text: str) -> None:
        assert fmt_number(value) == text

    def test_what_is_no_number_is_said(self) -> None:
        assert fmt_number(math.nan) == "nan"
        assert fmt_number(math.inf) == "inf"
        assert fmt_number(None) == fmt_bytes(None) == fmt_duration(math.nan) == fmt_rate(math.inf) == "–"
        assert fmt_delta(math.nan) == ""

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(12, "12 s"), (59.6, "1 m 00 s"), (185, "3 m 05 s"), (1500, "25 m"), (4320, "1 h 12 m"), (187_200, "2 d 4 h")],
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert fmt_duration(seconds) == text

    def test_bytes_percent_rate(self) -> None:
        assert fmt_bytes(9.1 * 2**30) == "9.1 GB"
        assert fmt_bytes(512) == "512 B"
        assert fmt_percent(0.999) == "99%"
        assert fmt_percent(1.0) == "100%"
        assert fmt_rate(8412.3) == "8,412"

    def test_moments(self) -> None:
        now = datetime(2026, 3, 18, 12, 0).timestamp()
        assert fmt_when(datetime(2026, 3, 18, 10, 42).timestamp(), now) == "10:42"
        assert fmt_when(datetime(2026, 3, 17, 23, 59).timestamp(), now) == "yesterday"
        assert fmt_when(datetime(2026, 3, 16, 9, 15).timestamp(), now) == "Mon 09:15"
        assert fmt_when(datetime(2025, 3, 3).timestamp(), now) == "3 Mar 2025"

    def test_a_bar_is_full_only_when_it_is_whole(self) -> None:
        assert bar(0.999, 10).count("━") == 9
        assert bar(1.0, 10).count("━") == 10
        assert bar(0.001, 10).count("━") == 1
        assert bar(None, 4) == bar(math.nan, 4) == "────"


class TestAxes:
    def test_ticks_are_round_and_not_too_many(self) -> None:
        assert axes.ticks(0.83, 3.1, 5) == [1.0, 1.5, 2.0, 2.5, 3.0]
        assert axes.labels(axes.ticks(0.83, 3.1, 5)) == ["1.0", "1.5", "2.0", "2.5", "3.0"]
        assert len(axes.ticks(0, 1e6, 4)) <= 4
        assert axes.ticks(1, 1, 4) == axes.ticks(0, math.inf, 4) == []

    def test_labels_stay_short(self) -> None:
        assert axes.labels([0.0, 50_000.0, 100_000.0]) == ["0", "50k", "100k"]
        assert axes.labels([5e-5, 1e-4]) == ["5e-5", "1e-4"]
        assert axes.time_labels(axes.time_ticks(0, 3600, 5)) == ["0", "15 m", "30 m", "45 m", "1 h"]

    def test_log_ticks_are_powers_of_ten(self) -> None:
        assert axes.log_ticks(0.002, 30, 6) == pytest.approx([0.01, 0.1, 1.0, 10.0])


class TestBraille:
    def test_dots_of_two_lines_share_a_cell(self) -> None:
        grid = Braille(1, 1)
        grid.dot(0, 0, 1)
        grid.dot(1, 3, 2)
        assert grid.char(0, 0) == "⢁"
        assert grid.owners[0][0] == 2

    def test_a_line_is_cut_at_the_edges(self) -> None:
        grid = Braille(2, 1)
        grid.line(-1e9, 0, 1e9, 0, 1)
        assert [grid.char(column, 0) for column in range(2)] == ["⠉", "⠉"]
        grid = Braille(2, 1)
        grid.line(-5, -5, -1, -1, 1)
        assert grid.char(0, 0) == " "


class TestChartData:
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
        assert len(curve.xs) <= 100
        assert max(value for value in curve.high if math.isfinite(value)) == 9.0
        assert sum(math.isnan(value) for value in curve.ys) == 10

    def test_a_log_axis_has_gaps_where_a_value_is_not_above_zero(self) -> None:
        curve = curve_of(ChartSeries("a", [1, 2], [0.0, 2.0]), log=True)
        assert math.isnan(curve.ys[0])
        assert curve.ys[1] == 2.0


class ChartApp(App[None]):
    """One chart, with the colours that the real app gives its themes."""

    def compose(self) -> ComposeResult:
        yield LineChart()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return series_colors(dark=True)

    @property
    def chart(self) -> LineChart:
        return self.query_one(LineChart)

    def shown(self) -> list[str]:
        return [self.chart.render_line(row).text for row in range(self.chart.size.height)]


STEPS = list(range(1, 101))
FALLING = [3.0 - step / 50 for step in STEPS]


def braille_columns(lines: list[str]) -> set[int]:
    return {column for line in lines for column, char in enumerate(line) if 0x2800 < ord(char) < 0x2900}


class TestLineChart:
    async def test_curves_legend_axes_and_markers(self) -> None:
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            app.chart.set_series(
                [ChartSeries("train", STEPS, FALLING), ChartSeries("[red]eval", [50, 100], [2.5, 1.5])],
                [Marker(50, "◆", "checkpoint"), Marker(100, "★", "best", 1.5)],
            )
            lines = app.shown()
            assert "train 1.000" in lines[0]
            assert "[red]eval 1.500" in lines[0]
            assert "◆ checkpoint" in lines[0]
            assert any("3.0" in line or "2.5" in line for line in lines)
            assert lines[-1].split() == ["20", "40", "60", "80", "100"]
            assert sum(line.count("★") for line in lines[1:]) == 1

    async def test_nan_is_a_gap(self) -> None:
        values = list(FALLING)
        values[30:60] = [math.nan] * 30
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            app.chart.set_series([ChartSeries("train", STEPS, FALLING)])
            whole = braille_columns(app.shown())
            app.chart.set_series([ChartSeries("train", STEPS, values)])
            broken = braille_columns(app.shown())
            assert len(whole - broken) > 15

    async def test_nothing_only_nan_infinity_and_one_point(self) -> None:
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            assert "no points yet" in "".join(app.shown())
            app.chart.set_series([ChartSeries("train", [1, 2], [math.nan, math.nan])])
            assert "only NaN so far" in "".join(app.shown())
            app.chart.set_series([ChartSeries("train", [1, 2, 3], [1.0, math.inf, -math.inf])])
            assert app.shown()
            app.chart.set_series([ChartSeries("train", [7], [1.25])])
            assert "one point so far" in app.shown()[0]
            assert "•" in "".join(app.shown()[1:])

    async def test_zoom_pan_reset(self) -> None:
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            app.chart.set_series([ChartSeries("train", STEPS, FALLING)])
            app.chart.focus()
            await pilot.press("plus")
            zoomed = app.chart.view
            assert zoomed is not None
            assert zoomed[1] - zoomed[0] == pytest.approx(49.5)
            await pilot.press("h")
            panned = app.chart.view
            assert panned is not None
            assert panned[0] < zoomed[0]
            await pilot.press("0")
            assert app.chart.view is None

    async def test_zooming_out_as_far_as_it_goes_shows_everything_again(self) -> None:
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            app.chart.set_series([ChartSeries("train", STEPS, FALLING)])
            app.chart.focus()
            await pilot.press("plus", "minus", "minus")
            assert app.chart.view is None

    async def test_the_crosshair_reads_values(self) -> None:
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            app.chart.set_series([ChartSeries("train", STEPS, FALLING)])
            app.chart.focus()
            await pilot.press("left")
            assert "step 100" in app.shown()[0]
            await pilot.press(*["shift+left"] * 4)
            step = round(app.chart.crosshair or 0)
            assert 30 < step < 60
            assert f"step {step}" in app.shown()[0]
            assert f"{3.0 - step / 50:.3f}" in app.shown()[0]
            assert "┊" in "".join(app.shown())

    async def test_log_axis_smoothing_and_time(self) -> None:
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            times = [1e9 + 60 * step for step in STEPS]
            app.chart.set_series([ChartSeries("train", STEPS, [10.0 ** (-step / 25) for step in STEPS], times=times)])
            app.chart.focus()
            await pilot.press("y", "s", "x")
            lines = app.shown()
            assert "log, smoothed 0.6" in lines[0]
            assert any(line.lstrip().startswith(("1e-", "0.0")) for line in lines)
            assert " h" in lines[-1] or " m" in lines[-1]

    async def test_a_log_axis_without_positive_values_says_so(self) -> None:
        async with ChartApp().run_test(size=(80, 20)) as pilot:
            app = pilot.app
            assert isinstance(app, ChartApp)
            app.chart.set_series([ChartSeries("train", [1, 2], [-1.0, 0.0])])
            app.chart.focus()
            await pilot.press("y")
            assert "values above 0" in "".join(app.shown())

    @pytest.mark.parametrize(("width", "height"), [(0, 0), (1, 1), (5, 2), (16, 3), (17, 4), (300, 100)])
    def test_no_size_is_too_small(self, width: int, height: int) -> None:
        rows = Plot([ChartSeries("train", STEPS, FALLING, "1")], [], Look(), width, height, "").rows
        assert len(rows) == height
        assert all(len(row) <= width for row in rows)

    def test_infinite_extremes_are_not_drawn(self) -> None:
        series = ChartSeries("train", [1, 2, 3], [1.0, 2.0, 3.0], "1", [1.0, -math.inf, 3.0], [1.0, math.inf, 3.0])
        assert Plot([series], [], Look(), 60, 12, "").rows


class TestLogReader:
    def test_reads_what_is_new_and_keeps_the_rest_of_a_line(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        reader = LogReader(log)
        assert not reader.read()
        log.write_bytes(b"one\ntw")
        assert reader.read()
        assert (reader.lines, reader.partial) == (["one"], "tw")
        with log.open("ab") as file:
            file.write(b"o\nthree\n")
        assert reader.read()
        assert (reader.lines, reader.partial) == (["one", "two", "three"], "")
        assert not reader.read()

    def test_a_progress_bar_is_one_line(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        log.write_bytes(b"\r 10%\r 20%\r 30%\n\r 1/2")
        reader = LogReader(log)
        reader.read()
        assert (reader.lines, reader.partial) == ([" 30%"], " 1/2")

    def test_escapes_and_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        log.write_bytes(b"\x1b[31mred\x1b[0m \xff\xfe\n")
        reader = LogReader(log)
        reader.read()
        assert reader.lines == ["red \ufffd\ufffd"]

    def test_a_character_cut_in_two_is_put_together(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        data = "ä\n".encode()
        log.write_bytes(data[:1])
        reader = LogReader(log)
        reader.read()
        with log.open("ab") as file:
            file.write(data[1:])
        reader.read()
        assert reader.lines == ["ä"]

    def test_a_large_file_is_read_from_near_its_end_and_a_shorter_one_anew(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        log.write_text("".join(f"line {number}\n" for number in range(200_000)), encoding="utf-8")
        reader = LogReader(log)
        reader.read()
        assert reader.lines[-1] == "line 199999"
        assert len(reader.lines) <= MOST_LINES
        assert all(line.startswith("line ") for line in reader.lines)
        log.write_text("new\n", encoding="utf-8")
        reader.read()
        assert reader.lines == ["new"]


class TestColumns:
    def test_eighty_columns_keep_the_answers(self) -> None:
        keys = [column.key for column, _ in fit(80)]
        assert keys == ["name", "state", "progress", "eval", "started"]

    @pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200, 300])
    def test_the_columns_never_overflow(self, width: int) -> None:
        columns = fit(width)
        used = 2 + sum(space for _, space in columns) + gap_of(width) * len(columns)
        assert used <= max(width, 67)

    def test_a_wide_terminal_has_them_all(self) -> None:
        assert len(fit(200)) == 11


class TestThemes:
    def test_there_is_a_dark_a_light_and_a_high_contrast_one(self) -> None:
        names = {theme.name: theme.dark for theme in load_themes()}
        assert names["finetui-dark"] is True
        assert names["finetui-light"] is False
        assert "finetui-contrast" in names

    def test_text_of_every_theme_stands_out(self) -> None:
        for theme in load_themes():
            if theme.ansi:
                continue
            colors = theme.to_color_system().generate()
            for name in ("foreground", "text-muted", "success", "warning", "error", "primary"):
                assert contrast(colors[name], colors["background"]) >= 4.5, (theme.name, name)
            cursor = contrast(colors["block-cursor-foreground"], colors["block-cursor-background"])
            assert cursor >= 4.5, (theme.name, "cursor")

    def test_sixteen_colours_stay_apart(self) -> None:
        assert default_theme("standard") == "finetui-16"
        assert default_theme("truecolor") == default_theme("256") == default_theme(None) == "finetui-dark"
        sixteen = next(theme for theme in load_themes() if theme.name == "finetui-16")
        curves = [sixteen.variables[f"series-{number}"] for number in range(1, 9)]
        assert len(set(curves)) == 8

    def test_curves_stand_out_on_dark_and_on_light(self) -> None:
        for dark, background in ((True, "#0f1216"), (False, "#fbfbfa")):
            for name, color in series_colors(dark=dark).items():
                assert contrast(color, background) >= 4.5, (dark, name)

    def test_the_app_knows_them_and_the_built_in_ones(self, tmp_path: Path) -> None:
        from engine.home import Home

        app = FinetuiApp(Home(tmp_path))
        assert {"finetui-dark", "finetui-light", "finetui-contrast", "nord", "textual-light"} <= set(
            app.available_themes
        )


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2, 1 to 21."""
    from textual.color import Color

    def luminance(text: str) -> float:
        channels = [channel / 255 for channel in Color.parse(text).rgb]
        linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
