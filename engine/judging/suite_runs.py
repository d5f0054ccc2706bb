"""The judging of one suite run: asked by one call, and read back, whichever judges there were. All of it blocks."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.home import Home
from engine.inference.pool import Sampling, ServerPool
from engine.judging.criteria import Criterion
from engine.judging.judge import Judged, JudgeProgress, judge_pairs, voter_of
from engine.judging.pairs import AnswerPair, pairs_of_suite_run
from engine.judging.report import CriterionReport, Score, report_of, scores_of
from engine.suites.endpoints import API
from engine.suites.reading import Suite
from engine.suites.seating import panes_of
from store import Store
from store.talk_records import SuiteRun
from store.votes import JUDGE, OVERALL


@dataclass(frozen=True)
class CategoryScores:
    """How the votes on the prompts of one category went, by one criterion. `category` may be empty."""

    category: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class JudgeReport:
    """What one judge said of a suite run: by each criterion, and by `first` of them category by category."""

    voter: str
    criteria: list[CriterionReport]
    first: str
    categories: list[CategoryScores]


def judge_suite_run(
    home: Home,
    store: Store,
    pairs: Sequence[AnswerPair],
    judge: str,
    criteria: Sequence[Criterion],
    *,
    max_new_tokens: int = 512,
    on_status: Callable[[str], None] | None = None,
    on_progress: Callable[[JudgeProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Judged:
    """Have `judge` (`base:NAME`, a run's id, `api:NAME`) judge what it did not yet. Raises as `judge_pairs`."""
    [pane] = panes_of(store, home, [judge])
    pool = ServerPool(home, on_status)
    try:
        return judge_pairs(
            store,
            pool,
            pane,
            pairs,
            criteria,
            voter_of(judge.removeprefix(API)),
            sampling=Sampling(max_new_tokens),
            on_progress=on_progress,
            stop=stop,
        )
    finally:
        asyncio.run(pool.close())


def judged_by(store: Store, suite: Suite, run: SuiteRun) -> tuple[list[AnswerPair], list[JudgeReport]]:
    """The pairs of a suite run, and what each judge said of them, by name. Raises as `pairs_of_suite_run`."""
    pairs = pairs_of_suite_run(store, suite, run)
    voters = [voter for voter in store.votes.voters() if voter.startswith(JUDGE)]
    found = (_report(store, suite, pairs, voter) for voter in voters)
    return pairs, [report for report in found if report.criteria]


def _report(store: Store, suite: Suite, pairs: Sequence[AnswerPair], voter: str) -> JudgeReport:
    votes = {vote.id: vote for vote in store.votes.list(voter=voter)}
    names = sorted({vote.criterion for vote in votes.values()}, key=lambda name: (name != OVERALL, name))
    reports = report_of(store, pairs, [Criterion(name, "") for name in names], voter)
    reports = [report for report in reports if report.votes]
    first = reports[0].criterion if reports else ""
    own = [votes[one] for pair in pairs if (one := pair.vote_id(voter, first)) in votes]
    of_prompt = {prompt.position: prompt.category for prompt in suite.prompts}
    categories = [*suite.categories, *([""] if "" in of_prompt.values() else [])] if suite.categories else []
    scores = (
        CategoryScores(name, tuple(scores_of([vote for vote in own if of_prompt.get(vote.position) == name])))
        for name in categories
    )
    return JudgeReport(voter, reports, first, [one for one in scores if one.scores])
