"""`finetui runs`: the runs of this home, what they did, and what to do with them."""

import typer

from tui.cli.runs import acting, comparing, diagnosing, explaining, importing, lineage, listing, numbers, views

app = typer.Typer(help="Runs: list, look, stop, resume, fix, compare.", no_args_is_help=True)
for part in (listing, numbers, acting, explaining, diagnosing, lineage, comparing, importing):
    app.add_typer(part.app)
app.add_typer(views.app, name="views")
