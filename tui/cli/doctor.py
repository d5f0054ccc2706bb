"""`finetui doctor`: what this machine has, what it lacks, and a file for a bug report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.cli.command import Session, command
from tui.cli.documents import check_document
from tui.cli.output import paint, table
from tui.text import clean

if TYPE_CHECKING:
    from engine.insight.checks.check import Check

app = typer.Typer()


@command(app, "doctor", example=["doctor", "doctor --hub", "doctor --bundle finetui-report.zip"])
def doctor(
    session: Session,
    hub: Annotated[bool, typer.Option("--hub", help="Ask the hub too, over the network.")] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="FILE", help="Write a zip file for a bug report; no secrets.", show_default=False
        ),
    ] = None,
) -> None:
    """Check this machine: what must be right for finetui to work here, and how to mend what is not."""
    from engine.insight.doctor import run_checks

    checks = run_checks(session.home, ask_hub=hub)
    document: dict[str, Any] = {"checks": [check_document(check) for check in checks]}
    written: list[str] = []
    if bundle is not None:
        from engine.insight.checks.packages import installed_version
        from engine.insight.doctor_bundle import write_bundle

        target = bundle.expanduser().absolute()
        written = write_bundle(target, session.home, checks, installed_version("finetui") or "")
        document["bundle"] = {"path": str(target), "files": written}
    session.answer(document, lambda: "\n".join([_text(checks), *_about(bundle, written)]))


def _text(checks: "list[Check]") -> str:
    marks = {"✓": "green", "✗": "red"}
    lines = table(
        ("", "CHECK", "FOUND"),
        [("✓" if check.ok else "✗", check.name, check.found) for check in checks],
        style=lambda column, cell: marks.get(cell) if column == 0 else None,
    )
    fixes = [f"  {clean(check.name)}: {clean(check.fix)}" for check in checks if not check.ok]
    return "\n".join([lines, "", *([paint("What to do", "bold"), *fixes] if fixes else ["Everything is right."])])


def _about(bundle: Path | None, files: list[str]) -> list[str]:
    if bundle is None:
        return []
    return ["", f"{clean(str(bundle))} holds {len(files)} files for a bug report. Read them before you pass them on."]
