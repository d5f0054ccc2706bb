"""`finetui doctor`: what this machine has, and what it lacks."""

import typer

from tui.cli.command import Session, command
from tui.cli.documents import check_document
from tui.cli.output import paint, table
from tui.text import clean

app = typer.Typer()


@command(app, "doctor", example="doctor")
def doctor(session: Session) -> None:
    """Check this machine: Python, torch, CUDA, bitsandbytes, memory, disk, and what to install."""
    from engine.insight.doctor import run_checks

    checks = run_checks(session.home)

    def text() -> str:
        marks = {"✓": "green", "✗": "red"}
        lines = table(
            ("", "CHECK", "FOUND"),
            [("✓" if check.ok else "✗", check.name, check.found) for check in checks],
            style=lambda column, cell: marks.get(cell) if column == 0 else None,
        )
        fixes = [f"  {clean(check.name)}: {clean(check.fix)}" for check in checks if not check.ok and check.fix]
        return "\n".join([lines, *(["", paint("What to do", "bold"), *fixes] if fixes else [])])

    session.answer({"checks": [check_document(check) for check in checks]}, text)
