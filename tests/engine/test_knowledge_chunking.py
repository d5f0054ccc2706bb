"""Notes cut into passages: headings, paragraphs, code and a little overlap; nothing is lost or grows too long."""

import random
import re
from itertools import pairwise

from engine.knowledge.chunking import MOST_WORDS, OVERLAP_WORDS, WORDS, passages_of, size_of
from engine.knowledge.note import Note, Part
from store.knowledge import NewPassage


def cut(text: str, *, headings: bool = True, name: str = "note.md", page: int | None = None) -> list[NewPassage]:
    return passages_of(Note(name, (Part(text, page=page, lines=page is None),), headings=headings))


def sentences(count: int, word: str = "word") -> str:
    return " ".join(f"{word}{at} makes sentence number {at} here." for at in range(count))


def test_headings_become_paths() -> None:
    found = cut("intro\n\n# Manual\n\n## Reset ##\ntext\n\n### Deep\nmore\n\nOther\n=====\nlast\n\nSub\n---\nend")
    assert [(one.title, one.text, one.about["line"]) for one in found] == [
        ("note.md", "intro", 1),
        ("Manual › Reset", "text", 6),
        ("Manual › Reset › Deep", "more", 9),
        ("Other", "last", 13),
        ("Other › Sub", "end", 17),
    ]


def test_a_heading_with_nothing_below_is_kept_as_text() -> None:
    found = cut("# FAQ\n## Can I pay later?\n## Is it free?\n### Yes\n")
    assert [(one.title, one.text) for one in found] == [
        ("FAQ", "Can I pay later?"),
        ("FAQ › Is it free?", "Yes"),
    ]
    assert cut("#\n##\n") == [] and cut(" \n\n") == []


def test_plain_text_has_no_headings_and_pages_are_named() -> None:
    [one] = cut("# 1 is not a heading\ntext", headings=False, name="a.txt")
    assert (one.title, one.text, one.about) == ("a.txt", "# 1 is not a heading\ntext", {"line": 1})
    [page] = cut("text", page=7, name="a.pdf")
    assert page.about == {"page": 7}


def test_long_sections_are_cut_between_paragraphs_with_an_overlap() -> None:
    paragraphs = [sentences(12, f"p{at}x") for at in range(10)]
    found = cut("# T\n\n" + "\n\n".join(paragraphs))
    assert len(found) > 3
    for one in found:
        assert size_of(one.text) <= WORDS + OVERLAP_WORDS and one.title == "T"
    for before, after in pairwise(found):
        tail = after.text.split("\n\n")[0]
        assert before.text.endswith(tail) and 0 < size_of(tail) <= OVERLAP_WORDS
        assert tail.endswith(".") and re.match(r"p\dx\d", tail), "whole sentences"
    together = "\n\n".join(one.text for one in found)
    assert all(paragraph in together for paragraph in paragraphs)


def test_no_overlap_across_headings() -> None:
    found = cut(f"# A\n{sentences(20)}\n# B\nshort")
    assert found[-1].text == "short" and found[-1].title == "B"


def test_one_endless_paragraph_is_cut_at_sentences_and_words() -> None:
    found = cut(sentences(300), headings=False)
    assert len(found) > 5 and all(size_of(one.text) <= WORDS + OVERLAP_WORDS for one in found)
    assert all(one.text.endswith(".") for one in found)
    endless = cut("word " * 5000, headings=False)
    assert all(size_of(one.text) <= WORDS + OVERLAP_WORDS for one in endless)
    assert sum(one.text.count("word") for one in endless) >= 5000
    blob = cut("x" * 100_000 + " 第" + "天地。" * 5000, headings=False)
    assert all(len(one.text) <= (WORDS + OVERLAP_WORDS + 3) * 8 for one in blob)
    assert sum(one.text.count("x") for one in blob) == 100_000


def code(lines: int) -> str:
    return "```python\n" + "\n".join(f"value_{at} = compute({at}) + 1" for at in range(lines)) + "\n```"


def test_a_fenced_block_that_fits_is_never_cut() -> None:
    block = code(60)
    assert WORDS < size_of(block) <= MOST_WORDS
    for before in range(0, 240, 17):
        found = cut(f"# T\n\n{' '.join(['word'] * before)}\n\n{block}\n\nafter")
        assert sum(block in one.text for one in found) == 1, before
    inside = cut(f"{code(5)[:-4]}\n\n# no heading\n\nvalue = 2\n```\n\ntext")
    assert len(inside) == 1 and "# no heading" in inside[0].text


def test_a_longer_one_is_cut_between_lines_and_fenced_again() -> None:
    found = cut(f"{code(400)}\n\nend")
    assert len(found) > 4
    lines = []
    assert found.pop().text == "end"
    for one in found:
        first, *rest = one.text.split("\n")
        assert first == "```python" and rest[-1] == "```"
        lines += rest[:-1]
    assert lines == code(400).split("\n")[1:-1]


def test_fences_that_never_close_and_fences_in_fences() -> None:
    assert cut("```\n# x\ny")[0].text == "```\n# x\ny"
    assert cut("````\n```\n# x\n```\n````\n# H\nz")[-1].title == "H"
    assert cut("~~~\n```\n# x\n~~~\n# H\nz")[-1].title == "H"


def test_hostile_text_is_made_safe() -> None:
    [one] = cut("# Ti\x1b]0;owned\x07tle\u202e\n[red]te\x00xt\x1b[31m[/]")
    assert (one.title, one.text) == ("Title", "[red]text[/]")
    assert len(cut("# " + "x" * 5000 + "\ntext")[0].title) == 200


def test_any_text_comes_to_an_end_within_bounds() -> None:
    numbers = random.Random(3)
    pieces = [
        "# ",
        "## ",
        "\n",
        "\n\n",
        "```",
        "~~~\n",
        "===\n",
        "---\n",
        "word ",
        "a. ",
        "x" * 300,
        "。",
        "\t",
        "- i\n",
        "🙂",
    ]
    for _ in range(300):
        text = "".join(numbers.choices(pieces, k=numbers.randint(0, 200)))
        for one in cut(text):
            assert one.text.strip() and size_of(one.text) <= MOST_WORDS + OVERLAP_WORDS + 10
