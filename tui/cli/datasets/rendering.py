"""`finetui datasets render`: one row as the model sees it, with what it learns from."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.datasets.listing import row_of
from tui.cli.datasets.model import MAX_LENGTH, AllOption, LengthOption, ModelOption, TemplateOption, model_for
from tui.cli.datasets.naming import DatasetArgument, called
from tui.cli.datasets.working import working
from tui.cli.documents import rendered_document
from tui.cli.output import paint
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.tokens import Rendered, Token

app = typer.Typer()

OPEN, CLOSE = "▐", "▌"
"""Stand around what is trained, so that it can be told without colours."""


@command(
    app,
    "render",
    example=["datasets render emoji --row 1", "datasets render emoji --row 12 --model starter --max-length 256 --json"],
)
def render(
    session: Session,
    dataset: DatasetArgument,
    row: Annotated[int, typer.Option("--row", metavar="N", help="Which row; rows count from 1.")],
    model: ModelOption = None,
    template: TemplateOption = "own",
    max_length: LengthOption = MAX_LENGTH,
    all_: AllOption = False,
) -> None:
    """Show a row as the model sees it: its template rendered, special tokens visible, what is trained marked.

    ▐ and ▌ stand around what is trained; a line says where the row is cut.
    """
    from engine.tokens import model_tokenizer, render_row

    found = session.library.resolve(dataset)
    it = row_of(session, found, row)
    name = model_for(session, found, model)
    with working(session, f"reading the tokenizer of {name}") as work:
        tokenizer = model_tokenizer(session.home, name, progress=work.tell, cancelled=work.cancelled)
        rendered = render_row(it, tokenizer, template=template, max_length=max_length, assistant_only=not all_)
    document = {
        "id": found.id,
        "name": found.name,
        "version": found.version,
        "row": row,
        "split": it.split,
        "model": name,
        "max_length": max_length,
    }
    head = f"row {row} ({clean_line(it.split)}) of {called(found)} · {clean_line(name)}"
    session.answer(document | rendered_document(rendered), lambda: f"{head}{_with(rendered)}\n{_text(rendered)}")


def _with(rendered: "Rendered") -> str:
    if rendered.template == "own":
        return " with its own template"
    return f" with the template {clean_line(rendered.template)}" if rendered.template else ""


def _text(rendered: "Rendered") -> str:
    """The row; of a preference pair both of its answers."""
    if rendered.rejected is None:
        return rendered_text(rendered)
    chosen, rejected = (paint(f"── {name} ──", "bold") for name in ("chosen", "rejected"))
    return f"{chosen}\n{rendered_text(rendered)}\n\n{rejected}\n{rendered_text(rendered.rejected)}"


def rendered_text(rendered: "Rendered") -> str:
    """Counts, the row itself, and warnings. Trained is green in ▐ ▌, masked dim, special tokens yellow, cut red."""
    share = f" ({rendered.trained / rendered.total:.0%})" if rendered.total else ""
    counts = f"{rendered.total:,} tokens, {rendered.trained:,} trained{share}, {rendered.cut:,} cut"
    warnings = [f"{paint('!', 'yellow')} {clean(warning)}" for warning in rendered.warnings]
    return "\n".join([counts, "", _body(rendered), *([""] * bool(warnings)), *warnings])


def _body(rendered: "Rendered") -> str:
    text = ""
    inside = cut = False
    for (truncated, trained, special), tokens in groupby(rendered.tokens, key=_kind):
        if trained != inside:
            text += paint(OPEN if trained else CLOSE, "green")
            inside = trained
        if truncated and not cut:
            text += paint(f"\n── cut here: the model does not see the {rendered.cut:,} tokens below ──\n", "yellow")
            cut = True
        style = "red" if truncated else "yellow" if special else "green" if trained else "dim"
        text += paint(clean("".join(token.text for token in tokens)), style)
    return text + (paint(CLOSE, "green") if inside else "")


def _kind(token: "Token") -> tuple[bool, bool, bool]:
    return token.truncated, token.trained and not token.truncated, token.special
