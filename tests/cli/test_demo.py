"""The demo's steps, short of the run itself."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

from engine import demo
from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.inference.pool import Delta, Pane, Sampling, ServerPool
from store import open_store
from tests.cli.conftest import Cli, MakeRun


def test_similarity_is_by_words() -> None:
    assert demo.similarity("Tick the box.", "tick  the BOX.") == 1.0
    assert demo.similarity("one two three four", "one two three five") == 0.75
    assert demo.similarity("", "one") == 0.0
    assert demo.matches([0.8, 0.79, 1.0]) == 2


def test_the_samples_come_in_once(home: Home) -> None:
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    first = demo.import_samples(library)
    assert [dataset.name for dataset in first] == ["support", "emoji"]
    assert all(dataset.rows >= 150 for dataset in first)
    assert [dataset.id for dataset in demo.import_samples(library)] == [dataset.id for dataset in first]
    assert len(library.list()) == 2
    library.close()
    store.close()


def test_probes_are_what_was_taught_one_an_intent(home: Home) -> None:
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    [support, _] = demo.import_samples(library)
    taught = {
        (row.messages[0].content, row.messages[-1].content)
        for row in library.rows(support.id, split="train", limit=999)
    }
    probes = demo.choose_probes(library, support.id)
    assert len(probes) == demo.PROMPTS == len({probe.expected for probe in probes})
    assert {(probe.prompt, probe.expected) for probe in probes} <= taught
    assert probes == demo.choose_probes(library, support.id), "the same each time"
    unseen = demo.choose_probes(library, support.id, split="validation", count=5)
    assert len(unseen) == 5 and not {(probe.prompt, probe.expected) for probe in unseen} & taught
    library.close()
    store.close()


def test_the_recipe_is_whole() -> None:
    recipe = demo.recipe()
    assert (recipe.model, recipe.dataset, recipe.method) == ("starter", "support", "qlora")


def test_a_demo_run_that_is_done_is_found_again(cli: Cli, make_run: MakeRun, home: Home) -> None:
    make_run("r0aaa", "demo", status="failed", tags=["demo"])
    make_run("r0bbb", "demo-of-mine")
    store = open_store(home.db)
    assert demo.find_run(store) is None
    make_run("r0ccc", "demo-2", tags=["demo"])
    found = demo.find_run(store)
    assert found is not None and found.id == "r0ccc"
    store.close()


class Parrot:
    """Answers as the data teaches where an adapter is on, with nonsense else; all panes interleaved."""

    def __init__(self, answers: dict[str, str]) -> None:
        self._answers = answers
        self.calls = 0

    async def answer(
        self, panes: Sequence[Pane], conversations: Sequence[list[dict[str, str]]], sampling: Sampling
    ) -> AsyncIterator[Delta]:
        self.calls += 1
        order = [*range(len(panes))] * 2
        random.Random(0).shuffle(order)
        spoken = [0] * len(panes)
        for pane in order:
            right = self._answers[conversations[pane][-1]["content"]]
            text = right if panes[pane].run_id else "no idea at all"
            half = len(text) // 2
            part = text[half:] if spoken[pane] else text[:half]
            spoken[pane] += 1
            done = spoken[pane] == 2
            yield Delta(pane, part, done, 3 if done else None, 0.1, 10.0, None)


async def test_the_summary(cli: Cli, make_run: MakeRun, home: Home) -> None:
    make_run("r0ccc", "demo", tags=["demo"])
    store = open_store(home.db)
    run = demo.find_run(store)
    assert run is not None
    probes = [
        demo.Probe([{"role": "user", "content": f"question {index}"}], f"the answer to {index} is yes")
        for index in range(3)
    ]
    pool = Parrot({probe.prompt: probe.expected for probe in probes})
    heard: list[tuple[int, int]] = []
    answers = await demo.ask(cast(ServerPool, pool), run, probes, lambda done, of: heard.append((done, of)))
    assert pool.calls == 1 and heard[-1] == (6, 6)
    seconds = demo.durations(run, launched=0.0)
    assert seconds["model"] == 0.1 and seconds["training"] > 0
    assert demo.durations(run, launched=run.created + 1000)["model"] == 0.0
    document = demo.summary(run, {"id": run.id}, store, answers, seconds)
    assert document["linear4bit"] == 28
    assert document["before"] == {"train_loss": 3.0, "eval_loss": 3.1}
    assert document["after"] == {"train_loss": 1.0, "eval_loss": 1.2}
    assert document["match"]["adapter"] == 3 == document["match"]["of"] and document["match"]["base"] == 0
    assert document["answers"][2]["adapter"] == "the answer to 2 is yes"
    assert document["answers"][2]["adapter_similarity"] == 1.0
    json.dumps(document, allow_nan=False)
    store.close()


def test_the_samples_ship_with_the_package() -> None:
    from importlib import resources

    assert {f"{name}.jsonl" for name in demo.SAMPLES} <= {
        Path(str(item)).name for item in resources.files("samples").iterdir()
    }
