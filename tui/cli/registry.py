"""`finetui register`, and `finetui registry` with all that is done to registered adapters."""

from typing import Annotated

import typer

from engine.errors import BadInput, FinetuiError
from tui.cli.command import Session, command
from tui.cli.output import table
from tui.cli.registry_words import (
    comparison_document,
    comparison_text,
    label_of,
    name_document,
    name_text,
    promotion_document,
    version_document,
    version_text,
)
from tui.cli.runs.finding import RunArgument, found
from tui.format import fmt_when
from tui.text import clean, clean_line

app = typer.Typer(help="Adapters registered under a name, in versions that do not change.", no_args_is_help=True)
registering = typer.Typer()
"""`register`, which stands beside the groups."""

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The registered name.")]
VersionArgument = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="A version; without a number, the promoted or newest one.")
]
EvaluationOption = Annotated[
    list[str] | None,
    typer.Option("--evaluation", metavar="ID", help="Evaluation for the card; else the newest of each; repeat it."),
]


@command(
    registering,
    "register",
    example=["register support-qlora support", "register r1abc support --description 'Help desk' --tag warm"],
)
def register(
    session: Session,
    run: RunArgument,
    name: NameArgument,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.", show_default=False)] = "",
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="Tag; repeat it.")] = None,
    evaluations: EvaluationOption = None,
) -> None:
    """Keep a run's adapter as the next version of a name: copied whole, with model_info.json and a model card.

    `finetui chat --run NAME` then means the promoted version, else the newest; NAME@2 is one version.
    """
    from engine.registry.registering import register as keep

    taken = found(session, run)
    with session.progress() as progress:
        progress.update("copying the adapter")
        version = keep(
            session.home,
            session.store,
            taken,
            name,
            description=description,
            tags=tags or (),
            evaluations=evaluations,
            progress=lambda share: progress.update("copying the adapter", share),
        )
    document = version_document(session.home, version)
    session.answer(
        document, f"Registered {clean_line(taken.name)} as {label_of(version)}: {clean_line(document['dir'])}."
    )


@command(app, "ls", example="registry ls")
def ls(session: Session) -> None:
    """List the registered names, with the version that each means."""
    names = session.store.registry.names()
    rows = []
    for one in names:
        current = session.store.registry.get(one.name, one.current)
        about = current.description.splitlines()[0][:60] if current and current.description else ""
        chosen = f"{one.current} promoted" if one.promoted else f"{one.current} newest"
        rows.append((one.name, chosen, one.versions, current.base if current else "", fmt_when(one.created), about))

    def text() -> str:
        if not rows:
            return "Nothing is registered yet. `finetui register RUN NAME` keeps the adapter of a run under a name."
        head = ("NAME", "MEANS", "VERSIONS", "BASE", "SINCE", "DESCRIPTION")
        return table(head, rows, right=("VERSIONS",), optional=("DESCRIPTION", "SINCE"))

    session.answer([name_document(one) for one in names], text)


@command(app, "show", example=["registry show support", "registry show support@2 --card"])
def show(
    session: Session,
    version: VersionArgument,
    card: Annotated[bool, typer.Option("--card", help="The model card as it is, in Markdown.")] = False,
) -> None:
    """Show a name with its versions and promotions; NAME@VERSION shows what is known about one version."""
    from engine.registry.finding import find_registered, folder_of
    from engine.registry.keeping import find_name

    wanted = find_registered(session.home, session.store, version)
    if card:
        text = folder_of(session.home, wanted).card.read_text(encoding="utf-8")
        session.answer({"card": text}, lambda: clean(text))
        return
    if "@" in version:
        session.answer(version_document(session.home, wanted), lambda: version_text(session.home, wanted))
        return
    versions = session.store.registry.versions(wanted.name)
    promotions = session.store.registry.promotions(wanted.name)
    registered = find_name(session.store, wanted.name)
    document = name_document(registered) | {
        "history": [promotion_document(one) for one in promotions],
        "all": [version_document(session.home, one) for one in versions],
    }
    session.answer(document, lambda: name_text(registered, versions, promotions))


@command(app, "promote", example="registry promote support 2 --note 'better on the test split'")
def promote(
    session: Session,
    name: NameArgument,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version's number.")],
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why.", show_default=False)] = "",
) -> None:
    """Make a version the one that the name means. Its files are checked first."""
    from engine.registry.keeping import promote as choose
    from engine.registry.naming import version_number

    made = choose(session.home, session.store, name, version_number(version), note)
    session.answer({"name": name} | promotion_document(made), f"{name} means version {made.version} now.")


@command(app, "rollback", example="registry rollback support")
def rollback(session: Session, name: NameArgument) -> None:
    """Go back to the version that was promoted before; called again, to the one before that."""
    from engine.registry.keeping import roll_back

    made = roll_back(session.home, session.store, name)
    session.answer({"name": name} | promotion_document(made), f"{name} means version {made.version} again.")


