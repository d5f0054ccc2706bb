"""`finetui runs diagnose`: what a run's own figures say about it, and what can be done."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.documents import run_document
from tui.cli.output import fields
from tui.cli.runs.finding import RunArgument, found
from tui.format import fmt_number
from tui.text import clean

if TYPE_CHECKING:
    from engine.insight.diagnosis import Act, Evidence, Finding
    from store.records import Run

app = typer.Typer()


@command(
    app, "diagnose", example=["runs diagnose demo", "runs diagnose demo --json", "runs diagnose demo --do overfitting"]
)
def diagnose(
    session: Session,
    run: RunArgument,
    do: Annotated[
        str | None,
        typer.Option("--do", metavar="CODE", help="Do what is offered about this finding.", show_default=False),
    ] = None,
    act: Annotated[int, typer.Option("--act", metavar="N", help="The N-th offer, where there are several.", min=1)] = 1,
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question that comes first with yes.")] = False,
) -> None:
    """Say what a run's curves show: overfitting, divergence, a learning rate that does not fit, and so on.

    Each finding comes with the points that it rests on, how sure it is, and what can be done; --do does it.
    """
    from engine.insight.diagnosis import diagnose_run, keep_findings

    it = found(session, run)
    findings = diagnose_run(session.store, it)
    keep_findings(session.store, it)
    if do is not None:
        _do(session, it, findings, do, act, yes)
        return
    dismissed = {row.code for row in session.store.findings.of(it.id) if row.dismissed is not None}
    document = {
        "id": it.id,
        "name": it.name,
        "findings": [_document(finding, finding.code in dismissed) for finding in findings],
    }
    session.answer(document, lambda: _text(it, findings, dismissed))


def _do(session: Session, run: "Run", findings: Sequence["Finding"], code: str, number: int, yes: bool) -> None:
    from engine.insight.acting import apply_act

    finding = next((one for one in findings if one.code == code), None)
    if finding is None:
        there = ", ".join(one.code for one in findings if one.acts)
        raise BadInput(
            f"{run.name} has no finding {code}.", fix=f"It has {there}." if there else "It has none to act on."
        )
    if number > len(finding.acts):
        raise BadInput(
            f"There is no offer {number} about {code}.",
            fix=f"There are {len(finding.acts)}." if finding.acts else "There is nothing that finetui could do.",
        )
    act = finding.acts[number - 1]
    if act.question and not yes and (session.as_json or not typer.confirm(clean(act.question), err=True)):
        raise BadInput(f"{run.name} was left as it is.", why=act.question, fix="--yes answers yes.")
    run_id = apply_act(session.manager, session.store, run, act)
    session.manager.look()
    now = session.store.runs.get(run_id) or run
    session.answer(run_document(now), f"{clean(now.name)} ({now.id}): {act.offer}.")


def _document(finding: "Finding", dismissed: bool) -> dict[str, Any]:
    from engine.insight.diagnosis import plain

    return plain(finding) | {"dismissed": dismissed}


def _text(run: "Run", findings: Sequence["Finding"], dismissed: set[str]) -> str:
    if not findings:
        return f"{clean(run.name)}: nothing to be seen yet. It takes some ten steps to tell."
    return "\n\n".join(_finding_text(run, one, one.code in dismissed) for one in findings)


def _finding_text(run: "Run", finding: "Finding", dismissed: bool) -> str:
    rows = [
        (finding.level, f"{finding.title}{' (ignored)' if dismissed else ''}"),
        ("code", f"{finding.code}, {finding.confidence:.0%} sure"),
        ("why", finding.why),
        *(("evidence", _evidence_text(one)) for one in finding.evidence),
        *(("offer", _offer_text(run, finding, number, one)) for number, one in enumerate(finding.acts, 1)),
    ]
    return fields(rows)


def _evidence_text(evidence: "Evidence") -> str:
    points = ", ".join(
        f"{fmt_number(value)} at {step:,}" for step, value in zip(evidence.steps, evidence.values, strict=True)
    )
    return f"{evidence.metric} {evidence.words}: {points}"


def _offer_text(run: "Run", finding: "Finding", number: int, act: "Act") -> str:
    if act.code == "data":
        return f"{act.offer}: finetui datasets validate {run.dataset_id or run.dataset}"
    choice = f" --act {number}" if number > 1 else ""
    return f"{act.offer}: finetui runs diagnose {run.id} --do {finding.code}{choice}"
