"""`finetui runs views ls | save | rm`: filters with their order that are kept under names."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.output import table
from tui.text import clean_line

if TYPE_CHECKING:
    from store import Store
    from store.records import View

app = typer.Typer(help="Views: filters of runs that are kept under a name.", no_args_is_help=True)

KIND = "runs"
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The view's name.")]
FilterOption = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="QUERY",
        help="As in the app: words, status:running, tag:a, cfg.lora_r>=16, eval/loss.min<1.2, started<7d.",
        show_default=False,
    ),
]
SORT_HELP = "Field, setting (cfg.lora_r) or metric (eval/loss.min) to sort by, largest or newest first."
ReverseOption = Annotated[bool, typer.Option("--reverse", help="Smallest or oldest first.")]


@command(app, "ls", example="runs views ls")
def ls(session: Session) -> None:
    """List the views."""
    views = session.store.views.all(KIND)

    def text() -> str:
        if not views:
            return "No views. `finetui runs views save best --filter 'status:done' --sort eval/loss.min` keeps one."
        rows = [(view.name, view.query, view.sort, "" if view.descending else "reverse") for view in views]
        return table(("NAME", "FILTER", "SORT", "ORDER"), rows)

    session.answer([view_document(view) for view in views], text)


@command(app, "save", example="runs views save best --filter 'status:done' --sort eval/loss.min --reverse")
def save(
    session: Session,
    name: NameArgument,
    filter_: FilterOption = "",
    sort: Annotated[str, typer.Option(metavar="KEY", help=SORT_HELP)] = "created",
    reverse: ReverseOption = False,
) -> None:
    """Keep a filter and an order under a name, in place of a view that has it already."""
    from store.records import View

    name = clean_line(name).strip()
    if not name:
        raise BadInput("A view needs a name.", fix="For example: finetui runs views save best --filter status:done")
    store = session.store
    store.runs.order(filter_, sort=sort)  # what is kept can be asked
    view = View(KIND, name, filter_, sort, not reverse)
    store.views.save(view)
    session.answer(view_document(view), f"Saved. `finetui runs ls --view {_shell(name)}` shows it.")


@command(app, "rm", example="runs views rm best")
def rm(session: Session, name: NameArgument) -> None:
    """Forget a view. Its runs stay."""
    view = named(session.store, name)
    session.store.views.delete(KIND, view.name)
    session.answer(view_document(view), f"Forgot the view {clean_line(view.name)}.")


def named(store: "Store", name: str) -> "View":
    """The view of that name, in any case. Raises `BadInput` with those that there are."""
    views = store.views.all(KIND)
    found = [view for view in views if view.name == name] or [
        view for view in views if view.name.casefold() == name.casefold()
    ]
    if not found:
        there = f"Views: {', '.join(clean_line(view.name) for view in views)}." if views else "There are none yet."
        raise BadInput(
            f"There is no view {name!r}.", why=there, fix="`finetui runs views save NAME --filter …` makes one."
        )
    return found[0]


def view_document(view: "View") -> dict[str, Any]:
    return {"name": view.name, "filter": view.query, "sort": view.sort, "descending": view.descending}


def _shell(name: str) -> str:
    import shlex

    return shlex.quote(name)