@command(app, "compare", example=["registry compare support 1 2", "registry compare support"])
def compare(
    session: Session,
    name: NameArgument,
    before: Annotated[
        str | None, typer.Argument(metavar="V1", help="The earlier version; else the one before.", show_default=False)
    ] = None,
    after: Annotated[
        str | None, typer.Argument(metavar="V2", help="The later version; else the newest.", show_default=False)
    ] = None,
) -> None:
    """Compare two versions: how they were made, their figures on the same rows, their size, time and cost."""
    from engine.registry.comparing import compare_versions
    from engine.registry.keeping import find_name
    from engine.registry.naming import version_number
    from engine.registry.registering import find_version

    find_name(session.store, name)
    numbers = [one.version for one in session.store.registry.versions(name)]
    second = version_number(after) if after else numbers[0]
    earlier = next((number for number in numbers if number < second), None)
    first = version_number(before) if before else earlier
    if first is None:
        raise BadInput(f"{name}@{second} has no version before it.", fix="Name two versions.")
    compared = compare_versions(*(find_version(session.store, name, number) for number in (first, second)))
    session.answer(comparison_document(compared), lambda: comparison_text(compared))


@command(app, "describe", example="registry describe support@2 'Answers of the help desk, in three sentences.'")
def describe(
    session: Session,
    version: VersionArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it is for; '' for nothing.")],
) -> None:
    """Say what a version is for. Its card is written anew, its adapter stays as it is."""
    from engine.registry.finding import find_registered
    from engine.registry.keeping import describe as say

    wanted = find_registered(session.home, session.store, version)
    changed = say(session.home, session.store, wanted, description=text)
    session.answer(version_document(session.home, changed), f"{label_of(changed)}: {clean(changed.description)}")


@command(app, "tag", example=["registry tag support@2 warm german", "registry tag support --remove warm"])
def tag(
    session: Session,
    version: VersionArgument,
    tags: Annotated[list[str] | None, typer.Argument(metavar="T…", help="Tags to add.", show_default=False)] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="T", help="Tag to take away.")] = None,
) -> None:
    """Add tags to a version, or take some away."""
    from engine.registry.finding import find_registered
    from engine.registry.keeping import describe as say

    wanted = find_registered(session.home, session.store, version)
    kept = [one for one in (*wanted.tags, *(tags or ())) if one not in (remove or ())]
    changed = say(session.home, session.store, wanted, tags=kept)
    shown = ", ".join(clean_line(one) for one in changed.tags) or "no tags"
    session.answer(version_document(session.home, changed), f"{label_of(changed)}: {shown}")


@command(app, "refresh", example=["registry refresh support", "registry refresh support@2 --evaluation e1abc"])
def refresh(session: Session, version: VersionArgument, evaluations: EvaluationOption = None) -> None:
    """Take evaluations that came since onto the card of a version."""
    from engine.registry.finding import find_registered
    from engine.registry.keeping import refresh as take_in

    wanted = find_registered(session.home, session.store, version)
    changed = take_in(session.home, session.store, wanted, evaluations)
    count = len(changed.info.get("evaluations") or ())
    told = f"{count} evaluation{'s' * (count != 1)}" if count else "no evaluations; `finetui eval RUN` makes one"
    session.answer(version_document(session.home, changed), f"{label_of(changed)} has {told}.")


@command(app, "check", example=["registry check", "registry check support@2"])
def check(
    session: Session,
    version: Annotated[
        str | None,
        typer.Argument(metavar="NAME[@VERSION]", help="A name or a version; else everything.", show_default=False),
    ] = None,
) -> None:
    """Check that files are what was registered, by their digests. Reads all of them."""
    from engine.registry.finding import find_registered
    from engine.registry.keeping import problems_of

    registry = session.store.registry
    if version and "@" in version:
        wanted = [find_registered(session.home, session.store, version)]
    else:
        names = [find_registered(session.home, session.store, version).name] if version else None
        wanted = [one for name in names or [name.name for name in registry.names()] for one in registry.versions(name)]
    with session.progress() as progress:
        problems = {}
        for place, one in enumerate(wanted):
            progress.update(f"reading {one.name}@{one.version}", place / len(wanted))
            if found_here := problems_of(session.home, one):
                problems[f"{one.name}@{one.version}"] = found_here
    if problems and not session.as_json:
        listed = "\n".join(f"  {clean_line(label)}: {'; '.join(told)}" for label, told in problems.items())
        raise FinetuiError(
            "Files are not what was registered:",
            why=listed,
            fix="Bring them back from a backup, or register the run again.",
        )
    session.answer(
        {"ok": not problems, "checked": len(wanted), "problems": problems}, f"{len(wanted)} checked: all sound."
    )
    if problems:
        raise typer.Exit(1)


@command(app, "rm", example=["registry rm support@1", "registry rm support --all"])
def rm(
    session: Session,
    version: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The version to remove.")],
    everything: Annotated[bool, typer.Option("--all", help="The name with all its versions.")] = False,
) -> None:
    """Remove a version with its files, or a name with all versions. Runs stay."""
    from engine.registry.keeping import find_name, remove
    from engine.registry.naming import parse

    wanted = parse(version)
    name = wanted.name if wanted else version
    find_name(session.store, name)
    number = wanted.version if wanted else None
    if number is None and not everything:
        raise BadInput(
            f"Which version of {clean_line(name)} is to go?",
            fix=f"Name it, as in {clean_line(name)}@1; --all removes the name with all its versions.",
        )
    if number is not None and everything:
        raise BadInput("--all goes with a name, without a version.")
    remove(session.home, session.store, name, number)
    gone = f"{name}@{number}" if number else name
    session.answer({"removed": gone}, f"Removed {clean_line(gone)}; runs stay.")
