"""The page on datasets names every shape, field and operator there is."""

from pathlib import Path

from engine.datasets.filter import FIELD_WORDS, FIELDS
from engine.datasets.shapes import FIELDS as MAPPED
from engine.datasets.shapes import SHAPES

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")


def test_every_shape_and_field_is_told() -> None:
    named = [*(shape for shape in SHAPES if shape != "auto"), *MAPPED, *FIELDS]
    assert [name for name in named if f"`{name}`" not in PAGE] == []
    assert set(FIELD_WORDS) == set(FIELDS)
