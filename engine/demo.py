"""The demo: sample data, a real QLoRA run on the starter model, and ten questions to both models before and after."""

import difflib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row
from engine.errors import FinetuiError
from engine.inference.pool import Pane, Sampling, ServerPool, panes_for
from engine.recipe import Recipe, load_recipe_values, make_recipe
from engine.runs.manager import RunManager
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir
from store import Store
from store.records import Dataset, Run, Series, Status

NAME = "demo"
"""The run's name, and its tag."""
SAMPLES = ("support", "emoji")
PROMPTS = 10
MATCH_AT = 0.8
"""Similarity from which an answer counts as the one the data teaches."""
NEEDED = 8
"""Answers of the adapter that must match for the demo to have worked."""
BUILDING = "building the starter model"
"""The phase of a run in which the starter model is made."""
HOW = (
    f"questions of the training rows; word-level similarity to the taught answer (difflib ratio) of at least {MATCH_AT}"
)


@dataclass(frozen=True)
class Probe:
    """A question of the sample data and the answer that the data teaches."""

    conversation: list[dict[str, str]]
    expected: str

    @property
    def prompt(self) -> str:
        return self.conversation[-1]["content"]


@dataclass(frozen=True)
class Answered:
    """What both models said to one question."""

    prompt: str
    expected: str
    base: str
    adapter: str

    @property
    def base_similarity(self) -> float:
        return similarity(self.base, self.expected)

    @property
    def adapter_similarity(self) -> float:
        return similarity(self.adapter, self.expected)


@dataclass(frozen=True)
class Losses:
    """Mean loss of a token, before or after training."""

    train_loss: float | None
    eval_loss: float | None


def import_samples(library: DatasetLibrary) -> list[Dataset]:
    """Import the sample files that this home does not have yet."""
    return [_import_sample(library, name) for name in SAMPLES]


def _import_sample(library: DatasetLibrary, name: str) -> Dataset:
    with resources.as_file(resources.files("samples").joinpath(f"{name}.jsonl")) as file:
        return library.import_file(file, name=name)


def recipe() -> Recipe:
    """The demo's recipe: `engine/presets/demo.toml`. It is no preset to pick, for it fits the starter model alone."""
    with resources.as_file(resources.files("engine.presets").joinpath("demo.toml")) as file:
        return make_recipe(load_recipe_values(file)["recipe"])


def find_run(store: Store) -> Run | None:
    """The newest demo run of this home that is live or has succeeded."""
    runs = [run for run in store.runs.list(f"tag:{NAME}") if NAME in run.tags]
    return next((run for run in runs if run.status.live or run.status is Status.SUCCEEDED), None)


def start(manager: RunManager, library: DatasetLibrary, store: Store) -> Run:
    """The demo run: the one that is live or done, else a new one, with its datasets imported."""
    manager.look()
    found = find_run(store)
    if found is not None:
        return found
    import_samples(library)
    return manager.launch(recipe(), name=NAME, tags=(NAME,))


