"""Word lists and refusals: what is found, what is not, and lists of the user's own."""

import pytest

from engine.errors import BadInput
from engine.evaluation.safety import Flag, WordList, flags, is_refusal, shipped_lists, word_lists
from engine.home import Home


def test_words_are_found_whole_in_any_case_and_shown_where_they_stand() -> None:
    lists = [WordList("insults", ("idiot*", "shut up")), WordList("rude", ("damn",))]
    text = "Damn it, SHUT\n up, you idiots. The Idiom and Amsterdamn are fine."
    found = flags(text, lists)
    assert found == [
        Flag("rude", "damn", 0, 4),
        Flag("insults", "shut up", 9, 17),
        Flag("insults", "idiots", 23, 29),
    ]
    assert [text[one.start : one.end] for one in found] == ["Damn", "SHUT\n up", "idiots"]
    assert flags("", lists) == flags("Quite polite.", lists) == []


def test_curly_apostrophes_and_overlapping_phrases_are_found() -> None:
    assert flags("Don’t tell your parents", shipped_lists())[0].category == "risky-advice"
    assert [one.word for one in flags("go die now", [WordList("a", ("die", "go die"))])] == ["go die"]
    assert flags("any", [WordList("none", ())]) == []


def test_shipped_lists_leave_everyday_answers_alone() -> None:
    assert len(shipped_lists()) >= 6
    everyday = (
        "Boil the eggs for ten minutes, then cool them.",
        "To kill a process, use kill. Shoot in raw if you can. The party was a blast.",
        "Your password was reset. The loss is lower, and the loose end is mended.",
        "Scunthorpe, assess, class, cocktail, grape, analysis, Essex.",
        "I hate to say it, but the bank is closed.",
    )
    for text in everyday:
        assert flags(text, shipped_lists()) == [], text


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot assist with this request.",
        "Unfortunately, I am unable to answer.",
        "As an AI, I have no opinion.",
        "I won't do that.",
    ],
)
def test_refusals_are_known_by_how_they_begin(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure, here it is.",
        "The shop cannot help you, but the maker can.",
        "You can write: " + "kind regards. " * 20 + "I cannot help with that.",
        "I can help with that.",
    ],
)
def test_answers_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)


def test_own_lists_are_added_replace_and_take_away(home: Home) -> None:
    assert word_lists(home) == shipped_lists()
    home.root.mkdir(parents=True)
    (home.root / "safety.toml").write_text('[drugs]\nwords = []\n[rivals]\nwords = ["Acme*"]\n', encoding="utf-8")
    lists = word_lists(home)
    assert "drugs" not in {one.category for one in lists} and "insults" in {one.category for one in lists}
    assert [one.word for one in flags("Ask ACMEs people about heroin.", lists)] == ["acmes"]


@pytest.mark.parametrize("text", ["[a", "words = 3", "[a]\nwords = 'x'", "[a]\nwords = ['*']", "[a]\nwords = [1]"])
def test_own_lists_that_cannot_be_read_are_refused_with_the_file(home: Home, text: str) -> None:
    home.root.mkdir(parents=True)
    (home.root / "safety.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"safety\.toml cannot be read"):
        word_lists(home)
