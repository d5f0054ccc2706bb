"""`finetui runs fix`: why a run failed, and the way on, carried out."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.documents import failure_document, run_document
from tui.cli.output import fields
from tui.cli.runs.finding import RunArgument, found
from tui.text import clean

if TYPE_CHECKING:
    from engine.insight.failures import Failure
    from store.records import Run

app = typer.Typer()


@command(app, "fix", example=["runs fix support-3", "runs fix support-3 --dry-run --json"])
def fix(
    session: Session,
    run: RunArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question that comes first with yes.")] = False,
) -> None:
    """Do what is suggested for a run that failed: launch it with the change, or resume it.

    `runs show` says why it failed. A recipe that only you can mend is not launched.
    """
    from engine.insight.failures import Action, failure_of
    from engine.insight.fixing import apply_fix

    it = found(session, run)
    failure = failure_of(session.store, it)
    if failure is None:
        raise BadInput(f"{it.name} is {it.status}: there is nothing to fix.")
    if dry_run:
        document = run_document(it) | {"failure": failure_document(failure)}
        session.answer(document, lambda: failure_text(it, failure))
        return
    if failure.question and not yes and (session.as_json or not typer.confirm(clean(failure.question), err=True)):
        raise BadInput(f"{it.name} was left as it is.", why=failure.question, fix="--yes answers yes.")
    run_id = apply_fix(session.manager, session.store, it, failure)
    session.manager.look()
    now = session.store.runs.get(run_id) or it
    words = {Action.RESUME: "resumed.", Action.LAUNCH: f"this is the {failure.offer}."}[failure.action]
    session.answer(run_document(now), f"{clean(now.name)} ({now.id}): {words}")


def failure_text(run: "Run", failure: "Failure") -> str:
    """What happened, the evidence, and how to go on, with the command for it."""
    command_line = f"finetui runs fix {run.id}   ({failure.offer})"
    if failure.action.value == "edit":
        command_line = f"finetui train {run.dir}/recipe.toml --set FIELD=VALUE"
    return fields(
        [
            ("failure", f"{failure.title} ({failure.code})"),
            ("why", failure.why),
            ("suggested", failure.suggestion),
            ("fix", command_line),
        ]
    )
