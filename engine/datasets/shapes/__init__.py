"""The shapes that a row of a dataset comes in: which one it is, by which columns, and how it becomes one form."""

from engine.datasets.shapes.converting import Conversation, Converter, convert
from engine.datasets.shapes.detect import SURE, Detection, detect, needs
from engine.datasets.shapes.mapping import suggestion
from engine.datasets.shapes.names import FIELDS, SHAPES
from engine.datasets.shapes.plan import Plan
from engine.datasets.shapes.sample import ColumnInfo, Sample

__all__ = [
    "FIELDS",
    "SHAPES",
    "SURE",
    "ColumnInfo",
    "Conversation",
    "Converter",
    "Detection",
    "Plan",
    "Sample",
    "convert",
    "detect",
    "needs",
    "suggestion",
]
