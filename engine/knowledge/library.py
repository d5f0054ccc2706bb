"""Collections of notes: files brought in and kept up to date, passages found for a question. Everything here blocks."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInput, Cancelled, FinetuiError, NotFound
from engine.knowledge.chunking import passages_of
from engine.knowledge.embeddings import Embeddings
from engine.knowledge.finding import Skipped, find_files
from engine.knowledge.fusing import fused
from engine.knowledge.meanings import Meanings, embed_passages
from engine.knowledge.note import Unreadable
from engine.knowledge.pdf import PdfReading
from engine.knowledge.reading import read_note
from engine.text import clean_line
from store.knowledge import KnowledgeSource, NewPassage

if TYPE_CHECKING:
    from store import Store
    from store.talk_records import Knowledge, Passage

FUSED = 50
"""Places of each ranking that are made one."""
NAME_LENGTH = 80

Progress = Callable[[float, str], object]
"""Hears how much is done, 0 to 1, and what is being done."""


@dataclass
class AddReport:
    """What came of bringing files in. Paths are absolute."""

    name: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: int = 0
    removed: list[str] = field(default_factory=list)
    """Files that are gone, or cannot be read any more."""
    skipped: list[Skipped] = field(default_factory=list)
    """Files that were not read, with the reason."""
    partial: list[Skipped] = field(default_factory=list)
    """Files of which a part was read."""
    passages: int = 0
    """How many new ones there are."""
    vectors: int = 0
    stopped: bool = False
    """Whether it was stopped; what was read until then is kept."""
    problem: FinetuiError | None = None
    """Why passages got no vectors. They are found by their words."""


@dataclass(frozen=True)
class Answer:
    """What was found for a question."""

    passages: "list[Passage]"
    problem: FinetuiError | None = None
    """Why it was looked for by words alone, where vectors should have helped."""
    by_meaning: bool = False
    """Whether vectors took part."""


class KnowledgeLibrary:
    """The collections of a store. May be used from any thread."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._meanings = Meanings(store)

    def add(
        self,
        name: str,
        paths: Sequence[str | Path],
        on_progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
        *,
        embeddings: Embeddings | None = None,
    ) -> AddReport:
        """Bring the files of folders, files and patterns into a collection, which is made where there is none.

        A file that has not changed is not read again; one that is gone from a folder named here goes. Each file is
        kept whole or not at all. A collection that has vectors gets them for what is new, too. Raises `BadInput` for a
        name or a path that cannot be.
        """
        name = checked_name(name)
        tell, asked = on_progress or (lambda _share, _words: None), stop or (lambda: False)
        if embeddings is not None:
            embeddings.check()
        report = AddReport(name)
        tell(0.0, "looking for files")
        try:
            found = find_files(paths, asked)
        except Cancelled:
            report.stopped = True
            return report
        report.skipped += found.skipped
        knowledge = self._store.knowledge
        knowledge.make(name)
        known = {source.path: source for source in knowledge.sources(name)}
        named = {str(path) for path in found.files}
        for gone in [path for path in known if path not in named and found.covers(path)]:
            self._remove_source(report, gone)
        embeddings = embeddings or self.embeddings(name)
        share = 0.5 if embeddings is not None else 1.0
        with PdfReading() as pdf:
            for number, path in enumerate(found.files):
                if asked():
                    report.stopped = True
                    break
                tell(share * number / len(found.files), clean_line(path.name))
                try:
                    self._bring_in(report, path, known.get(str(path)), pdf, asked)
                except Cancelled:
                    report.stopped = True
                    break
        if embeddings is not None and not report.stopped:
            self._embed(report, embeddings, lambda done, all_: tell(0.5 + 0.5 * done / all_, "vectors"), asked)
        tell(1.0, "done")
        return report

    def refresh(
        self, name: str, on_progress: Progress | None = None, stop: Callable[[], bool] | None = None
    ) -> AddReport:
        """Read the files of a collection again where they have changed; those that are gone go."""
        gone = [source.path for source in self.sources(name) if not Path(source.path).is_file()]
        for path in gone:
            self._store.knowledge.remove_source(name, path)
        report = self.add(name, [source.path for source in self.sources(name)], on_progress, stop)
        report.removed[:0] = gone
        return report

    def _bring_in(
        self,
        report: AddReport,
        path: Path,
        known: KnowledgeSource | None,
        pdf: PdfReading,
        stop: Callable[[], bool],
    ) -> None:
        text = str(path)
        try:
            text.encode()
            status = path.stat()
            if known is not None and (known.size_bytes, known.modified) == (status.st_size, status.st_mtime):
                report.unchanged += 1
                return
            digest = _digest(path) if status.st_size else ""
            if known is not None and known.digest == digest:
                self._store.knowledge.touch_source(report.name, text, status.st_mtime)
                report.unchanged += 1
                return
            note = read_note(path, pdf, stop)
            passages: list[NewPassage] = passages_of(note)
            if not passages:
                raise Unreadable("has no text")
        except UnicodeEncodeError:
            report.skipped.append(Skipped(text.encode("utf-8", "replace").decode(), "has a name that is no text"))
            return
        except (Unreadable, OSError) as error:
            report.skipped.append(Skipped(text, str(getattr(error, "strerror", None) or error)))
            if known is not None:
                self._remove_source(report, text)
            return
        source = KnowledgeSource(text, status.st_size, status.st_mtime, digest)
        self._store.knowledge.put_source(report.name, source, passages)
        (report.added if known is None else report.changed).append(text)
        report.passages += len(passages)
        if note.problem:
            report.partial.append(Skipped(text, note.problem))

    def _remove_source(self, report: AddReport, path: str) -> None:
        if self._store.knowledge.remove_source(report.name, path):
            report.removed.append(path)

    def _embed(
        self, report: AddReport, embeddings: Embeddings, tell: Callable[[int, int], object], stop: Callable[[], bool]
    ) -> None:
        try:
            report.vectors = embed_passages(self._store, report.name, embeddings, tell, stop)
        except FinetuiError as error:
            report.problem = error
        report.stopped = report.stopped or stop()

    def all(self) -> "list[Knowledge]":
        """Every collection, by name."""
        return self._store.knowledge.all()

    def get(self, name: str) -> "Knowledge":
        """The collection of that name, as it is written or else whatever its capitals. Raises `NotFound`."""
        every = self.all()
        same = [one for one in every if one.name == name] or [
            one for one in every if one.name.casefold() == name.strip().casefold()
        ]
        if len(same) == 1:
            return same[0]
        names = ", ".join(clean_line(one.name) for one in every[:20])
        raise NotFound(
            f"There is no collection of notes called {clean_line(name)[:NAME_LENGTH]!r}.",
            why=f"There are {names}." if names else "There are none yet.",
            fix="`finetui knowledge add NAME PATH…` makes one.",
        )

    def sources(self, name: str) -> list[KnowledgeSource]:
        """The files of a collection, by path."""
        return self._store.knowledge.sources(name)

    def passages(self, name: str, path: str) -> "list[Passage]":
        """What a file of a collection was cut into."""
        return self._store.knowledge.passages(name, path)

    def embeddings(self, name: str) -> Embeddings | None:
        """Which model gives a collection its vectors; `None` where it has none."""
        kept = self._store.knowledge.embeddings([name]).get(name)
        return Embeddings.from_json(kept) if kept else None

    def remove(self, name: str) -> None:
        """Forget a collection; its files stay. Raises `NotFound`."""
        if not self._store.knowledge.remove(name):
            self.get(name)

    def remove_source(self, name: str, path: str) -> None:
        """Forget a file of a collection. Raises `NotFound`."""
        if not self._store.knowledge.remove_source(name, path):
            raise NotFound(f"{clean_line(name)} has no file {clean_line(path)}.")

    def search(self, names: Collection[str], question: str, limit: int = 5) -> "list[Passage]":
        """The passages of these collections that answer a question best: by words, and by meaning where there are
        vectors. An endpoint that fails leaves the words."""
        return self.answer(names, question, limit).passages

    def answer(self, names: Collection[str], question: str, limit: int = 5) -> Answer:
        """As `search`, with what kept it from looking for meanings."""
        knowledge = self._store.knowledge
        kept = knowledge.embeddings(names)
        if not kept or not question.strip():
            return Answer(knowledge.search(names, question, limit))
        places = max(FUSED, limit)
        rankings = [[key for key, _ in knowledge.scores(names, question, places)]]
        problem = None
        for name, value in kept.items():
            try:
                rankings.append(self._meanings.ranking(name, Embeddings.from_json(value), question, places))
            except FinetuiError as error:
                problem = error
        if not any(rankings[1:]):
            return Answer(knowledge.search(names, question, limit), problem)
        return Answer(knowledge.by_scores(fused(rankings, limit)), problem, by_meaning=True)


def checked_name(name: str) -> str:
    """The name of a collection. Raises `BadInput` for one that cannot be shown or typed again."""
    if name != clean_line(name) or not name or len(name) > NAME_LENGTH:
        raise BadInput(
            f"{clean_line(name)[:NAME_LENGTH]!r} cannot be the name of a collection.",
            why=f"It takes 1 to {NAME_LENGTH} letters that can be seen, without spaces around them.",
            fix="Choose another, such as handbook.",
        )
    return name


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
