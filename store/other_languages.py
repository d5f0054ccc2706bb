"""What can be asked of datasets (as `d`) and of chats (as `c`)."""

from store.columns import contains, equals, figure, moment, search, text, words
from store.language import Compare
from store.query import Asked, Clause, Key, Language, join, negated

SHORTEST_INDEXED = 3
"""Letters; shorter words are looked for in the messages themselves."""


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


def _said(word: str) -> Clause:
    """Chats whose title, id, tags or messages contain the word."""
    folded = word.casefold()
    if len(folded) < SHORTEST_INDEXED:
        # Asked chat by chat, the newest first: so short a word is in most of them, and a page is full soon.
        there = "EXISTS (SELECT 1 FROM messages m WHERE m.chat = c.key AND instr(m.search, ?) > 0)"
        return f"(instr(c.search, ?) > 0 OR {there})", [folded, folded]
    phrase = '"' + folded.replace('"', '""') + '"'
    there = "c.key IN (SELECT rowid >> 32 FROM message_words WHERE message_words MATCH ?)"
    return f"(instr(c.search, ?) > 0 OR {there})", [folded, phrase]


def _model(term: Compare, asked: Asked) -> Clause:
    """Chats in which a run of that name or id answered, or a model of that name."""
    exact = term.operator in ("=", "!=")
    make = equals if exact else contains
    conditions = [make(column, term.value) for column in ("p.value", "r.name", "r.model")]
    sql, parameters = join("OR", conditions)
    panes = f"EXISTS (SELECT 1 FROM json_each(c.panes) p LEFT JOIN runs r ON r.id = p.value WHERE {sql})"
    base, wanted = make("ifnull(c.settings ->> 'base', '')", term.value)
    clause = f"({panes} OR {base})", [*parameters, *wanted]
    return negated(clause) if term.operator in ("!=", "!~") else clause


_IS: dict[str, Clause] = {"pinned": ("c.pinned", []), "forked": ("c.parent <> ''", [])}

CHATS = Language(
    word=_said,
    keys={
        "title": text("c.title", "its title", "title:emoji"),
        "model": Key(_model, "who answered: a run or a model", "model:qwen"),
        "tag": text(
            "t.tag",
            "one of its tags, whole",
            "tag:keep",
            whole=True,
            wrap="EXISTS (SELECT 1 FROM chat_tags t WHERE t.chat = c.key AND {})",
        ),
        "is": words("pinned, forked", "is:pinned", {"pinned": "kept on top", "forked": "begun in another"}, _IS),
        "created": moment("c.created", "when it was begun", "created:today"),
        "updated": moment("c.updated", "when something was last said", "updated<7d"),
    },
    aliases={"tags": "tag", "run": "model"},
    other=_nothing,
)
