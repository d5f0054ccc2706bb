"""Votes of the arena, exported, imported and trained on."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.arena.export import export_votes
from engine.datasets.library import DatasetLibrary
from engine.home import Home
from store import open_store
from store.talk_records import Vote, Winner
from tests.worker.builds import built, train_losses
from tests.worker.runs import make_run

pytestmark = pytest.mark.train


def test_exported_votes_train_with_dpo(chat_model: Path, home: Home, tmp_path: Path) -> None:
    votes = [
        Vote(
            f"v{number}",
            float(number),
            "ann",
            "overall",
            "r1",
            "base:tiny",
            Winner.LEFT if number % 2 else Winner.RIGHT,
            ({"role": "user", "content": f"question {number} about the answer"},),
            f"the answer is {number}" if number % 2 else "on its way",
            "on its way" if number % 2 else f"the answer is {number}",
        )
        for number in range(8)
    ]
    file = tmp_path / "votes.jsonl"
    assert export_votes(votes, file).pairs == 8
    assert all(json.loads(line)["rejected"][0]["content"] == "on its way" for line in file.read_text().splitlines())
    store = open_store(home.ensure().db)
    library = DatasetLibrary(home, store)
    dataset = library.import_file(file, shape="preference", validation=0.25)
    recipe: dict[str, Any] = {"objective": "dpo", "beta": 0.5, "lora_dropout": 0.0, "learning_rate": 1e-2}
    run = make_run(tmp_path / "run", chat_model, max_steps=2, eval_steps=2, **recipe)
    shutil.copy(library.path(dataset.id), run.path / "dataset" / "data.parquet")
    trainer = built(run).trainer
    trainer.train_from(None)
    losses = train_losses(trainer)
    assert losses[1] == pytest.approx(math.log(2), abs=1e-6)
    assert set(losses) == {1, 2}
    library.close()
    store.close()
