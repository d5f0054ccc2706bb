"""`finetui datasets`: import data, check it, make versions of it, and see what a model will see."""

import typer

from tui.cli.datasets import (
    combining,
    comparing,
    editing,
    exporting,
    importing,
    listing,
    rendering,
    reporting,
    selecting,
    splitting,
    tokens,
)

app = typer.Typer(
    help="Datasets: imported once, then immutable; what is changed is a new version.", no_args_is_help=True
)
for part in (
    importing,
    listing,
    reporting,
    splitting,
    selecting,
    combining,
    editing,
    tokens,
    rendering,
    comparing,
    exporting,
):
    app.add_typer(part.app)
