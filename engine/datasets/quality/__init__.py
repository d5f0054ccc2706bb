"""The validation report: what is wrong with a dataset, in which rows, and how ready it is to be trained on."""

from engine.datasets.quality.catalogue import CATALOGUE, CheckKind, Level
from engine.datasets.quality.language import language_name
from engine.datasets.quality.report import GRADES, Check, Problem, Report
from engine.datasets.quality.validation import NEAR, validate

__all__ = [
    "CATALOGUE",
    "GRADES",
    "NEAR",
    "Check",
    "CheckKind",
    "Level",
    "Problem",
    "Report",
    "language_name",
    "validate",
]
