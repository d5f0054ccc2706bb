"""`finetui datasets tokens`: how long the rows are for a model, what a length cuts, and how best to batch them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.model import (
    MAX_LENGTH,
    AllOption,
    LengthOption,
    ModelOption,
    TemplateOption,
    model_at_hand,
    model_for,
)
from tui.cli.datasets.naming import DatasetArgument, called
from tui.cli.datasets.working import working
from tui.cli.output import fields, paint, table
from tui.text import clean
from tui.widgets.dataset_words import title_of

if TYPE_CHECKING:
    from engine.tokens import TokenFigures
    from store.records import Dataset

app = typer.Typer()

_BAR = 40
_LINES = 16


@command(
    app,
    "tokens",
    example=[
        "datasets tokens emoji",
        "datasets tokens emoji --model starter --max-length 512",
        "datasets tokens emoji --tiktoken",
    ],
)
def tokens(
    session: Session,
    dataset: DatasetArgument,
    model: ModelOption = None,
    tiktoken: Annotated[
        bool, typer.Option("--tiktoken", help="By tiktoken's cl100k_base, without a template, instead of by a model.")
    ] = False,
    template: TemplateOption = "own",
    max_length: LengthOption = MAX_LENGTH,
    all_: AllOption = False,
) -> None:
    """Count the tokens of a dataset: how long its rows are, what --max-length cuts, padding against packing."""
    from engine.tokens import dataset_tokens, model_tokenizer

    found = session.library.resolve(dataset)
    if tiktoken and (model is not None or template != "own" or all_):
        raise BadInput(
            "--tiktoken counts without a model.", fix="Leave out --model, --template and --all, or --tiktoken."
        )
    if tiktoken:
        figures = _by_tiktoken(session, found, max_length)
    else:
        name = model_for(session, found, model)
        with working(session, f"counting the tokens of {title_of(found)}") as work:
            figures = dataset_tokens(
                session.library,
                found,
                model_tokenizer(session.home, name, progress=work.tell, cancelled=work.cancelled),
                max_length=max_length,
                template=template,
                assistant_only=not all_,
                progress=work.progress,
                cancelled=work.cancelled,
            )
    document = {"id": found.id, "name": found.name, "version": found.version} | figures.to_json()
    session.answer(document, lambda: _text(found, figures))


def _by_tiktoken(session: Session, dataset: "Dataset", max_length: int) -> "TokenFigures":
    """By `cl100k_base`; where its file cannot be had, by the model at hand. The figures say which it was."""
    from engine.tokens import model_tokenizer, tiktoken_tokens
    from engine.tokens.encodings import find_encoding

    with working(session, f"counting the tokens of {title_of(dataset)}") as work:
        fallback = None
        if find_encoding(session.home).folder is None and (name := model_at_hand(session, dataset)):
            fallback = model_tokenizer(session.home, name, progress=work.tell, cancelled=work.cancelled)
        return tiktoken_tokens(
            session.library,
            dataset,
            fallback=fallback,
            max_length=max_length,
            progress=work.progress,
            cancelled=work.cancelled,
        )


def _text(dataset: "Dataset", figures: "TokenFigures") -> str:
    """Figures, a histogram of the rows' lengths, what each length cuts, and padding against packing."""
    share = f" ({figures.trained / figures.total:.0%})" if figures.total else ""
    lengths = f"mean {figures.mean:,.1f}, p50 {figures.p50:,}, p95 {figures.p95:,}, p99 {figures.p99:,}"
    head = fields(
        [
            ("dataset", called(dataset)),
            ("tokenizer", figures.tokenizer + (" (estimated)" if figures.estimated else "")),
            ("note", figures.note),
            ("tokens", f"{figures.total:,}"),
            ("trained", f"{figures.trained:,}{share}"),
            ("by role", ", ".join(f"{role} {count:,}" for role, count in figures.by_role.items())),
            ("a row", f"{lengths}, longest {figures.max:,}"),
        ]
    )
    cuts = table(
        ("MAX LENGTH", "ROWS CUT", ""),
        [_cut(length, rows, dataset.rows, figures.max_length) for length, rows in figures.cut.items()],
        right=("MAX LENGTH", "ROWS CUT", ""),
    )
    like = figures.padding_waste_sorted
    batches = fields(
        [
            (
                "padded",
                f"{figures.padding_waste:.0%} of a batch is padding; {like:.0%} with rows of like length together",
            ),
            ("packed", f"sequences of {figures.max_length:,} tokens are {figures.packing_fill:.0%} full"),
            ("advice", figures.advice),
        ]
    )
    warnings = "\n".join(f"{paint('!', 'yellow')} {clean(warning)}" for warning in figures.warnings)
    return "\n\n".join(part for part in (head, histogram(figures.histogram), cuts, batches, warnings) if part)


def _cut(length: str, rows: int, total: int, max_length: int) -> tuple[str, str, str]:
    """A line of the table of lengths; the length that was asked for is marked."""
    mark = "→ " if int(length) == max_length else ""
    return f"{mark}{int(length):,}", f"{rows:,}", f"{rows / total:.1%}"


def histogram(bins: Sequence[Sequence[int]]) -> str:
    """Rows by length, a bar a line; neighbours are put together where there are many."""
    step = -(-len(bins) // _LINES) or 1
    groups = [bins[place : place + step] for place in range(0, len(bins), step)]
    merged = [(group[0][0], group[-1][1], sum(count for _, _, count in group)) for group in groups]
    most = max((count for _, _, count in merged), default=0) or 1
    return table(
        ("TOKENS", "ROWS", ""),
        [
            (f"{low:,}–{max(low, high - 1):,}", f"{count:,}", "█" * -(-count * _BAR // most))
            for low, high, count in merged
        ],
        right=("TOKENS", "ROWS"),
    )
