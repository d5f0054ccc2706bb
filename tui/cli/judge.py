"""`finetui judge`: another model says which answers are better."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput, FinetuiError
from tui.cli.chat import EngineName, EngineOption, KeyEnvOption, remote_seats, seats_of
from tui.cli.command import Session, command
from tui.cli.output import say, table
from tui.cli.runs.finding import found
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.judging.judge import Judged, JudgeProgress
    from engine.judging.pairs import AnswerPair
    from engine.judging.report import CriterionReport
    from tui.cli.chat_answers import Seat

app = typer.Typer()
FEW = 10
"""Votes on the same pairs below which agreement says little."""


@command(
    app,
    "judge",
    example=[
        "judge everyday-1 --url https://api.example.com/v1 --model large-1 --key-env EXAMPLE_KEY",
        "judge everyday-1 --base Qwen/Qwen3-8B --criteria helpful,warm --against demo",
        "judge --answers ours.jsonl --answers theirs.jsonl --url http://127.0.0.1:11434/v1 --model qwen3:8b",
    ],
)
def judge(
    session: Session,
    suite_run: Annotated[
        str, typer.Argument(metavar="[SUITE_RUN]", help="Suite run: id, name, or the start of an id.")
    ] = "",
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="OpenAI-compatible endpoint that judges.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Model at the endpoint.", show_default=False)
    ] = None,
    key_env: KeyEnvOption = "",
    run: Annotated[
        str | None, typer.Option("--run", metavar="R", help="Judge with this run's adapter.", show_default=False)
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="M", help="Judge with this base model.", show_default=False)
    ] = None,
    criteria: Annotated[
        list[str] | None,
        typer.Option("--criteria", metavar="C,…", help="helpful,warm … or your own: 'brief=in few words'; repeat it."),
    ] = None,
    against: Annotated[
        str, typer.Option("--against", metavar="MODEL", help="Only pairs with this run or base.", show_default=False)
    ] = "",
    answers: Annotated[
        list[Path] | None, typer.Option("--answers", metavar="FILE", help="Answers instead of a suite run; twice.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Only the first N prompts.", min=1, show_default=False)
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(help="Longest reply of the judge; models that think need more.", min=16)
    ] = 512,
    at_once: Annotated[int, typer.Option(help="Pairs that are judged together.", min=1, max=64)] = 4,
    engine: EngineOption = EngineName.own,
) -> None:
    """Compare answers by another model, by criteria, each pair in both orders; what it says is kept as votes.

    Where the two orders differ, it is a tie, and how often they do is reported. Killed or stopped, the same command
    goes on from there. Where people voted on the same pairs, their agreement with the judge is reported.
    """
    from engine.inference.pool import Sampling, ServerPool
    from engine.judging.criteria import criteria_of
    from engine.judging.judge import judge_pairs, voter_of
    from engine.judging.report import report_of

    by = criteria_of(criteria or [])
    pairs = _pairs(session, suite_run, answers or [], against, limit)
    seat = _judge(session, url, model, key_env, run, base)
    voter = voter_of(seat.model if seat.pane.url else seat.voted)
    if any(seat.voted in (pair.left, pair.right) for pair in pairs):
        say(f"{clean_line(seat.pane.label)} judges answers of its own; models favour those.")
    with session.progress() as progress:

        def tell(at: "JudgeProgress") -> None:
            progress.update("judging", at.done / at.total, f"{at.done} of {at.total} pairs")

        pool = ServerPool(
            session.home, on_status=progress.update, engine="vllm" if engine is EngineName.vllm else "own"
        )
        try:
            judged = judge_pairs(
                session.store,
                pool,
                seat.pane,
                pairs,
                by,
                voter,
                sampling=Sampling(max_new_tokens),
                at_once=at_once,
                on_progress=tell,
            )
        finally:
            asyncio.run(pool.close())
    reports = report_of(session.store, pairs, by, voter)
    document = {
        "voter": voter,
        "pairs": len(pairs),
        "asked": judged.asked,
        "kept": judged.kept,
        "unclear": judged.unclear,
        "failures": judged.failures,
        "criteria": [report.to_json() for report in reports],
    }
    session.answer(document, lambda: _text(session, voter, judged, reports, len(pairs)))
    if judged.failures:
        raise FinetuiError(
            f"{len(judged.failures)} of {len(pairs)} pairs could not be judged.",
            why="\n".join(dict.fromkeys(judged.failures[:3])),
            fix="The same command asks them again.",
        )


def _pairs(
    session: Session, suite_run: str, answers: Sequence[Path], against: str, limit: int | None
) -> "list[AnswerPair]":
    from engine.judging.pairs import pairs_of_files, pairs_of_suite_run
    from engine.suites.kept import suite_of
    from engine.suites.running import find_suite_run

    if bool(suite_run) == bool(answers) or (answers and len(answers) != 2):
        raise BadInput(
            "There is nothing to judge." if not suite_run else "It is not clear what to judge.",
            fix="Name a suite run (`finetui suites ls` lists them), or two files: --answers FILE --answers FILE.",
        )
    if answers:
        return pairs_of_files(answers[0], answers[1], limit=limit)
    asked = find_suite_run(session.store, suite_run)
    named = against
    if against and against not in asked.models:
        named = f"base:{against}" if f"base:{against}" in asked.models else found(session, against).id
    return pairs_of_suite_run(session.store, suite_of(session.library, asked), asked, against=named, limit=limit)


def _judge(
    session: Session, url: str | None, model: str | None, key_env: str, run: str | None, base: str | None
) -> "Seat":
    """Who judges. Raises `BadInput` unless it is one."""
    if sum(named is not None for named in (url, run, base)) != 1:
        raise BadInput(
            "One model judges.",
            fix="Name an endpoint (--url URL --model NAME), a run (--run R) or a base model (--base M).",
        )
    if run is None and base is None:
        return remote_seats(url, [model] if model else [], key_env)[0]
    remote_seats(None, [model] if model else [], key_env)
    return seats_of(session, [run] if run is not None else [], base)[-1]


def _text(session: Session, voter: str, judged: "Judged", reports: "Sequence[CriterionReport]", pairs: int) -> str:
    from engine.suites.seating import labels_of

    models = sorted({name for report in reports for score in report.scores for name in (score.left, score.right)})
    labels = dict(zip(models, labels_of(session.store, models), strict=True))
    told = [f"{pairs} pairs", f"{judged.asked} judged now"]
    told += [f"{judged.kept} before"] if judged.kept else []
    told += [f"{judged.unclear} without a verdict that can be read"] if judged.unclear else []
    scores = [
        (report.criterion, labels[one.left], one.left_wins, one.ties, one.both_bad, one.right_wins, labels[one.right])
        for report in reports
        for one in report.scores
    ]
    if not scores:
        return f"{clean(voter)}: {', '.join(told)}.\nNo votes: a larger judge, or --max-new-tokens 2048, may help."
    parts = [f"{clean(voter)}: {', '.join(told)}."]
    parts.append(
        table(
            ("CRITERION", "MODEL", "WINS", "TIES", "BOTH BAD", "WINS ", "AGAINST"),
            scores,
            right=("WINS", "TIES", "BOTH BAD", "WINS "),
        )
    )
    trust = [(one.criterion, one.votes, _order(one), _length(one), *_people(one)) for one in reports if one.votes]
    parts.append(table(("CRITERION", "VOTES", "ORDER CHANGED IT", "LONGER WON", "AGREES WITH PEOPLE", "KAPPA"), trust))
    if any(one.agreement and one.agreement.pairs < FEW for one in reports):
        parts.append(f"With fewer than {FEW} pairs that people judged, agreement says little.")
    elif not any(one.agreement for one in reports):
        parts.append(
            "Nobody voted on these pairs yet: `finetui arena --suite …` shows whether the judge can be trusted."
        )
    return "\n\n".join(parts)


def _order(report: "CriterionReport") -> str:
    """How often the verdict changed with the order, and which place was favoured."""
    if report.position_bias is None:
        return ""
    favoured = f", first place {report.first_twice}, second {report.second_twice}" if report.inconsistent else ""
    return f"{report.position_bias:.0%} ({report.inconsistent} of {report.compared}{favoured})"


def _length(report: "CriterionReport") -> str:
    return f"{report.longer_won} of {report.decided}" if report.decided else ""


def _people(report: "CriterionReport") -> tuple[Any, Any]:
    """The share of the same verdicts and kappa, each with its interval."""
    one = report.agreement
    if one is None:
        return ("", "")
    share = f"{one.share:.2f} [{one.share_interval[0]:.2f}, {one.share_interval[1]:.2f}], n {one.votes}"
    if one.kappa is None or one.kappa_interval is None:
        return (share, "one verdict throughout")
    return (share, f"{one.kappa:.2f} [{one.kappa_interval[0]:.2f}, {one.kappa_interval[1]:.2f}]")
