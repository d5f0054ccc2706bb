"""`finetui arena` and `finetui arena leaderboard`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.cli.chat import KeyEnvOption, UrlOption, remote_seats
from tui.cli.command import Session, command
from tui.cli.output import table
from tui.cli.runs.finding import found

if TYPE_CHECKING:
    from engine.arena.ratings import Rating
    from tui.app import FinetuiApp

app = typer.Typer(help="Blind comparisons of models, and what they come to.")
CriterionOption = Annotated[
    str, typer.Option("--criterion", metavar="C", help="What was judged: overall, helpful, warm …")
]
VoterOption = Annotated[
    str | None,
    typer.Option("--voter", metavar="NAME", help="Only this voter's; `people` leaves judges out.", show_default=False),
]


@command(
    app,
    "",
    example=[
        "arena --suite everyday",
        "arena --run support-3 --run support-4 --base starter",
        "arena --run support-3 --url http://127.0.0.1:11434/v1 --model qwen3:8b",
    ],
)
def arena(
    session: Session,
    suite: Annotated[
        str, typer.Option("--suite", metavar="S", help="Prompts: a dataset or a file.", show_default=False)
    ] = "",
    runs: Annotated[
        list[str] | None, typer.Option("--run", metavar="R", help="Run that takes part; repeat it.")
    ] = None,
    bases: Annotated[
        list[str] | None, typer.Option("--base", metavar="M", help="Base model that takes part; repeat it.")
    ] = None,
    url: UrlOption = None,
    remote: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="Model at the endpoint; repeat it.")
    ] = None,
    key_env: KeyEnvOption = "",
) -> None:
    """Open the app on the arena: two answers side by side, nobody says whose, one key for a vote.

    Without --run and --base: the newest runs that have an adapter, and their base. One run meets its base.
    """
    from engine.arena.entrants import default_models, entrants
    from engine.suites.reading import find_suite, read_suite
    from engine.suites.seating import models_of
    from tui.cli.opening import needs_terminal, show_app
    from tui.cli.suite_asking import keep_endpoints

    needs_terminal()
    taking_part = [found(session, name) for name in runs or []]
    far = keep_endpoints(session, remote_seats(url, remote or [], key_env))
    here = models_of(taking_part, bases or [], with_base=len(taking_part) + len(far) < 2)
    models = (*(here or (default_models(session.store) if far else ())), *far)
    entrants(session.store, session.home, models)  # what cannot answer is said here, not in the app
    dataset = find_suite(session.library, suite) if suite else None
    if dataset is not None:
        read_suite(session.library, dataset)
    session.close()

    def first(opened: "FinetuiApp") -> None:
        from tui.screens.arena import ArenaScreen

        screen = ArenaScreen(models, dataset.id if dataset is not None else "")
        opened.call_later(opened.show_in, "chat", screen)

    if status := show_app(session.home, first=first):
        raise typer.Exit(status)


@command(app, "leaderboard", example=["arena leaderboard", "arena leaderboard --criterion warm --voter ann --json"])
def leaderboard(session: Session, criterion: CriterionOption = "overall", voter: VoterOption = None) -> None:
    """Rank models by the votes between their answers: Bradley-Terry ratings and win rates, with 95 % intervals."""
    from engine.arena.ratings import rate
    from engine.suites.seating import labels_of

    votes = session.store.votes
    rated = rate(votes.pairs(criterion, voter=voter))
    labels = labels_of(session.store, [rating.model for rating in rated])
    document = {
        "criterion": criterion,
        "voter": voter,
        "votes": votes.count(criterion, voter),
        "criteria": votes.criteria(),
        "voters": votes.voters(),
        "models": [_document(label, rating) for label, rating in zip(labels, rated, strict=True)],
    }

    def text() -> str:
        if not rated:
            return "There is no such vote yet. `finetui arena` asks for some."
        rows = [_row(place, *about) for place, about in enumerate(zip(labels, rated, strict=True), 1)]
        head = ("#", "MODEL", "RATING", "95 % INTERVAL", "WINS", "TIES", "LOSSES", "BOTH BAD", "WIN RATE")
        return table(head, rows, right=("#", "RATING", "WINS", "TIES", "LOSSES", "BOTH BAD"), optional=("BOTH BAD",))

    session.answer(document, text)


def _row(place: int, label: str, rating: "Rating") -> tuple[object, ...]:
    from tui.widgets.arena_words import share_words

    interval = f"{rating.low:.0f} to {rating.high:.0f}"
    tally = (rating.wins, rating.ties, rating.losses, rating.both_bad)
    return (place, label, f"{rating.score:.0f}", interval, *tally, share_words(rating))


def _document(label: str, rating: "Rating") -> dict[str, Any]:
    """A model's rating; `win_rate` and its interval are null without votes."""
    return {
        "model": rating.model,
        "name": label,
        "rating": round(rating.score, 1),
        "rating_low": round(rating.low, 1),
        "rating_high": round(rating.high, 1),
        "votes": rating.votes,
        "wins": rating.wins,
        "ties": rating.ties,
        "losses": rating.losses,
        "both_bad": rating.both_bad,
        "win_rate": rating.win_rate,
        "win_rate_low": rating.win_low,
        "win_rate_high": rating.win_high,
    }
