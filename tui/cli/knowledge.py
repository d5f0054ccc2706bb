"""`finetui knowledge`: collections of notes that answers can be based on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput, Cancelled
from tui.cli.command import Session, command
from tui.cli.datasets.working import Work, working
from tui.cli.knowledge_words import passage_text, report_text
from tui.cli.output import error_text, fields, say, table
from tui.format import fmt_bytes, fmt_when
from tui.text import clean_line
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.knowledge.library import AddReport, KnowledgeLibrary
    from store.knowledge import KnowledgeSource
    from store.talk_records import Knowledge, Passage

app = typer.Typer(help="Notes that answers can be based on: add, list, search, remove.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the collection.")]


@command(
    app,
    "add",
    example=[
        "knowledge add handbook docs/ faq.pdf",
        "knowledge add handbook 'wiki/**/*.md'",
        "knowledge add handbook docs/ --embeddings http://127.0.0.1:8080/v1 --model bge-small",
    ],
)
def add(
    session: Session,
    name: NameArgument,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH…", help="Folders, files, or patterns such as 'docs/**/*.md'.")
    ],
    embeddings: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="An OpenAI-compatible endpoint: search by meaning as well as words.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="The embedding model at that endpoint.", show_default=False)
    ] = None,
    key_env: Annotated[
        str,
        typer.Option("--key-env", metavar="VAR", help="Environment variable with its key; keys are never stored."),
    ] = "",
) -> None:
    """Read text, Markdown, HTML and PDF files into a collection, which is made where there is none.

    Called again it reads only what has changed, and forgets files that are gone from the folders named.
    """
    from engine.knowledge.embeddings import Embeddings

    if embeddings is None and (model or key_env):
        raise BadInput("--model and --key-env belong to --embeddings.", fix="Add --embeddings URL.")
    vectors = Embeddings(embeddings, model or "", key_env) if embeddings is not None else None
    library = _library(session)
    with working(session, f"adding to {clean_line(name)}") as work:
        report = library.add(name, paths, _teller(work), work.cancelled, embeddings=vectors)
        _ended(report)
    _answer(session, library, report)


@command(app, "refresh", example="knowledge refresh handbook")
def refresh(session: Session, name: NameArgument) -> None:
    """Read the files of a collection again where they have changed, and forget those that are gone.

    Files that are new in a folder are found by `add` with the folder.
    """
    library = _library(session)
    one = library.get(name)
    with working(session, f"reading {clean_line(one.name)} again") as work:
        report = library.refresh(one.name, _teller(work), work.cancelled)
        _ended(report)
    _answer(session, library, report)


@command(app, "ls", example="knowledge ls --json")
def ls(session: Session) -> None:
    """List the collections."""
    library = _library(session)
    found = library.all()

    def text() -> str:
        if not found:
            return "No notes. `finetui knowledge add NAME PATH…` reads some."
        rows = [
            (one.name, one.sources, one.passages, fmt_bytes(one.size_bytes), fmt_when(one.created)) for one in found
        ]
        return table(
            ("NAME", "FILES", "PASSAGES", "SIZE", "MADE"), rows, right=("FILES", "PASSAGES", "SIZE"), optional=("MADE",)
        )

    session.answer([_document(library, one) for one in found], text)


@command(app, "show", example="knowledge show handbook")
def show(session: Session, name: NameArgument) -> None:
    """Show one collection: its files, how many passages each has, and which model embeds them."""
    library = _library(session)
    one = library.get(name)
    files = library.sources(one.name)
    document = _document(library, one) | {"files": [_file_document(file) for file in files]}

    def text() -> str:
        embeddings = document["embeddings"]
        head = fields(
            [
                ("name", one.name),
                ("files", f"{one.sources:,}, {fmt_bytes(one.size_bytes)}"),
                ("passages", f"{one.passages:,}"),
                ("meanings", f"{embeddings['model']} at {embeddings['url']}" if embeddings else ""),
                ("made", fmt_when(one.created)),
            ]
        )
        rows = [(file.path, file.passages, fmt_bytes(file.size_bytes), fmt_when(file.added)) for file in files]
        head_row = ("FILE", "PASSAGES", "SIZE", "READ")
        return f"{head}\n\n{table(head_row, rows, right=('PASSAGES', 'SIZE'), optional=('READ',))}" if rows else head

    session.answer(document, text)


@command(
    app, "search", example=["knowledge search handbook 'How do I reset my password?'", "knowledge search faq refund"]
)
def search(
    session: Session,
    name: NameArgument,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A question, or words to look for.")],
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="So many passages at most.")] = 5,
) -> None:
    """Find the passages that answer a question best, the best first."""
    library = _library(session)
    one = library.get(name)
    answer = library.answer([one.name], query, limit)
    if answer.problem is not None:
        say(error_text(answer.problem))
        say("Searched by words alone.")
    session.answer(
        {
            "name": one.name,
            "query": query,
            "by_words_alone": not answer.by_meaning,
            "passages": [_passage_document(passage) for passage in answer.passages],
        },
        lambda: (
            "\n\n".join(passage_text(passage, query) for passage in answer.passages)
            or f"Nothing in {clean_line(one.name)} has these words."
        ),
    )


@command(app, "rm", example=["knowledge rm handbook", "knowledge rm handbook /home/me/docs/old.md"])
def rm(
    session: Session,
    name: NameArgument,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE…]", help="Only these files of it, as `show` names them.", show_default=False),
    ] = None,
) -> None:
    """Forget a collection, or files of it. The files themselves stay."""
    library = _library(session)
    one = library.get(name)
    known = {file.path for file in library.sources(one.name)}
    paths = [file if file in known else str(Path(file).expanduser().absolute()) for file in files or []]
    for path in paths:
        library.remove_source(one.name, path)
    if not paths:
        library.remove(one.name)
    what = f"{count_words(len(paths), 'file')} of {clean_line(one.name)}" if paths else clean_line(one.name)
    session.answer({"removed": one.name, "files": paths}, f"Forgot {what}. What is on disk stays.")


def _teller(work: Work) -> "Callable[[float, str], None]":
    """What is read before Ctrl+C is kept: the work ends by itself and reports how much that is."""
    return lambda share, _words: None if work.cancelled() else work.progress(share)


def _ended(report: "AddReport") -> None:
    """Raises `Cancelled` where it was stopped."""
    if report.stopped:
        kept = count_words(len(report.added) + len(report.changed), "file")
        raise Cancelled(f"Stopped. {kept} had been read by then and are kept; the same command goes on.")


def _answer(session: Session, library: "KnowledgeLibrary", report: "AddReport") -> None:
    """Say what came of it. Exit status 1 where there should be vectors and are none."""
    if report.problem is not None:
        say(error_text(report.problem))
        say("The notes are found by their words; add them again to give them vectors.")
    document = _document(library, library.get(report.name)) | _report_document(report)
    session.answer(document, lambda: report_text(report))
    if report.problem is not None:
        raise typer.Exit(1)


def _library(session: Session) -> "KnowledgeLibrary":
    from engine.knowledge.library import KnowledgeLibrary

    return KnowledgeLibrary(session.store)


def _document(library: "KnowledgeLibrary", one: "Knowledge") -> dict[str, Any]:
    """A collection. `embeddings` is null where it is searched by words alone."""
    embeddings = library.embeddings(one.name)
    return {
        "name": one.name,
        "created": one.created,
        "sources": one.sources,
        "passages": one.passages,
        "size_bytes": one.size_bytes,
        "embeddings": embeddings.to_json() if embeddings else None,
    }


def _file_document(file: "KnowledgeSource") -> dict[str, Any]:
    return {
        "path": file.path,
        "size_bytes": file.size_bytes,
        "modified": file.modified,
        "read": file.added,
        "passages": file.passages,
    }


def _report_document(report: "AddReport") -> dict[str, Any]:
    """What came of adding: paths, and `{path, why}` for what was not read, or not to its end."""
    return {
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "skipped": [{"path": one.path, "why": one.why} for one in report.skipped],
        "partial": [{"path": one.path, "why": one.why} for one in report.partial],
        "new_passages": report.passages,
        "new_vectors": report.vectors,
        "problem": report.problem.what if report.problem else None,
    }


def _passage_document(passage: "Passage") -> dict[str, Any]:
    """A passage; `place` counts from 0, `page` and `line` from 1 where they are known."""
    return {
        "source": passage.source,
        "title": passage.title,
        "place": passage.place,
        "page": passage.about.get("page"),
        "line": passage.about.get("line"),
        "score": passage.score,
        "text": passage.text,
    }
