"""The validation of a dataset: one pass over its rows, near-duplicates, then everything weighed into a report."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from engine.datasets.quality import duplicates, length, scoring, whole
from engine.datasets.quality.catalogue import CATALOGUE, ORDER
from engine.datasets.quality.findings import LISTED, Outcome
from engine.datasets.quality.language import SAMPLED, check_languages, sample, shares
from engine.datasets.quality.leakage import check_leakage
from engine.datasets.quality.measure import COLUMNS, SPLITS
from engine.datasets.quality.report import Check, Problem, Report
from engine.datasets.quality.tally import Look, Tally, inspect_rows
from engine.datasets.rows import kind_of
from engine.datasets.scan import scan
from store.records import Dataset

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary

NEAR = 0.9
"""How alike near-duplicates are by default."""

Progress = Callable[[float], None]
IsCancelled = Callable[[], bool]


def validate(
    library: "DatasetLibrary",
    dataset: Dataset,
    *,
    near: float | None = NEAR,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Report:
    """The report on a dataset, which is also kept beside it with its grade in the store.

    `near` is how alike near-duplicates are (see `near_groups`), `None` for not looking for any. Raises `Cancelled`,
    `BadInput` for a `near` that cannot be.
    """
    from engine.datasets.similarity import check_threshold, exact_groups, near_between, near_groups

    if near is not None:
        check_threshold(near)
    kind = kind_of(dataset.shape)
    look = Look(kind, sample(dataset.rows))
    tally = Tally()
    inspected = 0.98 if near is None else 0.5
    path = library.path(dataset.id)
    for part in scan(path, inspect_rows, look, progress=_part(progress, 0.0, inspected), cancelled=cancelled):
        tally.add(part)
    exact = exact_groups(library, dataset)
    near_same: list[list[int]] = []
    leaks: list[tuple[int, int]] = []
    if near is not None:
        near_same = near_groups(library, dataset, near, progress=_part(progress, 0.5, 0.95), cancelled=cancelled)
        leaks = near_between(library, dataset, near, cancelled=cancelled)
    outcomes = [
        *weigh(tally, kind, exact, leaks),
        *duplicates.check_near_duplicates(near_same, exact, near or NEAR, tally.rows),
    ]
    notes = []
    if tally.rows > SAMPLED:
        notes.append(f"Languages were told in a sample of {SAMPLED:,} rows.")
    if near is None:
        notes.append("Near-duplicates were not looked for.")
    report = make_report(outcomes, tally, kind, library.tokens(dataset.id), notes)
    library.save_report(dataset.id, report.to_json())
    if progress is not None:
        progress(1.0)
    return report


def weigh(
    tally: Tally, kind: str, exact: Iterable[list[int]] = (), leaks: Iterable[tuple[int, int]] = ()
) -> list[Outcome]:
    """What all rows together come to. `exact` are groups of equal rows, `leaks` rows alike across splits."""
    rows = tally.rows
    columns = {name: tally.column(name) for name in COLUMNS}
    groups = list(exact)
    return [
        *whole.check_size(rows, kind),
        *whole.check_splits(columns["split"], kind),
        *whole.check_verdicts(columns["label"], kind),
        *whole.check_pairs(columns, kind),
        *whole.check_openings(tally.openings, rows),
        *whole.check_metadata(tally.metadata, rows),
        *check_leakage(columns, list(leaks)),
        *duplicates.check_duplicates(groups, rows),
        *duplicates.check_answers_to_one_prompt(columns, kind),
        *duplicates.check_common_answers(columns, kind, duplicates.repeated(groups, rows)),
        *duplicates.check_echoes(columns),
        *length.check_lengths(columns, kind),
        *check_languages(tally.spoken, kind, rows),
        *(Outcome(code, count, count / rows, tally.found[code]) for code, count in tally.counts.items()),
    ]


def make_report(
    outcomes: Iterable[Outcome],
    tally: Tally,
    kind: str,
    tokens: dict[str, dict[str, Any]] | None = None,
    notes: Iterable[str] = (),
) -> Report:
    """The outcomes in the catalogue's order, graded; a prompt suite is not graded down for what training would need."""
    ordered = sorted(outcomes, key=lambda outcome: ORDER[outcome.code])
    grade, left = scoring.score(ordered)
    checks = [_check(outcome, tally.rows) for outcome in ordered]
    checks.sort(key=lambda check: ("error", "warning", "info").index(check.level))
    return Report(
        grade=grade,
        score=left,
        reasons=scoring.reasons(ordered, tally.rows, kind),
        checks=checks,
        problems=_problems(ordered),
        warnings=[check.message for check in checks if check.level != "info"],
        figures=figures(tally, kind, tokens or {}),
        notes=list(notes),
    )


def _check(outcome: Outcome, rows: int) -> Check:
    kind = CATALOGUE[outcome.code]
    return Check(
        code=outcome.code,
        title=kind.title,
        level=kind.level,
        count=outcome.count,
        rows=sorted({found.position + 1 for found in outcome.found}),
        message=scoring.sentence(outcome, rows),
        fix=kind.fix,
        points=scoring.points(outcome),
    )


def _problems(outcomes: Iterable[Outcome]) -> list[Problem]:
    """The errors and warnings of single rows, in row order."""
    problems = [
        Problem(found.position + 1, found.field, found.problem, outcome.code, CATALOGUE[outcome.code].level)
        for outcome in outcomes
        if CATALOGUE[outcome.code].level != "info"
        for found in outcome.found
    ]
    problems.sort(key=lambda problem: (problem.row, ORDER[problem.code]))
    return problems[:LISTED]


def figures(tally: Tally, kind: str, tokens: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Figures of the rows; see `Report`."""
    splits = tally.column("split")
    names = (*SPLITS, "other")
    told: dict[str, Any] = {
        "rows": tally.rows,
        "splits": {name: int((splits == place).sum()) for place, name in enumerate(names) if (splits == place).any()},
        "turns_mean": _mean(tally.column("turns")),
        "prompt_chars": length.figures(tally.column("prompt_chars")),
        "answer_chars": length.figures(tally.column("answer_chars")),
        "row_chars": length.figures(tally.column("row_chars")),
        "prompt_words_mean": _mean(tally.column("prompt_words")),
        "answer_words_mean": _mean(tally.column("answer_words")),
        "emoji_mean": _mean(tally.column("emoji")),
        "languages": shares([one.prompt if kind == "prompts" else one.answer for one in tally.spoken]),
        "prompt_languages": shares([one.prompt for one in tally.spoken]),
    }
    if kind == "preference":
        told["chosen_longer"] = round(whole.longer_chosen(tally.column("longer"))[0], 4)
    if kind == "kto":
        labels = tally.column("label")
        told["labels"] = {"good": int((labels == 1).sum()), "bad": int((labels == 0).sum())}
    if tokens:
        counted = next(reversed(tokens.values()))  # counted last
        told["tokens"] = {key: counted[key] for key in ("tokenizer", "mean", "p50", "p95", "max") if key in counted}
    return told


def _mean(values: Any) -> float:
    return round(float(values.mean()), 2) if len(values) else 0.0


def _part(progress: Progress | None, start: float, end: float) -> Progress | None:
    """The progress of a part of the work, as a share of all."""
    return None if progress is None else (lambda share: progress(start + share * (end - start)))
