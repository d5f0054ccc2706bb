"""How well diagnosis tells what is wrong with a run: `python -m benchmarks.diagnosis`.

Judges the curves in `tests/engine/curves`, which real training of the starter model left with a fault provoked, or
with none (`benchmarks.diagnosis_cases`), and reports precision and recall of every rule: over all runs, and over those
alone that were left out when the rules were tuned. Every run is also judged as it stood while it went on, at each tenth
of it: a healthy one must not raise an alarm at any time, and what is found in the others is found so early.

`--train MODEL WORK` trains first, with the starter model's folder and a folder for the runs, and writes the curves
anew; that takes half an hour and more.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.diagnosis_cases import CASES, PLAIN, Case
from benchmarks.machine import record
from engine.insight.diagnosis import Curves, Finding, curves_from, diagnose
from engine.insight.diagnosis.rules import RULES
from engine.recipe import make_recipe, without_auto
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir

CURVES = Path(__file__).parents[1] / "tests" / "engine" / "curves"
DIGITS = {
    "train/loss": 4,
    "eval/loss": 6,
    "train/grad_norm": 3,
    "train/learning_rate": 3,
    "train/tokens_per_s": 3,
}
"""Metrics that are kept of a run, and the digits of their values."""

FACTS = ("step", "total_steps", "status", "failure", "epoch", "train_rows", "eval_rows", "train_tokens", "best_step")
CODES = (*(rule.code for rule in RULES), "healthy")
TENTHS = 10


def recipe_of(case: Case) -> dict[str, Any]:
    """What the case was trained with."""
    return without_auto(make_recipe(PLAIN | dict(case.changes))).model_dump(mode="json")


def write_curves(case: Case, run: RunDir) -> None:
    """Keep what the run of a case left, rounded."""
    curves = curves_from(read_events(run.events).events)
    metrics: dict[str, Any] = {}
    for name, digits in DIGITS.items():
        points = curves.metrics.get(name, [])
        steps = [step for step, _ in points]
        values = [float(f"{value:.{digits}g}") for _, value in points]
        told = [
            int(value) if value == value and abs(value) < 1e6 and value == int(value) else value for value in values
        ]
        plain = [value if value == value and abs(value) != float("inf") else str(value) for value in told]
        whole = steps == list(range(1, len(steps) + 1))
        metrics[name] = {"values": plain} if whole else {"steps": steps, "values": plain}
    document = {name: getattr(curves, name) for name in FACTS} | {"checkpoints": list(curves.checkpoints)}
    CURVES.mkdir(exist_ok=True)
    text = json.dumps(document | {"metrics": metrics}, separators=(",", ":"), allow_nan=False)
    (CURVES / f"{case.name}.json").write_text(text + "\n", encoding="utf-8")


def read_curves(case: Case) -> Curves:
    """The curves of a case as they were kept."""
    told = json.loads((CURVES / f"{case.name}.json").read_text(encoding="utf-8"))
    metrics = {}
    for name, points in told.pop("metrics").items():
        steps = points.get("steps") or range(1, len(points["values"]) + 1)
        metrics[name] = list(zip(steps, map(float, points["values"]), strict=True))
    told["checkpoints"] = tuple(told["checkpoints"])
    return Curves(metrics=metrics, recipe=recipe_of(case), device="cpu", **told)


def as_of(curves: Curves, step: int) -> Curves:
    """The run as it stood after `step`, while it trained."""
    best = min(
        (point for point in curves.metrics.get("eval/loss", []) if 0 < point[0] <= step),
        key=lambda point: point[1],
        default=None,
    )
    return replace(
        curves,
        metrics={name: [point for point in points if point[0] <= step] for name, points in curves.metrics.items()},
        step=step,
        status="training",
        failure="",
        epoch=(curves.epoch or 0.0) * step / curves.step if curves.step else None,
        best_step=best[0] if best else None,
        checkpoints=tuple(at for at in curves.checkpoints if at <= step),
    )


def on_the_way(curves: Curves) -> list[tuple[float, list[Finding]]]:
    """What is found at each tenth of the run: the share of it that is done, and the findings."""
    steps = sorted({max(1, curves.step * tenth // TENTHS) for tenth in range(1, TENTHS)})
    return [(step / (curves.total_steps or curves.step or 1), diagnose(as_of(curves, step))) for step in steps]


def alarms(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings if finding.level != "info"]


def score(cases: Iterable[Case], find: Callable[[Case], set[str]]) -> dict[str, dict[str, Any]]:
    """By rule: how many runs have the fault, how many were told so, how many wrongly; precision and recall."""
    chosen = [(case, find(case)) for case in cases]
    outcome = {}
    for code in CODES:
        right = sum(code in case.must and code in found for case, found in chosen)
        wrong = sorted(case.name for case, found in chosen if code in found and code not in case.must | case.may)
        missed = sorted(case.name for case, found in chosen if code in case.must and code not in found)
        if right or wrong or missed:
            outcome[code] = {
                "runs": right + len(missed),
                "precision": round(right / (right + len(wrong)), 3) if right or wrong else None,
                "recall": round(right / (right + len(missed)), 3) if right or missed else None,
                "wrong": wrong,
                "missed": missed,
            }
    return outcome


def measure() -> dict[str, Any]:
    """All figures."""
    curves = {case.name: read_curves(case) for case in CASES}
    found = {case.name: diagnose(curves[case.name]) for case in CASES}
    codes = {name: {one.code for one in findings} for name, findings in found.items()}
    early: dict[str, list[float]] = {}
    false_alarms = {case.name: alarms(found[case.name]) for case in CASES if case.healthy}
    for case in CASES:
        way = on_the_way(curves[case.name])
        if case.healthy:
            false_alarms[case.name] += [code for _, findings in way for code in alarms(findings)]
        for code in case.must & codes[case.name] - {"healthy"}:
            first = next((at for at, findings in way if code in {one.code for one in findings}), None)
            done = curves[case.name].progress or 1.0
            early.setdefault(code, []).append(first if first is not None else done)
    healthy = [case for case in CASES if case.healthy]
    return {
        "runs": len(CASES),
        "healthy_runs": len(healthy),
        "false_alarms_on_healthy": {name: sorted(set(said)) for name, said in false_alarms.items() if said},
        "all": score(CASES, lambda case: codes[case.name]),
        "held_out": score((case for case in CASES if case.held), lambda case: codes[case.name]),
        "found_at_share_of_run": {code: round(median(shares), 2) for code, shares in sorted(early.items())},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs=2, type=Path, metavar=("MODEL", "WORK"))
    options = parser.parse_args()
    if options.train:
        from benchmarks.diagnosis_train import train_all

        model, work = options.train
        train_all(list(CASES), model, work)
        for case in CASES:
            write_curves(case, RunDir(work / case.name))
    figures = measure()
    print(f"{'':20}{'runs':>5}{'precision':>11}{'recall':>8}   held out: {'runs':>4}{'precision':>11}{'recall':>8}")
    for code, line in figures["all"].items():
        held = figures["held_out"].get(code, {})
        print(
            f"{code:20}{line['runs']:5}{_share(line):>11}{_share(line, 'recall'):>8}"
            f"{held.get('runs', 0):>17}{_share(held):>11}{_share(held, 'recall'):>8}"
        )
    print(f"false alarms on {figures['healthy_runs']} healthy runs: {figures['false_alarms_on_healthy'] or 'none'}")
    print(record("diagnosis", figures))


def _share(line: dict[str, Any], name: str = "precision") -> str:
    value = line.get(name)
    return "–" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
