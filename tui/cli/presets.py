"""`finetui presets`: recipes to start from."""

from typing import Annotated

import tomli_w
import typer

from tui.cli.command import Session, command
from tui.cli.documents import preset_document
from tui.cli.output import table
from tui.text import clean, clean_line

app = typer.Typer(help="Recipes to start from.", no_args_is_help=True)


@command(app, "ls", example="presets ls")
def ls(session: Session) -> None:
    """List the presets."""
    from engine.presets import list_presets

    presets = list_presets(session.home)
    session.answer(
        [preset_document(preset) for preset in presets],
        lambda: table(("NAME", "FOR"), [(preset.name, preset.problem or preset.description) for preset in presets]),
    )


@command(app, "show", example="presets show quick-look > recipe.toml")
def show(session: Session, preset: Annotated[str, typer.Argument(help="Name of the preset.")]) -> None:
    """Print a preset as a recipe file; `finetui train FILE --dataset D` runs it."""
    from engine.presets import get_preset

    found = get_preset(preset, session.home)
    session.answer(
        preset_document(found),
        lambda: clean(f"# {found.name}: {clean_line(found.description)}\n{tomli_w.dumps(found.values)}"),
    )
