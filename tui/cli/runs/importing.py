"""`finetui runs import`: the history of other trackers, trainers and machines becomes runs of this home."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.output import Progress, paint, table
from tui.format import fmt_when
from tui.text import clean, clean_line
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from engine.history import Findings, FoundRun, Imported, Outcome

app = typer.Typer()
PROBLEMS = 10


@command(
    app,
    "import",
    example=[
        "runs import wandb/",
        "runs import outputs/my-model --name first-try --tag old",
        "runs import ~/.cache/huggingface/trackio --dry-run",
        "runs import mlflow.db --json",
    ],
)
def import_(
    session: Session,
    path: Annotated[
        str, typer.Argument(metavar="DIR|FILE", help="Where the runs are; a folder with many imports all.")
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name, where it is one run; else their own.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Tag all of them; repeat it.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be imported; import nothing.")] = False,
) -> None:
    """Import past runs: of W&B (offline), TensorBoard, Trackio, MLflow, the Trainer, or another machine's finetui.

    What kind of files they are is found out. A run that was imported before is brought up to date, never doubled. Of
    damaged files, what can be read is imported, and the rest is named.
    """
    from engine.history import find_history, import_history
    from engine.runs.launcher import clean_name

    wanted = clean_name(name) if name is not None else None
    tags = [clean_name(one, "tag") for one in tag or []]
    with session.progress() as progress:
        findings = find_history(Path(path), lambda folders: progress.update("looking", None, f"{folders:,} folders"))
        if wanted and len(findings.runs) > 1:
            raise BadInput(
                f"{count_words(len(findings.runs), 'run')} were found, and a name is for one.",
                fix="Leave out --name; --tag marks all of them.",
            )
        if dry_run:
            progress.clear()
            _show(session, findings)
            return
        outcome = import_history(
            session.home, session.store, findings.runs, name=wanted, tags=tags, progress=_told(progress)
        )
    document = {
        **{what: outcome.count(what) for what in ("imported", "updated", "unchanged", "failed")},
        "runs": [_document(run) for run in outcome.runs],
        "problems": findings.problems,
    }
    session.answer(document, lambda: outcome_text(outcome, findings.problems))
    if not outcome.ids:
        raise typer.Exit(1)


def _told(progress: Progress) -> Any:
    def told(what: str, share: float) -> None:
        progress.update("importing", share, clean_line(what))

    return told


def _document(run: "Imported") -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "source": run.source,
        "outcome": run.outcome,
        "points": run.points,
        "skipped": run.skipped,
        "problems": list(run.problems),
    }


def _show(session: Session, findings: "Findings") -> None:
    from engine.history.importing import run_id_of, state_of

    states = [state_of(session.home, run) for run in findings.runs]
    document = {
        "runs": [
            {
                "id": run_id_of(run),
                "name": run.name,
                "source": run.source,
                "path": str(run.path),
                "created": run.created,
                "state": state,
            }
            for run, state in zip(findings.runs, states, strict=True)
        ],
        "problems": findings.problems,
    }

    def text() -> str:
        rows = [_line(run, state) for run, state in zip(findings.runs, states, strict=True)]
        found = table(("NAME", "FROM", "STARTED", "HERE", "PATH"), rows, optional=("PATH", "STARTED"))
        return "\n\n".join([found, *_problem_text(findings.problems), "Nothing was imported; without --dry-run it is."])

    session.answer(document, text)


def _line(run: "FoundRun", state: str) -> tuple[str, ...]:
    words = {"new": "new", "more": "has changed", "here": "yes"}
    return run.name, run.source, fmt_when(run.created) if run.created else "", words[state], str(run.path)


def outcome_text(outcome: "Outcome", problems: list[str]) -> str:
    """What came of an import, for people."""
    rows = [
        (run.name, run.source, run.outcome, f"{run.points:,}" if run.points else "", run.id)
        for run in outcome.runs
        if run.outcome != "unchanged"
    ]
    parts = []
    if rows:
        parts.append(table(("NAME", "FROM", "", "POINTS", "ID"), rows, right=("POINTS",), style=_colour))
    parts += _problem_text([*problems, *(f"{run.name}: {problem}" for run in outcome.runs for problem in run.problems)])
    parts += [clean(skipped_words(outcome))] if skipped_words(outcome) else []
    parts.append(counted(outcome))
    return "\n\n".join(parts)


def _colour(column: int, cell: str) -> str | None:
    return "red" if column == 2 and cell == "failed" else None


def counted(outcome: "Outcome") -> str:
    """`3 runs imported, 1 updated, 12 here already.`"""
    words = (
        ("imported", "imported"),
        ("updated", "updated"),
        ("unchanged", "here already"),
        ("failed", "not readable"),
    )
    counts = [(outcome.count(what), said) for what, said in words]
    said = [f"{count:,} {word}" for count, word in counts if count]
    first, *rest = said or ["0 imported"]
    number, _, word = first.partition(" ")
    noun = "run" if number == "1" else "runs"
    return f"{', '.join([f'{number} {noun} {word}', *rest])}."


def skipped_words(outcome: "Outcome") -> str:
    """What was left out, because there is no place for it here: `Left out: 12 histograms, 3 images.`"""
    counts: dict[str, int] = {}
    for run in outcome.runs:
        for what, count in run.skipped.items():
            counts[what] = counts.get(what, 0) + count
    listed = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
    return f"Left out, because only numbers are taken over: {listed}." if listed else ""


def _problem_text(problems: list[str]) -> list[str]:
    if not problems:
        return []
    lines = [f"  {clean_line(problem)}" for problem in problems[:PROBLEMS]]
    more = len(problems) - len(lines)
    lines += [f"  and {more:,} more"] * (more > 0)
    return ["\n".join([paint("These could not be read:", "yellow"), *lines])]