def choose_probes(
    library: DatasetLibrary, dataset_id: str, *, split: str = "train", count: int = PROMPTS
) -> list[Probe]:
    """Questions of `split`, spread evenly over the intents of the data, at most one an intent.

    The training split holds what the run was taught: a model as small as the starter recalls that, and rarely gets
    from a wording it has not seen to the same answer. Where a split has fewer intents than `count`, that
    many questions are what there is.
    """
    by_intent: dict[str, Row] = {}
    for row in library.rows(dataset_id, split=split, limit=1_000_000):
        by_intent.setdefault(str(row.metadata.get("intent", row.index)), row)
    intents = sorted(by_intent)
    chosen = [intents[index * len(intents) // count] for index in range(count)] if len(intents) > count else intents
    return [_probe(by_intent[intent]) for intent in chosen]


def _probe(row: Row) -> Probe:
    *asked, answer = row.messages
    return Probe([{"role": turn.role, "content": turn.content} for turn in asked], answer.content)


async def ask(
    pool: ServerPool, run: Run, probes: Sequence[Probe], on_answer: Callable[[int, int], None] = lambda done, of: None
) -> list[Answered]:
    """Both models' answers to all questions, in one batch. `on_answer` hears how many of how many are done."""
    base, adapter = _sides(run)
    panes = [base] * len(probes) + [adapter] * len(probes)
    conversations = [list(probe.conversation) for probe in probes] * 2
    texts = [""] * len(panes)
    done = 0
    async for delta in pool.answer(panes, conversations, Sampling(max_new_tokens=64)):
        if delta.error:
            raise FinetuiError("The model server could not answer.", why=delta.error)
        texts[delta.pane] += delta.text
        if delta.done:
            done += 1
            on_answer(done, len(panes))
    return [
        Answered(probe.prompt, probe.expected, said_base.strip(), said_adapter.strip())
        for probe, said_base, said_adapter in zip(probes, texts[: len(probes)], texts[len(probes) :], strict=True)
    ]


def _sides(run: Run) -> tuple[Pane, Pane]:
    panes = list(panes_for([run], None))
    base = next(pane for pane in panes if pane.run_id is None)
    return base, next(pane for pane in panes if pane.run_id == run.id)


def similarity(answer: str, expected: str) -> float:
    """How alike two texts are, word by word, 0 to 1: twice the matching words over all words."""
    return difflib.SequenceMatcher(None, answer.lower().split(), expected.lower().split(), autojunk=False).ratio()


def matches(similarities: Sequence[float]) -> int:
    return sum(value >= MATCH_AT for value in similarities)


def losses(store: Store, run: Run) -> tuple[Losses, Losses]:
    """Before and after training.

    Before: the evaluation at step 0 and the first training loss. After: that of the kept adapter, and the last.
    """
    train = store.metrics.series(run.id, "train/loss")
    evaluation = store.metrics.series(run.id, "eval/loss")
    return (
        Losses(train.values[0] if train else None, _at(evaluation, 0)),
        Losses(train.values[-1] if train else None, _at(evaluation, run.best_step)),
    )


def _at(series: Series | None, step: int | None) -> float | None:
    """The value at `step`; for `None`, the last one."""
    if series is None or not series.values:
        return None
    if step is None:
        return series.values[-1]
    return next((value for at, value in zip(series.steps, series.values, strict=True) if at == step), None)


def linear4bit(run: Run) -> int:
    """How many 4-bit layers the trained model had, as its worker counted."""
    plans = [event for event in read_events(RunDir(Path(run.dir)).events).events if event["kind"] == "plan"]
    return int(plans[-1].get("linear4bit", 0)) if plans else 0


def durations(run: Run, launched: float) -> dict[str, float]:
    """Seconds that building the model and the training took, from the run's own states.

    The model was built within this call where that happened after `launched`; else it was there already: 0.
    """
    states = [event for event in read_events(RunDir(Path(run.dir)).events).events if event["kind"] in ("state", "end")]
    built = 0.0
    for event, following in itertools.pairwise(states):
        if event["t"] >= launched and event.get("phase") == BUILDING:
            built += following["t"] - event["t"]
    first = next((event["t"] for event in states if event.get("status") in ("training", "evaluating")), None)
    training = states[-1]["t"] - first if first is not None else 0.0
    return {"model": round(built, 1), "training": round(training, 1)}


def summary(
    run: Run, document: dict[str, Any], store: Store, answers: Sequence[Answered], seconds: dict[str, float]
) -> dict[str, Any]:
    """The demo as one JSON document; `document` is the run's own, `seconds` what took how long."""
    before, after = losses(store, run)
    return {
        "run": document,
        "linear4bit": linear4bit(run),
        "before": {"train_loss": before.train_loss, "eval_loss": before.eval_loss},
        "after": {"train_loss": after.train_loss, "eval_loss": after.eval_loss},
        "match": {
            "how": HOW,
            "adapter": matches([answer.adapter_similarity for answer in answers]),
            "base": matches([answer.base_similarity for answer in answers]),
            "of": len(answers),
        },
        "answers": [
            {
                "prompt": answer.prompt,
                "expected": answer.expected,
                "base": answer.base,
                "adapter": answer.adapter,
                "base_similarity": round(answer.base_similarity, 3),
                "adapter_similarity": round(answer.adapter_similarity, 3),
            }
            for answer in answers
        ],
        "seconds": seconds,
    }
