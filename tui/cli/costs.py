"""`finetui costs`: what runs cost over a period."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.output import table
from tui.widgets.cost_words import BY_TITLES, amount, energy, hours, what_is_missing

if TYPE_CHECKING:
    from engine.prices import Prices
    from engine.spending import Share, Spending

app = typer.Typer()


@command(app, "costs", example=["costs", "costs --since 30d --by model", "costs --by tag --filter 'dataset:support'"])
def costs(
    session: Session,
    by: Annotated[str, typer.Option(metavar="|".join(BY_TITLES), help="What to put together.")] = "month",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Runs that began from then: 30d, today, 2026-11.", show_default=False)
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Runs that began before then.", show_default=False)] = "",
    filter_: Annotated[
        str, typer.Option("--filter", metavar="QUERY", help="Only these runs, as in `runs ls`.", show_default=False)
    ] = "",
) -> None:
    """Show what runs took: hours on devices, energy, electricity and money.

    Prices are those of `[prices]` in `settings.toml`; docs/costs.md tells how each figure is made.
    """
    from engine.prices import read_prices
    from engine.spending import beginning, spending

    now = time.time()
    prices = read_prices(session.home)
    found = spending(
        session.current(),
        prices,
        by=by,
        query=filter_,
        since=beginning(since, now) if since else None,
        until=beginning(until, now) if until else None,
    )
    document = {
        "by": found.by,
        "currency": prices.currency,
        "rows": [asdict(share) for share in found.shares],
        "total": asdict(found.total),
    }
    session.answer(document, lambda: _text(found, prices))


def _text(found: "Spending", prices: "Prices") -> str:
    if not found.shares:
        return "No run began in that time."
    lines = [_line(share, prices) for share in found.shares]
    if len(lines) > 1:
        lines.append(_line(found.total, prices))
    shown = table(
        (BY_TITLES[found.by], "RUNS", "DEVICE HOURS", "ENERGY", "ELECTRICITY", "DEVICES"),
        lines,
        right=("RUNS", "DEVICE HOURS", "ENERGY", "ELECTRICITY", "DEVICES"),
    )
    missing = what_is_missing(found, bool(prices.hour), bool(prices.kwh))
    return f"{shown}\n\n{missing}" if missing else shown


def _line(share: "Share", prices: "Prices") -> tuple[str, ...]:
    return (
        share.name,
        f"{share.runs:,}",
        hours(share.device_s),
        energy(share),
        amount(share.electricity, prices.currency),
        amount(share.cost, prices.currency),
    )
