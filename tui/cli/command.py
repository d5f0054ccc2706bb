"""What every command has in common: `--json`, `--home`, an example in its help, and errors that a person can read."""

import functools
import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.home import Home, find_home
from tui.cli import failure, output

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from engine.runs.manager import RunManager
    from store import Store

HomeOption = Annotated[
    Path | None, typer.Option("--home", metavar="DIR", help="finetui's folder, over $FINETUI_HOME.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


class Session:
    """One call of a command: where things are, how to answer. The store opens on first use."""

    def __init__(self, home: Home, as_json: bool) -> None:
        self.home = home
        self.as_json = as_json
        self.answered = False

    @cached_property
    def store(self) -> "Store":
        from store import open_store

        return open_store(self.home.ensure().db)

    @cached_property
    def manager(self) -> "RunManager":
        from engine.runs.manager import RunManager

        return RunManager(self.home, self.store)

    @cached_property
    def library(self) -> "DatasetLibrary":
        from engine.datasets.library import DatasetLibrary

        return DatasetLibrary(self.home, self.store)

    def current(self) -> "Store":
        """The store, with what live runs have written since it was last looked at."""
        self.manager.look()
        return self.store

    def answer(self, document: Any, text: str | Callable[[], str]) -> None:
        """The result of the command, given once: `document` with `--json`, else `text`."""
        self.answered = True
        if self.as_json:
            output.write_json(document)
        else:
            shown = text if isinstance(text, str) else text()
            if shown:
                output.write(shown)

    def progress(self) -> output.Progress:
        return output.Progress()

    def close(self) -> None:
        """Close what was opened, the store last. What is used again afterwards opens again."""
        for name in ("library", "manager", "store"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()


def command(
    app: typer.Typer, name: str, *, example: str | Sequence[str]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a function to `app` as the command `name`; with an empty name, as what `app` does without a command.

    The function's first parameter is the `Session`; the rest are its own arguments and options. `example` is what the
    help shows, without the leading `finetui`.
    """
    examples = [example] if isinstance(example, str) else example
    epilog = "\b\n" + "\n".join([f"Example{'s' * (len(examples) > 1)}:", *(f"  finetui {line}" for line in examples)])

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(ctx: typer.Context, **given: Any) -> None:
            if ctx.invoked_subcommand is not None:
                return
            chosen = given.pop("home") or _home_of(ctx)
            session = Session(find_home(chosen), given.pop("as_json"))
            try:
                function(session, **given)
            except (typer.Exit, typer.Abort, BrokenPipeError, typer.BadParameter):
                raise
            except Exception as error:
                if session.as_json and not session.answered:
                    output.write_json(failure.error_document(error))
                raise typer.Exit(failure.report(error, session.home)) from error
            finally:
                session.close()

        run.__signature__ = _signature(function)  # type: ignore[attr-defined]
        (app.command(name, epilog=epilog) if name else app.callback(invoke_without_command=True, epilog=epilog))(run)
        return function

    return register


def _home_of(ctx: typer.Context) -> Path | None:
    """`--home` as it was given before the command's name."""
    above = ctx.parent
    while above is not None:
        if chosen := above.params.get("home"):
            return Path(chosen)
        above = above.parent
    return None


def _signature(function: Callable[..., None]) -> inspect.Signature:
    """The function's own parameters, without the session, and with `--json` and `--home` at the end."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = list(inspect.signature(function).parameters.values())[1:]
    return inspect.Signature(
        [
            inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
            *(parameter.replace(kind=keyword) for parameter in own),
            inspect.Parameter("as_json", keyword, default=False, annotation=JsonOption),
            inspect.Parameter("home", keyword, default=None, annotation=HomeOption),
        ]
    )
