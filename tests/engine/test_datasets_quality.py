"""The report finds what is wrong, says nothing of what is right, and grades both so that one can see why."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.datasets.library import DatasetLibrary
from engine.datasets.quality import CATALOGUE, Report, validate
from engine.datasets.quality.language import check_languages, languages_of
from engine.datasets.quality.leakage import check_leakage
from engine.datasets.quality.tally import Look, Tally, inspect_rows
from engine.datasets.quality.validation import make_report, weigh
from engine.datasets.rows import Row, Turn, content_hash
from engine.errors import BadInput, Cancelled
from engine.home import Home
from store import open_store

SUBJECTS = (
    "apples",
    "bridges",
    "candles",
    "deserts",
    "engines",
    "forests",
    "gardens",
    "harbours",
    "islands",
    "jackets",
    "kettles",
    "lanterns",
)
PLACES = (
    "Athens",
    "Bergen",
    "Cairo",
    "Delhi",
    "Essen",
    "Fargo",
    "Geneva",
    "Hanoi",
    "Izmir",
    "Jakarta",
    "Kyoto",
    "Lagos",
    "Milan",
)


def conversation(number: int) -> list[Turn]:
    """Sound turns, all of them different."""
    subject, place = SUBJECTS[number % len(SUBJECTS)], PLACES[number // len(SUBJECTS) % len(PLACES)]
    return [
        Turn("user", f"What should I know about the {subject} of {place} in chapter {number}?"),
        Turn(
            "assistant", f"The {subject} of {place} are described on page {number}, with {number % 7} pictures of them."
        ),
    ]


def row(number: int, *turns: Turn, split: str = "", **rest: Any) -> Row:
    split = split or ("validation" if number % 10 == 9 else "train")
    return Row(number, split, turns or tuple(conversation(number)), rest.pop("metadata", {}), **rest)


def user(text: str) -> Turn:
    return Turn("user", text)


def answer(text: str, calls: str = "") -> Turn:
    return Turn("assistant", text, calls)


def clean(count: int) -> list[Row]:
    return [row(number) for number in range(count)]


def with_rows(count: int, *odd: tuple[Turn, ...]) -> list[Row]:
    """Clean rows, the last of them replaced by the odd ones."""
    rows = clean(count - len(odd))
    return rows + [row(len(rows) + place, *turns) for place, turns in enumerate(odd)]


def report_of(rows: list[Row], kind: str = "conversation", *, languages: bool = False) -> Report:
    tally = Tally()
    look = Look(kind, frozenset(range(len(rows))) if languages else frozenset())
    for start in range(0, len(rows), 40):
        tally.add(inspect_rows(rows[start : start + 40], look))
    groups: dict[bytes, list[int]] = {}
    for one in rows:
        groups.setdefault(content_hash(one), []).append(one.index)
    return make_report(weigh(tally, kind, [group for group in groups.values() if len(group) > 1]), tally, kind)


def codes(report: Report, *levels: str) -> set[str]:
    return {check.code for check in report.checks if check.level in (levels or ("error", "warning"))}


def found_in(turns: tuple[Turn, ...], kind: str = "conversation", **rest: Any) -> dict[str, tuple[str, str]]:
    """What the row checks find in one row: field and problem by code."""
    tally = inspect_rows([row(0, *turns, **rest)], Look(kind))
    return {code: (found[0].field, found[0].problem) for code, found in tally.found.items()}


# turns

CALL = json.dumps([{"name": "weather", "arguments": {"city": "Oslo"}}])
TOOLS = json.dumps([{"type": "function", "function": {"name": "weather"}}])


@pytest.mark.parametrize(
    ("turns", "code", "field"),
    [
        ((user("a"), user("b"), answer("c")), "role-order", "messages[1].role"),
        ((user("a"), answer("b"), answer("c")), "role-order", "messages[2].role"),
        ((Turn("system", "a"), Turn("system", "b"), user("c"), answer("d")), "role-order", "messages[1].role"),
        ((answer("a"), user("b"), answer("c")), "assistant-first", "messages[0].role"),
        ((Turn("system", "s"), answer("a"), user("b"), answer("c")), "assistant-first", "messages[1].role"),
        ((user("a"), Turn("system", "s"), answer("b")), "system-late", "messages[1].role"),
        ((user("a"), answer("b"), user("c")), "last-turn", "messages[2].role"),
        ((user("a"), answer(" \n")), "no-answer", "messages"),
        ((Turn("system", " "), user("a"), answer("b")), "empty-turn", "messages[0].content"),
        ((answer("b"),), "no-question", "messages"),
        ((user("a"), Turn("tool", "{}"), answer("b")), "tool-without-call", "messages[1].role"),
        ((user("a"), answer("", CALL), user("b"), answer("c")), "call-without-answer", "messages[1].calls"),
    ],
)
def test_turns_out_of_order_are_found_where_they_are(turns: tuple[Turn, ...], code: str, field: str) -> None:
    found = found_in(turns)
    assert code in found
    assert found[code][0] == field


@pytest.mark.parametrize(
    "turns",
    [
        (Turn("system", "s"), user("a"), answer("b"), user("c"), answer("d")),
        (user("a"), answer("", CALL), Turn("tool", "{}"), Turn("tool", "{}"), answer("b")),
        (user("a"), answer("I look.", CALL), Turn("tool", "3"), answer("", CALL), Turn("tool", "4"), answer("b")),
        (user("a"), answer("", CALL)),
    ],
)
def test_turns_in_order_pass(turns: tuple[Turn, ...]) -> None:
    assert found_in(turns, tools=TOOLS) == {}


def test_a_call_of_a_tool_that_is_not_offered_is_found() -> None:
    stock = json.dumps([{"name": "stock", "arguments": {}}])
    assert "calls 'stock'" in found_in((user("a"), answer("", stock)), tools=TOOLS)["unknown-tool"][1]
    assert found_in((user("a"), answer("", stock))) == {}, "without a list nobody knows"


def test_the_turns_of_a_pair_are_looked_at_as_one_conversation() -> None:
    pair = (answer("good"),), (answer("bad"),)
    assert found_in((user("a"),), "preference", chosen=pair[0], rejected=pair[1]) == {}
    assert found_in((user("a"), answer("b")), "preference", chosen=pair[0], rejected=pair[1]).keys() == {"role-order"}
    empty = found_in((user("a"),), "preference", chosen=pair[0], rejected=(answer(" "),))
    assert empty["no-answer"][0] == "rejected"
    assert empty["empty-turn"][0] == "rejected[0].content"


# text


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("a bell \x07 rings", "control", "U+0007"),
        ("rub\x7fout", "control", "U+007F"),
        ("next\x85line", "mojibake", "next…line"),
        ("\x1b[31mred\x1b[0m", "escape", "2 terminal escape sequences"),
        ("link \x1b]8;;http://a\x07b", "escape", "escape"),
        ("caf\ufffd", "replacement", "U+FFFD"),
        ("The cafÃ© is open.", "mojibake", "'café'"),
        ("Itâ€™s open.", "mojibake", "'Itâ€™s'"),
        ("Tom &amp; Jerry", "entity", "&amp;"),
        ("pay\u200bpal", "hidden", "U+200B"),
        ("file\u202etxt.exe", "hidden", "U+202E"),
        ("soft\u00adhyphen", "hidden", "U+00AD"),
        ("say \U000e0041\U000e0042", "hidden", "U+E0041, which cannot be seen, and 1 more"),
        ("Run:\n```python\nprint(1)\n", "fence", "does not close"),
        ("  Yes.", "leading-space", "a space"),
        ("Yes.\n", "trailing-space", "a line break"),
        ("Dear {{customer_name}}, hello.", "placeholder", "{{customer_name}}"),
        ("Dear {first_name}, hello.", "placeholder", "{first_name}"),
        ("[INSERT COMPANY] wishes you well.", "placeholder", "[INSERT COMPANY]"),
        ("Ask <NAME> about it.", "placeholder", "<NAME>"),
        ("Hello %s, welcome.", "placeholder", "%s"),
        ("TODO: write the answer", "placeholder", "TODO"),
        ("Lorem ipsum dolor sit amet.", "placeholder", "Lorem ipsum"),
        ("Yours, [Your Name]", "blank", "[Your Name]"),
        ("As an AI language model, I cannot.", "boilerplate", "As an AI"),
        ("I’m just an AI assistant, sorry.", "boilerplate", "AI assistant"),
    ],
)
def test_damaged_text_is_found_with_what_it_holds(text: str, code: str, said: str) -> None:
    found = found_in((user("What is it?"), answer(text)))
    assert code in found, found
    assert found[code][0] == "messages[1].content"
    assert said in found[code][1]


def test_wrong_decoding_is_not_told_a_second_time_as_control_characters() -> None:
    assert found_in((user("What?"), answer("Itâ\x80\x99s the cafÃ©."))).keys() == {"mojibake"}


def test_a_row_counts_once_however_many_of_its_turns_have_a_fault() -> None:
    report = report_of(with_rows(300, (user("\x07a"), answer("\x07b"), user("\x07c"), answer("\x07d"))))
    (check,) = [check for check in report.checks if check.code == "control"]
    assert (check.count, check.rows) == (1, [300])
    assert [problem.field for problem in report.problems_of(300)] == [
        f"messages[{place}].content" for place in range(4)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Größe, naïve, señor, Ångström, cœur, Łódź, “quoted” — and so on… 5 € ± 2 %, 20 °C.",
        "Привет, как дела? Γειά σου. 你好，世界。 สวัสดี",
        "👩‍👩‍👧‍👦 and 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f and ❤️",
        "می‌خواهم و שלום\u200f עולם",
        "हिन्दी में क्‍या है",
        "មិន\u200bអាច\u200bបើក\u200bឯកសារ",
        "Write `&amp;` for an ampersand, or:\n```html\n<b>&lt;</b>\n```",
        "In HTML, &nbsp; is a space.",
        "A link: https://a.org/?a=1&lt=2&b=3",
        "```python\nprint('{{x}} %s' % name)  # TODO: x\n```\nThat prints it.",
        "~~~\n```\n~~~\nand ```inline``` too.",
        "````\n```\n````",
        "The set {a, b} and $\\frac{a}{b}$ and 100%.\n[1] A note. See [the page](http://a.org) and [Name](b).",
        "Use vector<T> and the <b>bold</b> tag; 5 < 7 > 3.",
        "As an AI researcher she knows. AI is a field.",
        "Columns\tand\r\nlines are fine.",
    ],
)
def test_sound_text_passes(text: str) -> None:
    assert found_in((user("What is it?"), answer(text))) == {}


def test_braces_belong_into_rows_about_code() -> None:
    assert found_in((user("Write a Jinja template."), answer("Hello {{ name }} and {user_name} and %s."))) == {}
    assert "placeholder" in found_in((user("Greet him."), answer("Hello {{ name }}.")))


def test_an_answer_that_stops_in_a_sentence_is_only_worth_knowing() -> None:
    long = "This answer goes on for a while, because there is so much that can be said about gardens and"
    assert "ends with" in found_in((user("Gardens?"), answer(long)))["cut-off"][1]
    assert found_in((user("Gardens?"), answer(long + " flowers"))) == {}
    assert CATALOGUE["cut-off"].level == "info"


# lengths, duplicates, leakage


def test_a_giant_and_a_row_of_two_words_are_told_among_long_ones() -> None:
    essay = " ".join(["Gardens", "need", "water", "and", "light"] * 10)
    rows = [row(number, user(f"Please write a text with the number {number}."), answer(f"{essay} {number}."))
            for number in range(200)]  # fmt: skip
    rows[5] = row(5, user("coding"), answer("use python"))
    rows[6] = row(6, user("Is the tower of Pisa leaning or is it straight?"), answer("Leaning."))
    rows[7] = row(7, user("Please write a very long text about all gardens."), answer(f"{essay} " * 40 + "End."))
    found = {check.code: check.rows for check in report_of(rows).checks}
    assert found["vague"] == [6]
    assert found["short-answer"] == [7]
    assert found["giant"] == [8]
    assert found["length-outlier"] == [8]


def test_answers_that_are_all_short_are_no_fault() -> None:
    asked = [user(f"Is review {number} about {SUBJECTS[number % 12]} good?") for number in range(200)]
    rows = [row(number, asked[number], answer("yes" if number % 2 else "no")) for number in range(200)]
    assert report_of(rows).checks == []


def test_duplicates_are_told_with_the_row_that_they_repeat() -> None:
    rows = clean(300)
    rows[250], rows[260] = row(250, *conversation(3)), row(260, *conversation(3))
    report = report_of(rows)
    check = next(check for check in report.checks if check.code == "duplicate")
    assert (check.count, check.rows) == (2, [251, 261])
    assert check.message == "2 of 300 rows are duplicates of another row"
    assert [str(problem) for problem in report.problems_of(251)] == ["is the same as row 4"]
    assert report.rows_with_problems() == [251, 261]


def test_two_short_answers_to_one_prompt_contradict_each_other_and_two_long_ones_do_not() -> None:
    rows = clean(300)
    rows[10], rows[20] = row(10, user("Is it good?"), answer("Yes.")), row(20, user("is it good"), answer("No."))
    rows[30] = row(30, user("Say something about gardens."), answer("Gardens are places where many plants grow."))
    rows[40] = row(40, user("Say something about gardens."), answer("A garden is a piece of land beside a house."))
    found = {check.code: check.rows for check in report_of(rows).checks}
    assert found == {"contradiction": [11, 21], "several-answers": [31, 41]}


def test_one_answer_to_many_prompts_is_told_and_classes_are_not() -> None:
    rows = [row(number, user(conversation(number)[0].content), answer("Please call our friendly support team."))
            if number % 20 == 0 else row(number) for number in range(300)]  # fmt: skip
    assert codes(report_of(rows)) == {"same-answer"}
    labels = [row(number, user(conversation(number)[0].content), answer("not about food")) for number in range(200)]
    labels = [one if one.index % 3 else row(one.index, one.messages[0], answer("about food")) for one in labels]
    assert report_of(labels).checks == []


def test_an_answer_that_repeats_its_prompt_is_found() -> None:
    rows = with_rows(300, (user("Gardens are beautiful places."), answer("Gardens are beautiful places")))
    assert codes(report_of(rows)) == {"copied-prompt"}


def test_prompts_of_training_in_other_splits_are_leaks_exact_and_near_apart() -> None:
    rows = clean(300)
    rows[9] = row(9, user(rows[0].messages[0].content), answer("An answer of its own, for once."))
    rows[19] = row(19, user(rows[1].messages[0].content.upper() + "!"), answer("Another answer of its own, for once."))
    rows[29] = row(29, *conversation(2), split="test")
    checks = {check.code: check for check in report_of(rows).checks}
    assert checks["leak-exact"].rows == [10, 30]
    assert checks["leak-exact"].level == "error"
    assert checks["leak-exact"].message == (
        "validation has 1 row of 29 that training has too; test has 1 row of 1 that training has too"
    )
    assert checks["leak-near"].rows == [20]
    assert checks["leak-near"].level == "warning"


def test_near_leaks_found_by_likeness_count_once_and_only_against_training() -> None:
    rows = clean(100)
    rows[9] = row(9, user(rows[0].messages[0].content), answer("An answer of its own, for once."))
    tally = inspect_rows(rows, Look("conversation"))
    columns = {name: tally.column(name) for name in tally.columns}
    pairs = [(9, 0), (19, 4), (29, 19)]  # row 10 is an exact leak already, row 30 is like one of validation
    found = {outcome.code: [leak.position for leak in outcome.found] for outcome in check_leakage(columns, pairs)}
    assert found == {"leak-exact": [9], "leak-near": [19]}


# languages

ENGLISH = "The garden behind the old house is full of roses, and every morning the birds sing in the apple trees."
GERMAN = "Der Garten hinter dem alten Haus ist voller Rosen, und jeden Morgen singen die Vögel in den Apfelbäumen."
FRENCH = (
    "Le jardin derrière la vieille maison est plein de roses, et chaque matin les oiseaux chantent dans les arbres."
)


def test_a_rare_language_and_an_answer_in_another_one_are_told() -> None:
    rows = [row(number, user(f"{ENGLISH} {number}"), answer(f"{ENGLISH} {number}.")) for number in range(60)]
    rows[3] = row(3, user(GERMAN), answer(GERMAN))
    rows[4] = row(4, user(ENGLISH), answer(FRENCH))
    rows[5] = row(5, user(f"Translate into French: {ENGLISH}"), answer(FRENCH))
    rows[6] = row(6, user("2 + 2 = ?"), answer("```\nprint(2 + 2)\nimport os, sys, json, collections\n```"))
    outcomes = {outcome.code: outcome for outcome in check_languages([languages_of(one, "") for one in rows], "", 60)}
    assert {found.position for found in outcomes["rare-language"].found} == {3, 4}
    assert [found.problem for found in outcomes["language-switch"].found] == ["asks in English and answers in French"]
    figures = report_of(rows, languages=True).figures["languages"]
    assert next(iter(figures)) == "en"
    assert set(figures) == {"en", "de", "fr"}


def test_a_bilingual_dataset_has_no_rare_language() -> None:
    rows = [row(number, user(text), answer(text)) for number in range(40) for text in [(ENGLISH, GERMAN)[number % 2]]]
    assert check_languages([languages_of(one, "") for one in rows], "", 40) == []


# kinds


def pairs(count: int, chosen: Callable[[int], str], rejected: Callable[[int], str]) -> list[Row]:
    return [
        row(n, conversation(n)[0], chosen=(answer(chosen(n)),), rejected=(answer(rejected(n)),)) for n in range(count)
    ]


def test_pairs_that_prefer_nothing_and_pairs_that_prefer_length() -> None:
    same = report_of(
        pairs(200, lambda n: f"Number {n}.", lambda n: f"Number {n}." if n < 20 else f"{n}, or so."), "preference"
    )
    check = next(check for check in same.checks if check.code == "same-pair")
    assert (check.level, check.count) == ("error", 20)
    assert same.grade > "B"
    long = report_of(pairs(200, lambda n: f"A longer answer with {n}.", lambda n: f"{n}."), "preference")
    assert "length-bias" in codes(long)
    assert long.figures["chosen_longer"] == 1.0
    fair = report_of(
        pairs(200, lambda n: f"{n} is {'rather ' * (n % 2)}good.", lambda n: f"Perhaps {n} is."), "preference"
    )
    assert codes(fair) == set()


def test_verdicts_out_of_balance() -> None:
    def judged(good: int, rows: int = 200) -> Report:
        return report_of([row(number, label=number < good) for number in range(rows)], "kto")

    assert codes(judged(100)) == set()
    assert codes(judged(190)) == {"labels"}
    assert codes(judged(200), "error") == {"one-label"}
    assert judged(100).grade < judged(190).grade < judged(200).grade


def test_a_suite_of_prompts_is_not_asked_for_answers_splits_or_size() -> None:
    rows = [row(number, user(f"Write a poem about {place}."), user("Make it shorter."), split="test")
            for number, place in enumerate(PLACES)]  # fmt: skip
    report = report_of(rows, "prompts")
    assert report.checks == []
    assert report.reasons == ["13 prompts to ask models with; not to be trained on"]


def test_plain_text_is_not_asked_for_turns() -> None:
    rows = [row(number, Turn("text", f"Chapter {number}. " + ENGLISH)) for number in range(200)]
    assert codes(report_of(rows, "text"), "error", "warning") == set()


def test_metadata_that_says_nothing_is_only_worth_knowing() -> None:
    rows = [row(number, metadata={"source": "web", "id": number, "note": "x" if number < 3 else None})
            for number in range(300)]  # fmt: skip
    report = report_of(rows)
    assert [check.message for check in report.checks] == [
        "source is the same in every row",
        "note is missing in most rows",
    ]
    assert (report.grade, report.score) == ("A", 100)


# grades


def leaky(count: int) -> list[Row]:
    rows = clean(count)
    for number in range(9, count, 50):
        rows[number] = row(number, *conversation(number - 5))
    return rows


def dirty(count: int) -> list[Row]:
    rows = clean(count)
    for number in range(0, count, 3):
        asked, told = conversation(number)
        rows[number] = row(number, asked, asked, answer(f" {told.content}\x07 cafÃ© &amp; {{{{name}}}}"))
    for number in range(1, count, 6):
        rows[number] = row(number, *conversation(1))
    return rows


def test_grades_follow_the_state_of_the_data() -> None:
    reports = [report_of(rows) for rows in (clean(1_200), clean(110), leaky(1_200), dirty(1_200), clean(30), clean(5))]
    assert [report.grade for report in reports] == ["A", "B", "D", "F", "D", "F"]
    assert reports[0].reasons == ["nothing wrong was found in 1,200 rows"]
    assert reports[0].score == 100
    assert reports[1].reasons == ["only 110 rows"]
    assert reports[2].reasons[0] == "validation has 24 rows of 120 that training has too"
    assert reports[4].reasons[0] == "only 30 rows"


def test_a_grade_is_the_sum_of_what_the_checks_say_it_costs() -> None:
    report = report_of(dirty(300))
    assert report.score == max(0, round(100 - sum(check.points for check in report.checks)))
    assert all(check.points > 0 for check in report.checks if check.level != "info")
    assert all(check.points == 0 for check in report.checks if check.level == "info")
    assert [check.level for check in report.checks] == sorted(
        (check.level for check in report.checks), key=("error", "warning", "info").index
    )


def test_one_fault_in_many_rows_costs_little_and_more_rows_cost_more() -> None:
    def scored(faults: int) -> int:
        bad = [(user(f"What of {number}?"), answer(f" It is {number}.")) for number in range(faults)]
        return report_of(with_rows(400, *bad)).score

    assert 99 <= scored(1) <= 100
    assert scored(1) > scored(100) > scored(250)


def test_without_validation_rows_a_dataset_is_no_better_for_it() -> None:
    report = report_of([row(number, split="train") for number in range(1_200)])
    assert codes(report) == {"no-validation"}
    assert report.score < 100


# the report


def test_problems_are_listed_in_row_order_up_to_a_thousand_and_counted_beyond() -> None:
    rows = [row(number, user(f"What of {number}?"), answer(f" {number} is a number.")) for number in range(1_500)]
    rows[3] = row(3, user("Which?"), user("Which one?"), answer("\x07That one here."))
    report = report_of(rows)
    assert len(report.problems) == 1_000
    assert [problem.row for problem in report.problems] == sorted(problem.row for problem in report.problems)
    check = next(check for check in report.checks if check.code == "leading-space")
    assert (check.count, len(check.rows)) == (1_499, 1_000)
    assert {problem.code for problem in report.problems_of(4)} == {"role-order", "control"}
    assert report.rows_with_problems()[:5] == [1, 2, 3, 4, 5]


def test_a_report_survives_json() -> None:
    report = report_of(dirty(100), languages=True)
    text = json.dumps(report.to_json())
    again = Report.from_json(json.loads(text))
    assert again == report
    assert again.rows_with_problems() == report.rows_with_problems()
    first = json.loads(text)["problems"][0]
    assert {"row", "field", "problem"} <= first.keys()


def test_chunks_of_any_size_give_the_same_tally() -> None:
    rows = dirty(120)
    whole = inspect_rows(rows, Look("conversation"))
    parts = Tally()
    for start in range(0, 120, 7):
        parts.add(inspect_rows(rows[start : start + 7], Look("conversation")))
    assert (parts.rows, parts.counts, parts.found, parts.metadata) == (
        whole.rows, whole.counts, whole.found, whole.metadata)  # fmt: skip
    assert all((parts.column(name) == whole.column(name)).all() for name in whole.columns)


WORDS = st.lists(
    st.sampled_from(["{{a}}", "```", "&amp;", "Ã©", "\x1b[0m", "\u200b", "[Your Name]", " ", "\n", "日本", "word", ""])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=12,
).map("".join)
TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["system", "user", "assistant", "tool", "text"]),
        WORDS,
        st.sampled_from(["", CALL, "[]", "no json", "3"]),
    ),
    max_size=4,
).map(tuple)


@given(
    rows=st.lists(
        st.tuples(TURNS, TURNS, TURNS, st.none() | st.booleans(), st.sampled_from(["", TOOLS, "{"])),
        min_size=1,
        max_size=8,
    ),
    kind=st.sampled_from(["conversation", "preference", "kto", "text", "prompts"]),
)
@settings(max_examples=60, deadline=None)
def test_no_row_breaks_the_report(rows: list[tuple[Any, ...]], kind: str) -> None:
    made = [
        row(place, *turns, chosen=chosen, rejected=rejected, label=label, tools=tools)
        if turns
        else Row(place, "train", (), {}, chosen, rejected, label, tools)
        for place, (turns, chosen, rejected, label, tools) in enumerate(rows)
    ]
    report = report_of(made, kind, languages=True)
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert 0 <= report.score <= 100
    assert all(1 <= number <= len(made) for number in report.rows_with_problems())
    assert all(report.problems_of(number) for number in report.rows_with_problems())


# the whole way


@pytest.fixture
def library(home: Home) -> Iterator[DatasetLibrary]:
    with closing(open_store(home.ensure().db)) as store, closing(DatasetLibrary(home, store)) as library:
        yield library


def write(path: Path, rows: list[Row]) -> Path:
    lines = [
        json.dumps({"messages": [{"role": turn.role, "content": turn.content} for turn in one.messages]})
        for one in rows
    ]
    path.write_text("\n".join(lines))
    return path


def test_validate_keeps_the_report_and_the_grade(library: DatasetLibrary, tmp_path: Path) -> None:
    rows = clean(300)
    rows[7] = row(7, *conversation(8))
    long = [Turn("user", f"{ENGLISH} {FRENCH} What does it mean?"), Turn("assistant", f"{ENGLISH} {GERMAN} {FRENCH}")]
    rows[20], rows[21] = row(20, *long), row(21, long[0], Turn("assistant", f"{long[1].content} Indeed."))
    dataset = library.import_file(write(tmp_path / "data.jsonl", rows))
    heard: list[float] = []
    report = validate(library, dataset, near=0.8, progress=heard.append)
    assert {check.code: check.count for check in report.checks if check.level == "warning"} == {
        "duplicate": 1,
        "near-duplicate": 1,
    }
    saved = library.report(dataset.id)
    assert saved is not None
    assert Report.from_json(saved) == report
    assert library.resolve(dataset.id).grade == report.grade == "A"
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_a_sound_dataset_passes_the_whole_way(library: DatasetLibrary, tmp_path: Path) -> None:
    report = validate(library, library.import_file(write(tmp_path / "data.jsonl", clean(250))))
    assert (report.grade, report.score, report.checks, report.problems) == ("A", 100, [], [])


def test_validate_says_what_it_left_out_and_can_be_given_up(library: DatasetLibrary, tmp_path: Path) -> None:
    dataset = library.import_file(write(tmp_path / "data.jsonl", clean(60)))
    assert "Near-duplicates were not looked for." in validate(library, dataset, near=None).notes
    with pytest.raises(Cancelled):
        validate(library, dataset, cancelled=lambda: True)
    with pytest.raises(BadInput):
        validate(library, dataset, near=0.1)


@pytest.mark.parametrize("name", ["starter", "emoji", "support"])
def test_the_samples_have_no_fault(name: str) -> None:
    file = Path(__file__).parents[2] / "samples" / f"{name}.jsonl"
    data = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows = [row(number, *(Turn(turn["role"], turn["content"]) for turn in one["messages"]))
            for number, one in enumerate(data)]  # fmt: skip
    random.Random(1).shuffle(rows)
    report = report_of([Row(place, one.split, one.messages, {}) for place, one in enumerate(rows)], languages=True)
    assert codes(report) <= {"few"}
    assert report.grade in "AB"
