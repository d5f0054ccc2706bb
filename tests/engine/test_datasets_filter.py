"""The filter language asked of rows: what each field and operator means, and what is refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.emoji import count_emoji
from engine.datasets.filter import compile_filter, count_matches, filter_rows
from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row, Turn
from engine.errors import BadInput, Cancelled
from engine.home import Home
from store import open_store


@pytest.fixture
def library(tmp_path: Path) -> Any:
    home = Home(tmp_path / "home")
    home.ensure()
    store = open_store(home.db)
    library = DatasetLibrary(home, store)
    yield library
    library.close()
    store.close()


ROW = Row(
    4,
    "train",
    (
        Turn("system", "Be brief."),
        Turn("user", "How do I reset my password?"),
        Turn("assistant", "Settings ⚙️ → Reset 🔑 👨‍👩‍👧"),
    ),
    {
        "augmented": True,
        "score": 0.75,
        "source": "OASST",
        "tags": ["emoji", "short"],
        "quoted": "5",
        "flag": "True",
        "empty": None,
        "inner": {"depth": {"value": 3}},
        "a.b": "dotted",
        "date": "2024-05-01",
    },
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("metadata.augmented = true AND tokens < 1024 AND emoji <= 5", True),
        ("metadata.augmented == true", True),
        ("metadata.augmented = false", False),
        ("metadata.augmented != true", False),
        ("NOT metadata.augmented = true", False),
        ("tokens < 40", False),
        ("tokens >= 40", True),
        ("emoji = 3", True),
        ("row = 5", True),
        ("turns > 3", False),
        ("answer.words<=6 AND prompt.words>=6", True),
        ("split = train", True),
        ("split:validation", False),
        ("split != validation", True),
        ("password", True),
        ('"reset my"', True),
        ("-password", False),
        ("reset !~ 1 OR password", None),
        ("user ~ PASSWORD", True),
        ("assistant ~ password", False),
        ("assistant !~ password", True),
        ('system = "Be brief."', True),
        ('system = "be brief."', False),
        ("metadata.score >= 0.75", True),
        ("metadata.score > 0.75", False),
        ("metadata.source = OASST", True),
        ("metadata.source ~ oas", True),
        ("metadata.tags = emoji", True),
        ("metadata.tags ~ sho", True),
        ("metadata.tags = sho", False),
        ("metadata.quoted > 4", True),
        ("metadata.quoted = 5.0", True),
        ('metadata.quoted = "5.0"', False),
        ("metadata.flag = true", True),
        ("metadata.empty = null", True),
        ("metadata.missing = null", True),
        ("metadata.missing > 1", False),
        ("metadata.missing != x", True),
        ("metadata.inner.depth.value = 3", True),
        ("metadata.a.b = dotted", True),
        ("metadata.date < 2024-06", True),
        ("(split:train OR split:test) AND (emoji > 9 OR row < 9)", True),
        ("tools = false", True),
        ("label = true", False),
    ],
)
def test_what_a_filter_means(text: str, holds: bool | None) -> None:
    if holds is None:  # a bare word has no operator
        with pytest.raises(BadInput):
            compile_filter(text)
        return
    chosen = pickle.loads(pickle.dumps(compile_filter(text)))
    assert chosen.matches(ROW, 40) is holds
    assert chosen.needs_tokens is ("tokens" in text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("  ()", "empty"),
        ("tokens <", "what"),
        ("row < 5 and emoji > 1", "as a word"),
        ("tokens < many", "number"),
        ("tokens ~ 3", "contains nothing"),
        ("user < z", "no order"),
        ("label = perhaps", "true or false"),
        ("augmented = true", "metadata.augmented"),
        ("metadata. = 1", "no field"),
        (" ".join(["word"] * 101), "100 terms"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        compile_filter(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("plain words, 12 # * © ™", 0),
        ("🙂", 1),
        ("🙂🙂", 2),
        ("👍🏽 👩‍💻 🏳️‍🌈", 3),
        ("🇩🇪🇫🇷", 2),
        ("1️⃣ #️⃣", 2),
        ("⚙️ → ❤️", 2),
        ("日本語", 0),
    ],
)
def test_emoji_are_counted_as_people_see_them(text: str, count: int) -> None:
    assert count_emoji(text) == count


def written(folder: Path, rows: int) -> Path:
    path = folder / "chats.jsonl"
    with path.open("w") as file:
        for number in range(rows):
            row = {"prompt": f"Question {number}", "response": "word " * (number % 7 + 1), "even": number % 2 == 0}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.mark.parametrize("rows", [300, 12_000], ids=["in this process", "in several"])
def test_filtering_makes_the_next_version(library: DatasetLibrary, tmp_path: Path, rows: int) -> None:
    dataset = library.import_file(written(tmp_path, rows))
    shares: list[float] = []
    made = filter_rows(library, dataset, "metadata.even = true AND answer.words > 2", progress=shares.append)
    expected = [number for number in range(rows) if number % 2 == 0 and number % 7 + 1 > 2]
    assert (made.before, made.after, made.new) == (rows, len(expected), True)
    assert (made.dataset.name, made.dataset.version, made.dataset.parent) == (dataset.name, 2, dataset.id)
    before = {row.messages[0].content: row for row in library.iterate(dataset.id)}
    after = list(library.iterate(made.dataset.id))
    assert [row.messages[0].content for row in after] == [f"Question {number}" for number in expected]
    assert all(row.split == before[row.messages[0].content].split for row in after)
    assert [row.index for row in after] == list(range(len(expected)))
    assert shares == sorted(shares) and shares[-1] == 1.0
    operation = library.card(made.dataset.id)["operation"]
    assert operation == {
        "kind": "filter",
        "where": "metadata.even = true AND answer.words > 2",
        "before": rows,
        "after": len(expected),
    }
    assert [one.id for one in library.lineage(made.dataset.id)] == [made.dataset.id, dataset.id]
    assert library.children(dataset.id) == [made.dataset]
    assert count_matches(library, dataset, "metadata.even = true AND answer.words > 2") == len(expected)
    again = filter_rows(library, dataset, "metadata.even=true answer.words>=3")
    assert not again.new and again.dataset == made.dataset


def test_nothing_to_take_away_makes_no_version(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = library.import_file(written(tmp_path, 20))
    made = filter_rows(library, dataset, "question")
    assert not made.new and made.dataset == dataset
    with pytest.raises(BadInput, match="No row would be left"):
        filter_rows(library, dataset, "chars > 100000")
    assert len(library.list()) == 1 and not list(library.home.datasets.glob(".import-*"))


def test_a_filter_given_up_keeps_nothing(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = library.import_file(written(tmp_path, 12_000))
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        filter_rows(library, dataset, "metadata.even = true", cancelled=lambda: next(asked, True))
    assert len(library.list()) == 1
