"""What a run's own figures say about it: rules with evidence, and what can be done. Standard library only."""

from engine.insight.diagnosis.curves import Curves, curves_from
from engine.insight.diagnosis.diagnose import diagnose
from engine.insight.diagnosis.reading import curves_of, diagnose_run, finding_of, row_of
from engine.insight.diagnosis.records import LEVELS, Act, Evidence, Finding, Level

__all__ = [
    "LEVELS",
    "Act",
    "Curves",
    "Evidence",
    "Finding",
    "Level",
    "curves_from",
    "curves_of",
    "diagnose",
    "diagnose_run",
    "finding_of",
    "row_of",
]
