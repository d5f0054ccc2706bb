"""What can be asked of datasets (as `d`) and of chats (as `c`)."""

from store.columns import figure, moment, search, text
from store.language import Compare
from store.query import Asked, Clause, Language


def _nothing(term: Compare, asked: Asked) -> Clause | None:
    return None


DATASETS = Language(
    word=search("d.search"),
    keys={
        "name": text("d.name", "its name", "name:support"),
        "shape": text("d.shape", "what its rows are", "shape:messages"),
        "grade": text("d.grade", "the grade of its report", "grade:A", whole=True),
        "rows": figure("d.rows", "how many rows it has", "rows>1k"),
        "tokens": figure("d.tokens", "how many tokens it has", "tokens<1M"),
        "version": figure("d.version", "its version", "version>1"),
        "created": moment("d.created", "when it was made", "created<7d"),
    },
    aliases={},
    other=_nothing,
)

CHATS = Language(
    word=lambda text: (
        "(instr(c.search, ?) > 0 OR EXISTS (SELECT 1 FROM messages m WHERE m.chat = c.key AND instr(m.search, ?) > 0))",
        [text.casefold()] * 2,
    ),
    keys={
        "title": text("c.title", "its title", "title:emoji"),
        "created": moment("c.created", "when it was begun", "created:today"),
        "updated": moment("c.updated", "when something was last said", "updated<7d"),
    },
    aliases={},
    other=_nothing,
)
