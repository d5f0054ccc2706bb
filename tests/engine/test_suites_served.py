"""A suite asked of real model servers, on the tiny model."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.inference.pool import Pane, Sampling, ServerPool
from engine.suites.reading import find_suite, read_suite
from engine.suites.running import run_suite
from store import open_store
from tests.worker.conftest import TinyModel, tiny_model

__all__ = ["tiny_model"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short path: sockets lie in the home only where their paths fit."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.train
def test_a_second_turn_follows_each_models_own_first(tiny_model: TinyModel, tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    file = tmp_path / "two.jsonl"
    file.write_text(json.dumps({"turns": ["hi", "why"]}) + "\n" + json.dumps({"turns": ["the answer is on its way"]}))
    suite = read_suite(library, find_suite(library, str(file)))
    base = Pane("base", str(tiny_model.base), None, False, None, None)
    panes = [base, replace(base, label="terse", adapter=tiny_model.adapters["terse"], run_id="terse")]
    sampling = Sampling(max_new_tokens=8)
    pool = ServerPool(home)
    try:
        run = run_suite(store, pool, suite, panes, ("base:tiny", "terse"), sampling)
        said = {(one.position, one.turn, one.model): one for one in store.suites.answers(run.id)}
        assert len(said) == 6 and run.ended is not None and not any(one.error for one in said.values())
        assert said[0, 0, 0].text != said[0, 0, 1].text and said[0, 0, 0].tokens == 8
        own = [
            [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": said[0, 0, model].text},
                {"role": "user", "content": "why"},
            ]
            for model in (0, 1)
        ]
        answers = pool.answer_all(panes, own, sampling)
        assert [answer.text for answer in answers] == [said[0, 1, model].text for model in (0, 1)]
    finally:
        asyncio.run(pool.close())
        library.close()
        store.close()
