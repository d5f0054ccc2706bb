"""`finetui alerts`: who is told when a run ends, fails, falls silent or shows a fault."""

import typer

from engine.errors import FinetuiError
from tui.cli.command import Session, command
from tui.cli.output import fields
from tui.text import clean

app = typer.Typer(
    help="Alerts: who is told when a run ends, fails, falls silent or shows a fault.", no_args_is_help=True
)


@command(app, "show", example="alerts show")
def show(session: Session) -> None:
    """Show who is told of what, as `settings.toml` says."""
    from engine.notices.settings import read_notice_settings

    path = session.home.root / "settings.toml"
    settings = read_notice_settings(path)
    document = {
        "on": sorted(settings.on),
        "bell": settings.bell,
        "terminal": settings.terminal,
        "command": list(settings.command),
        "webhook": settings.webhook_host or None,
        "webhook_format": settings.webhook_format,
        "settings": str(path),
    }
    rows = [
        ("told of", ", ".join(sorted(settings.on)) or "nothing"),
        ("in the app", f"a line{', the bell' if settings.bell else ''}; desktop: {settings.terminal}"),
        ("command", clean(" ".join(settings.command)) or "none"),
        ("web address", f"{settings.webhook_host} as {settings.webhook_format}" if settings.webhook else "none"),
        ("settings", f"{clean(str(path))}, under [alerts]"),
    ]
    session.answer(document, lambda: fields(rows))


@command(app, "test", example="alerts test")
def test(session: Session) -> None:
    """Send an alert by the command and to the web address that the settings name, to see that it arrives."""
    from engine.errors import BadInput
    from engine.notices.kinds import Kind
    from engine.notices.notice import Notice
    from engine.notices.send import send
    from engine.notices.settings import read_notice_settings

    path = session.home.root / "settings.toml"
    settings = read_notice_settings(path)
    if not (settings.command or settings.webhook):
        raise BadInput(
            "There is nobody to send an alert to.",
            why=f"{path} names neither a command nor a webhook under [alerts].",
            fix='Write there, for example: webhook = "https://ntfy.sh/your-topic" and webhook_format = "text".',
        )
    words = "This is how finetui tells you of your runs."
    kind = next(iter(sorted(settings.on)), Kind.ENDED)
    problems = send(Notice(kind, "", "test", "An alert from finetui", words, "info", ""), settings)
    if problems:
        raise FinetuiError("The alert did not arrive.", why="\n".join(problems))
    told = ["the command"] if settings.command else []
    told += [settings.webhook_host] if settings.webhook else []
    session.answer({"sent": True, "to": told}, f"Sent to {' and '.join(told)}.")
