"""`finetui models`: the base models that this machine can train."""

from typing import Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.documents import model_document
from tui.cli.output import fields, table
from tui.format import fmt_bytes, fmt_count

app = typer.Typer(help="Base models on this machine.", no_args_is_help=True)


@command(app, "ls", example="models ls --json")
def ls(session: Session) -> None:
    """List the base models: the starter model and those in the Hugging Face cache."""
    from engine.models import list_models

    models = list_models(session.home)
    session.answer(
        [model_document(model) for model in models],
        lambda: table(
            ("NAME", "KIND", "PARAMETERS", "SIZE", "STATE"),
            [
                (
                    model.name,
                    model.kind,
                    fmt_count(model.parameters),
                    fmt_bytes(model.size_bytes),
                    model.problem or ("ready" if model.ready else "built when first used"),
                )
                for model in models
            ],
            right=("PARAMETERS", "SIZE"),
        ),
    )


@command(app, "show", example="models show starter")
def show(
    session: Session, model: Annotated[str, typer.Argument(help="`starter`, a model folder, or a hub name.")]
) -> None:
    """Show one base model: its size, its architecture, whether it has a chat template."""
    from engine.models import resolve_model

    info = resolve_model(model, session.home)
    session.answer(
        model_document(info),
        lambda: fields(
            [
                ("name", info.name),
                ("kind", info.kind),
                ("path", info.path),
                ("architecture", info.architecture),
                ("parameters", fmt_count(info.parameters)),
                ("size", fmt_bytes(info.size_bytes)),
                ("chat template", "yes" if info.has_template else "no"),
                ("ready", "yes" if info.ready else "no"),
                ("problem", info.problem),
            ]
        ),
    )
