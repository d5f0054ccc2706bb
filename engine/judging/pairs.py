"""The pairs of answers to be judged: of a suite run, or of two lists of answers."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from engine.arena.matches import Question
from engine.arena.turns import LEFT, RIGHT, answers, merged, same, turned
from engine.errors import BadInput
from engine.suites.reading import Suite
from store import Store
from store.talk_records import SuiteRun

ANSWER_KEYS = ("answer", "text", "response", "output", "completion")


@dataclass(frozen=True)
class AnswerPair:
    """Two answers to one conversation, in all turns. `left` is the model that comes first by name, so that a pair is
    one pair. `conversation`, `left_text` and `right_text` are those of a vote."""

    left: str
    right: str
    conversation: tuple[dict[str, str], ...]
    left_text: str
    right_text: str
    suite: str = ""
    position: int = -1
    references: tuple[str, ...] = ()
    """A good answer to each turn, as far as the suite has some."""

    @property
    def left_turns(self) -> list[str]:
        """What the left model said, a text a turn."""
        return answers(self.conversation, LEFT, self.left_text)

    @property
    def right_turns(self) -> list[str]:
        return answers(self.conversation, RIGHT, self.right_text)

    @property
    def same(self) -> bool:
        """Whether the two said the same."""
        return same(self.left_turns, self.right_turns)

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two votes votes on the same pair."""
        return pair_key(self.conversation, self.left, self.right, self.left_text, self.right_text)

    def vote_id(self, voter: str, criterion: str) -> str:
        """The id of the vote of `voter`: the same whenever it is asked, so that nothing is judged twice."""
        text = json.dumps([voter, criterion, *self.key], ensure_ascii=True)
        return f"j{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def pair_key(
    conversation: Sequence[dict[str, str]], left: str, right: str, left_text: str, right_text: str
) -> tuple[str, ...]:
    """The conversation and the two answers, in the order of their models' names."""
    (one, said), (other, replied) = sorted([(left, left_text), (right, right_text)])
    messages = conversation if left <= right else turned(conversation)
    return (json.dumps([dict(message) for message in messages], sort_keys=True), one, said, other, replied)


def pairs_of_suite_run(
    store: Store, suite: Suite, run: SuiteRun, *, against: str = "", limit: int | None = None
) -> list[AnswerPair]:
    """Each two answers of `run` to the same prompt, in all its turns; with `against`, those with answers of that model.

    A prompt that a model did not answer to its end is left out for that model. `limit` counts prompts. Raises
    `BadInput` where there are no two answers to compare.
    """
    if against and against not in run.models:
        raise BadInput(f"{against} was not asked in {run.name}.", fix=f"Its models: {', '.join(run.models)}.")
    said = _said(store, run)
    pairs = []
    for prompt in suite.prompts[:limit]:
        by_model = {
            run.models[model]: texts
            for (position, model), texts in said.items()
            if position == prompt.position and len(texts) == len(prompt.turns)
        }
        system = prompt.system or str(run.sampling.get("system") or "")
        asked = Question(prompt.turns[0], system).conversation
        for left, right in combinations(sorted(by_model), 2):
            if not against or against in (left, right):
                one, other = by_model[left], by_model[right]
                messages = merged(asked, prompt.turns[1:], one[:-1], other[:-1])
                about = (suite.id, prompt.position, prompt.references)
                pairs.append(AnswerPair(left, right, messages, one[-1], other[-1], *about))
    if not pairs:
        raise BadInput(
            f"{run.name} has no two answers to the same prompt.",
            why=f"It asked {len(run.models)} models, and {len({place for place, _ in said})} prompts have an answer.",
            fix=f"Ask what is missing: finetui suites run --resume {run.id}. Comparing takes two models.",
        )
    return pairs


def _said(store: Store, run: SuiteRun) -> dict[tuple[int, int], list[str]]:
    """By prompt and model what was said, turn by turn, up to the first that is an error."""
    found: dict[tuple[int, int], list[str]] = {}
    for answer in sorted(store.suites.answers(run.id), key=lambda one: one.turn):
        texts = found.setdefault((answer.position, answer.model), [])
        if not answer.error and len(texts) == answer.turn:
            texts.append(answer.text)
    return {key: texts for key, texts in found.items() if texts}


def pairs_of_files(first: Path, second: Path, *, limit: int | None = None) -> list[AnswerPair]:
    """The answers of two files to the same prompts. The models are `file:NAME`. Raises `BadInput`."""
    if first.stem == second.stem:
        raise BadInput("The two files have the same name.", fix="The name stands for the model: rename one.")
    one, other = (_answers(path) for path in sorted((first, second), key=lambda path: path.stem))
    names = sorted(f"file:{path.stem}" for path in (first, second))
    prompts = [prompt for prompt in one if prompt in other][:limit]
    if not prompts:
        raise BadInput("The two files have no prompt in common.", why=f"{first} has {len(one)}, {second} {len(other)}.")
    return [
        AnswerPair(names[0], names[1], Question(prompt).conversation, one[prompt], other[prompt]) for prompt in prompts
    ]


def _answers(path: Path) -> dict[str, str]:
    """Answers by prompt, of JSON lines or a JSON list of objects with `prompt` and `answer`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read.", why=str(error)) from error
    rows: list[tuple[int, Any]]
    try:
        if text.lstrip().startswith("["):
            rows = list(enumerate(json.loads(text), 1))
        else:
            rows = [(number, json.loads(line)) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON.", why=f"{error}.", fix='A line is {"prompt": …, "answer": …}.') from error
    found: dict[str, str] = {}
    for number, row in rows:
        prompt = row.get("prompt") if isinstance(row, dict) else None
        answer = next((row[key] for key in ANSWER_KEYS if isinstance(row.get(key), str)), None) if prompt else None
        if not isinstance(prompt, str) or answer is None:
            raise BadInput(
                f"Row {number} of {path} has no prompt with an answer.", fix='A line is {"prompt": …, "answer": …}.'
            )
        found.setdefault(prompt, answer)
    return found
