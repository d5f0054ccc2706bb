"""`finetui datasets tokens`: how long the rows are for a model, what a length cuts, and how best to batch them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.model import ModelOption, model_for
from tui.cli.datasets.naming import DatasetArgument, called
from tui.cli.datasets.working import working
from tui.cli.output import fields, table
from tui.widgets.dataset_words import title_of

if TYPE_CHECKING:
    from engine.tokens import TokenFigures
    from store.records import Dataset

app = typer.Typer()

LengthOption = Annotated[
    int, typer.Option("--max-length", metavar="N", help="Tokens at which training cuts a row.", min=1)
]
MAX_LENGTH = 1024
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
        bool, typer.Option("--tiktoken", help="By tiktoken's cl100k_base instead of a model's tokenizer.")
    ] = False,
    max_length: LengthOption = MAX_LENGTH,
) -> None:
    """Count the tokens of a dataset: how long its rows are, what --max-length cuts, padding against packing."""
    from engine.tokens import dataset_tokens, model_tokenizer, tiktoken_tokens

    found = session.library.resolve(dataset)
    if tiktoken and model is not None:
        raise BadInput("--tiktoken and --model exclude each other.", fix="Give one of them.")
    name = "" if tiktoken else model_for(session, found, model)
    with working(session, f"counting the tokens of {title_of(found)}") as work:
        if tiktoken:
            figures = tiktoken_tokens(
                session.library, found, max_length=max_length, progress=work.progress, cancelled=work.cancelled
            )
        else:
            tokenizer = model_tokenizer(session.home, name, progress=work.tell, cancelled=work.cancelled)
            figures = dataset_tokens(
                session.library,
                found,
                tokenizer,
                max_length=max_length,
                progress=work.progress,
                cancelled=work.cancelled,
            )
    document = {"id": found.id, "name": found.name, "version": found.version, "model": name or None}
    session.answer(document | figures.to_json(), lambda: _text(found, figures))


def _text(dataset: "Dataset", figures: "TokenFigures") -> str:
    """Figures, a histogram of the rows' lengths, what each length cuts, and padding against packing."""
    it = figures.to_json()
    share = f" ({it['trained'] / it['total']:.0%})" if it["total"] else ""
    head = fields(
        [
            ("dataset", called(dataset)),
            ("tokenizer", it["tokenizer"]),
            ("tokens", f"{it['total']:,}"),
            ("trained", f"{it['trained']:,}{share}"),
            ("by role", ", ".join(f"{role} {count:,}" for role, count in it["by_role"].items())),
            ("a row", f"mean {it['mean']:,.1f}, p50 {it['p50']:,}, p95 {it['p95']:,}, longest {it['max']:,}"),
        ]
    )
    cuts = table(
        ("MAX LENGTH", "ROWS CUT", ""),
        [(f"{int(length):,}", f"{rows:,}", f"{rows / dataset.rows:.1%}") for length, rows in it["cut"].items()],
        right=("MAX LENGTH", "ROWS CUT", ""),
    )
    batches = fields(
        [
            ("padded", f"{it['padding_waste']:.0%} of a batch would be padding"),
            ("packed", f"{it['packing_fill']:.0%} of a batch would be filled"),
            ("advice", it["advice"]),
        ]
    )
    return "\n\n".join([head, histogram(it["histogram"]), cuts, batches])


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
