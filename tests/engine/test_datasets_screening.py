"""Screening finds what has the form of personal data, passes over what only looks like it, and gives nothing away."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row, Turn
from engine.datasets.screening import Finding, harmful, screen, screen_rows, screening_to_json
from engine.datasets.screening.harmful import categories, find_terms
from engine.datasets.screening.personal import iban, luhn
from engine.errors import BadInput
from engine.home import Home
from store import open_store

# Joined here, so that no scanner of this repository takes them for real ones.
AWS = "AKIA" + "QYLPMN5HFIQR7XYA"
GITHUB = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
OPENAI = "sk-" + "T3BlbkFJ9zQ2vX8mN4kL7pR1sY6wH5dG"
SLACK = "xoxb-" + "263594206564-FGqddMF8t08v8N7Oq4i57vs1"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PRIVATE = "-----BEGIN RSA " + "PRIVATE KEY-----"


def rows_of(*texts: str) -> list[Row]:
    return [
        Row(index, "train", (Turn("user", "Hello"), Turn("assistant", text)), {}) for index, text in enumerate(texts)
    ]


def found(text: str, *kinds: str) -> list[tuple[str, str]]:
    return [(finding.rule, finding.excerpt) for finding in screen_rows(rows_of(text), kinds=kinds or ("personal",))]


@pytest.mark.parametrize(
    ("text", "rule", "secret"),
    [
        ("Write to jane.doe+news@mail.acme.io, please.", "e-mail address", "jane.doe"),
        ("Call +49 171 2345678 today", "phone number", "2345678"),
        ("Call +1 (415) 867-5309.", "phone number", "867-5309"),
        ("(415) 867-5309", "phone number", "867-5309"),
        ("415-867-5309 is mine", "phone number", "867-5309"),
        ("Tel: 030/23125000", "phone number", "23125000"),
        ("06 12 34 56 78", "phone number", "34 56 78"),
        ("my phone number is 4158675309", "phone number", "8675309"),
        ("Pay with 4111 1111 1111 1111 now", "card number", "1111 1111"),
        ("378282246310005", "card number", "46310005"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN", "0532"),
        ("GB29NWBK60161331926819", "IBAN", "60161331"),
        ("SSN 536-22-8726", "US social security number", "8726"),
        ("from 93.184.216.34 port 22", "IP address", "184.216"),
        ("at 2606:2800:220:1:248:1893:25c8:1946 now", "IP address", "1893"),
        (f"key {AWS}", "AWS access key", AWS[8:]),
        (f"token={GITHUB}", "GitHub token", GITHUB[8:]),
        (f"OPENAI_API_KEY={OPENAI}", "OpenAI key", OPENAI[8:]),
        (f"slack {SLACK}", "Slack token", SLACK[8:]),
        (f"Bearer {JWT}", "JSON web token", JWT[8:]),
        (f"{PRIVATE}\nMIIEow", "private key", "MIIEow"),
        ("git clone https://joe:s3cr3tpw@git.acme.io/a.git", "URL with a password", "s3cr3tpw"),
        ("password: hunter2!", "password", "hunter2"),
        ("The password is Tr0ub4dor&3.", "password", "ub4dor"),
        ("client_secret = 'a8f5f167f44f4964e6c998dee827110c'", "secret", "4964e6c9"),
    ],
)
def test_personal_data_is_found_and_not_given_away(text: str, rule: str, secret: str) -> None:
    findings = found(text)
    assert [name for name, _ in findings] == [rule]
    assert secret not in findings[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.com, me@mail.example.org, you@yourcompany.com and logo@2x.png",
        "Call 555-0142 or (212) 555-0187 or +1 415 555 0100.",
        "127.0.0.1, 192.168.1.20, 10.0.0.1, 203.0.113.7, ::1, fe80::1, 2001:db8::1, 8.8.8.8",
        "version 10.4.22.1 and v1.2.3.4 and 1.2.3 and 300.1.1.1 and Chrome/91.0.4472.124",
        "On 2024-01-15, 15.01.2024, 01/15/2024 at 12:30:45, in 1999-2003.",
        "It costs 1,299.00 € or 12 345 678 $; 3.14159265358979; 1234567890123456",
        "4111 1111 1111 1112 has a wrong check digit; 0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01 has a wrong checksum",
        "000-12-3456, 666-12-3456, 900-12-3456, 078-05-1120",
        "Order 2024-000-1234, ISBN 978-3-16-148410-0, id 550e8400-e29b-41d4-a716-446655440000",
        "10 20 30 40 50 60 70 80 and 415 + 867 = 1282",
        f"{'AKIA' + 'IOSFODNN7EXAMPLE'} and sk-your-api-key-goes-right-here and ghp_" + "x" * 36,
        "password: string; password = input('Password: '); Password: ********; password is required",
        "if (user.password === req.body.password) { return 1; }  // postgres://user:password@localhost/db",
        "a::b::c, 12:30, std::vector<int>::iterator and Matthew 5:3:1",
    ],
)
def test_what_only_looks_like_it_passes(text: str) -> None:
    assert found(text) == []


def test_checksums() -> None:
    assert [luhn(number) for number in ("4111111111111111", "5500005555555559", "4111111111111112")] == [
        True,
        True,
        False,
    ]
    accounts = ("DE89370400440532013000", "FR1420041010050500013M02606", "DE00370400440532013000")
    assert [iban(text) for text in accounts] == [True, True, False]


def test_a_mask_keeps_what_is_needed_to_find_it_again() -> None:
    assert found("jane@acme.io") == [("e-mail address", "j…@acme.io")]
    assert found("415-867-5309") == [("phone number", "41…09 (10 digits)")]


def test_every_turn_and_both_answers_and_calls_are_looked_at() -> None:
    call = json.dumps([{"name": "mail", "arguments": {"to": "jane@acme.io"}}])
    turns = (
        Turn("system", "a@acme.io"),
        Turn("user", "b@acme.io"),
        Turn("assistant", "", call),
        Turn("tool", "c@acme.io"),
    )
    good, bad = Turn("assistant", "d@acme.io"), Turn("assistant", "e@acme.io")
    row = Row(4, "train", turns, {}, chosen=(good,), rejected=(bad,))
    findings = screen_rows([row])
    assert [finding.field for finding in findings] == [
        "messages[0].content",
        "messages[1].content",
        "messages[2].calls",
        "messages[3].content",
        "chosen[0].content",
        "rejected[0].content",
    ]
    assert {finding.row for finding in findings} == {5}


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("I'll kill you for that.", "violence"),
        ("He thinks about SUICIDE a lot.", "self-harm"),
        ("They built a pipe bomb.", "weapons"),
        ("two pipe bombs", "weapons"),
        ("They cook meth in a van.", "drugs"),
        ("WHITE POWER!", "hate"),
        ("It is child pornography.", "sexual"),
    ],
)
def test_harmful_terms_are_found_whatever_their_case(text: str, category: str) -> None:
    assert category in [rule for rule, _ in found(text, "harmful")]


@pytest.mark.parametrize(
    "text",
    [
        "Kill the process, shoot a photo, and the bomb calorimeter explodes with flavour.",
        "Grapes and drapery; a therapist; the Scunthorpe team; analysis of cumin.",
        "She is en retard. Minnet är slut. David Lynch made films.",
        "The heroine died in the book.",
        "Breast cancer is treated by a doctor.",
    ],
)
def test_harmless_words_that_hold_a_term_pass(text: str) -> None:
    assert found(text, "harmful") == []


def test_a_term_is_shown_in_its_words_without_the_data_beside_them() -> None:
    text = (
        "My friend jane@acme.io (415-867-5309) says that he will commit suicide tomorrow at 12 Baker Street, she fears."
    )
    (hit,) = find_terms(text)
    assert "commit suicide" in hit.excerpt
    assert "acme" not in hit.excerpt
    assert "5309" not in hit.excerpt
    assert (text[hit.start : hit.end]) == "commit suicide"


def test_places_hold_where_letters_grow_in_lower_case() -> None:
    (hit,) = find_terms("İİİ pipe bomb")
    assert hit.excerpt == "İİİ pipe bomb"


def test_the_lists_are_complete_and_clean() -> None:
    assert categories().keys() == {"violence", "self-harm", "hate", "sexual", "weapons", "drugs"}
    for terms in categories().values():
        assert len(terms) >= 30
        assert all(term == term.strip().lower() and len(term) > 2 for term in terms)


# one's own list


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_an_own_list_takes_terms_and_patterns(tmp_path: Path) -> None:
    words = write(tmp_path / "own.txt", "# ours", "", "Project Falcon", r"/ACME-\d{4}/")
    rows = rows_of("The project falcon is secret.", "See acme-1234!", "Projects falconry", "nothing")
    findings = screen_rows(rows, kinds=(), words=words)
    assert [(finding.row, finding.kind, finding.rule) for finding in findings] == [
        (1, "own", "Project Falcon"),
        (2, "own", r"/ACME-\d{4}/"),
    ]


def test_a_bad_pattern_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Line 2 of own\.txt is no pattern: /\(a/"):
        screen_rows(rows_of("a"), words=write(tmp_path / "own.txt", "fine", "/(a/"))


@pytest.mark.parametrize("content", [b"", b"# only\n\n", b"\xff\xfe\x00bad"])
def test_a_list_that_says_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(BadInput):
        screen_rows(rows_of("a"), words=tmp_path / "own.txt")
    with pytest.raises(BadInput):
        screen_rows(rows_of("a"), words=tmp_path / "missing.txt")


def test_no_pattern_can_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harmful, "_LIMIT_S", 0.1)
    words = write(tmp_path / "own.txt", r"/(a|aa)+$/")
    with pytest.raises(BadInput, match="line 1"):
        screen_rows(rows_of("a" * 60 + "!"), kinds=(), words=words)


def test_what_cannot_be_asked_for_is_refused() -> None:
    with pytest.raises(BadInput, match="political"):
        screen_rows(rows_of("a"), kinds=("political",))
    with pytest.raises(BadInput):
        screen_rows(rows_of("a"), kinds=())


# the whole way


@pytest.fixture
def library(home: Home) -> Iterator[DatasetLibrary]:
    with closing(open_store(home.ensure().db)) as store, closing(DatasetLibrary(home, store)) as library:
        yield library


def test_a_dataset_is_screened_and_stays_as_it_is(library: DatasetLibrary, tmp_path: Path) -> None:
    texts = ["Fine.", "Write to jane@acme.io or joe@acme.io.", "He wants to commit suicide."]
    lines = [json.dumps({"prompt": f"Question {number}", "response": text}) for number, text in enumerate(texts)]
    dataset = library.import_file(write(tmp_path / "data.jsonl", *lines), validation=0)
    findings = screen(library, dataset)
    assert findings == [
        Finding(2, "messages[1].content", "personal", "e-mail address", "j…@acme.io"),
        Finding(2, "messages[1].content", "personal", "e-mail address", "j…@acme.io"),
        Finding(3, "messages[1].content", "harmful", "self-harm", "He wants to commit suicide."),
    ]
    told = screening_to_json(findings, dataset.rows)
    assert json.loads(json.dumps(told)) == told
    assert (told["rows"], told["rows_with_findings"]) == (3, 2)
    assert told["kinds"] == {"personal": 1, "harmful": 1}
    assert told["rules"] == {"e-mail address": 1, "self-harm": 1}
    assert library.resolve(dataset.id).rows == 3
    assert screen(library, dataset, kinds=["harmful"]) == findings[2:]
