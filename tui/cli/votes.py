"""`finetui votes export`."""

from pathlib import Path
from typing import Annotated

import typer

from tui.cli.arena import CriterionOption, VoterOption
from tui.cli.command import Session, command
from tui.text import clean
from tui.widgets.dataset_words import count_words

app = typer.Typer(help="Votes between answers, as data to train on.", no_args_is_help=True)


@command(app, "export", example=["votes export votes.jsonl", "votes export warm.jsonl --criterion warm --voter people"])
def export(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl file to write.")],
    criterion: CriterionOption = "overall",
    voter: VoterOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where it is there already.")] = False,
) -> None:
    """Write the votes as preference pairs (prompt, chosen, rejected), a JSON object a line, to train with DPO.

    Ties and votes that both are bad say nothing of which answer is better: they are left out, and counted.
    """
    from engine.arena.export import export_votes

    told = export_votes(session.store.votes.list(criterion, voter=voter), file, overwrite=overwrite)
    document = {
        "file": str(file),
        "criterion": criterion,
        "voter": voter,
        "pairs": told.pairs,
        "ties": told.ties,
        "both_bad": told.both_bad,
        "unusable": told.unusable,
    }
    left_out = [
        count_words(told.ties, "tie") if told.ties else "",
        f"{told.both_bad:,} both bad" if told.both_bad else "",
        f"{told.unusable:,} with empty or equal answers" if told.unusable else "",
    ]
    words = ", ".join(part for part in left_out if part)
    session.answer(
        document,
        f"Wrote {count_words(told.pairs, 'pair')} to {clean(str(file))}."
        + (f"\nLeft out: {words}." if words else "")
        + f"\n`finetui datasets import {clean(str(file))} --shape preference` makes a dataset of them.",
    )
