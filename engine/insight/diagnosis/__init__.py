"""What a run's own figures say about it: rules with evidence, and what can be done. Standard library only."""

from engine.insight.diagnosis.curves import Curves, curves_from
from engine.insight.diagnosis.diagnose import HEALTHY, diagnose
from engine.insight.diagnosis.keeping import FindingKeeper, keep_findings
from engine.insight.diagnosis.reading import curves_of, diagnose_run, finding_of, plain, row_of
from engine.insight.diagnosis.records import LEVELS, Act, Evidence, Finding, Level

__all__ = [
    "HEALTHY",
    "LEVELS",
    "Act",
    "Curves",
    "Evidence",
    "Finding",
    "FindingKeeper",
    "Level",
    "curves_from",
    "curves_of",
    "diagnose",
    "diagnose_run",
    "finding_of",
    "keep_findings",
    "plain",
    "row_of",
]
