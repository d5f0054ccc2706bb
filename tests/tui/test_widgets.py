"""Figures, text and drawing, without an app where none is needed."""

import math
from datetime import datetime
from pathlib import Path

import pytest

from tui.app import FinetuiApp
from tui.format import fmt_bytes, fmt_delta, fmt_duration, fmt_number, fmt_pair, fmt_percent, fmt_rate, fmt_when
from tui.text import clean, clean_line, shorten
from tui.themes import default_theme, load_themes, series_colors
from tui.widgets.gauge import bar
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
        assert fmt_pair(2.2 * 2**30, 23.5 * 2**30, "/") == "2.2/23.5 GB"
        assert fmt_pair(977 * 2**20, 23.5 * 2**30) == "977 MB / 23.5 GB"
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
