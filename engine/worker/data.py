"""The rows of a dataset version, as the trainer takes them."""

from pathlib import Path
from typing import Any

import datasets

from engine.worker.refusal import Refusal

SAMPLE_ROWS = 3


def load_rows(folder: Path) -> tuple[datasets.Dataset, datasets.Dataset | None]:
    """The training rows and the validation rows (or `None`) of a dataset version; one column, `messages`.

    Raises `Refusal` where the folder holds no rows to train on.
    """
    file = folder / "data.parquet"
    if not file.is_file():
        raise Refusal(
            f"The dataset's file is gone: {file}.",
            code="dataset_missing",
            fix="Import the dataset again and launch anew.",
        )
    rows = datasets.Dataset.from_parquet(str(file), columns=["messages", "split"], keep_in_memory=True)
    splits = rows["split"]
    parts = {
        name: rows.select([index for index, split in enumerate(splits) if split == name]).remove_columns("split")
        for name in ("train", "validation")
    }
    if not len(parts["train"]):
        raise Refusal(
            "The dataset has no training rows.", code="no_rows", fix="Import it again with a smaller validation share."
        )
    return parts["train"], parts["validation"] if len(parts["validation"]) else None


def sample_conversations(
    prompts: tuple[str, ...], validation: datasets.Dataset | None, train: datasets.Dataset
) -> list[tuple[list[dict[str, str]], str | None]]:
    """What is asked at each evaluation: the messages up to the answer, and the data's answer, where it has one."""
    if prompts:
        return [([{"role": "user", "content": prompt}], None) for prompt in prompts]
    rows = validation if validation is not None else train
    every = max(1, len(rows) // SAMPLE_ROWS)
    chosen: list[dict[str, Any]] = [rows[index] for index in range(0, len(rows), every)][:SAMPLE_ROWS]
    return [_without_answer(row["messages"]) for row in chosen]


def _without_answer(messages: list[dict[str, str]]) -> tuple[list[dict[str, str]], str | None]:
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and index:
            return messages[:index], message["content"]
    return messages, None
