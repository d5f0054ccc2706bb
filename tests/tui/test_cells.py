"""Texts in cells: what is drawn anew of a line that changed."""

from hypothesis import given
from hypothesis import strategies as some
from rich.cells import cell_len

from tui.widgets.cells import changed_spans

LINES = some.lists(some.tuples(some.text("ab 表é0", max_size=8), some.sampled_from(["", "dim"])), max_size=6)


def test_nothing_changed() -> None:
    assert changed_spans([("ab", "dim"), ("c", "")], [("a", "dim"), ("b", "dim"), ("c", "")]) == []


def test_one_figure() -> None:
    assert changed_spans([("loss ", "dim"), ("1.234", "")], [("loss ", "dim"), ("1.244", "")]) == [(8, 9)]


def test_figures_far_apart_are_drawn_apart_and_near_ones_together() -> None:
    assert changed_spans([("a" + " " * 40 + "b", "")], [("x" + " " * 40 + "y", "")]) == [(0, 1), (41, 42)]
    assert changed_spans([("a   b", "")], [("x   y", "")]) == [(0, 5)]


def test_a_colour_is_a_change() -> None:
    assert changed_spans([("ok", "good")], [("ok", "look")]) == [(0, 2)]


def test_wide_characters_are_drawn_whole() -> None:
    assert changed_spans([("a表", "")], [("a本", "")]) == [(1, 3)]


@given(LINES, LINES)
def test_what_lies_outside_the_spans_is_the_same(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    def cells(line: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(char, tone) for text, tone in line for char in text for _ in range(cell_len(char))]

    spans = changed_spans(before, after)
    old, new = cells(before), cells(after)
    inside = {cell for first, end in spans for cell in range(first, end)}
    for cell in range(max(len(old), len(new))):
        if cell not in inside:
            assert old[cell] == new[cell]
