"""Models on one loaded base, measured on rows: what each answers, and how likely it finds what is expected."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import FinetuiError
from engine.runs.failure_codes import FailureCode
from engine.worker.adapters import AdapterShelf
from engine.worker.batching import NotEnoughMemory
from engine.worker.evaluation_folder import AnswerLog, Item, Progress, Spec, Subject
from engine.worker.fitting import Fitting
from engine.worker.generate import answer_rows
from engine.worker.live_row import LiveRow
from engine.worker.loading import LoadError, context_tokens, load_base, load_tokenizer
from engine.worker.passages import Passages, is_plain
from engine.worker.prompts import Prompts
from engine.worker.rows import RowRequest, RowResult
from engine.worker.scoring import Passage, Score, Scored, score_all

_NOT_FINITE = "The model's figures are no numbers: its weights are damaged, or too large for its number format."


@dataclass
class Job:
    """One row for one model, and what has come of it."""

    item: Item
    subject: Subject
    question: list[int] | None = None
    """Token ids to answer, or `None` where nothing is to be written."""
    expected: Passage | None = None
    choices: list[Passage] = field(default_factory=list)
    result: RowResult | None = None
    score: Score | None = None
    choice_scores: dict[int, Score] = field(default_factory=dict)
    error: str = ""

    @property
    def length(self) -> int:
        """Tokens of the longest text that the model has to read."""
        passages = [*([self.expected] if self.expected else []), *self.choices]
        return max([len(self.question or ()), *(len(passage.ids) for passage in passages)])

    def line(self) -> dict[str, Any]:
        """For `answers.jsonl`."""
        result, score = self.result, self.score
        scores = [self.choice_scores[place] for place in range(len(self.choices))] if not self.error else []
        if not all(math.isfinite(one.nll) for one in (*([score] if score else []), *scores)):
            self.error, score, scores = _NOT_FINITE, None, []
        return {
            "row": self.item.row,
            "model": self.subject.place,
            "text": result.text if result else None,
            "tokens": result.tokens if result else None,
            "finish_reason": result.finish_reason if result else "",
            "first_token_s": result.first_token_s if result else None,
            "tokens_per_s": result.tokens_per_s if result else None,
            "nll": score.nll if score and score.tokens else None,
            "scored_tokens": score.tokens if score else 0,
            "correct_tokens": score.correct if score else 0,
            "choice_nll": [one.nll for one in scores] or None,
            "choice_tokens": [one.tokens for one in scores] or None,
            "error": self.error,
        }


class Measuring:
    """A base model with the adapters of `subjects`, which all stand on it. Raises `LoadError` where one does not load.

    `stopped` is asked between batches; `watch` gets the answers that are being written, to cancel them.
    """

    def __init__(
        self,
        spec: Spec,
        subjects: Sequence[Subject],
        progress: Progress,
        stopped: Callable[[], bool],
        watch: Callable[[Sequence[LiveRow]], None],
    ) -> None:
        self._spec = spec
        self._subjects = subjects
        self._progress = progress
        self._stopped = stopped
        self._watch = watch
        self._answering = Fitting(spec.batch_rows)
        self._scoring = Fitting(spec.batch_rows)
        first = subjects[0]
        progress.say(f"loading {first.base}", first.label)
        self._tokenizer = load_tokenizer(first.base, first.revision, spec.trust_remote_code)
        model = load_base(
            first.base,
            revision=first.revision,
            method=first.method,
            precision=first.precision,
            trust_remote_code=spec.trust_remote_code,
        )
        self._prompts = Prompts(self._tokenizer, context_tokens(model))
        self._shelf = AdapterShelf(model, first.base, first.revision)
        for subject in subjects:
            if subject.adapter is not None:
                progress.say("loading the adapter", subject.label)
                self._shelf.load(str(subject.name), subject.adapter)
        self._passages: dict[str | None, Passages] = {}

    def measure(self, items: Sequence[Item], log: AnswerLog) -> bool:
        """Every row that `log` does not have yet, for every model; whether it came to the end.

        The longest rows go first, so that memory runs out at once if it does, and the time left is not underrated.
        """
        self._progress.say("reading the rows")
        jobs = []
        for item in items:
            for subject in self._subjects:
                if (item.row, subject.place) not in log.done:
                    jobs.append(self._job(item, subject))
                if self._stopped():
                    return False
        jobs.sort(key=lambda job: (-job.length, job.item.row, job.subject.place))
        at = 0
        while at < len(jobs):
            batch = jobs[at : at + self._answering.most]
            at += len(batch)
            if not self._answer(batch) or not self._score(batch):
                return False
            log.add(job.line() for job in batch)
            self._progress.add(len(batch))
        return True

    def _job(self, item: Item, subject: Subject) -> Job:
        """The row as `subject` reads it, or what is wrong with it."""
        passages = self._reader(subject)
        job = Job(item, subject)
        spec = self._spec
        try:
            if spec.generate and item.messages and item.choices is None:
                job.question = passages.question(item.messages)
            if spec.score and item.expected is not None:
                job.expected = passages.expected(item.messages, item.expected)
            if item.choices is not None:
                job.choices = [passages.choice(item.messages, choice) for choice in item.choices]
        except FinetuiError as error:
            return Job(item, subject, error=str(error))
        return job

    def _reader(self, subject: Subject) -> Passages:
        """By the template that was saved with the adapter; a base without one borrows that of an adapter on it."""
        template = self._shelf.template(subject.name) if subject.name else None
        if template is None and not self._tokenizer.chat_template:
            template = self._shelf.any_template()
        if template not in self._passages:
            self._passages[template] = Passages(self._prompts, template, self._spec.max_length)
        return self._passages[template]

    def _answer(self, jobs: Sequence[Job]) -> bool:
        """Let the models answer; false where that was stopped."""
        asked = [job for job in jobs if job.question is not None]
        rows = [LiveRow(self._request(job), self._tokenizer, lambda _: None, lambda _: None) for job in asked]
        self._progress.say("answering", _labels(asked))
        self._watch(rows)
        self._answering.run(
            rows,
            lambda batch: answer_rows(self._shelf.model, self._tokenizer, batch),
            lambda row: row.fail(NotEnoughMemory()),
        )
        self._watch(())
        for job, row in zip(asked, rows, strict=True):
            job.result = row.result
            if row.result is not None and row.result.error is not None:
                job.error = str(row.result.error)
        return not self._stopped()

    def _request(self, job: Job) -> RowRequest:
        """A row's luck is its own, and the same for all models."""
        question = job.question or []
        return RowRequest(
            job.subject.name,
            question,
            self._prompts.room(question, self._spec.max_new_tokens),
            replace(self._spec.sampling, seed=self._spec.sampling.seed + job.item.row),
            goes_on=is_plain(job.item.messages),
        )

    def _score(self, jobs: Sequence[Job]) -> bool:
        """Score what is expected, and the choices; false where that was stopped."""
        if self._stopped():
            return False
        wanted = []
        for job in jobs:
            if job.expected is not None:
                wanted.append(Scored(job.subject.name, job.expected, _taker(job, None)))
            for place, choice in enumerate(job.choices):
                wanted.append(Scored(job.subject.name, choice, _taker(job, place)))
        if wanted:
            self._progress.say("scoring", _labels(jobs))
            score_all(self._shelf.model, wanted, self._scoring)
        return True


def _taker(job: Job, choice: int | None) -> Callable[[Score | None], None]:
    """What takes the score of what is expected, or of a choice."""

    def take(score: Score | None) -> None:
        if score is None:
            job.error = str(NotEnoughMemory())
        elif choice is None:
            job.score = score
        else:
            job.choice_scores[choice] = score

    return take


def _labels(jobs: Sequence[Job]) -> str:
    """The models of a batch, by their labels."""
    return ", ".join(dict.fromkeys(job.subject.label for job in jobs))


def require_folders(subjects: Sequence[Subject]) -> None:
    """Raises `LoadError` for an adapter that is gone, before hours are spent on the models before it."""
    for subject in subjects:
        if subject.adapter is not None and not (subject.adapter / "adapter_config.json").is_file():
            raise LoadError(
                f"The adapter of {subject.label} is gone: {subject.adapter}.",
                fix="Evaluate without it, or put its folder back.",
                code=FailureCode.MODEL,
            )
