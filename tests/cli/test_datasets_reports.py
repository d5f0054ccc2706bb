"""What may be wrong with a dataset, and what a model sees of it, on the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

DATASET_KEYS = "id, name, shape, rows, splits, tokens, parent, source, problems, warnings, grade"
SECRET = "write to jane.doe@example.com or call +44 20 7946 0958"


@pytest.fixture
def mixed(cli: Cli, tmp_path: Path) -> str:
    """Sixty rows: one a copy of another, one with an empty answer, one with personal data."""
    rows = [
        {"prompt": f"What is {n} times {n}?", "response": f"It is {n * n}, as {n} by {n} makes."} for n in range(57)
    ]
    rows += [rows[4], {"prompt": "And nothing?", "response": " "}, {"prompt": "Whom do I ask?", "response": SECRET}]
    file = tmp_path / "mixed.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    made = cli("datasets", "import", str(file), "--json")
    if made.status:  # a blank answer is refused at import
        rows[58]["response"] = "-"
        file.write_text("\n".join(map(json.dumps, rows)))
        made = cli("datasets", "import", str(file), "--json")
    assert made.json["rows"] == 60
    return "mixed"


def test_validate_grades_and_names_rows(cli: Cli, mixed: str) -> None:
    found = cli("datasets", "validate", mixed, "--json")
    assert found.status == 0 and set(DATASET_KEYS.split(", ")) <= set(found.json)
    assert found.json["grade"] in "BCDF" and found.json["reasons"]
    duplicate = next(check for check in found.json["checks"] if check["code"] == "duplicate")
    assert duplicate["rows"] == [58] and duplicate["count"] == 1
    assert {"row", "field", "problem"} <= set(found.json["problems"][0])
    assert cli("datasets", "ls", "--json").json[0]["grade"] == found.json["grade"]
    shown = cli("datasets", "show", mixed, "--json").json
    assert shown["grade"] == found.json["grade"] and shown["report"]["reasons"] == found.json["reasons"]
    text = cli("datasets", "validate", mixed, "--near", "0").stdout
    assert text.startswith(f"grade {found.json['grade']}") and "row 58" in text and "datasets dedupe" in text
    assert "Near-duplicates were not looked for." in text
    assert found.json["reasons"][0] in cli("datasets", "show", mixed).stdout


def test_screen_reports_and_drops_nothing(cli: Cli, mixed: str, tmp_path: Path) -> None:
    found = cli("datasets", "screen", mixed, "--json").json
    assert found["row_numbers"] == [60] and {one["kind"] for one in found["findings"]} == {"personal"}
    assert {"row", "field", "kind", "rule", "excerpt"} <= set(found["findings"][0])
    text = cli("datasets", "screen", mixed, "--kind", "personal").stdout
    assert "1 of 60 rows" in text and "Nothing was changed" in text and "edit mixed@1 --drop" in text
    assert cli("datasets", "screen", mixed, "--kind", "harmful").stdout.startswith("Nothing was found in 60 rows")
    assert cli("datasets", "screen", mixed, "--kind", "rude").status == 2
    words = tmp_path / "words.txt"
    words.write_text("nothing\n")
    own = cli("datasets", "screen", mixed, "--kind", "harmful", "--words", str(words), "--json").json
    assert own["row_numbers"] == [59] and own["kinds"] == {"own": 1}
    assert cli("datasets", "screen", mixed, "--words", str(tmp_path / "none.txt")).status == 2
    assert cli("datasets", "show", mixed, "--json").json["rows"] == 60
