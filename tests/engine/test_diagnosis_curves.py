"""Diagnosis on real curves: runs of the starter model with a fault provoked, and healthy ones."""

import pytest

from benchmarks.diagnosis import CURVES, as_of, measure, on_the_way, read_curves
from benchmarks.diagnosis_cases import CASES, Case
from engine.insight.diagnosis import diagnose

HEALTHY = [case for case in CASES if case.healthy]


@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_a_healthy_run_raises_no_alarm_at_any_time(case: Case) -> None:
    curves = read_curves(case)
    steps = {finding.step for finding in diagnose(curves) if finding.level != "info"}
    assert not steps, diagnose(curves)
    for share, findings in on_the_way(curves):
        assert [finding.code for finding in findings if finding.level != "info"] == [], f"at {share:.0%}"


def test_what_is_wrong_is_found() -> None:
    figures = measure()
    assert figures["runs"] >= 50 and figures["healthy_runs"] >= 20
    assert figures["false_alarms_on_healthy"] == {}
    for part in ("all", "held_out"):
        for code, line in figures[part].items():
            assert line["wrong"] == [], (part, code, line)
            assert line["missed"] in ([], ["leak-noise"]), "its rows are never learnt by heart, so nothing shows"
    found = {code for code, line in figures["all"].items() if line["runs"]}
    assert found >= {"overfitting", "memorisation", "divergence", "not_finite", "frozen", "plateau", "leak"}
    assert found >= {"learning_rate_high", "learning_rate_low", "warmup_missing", "clipping", "no_validation"}


def test_a_run_is_judged_by_what_was_known_then() -> None:
    case = next(case for case in CASES if case.name == "overfit-emoji-40")
    curves = read_curves(case)
    assert curves.best_step is not None
    before = as_of(curves, curves.best_step)
    assert before.live and max(step for step, _ in before.metrics["train/loss"]) == curves.best_step
    assert "overfitting" not in {finding.code for finding in diagnose(before)}
    assert "overfitting" in {finding.code for finding in diagnose(curves)}


def test_the_labelled_set_is_small_and_whole() -> None:
    files = {path.stem: path.stat().st_size for path in CURVES.glob("*.json")}
    assert files.keys() == {case.name for case in CASES}
    assert sum(files.values()) < 300_000
    assert {case.held for case in HEALTHY} == {case.held for case in CASES if not case.healthy} == {True, False}
