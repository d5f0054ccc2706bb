"""Whose tokens are counted: the model that was named, else the one that is nearest at hand."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session
from tui.widgets.dataset_words import title_of

if TYPE_CHECKING:
    from store.records import Dataset

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Whose tokens: a model; else that of the newest run on the dataset, else the starter.",
        show_default=False,
    ),
]


TemplateOption = Annotated[
    str,
    typer.Option(
        "--template", metavar="T", help="own, training, chatml, instruction, alpaca, llama-3, or a Jinja file."
    ),
]
LengthOption = Annotated[
    int, typer.Option("--max-length", metavar="N", help="Tokens at which training cuts a row.", min=1)
]
AllOption = Annotated[bool, typer.Option("--all", help="Train on every turn, not only on the assistant's.")]
MAX_LENGTH = 1024


def model_for(session: Session, dataset: "Dataset", asked: str | None) -> str:
    """The model whose tokenizer and template are used. Raises `BadInput` where none is named nor at hand."""
    found = asked or model_at_hand(session, dataset)
    if found is None:
        raise BadInput(
            f"No model is named whose tokens are to be counted in {title_of(dataset)}.",
            why="No run was trained on it, and the starter model is not built yet.",
            fix="Give --model MODEL; `finetui models ls` lists those on this machine.",
        )
    return found


def model_at_hand(session: Session, dataset: "Dataset") -> str | None:
    """The model of the newest run on the dataset, else the starter where it is built."""
    from engine.models import STARTER, resolve_model

    for run_id in session.store.datasets.runs_using(dataset.id):
        if run := session.store.runs.get(run_id):
            return run.model
    return STARTER if resolve_model(STARTER, session.home).ready else None
