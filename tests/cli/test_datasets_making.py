"""Versions made from others on the command line: counts before and after, lineage, and the way back."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli

TOPICS = ("parcels", "refunds", "passwords", "invoices", "holidays", "bicycles", "weather", "recipes")
VERBS = ("lost", "late", "broken", "forgotten", "cancelled")


def _chat(question: str, answer: str, **metadata: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "metadata": metadata}


ROWS = [
    _chat(
        f"What about {verb} {topic}?",
        f"We look after {verb} {topic} on day {place}.",
        source="mail" if place % 2 else "web",
    )
    for place, (topic, verb) in enumerate((topic, verb) for topic in TOPICS for verb in VERBS)
]
"""Forty conversations, none like another."""


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture
def support(cli: Cli, tmp_path: Path) -> dict[str, Any]:
    """Forty rows, the first three a second time at the end: `support v1`."""
    file = _write(tmp_path / "support.jsonl", [*ROWS, *ROWS[:3]])
    made: dict[str, Any] = cli("datasets", "import", str(file), "--json").json
    assert made["rows"] == 43
    return made


def test_filter_makes_the_next_version_and_names_the_way_back(cli: Cli, support: dict[str, Any]) -> None:
    counted = cli("datasets", "filter", "support", "--where", "metadata.source = mail", "--count", "--json").json
    assert counted["matches"] == 21 and counted["rows"] == 43
    shown = cli("datasets", "filter", "support", "--where", "metadata.source = mail")
    assert re.match(r"filter: 43 → 21 rows · support v2 \(d[0-9a-f]{10}\)\n", shown.stdout)
    assert "The parent support v1 is still there." in shown.stdout
    again = cli("datasets", "filter", "support@1", "--where", "metadata.source = mail", "--json").json
    assert (again["before"], again["after"], again["new"], again["version"]) == (43, 21, False, 2)
    assert again["parent"] == support["id"] and again["operation"]["where"] == "metadata.source = mail"
    same = cli("datasets", "filter", "support", "--where", "chars > 0").stdout
    assert same.startswith("filter: nothing changed, all 21 rows stay · support v2")
    assert len(cli("datasets", "ls", "--json").json) == 2


def test_a_filter_that_cannot_be_says_which_fields_there_are(cli: Cli, support: dict[str, Any]) -> None:
    for where in ("nofield = 1", "chars > many", ""):
        failed = cli("datasets", "filter", "support", "--where", where)
        assert failed.status == 2 and failed.stdout == "" and "Traceback" not in failed.stderr
    assert "answer.chars" in cli("datasets", "filter", "support", "--where", "nofield = 1").stderr
    nothing = cli("datasets", "filter", "support", "--where", "row > 1000")
    assert nothing.status == 2 and "No row would be left" in nothing.stderr


def test_the_help_of_filter_names_every_field(cli: Cli) -> None:
    from engine.datasets.filter import FIELDS

    said = {word.strip(".") for word in re.findall(r"[\w.]+", cli("datasets", "filter", "--help").stdout)}
    assert {field for field in FIELDS if field not in said} == set()


def test_dedupe(cli: Cli, support: dict[str, Any]) -> None:
    made = cli("datasets", "dedupe", "support", "--json").json
    assert (made["before"], made["after"], made["new"]) == (43, 40, True)
    assert cli("datasets", "dedupe", "support").stdout.startswith("dedupe: nothing changed, all 40 rows stay")
    assert cli("datasets", "dedupe", "support", "--near", "7").status == 2


def test_subset(cli: Cli, support: dict[str, Any]) -> None:
    made = cli("datasets", "subset", "support", "--size", "8", "--name", "few", "--json").json
    assert (made["rows"], made["name"], made["version"], made["parent"]) == (8, "few", 1, support["id"])
    again = cli("datasets", "subset", "support", "--size", "8", "--name", "few", "--json").json
    assert again["id"] == made["id"] and not again["new"]


def test_split(cli: Cli, support: dict[str, Any]) -> None:
    words = ("datasets", "split", "support", "--train", "0.8", "--validation", "0.1", "--test", "0.1")
    made = cli(*words, "--json").json
    assert sum(made["splits"].values()) == 43 and 2 <= made["splits"]["test"] <= 7
    text = cli(*words, "--seed", "7").stdout
    assert re.match(
        r"split: 43 → 43 rows, \d+ in another split · support v3 \(d\w+\)\n  train 3\d, validation \d", text
    )
    assert cli(*words[:-1], "0.5").status == 2, "shares of more than all"
    rest = cli("datasets", "split", "support", "--validation", "0.25", "--json").json
    assert rest["operation"]["shares"] == {"train": 0.75, "validation": 0.25, "test": 0}
    assert set(rest["splits"]) == {"train", "validation"}
    assert cli(*words, "--by", "metadata.source", "--json").json["operation"]["by"] == "metadata.source"


def test_mix_and_stage(cli: Cli, support: dict[str, Any], tmp_path: Path) -> None:
    other = _write(tmp_path / "other.jsonl", [_chat(f"Count to {n}.", f"{n} it is, {n}.") for n in range(20)])
    assert cli("datasets", "import", str(other)).status == 0
    mixed = cli("datasets", "mix", "support:3", "other:1", "--size", "24", "--name", "blend", "--json").json
    assert (mixed["name"], mixed["rows"]) == ("blend", 24)
    assert {parent["name"] for parent in mixed["parents"]} == {"support", "other"}
    staged = cli("datasets", "stage", "other", "support", "--name", "course")
    assert "stage: 63 → 63 rows · course v1" in staged.stdout
    assert "other v1 and support v1 are still there." in staged.stdout
    assert "support v1 too" in cli("datasets", "lineage", "course").stdout
    for wrong in ("support:", "support:heavy", "support:-1"):
        assert cli("datasets", "mix", wrong, "other", "--name", "blend").status == 2
    assert len(cli("datasets", "ls", "--json").json) == 4


def test_edit_drops_rows_and_rewrites_turns(cli: Cli, support: dict[str, Any]) -> None:
    made = cli(
        "datasets", "edit", "support", "--drop", "1,41-43", "--drop", "5", "--set", "2:2=Another answer.", "--json"
    ).json
    assert (made["before"], made["after"]) == (43, 38)
    shown = cli("datasets", "show", "support", "--row", "1", "--json").json["first"]
    assert [(row["row"], row["index"]) for row in shown] == [(1, 0)]
    assert shown[0]["messages"][0] == ROWS[1]["messages"][0]
    assert shown[0]["messages"][1] == {"role": "assistant", "content": "Another answer."}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Nothing is to be changed"),
        (("--drop", "0"), "has no row 0"),
        (("--drop", "44"), "rows; they count from 1"),
        (("--drop", "9-7"), "backwards"),
        (("--drop", "all"), "names no rows"),
        (("--set", "2=x"), "ROW:TURN=TEXT"),
        (("--set", "2:3=x"), "has no turn 3"),
        (("--set", "2:chosen=x"), "has no turn chosen"),
        (("--set", "2:2=x", "--drop", "2"), "changed and dropped"),
    ],
)
def test_an_edit_that_cannot_be_changes_nothing(
    words: tuple[str, ...], said: str, cli: Cli, support: dict[str, Any]
) -> None:
    failed = cli("datasets", "edit", "support", *words)
    assert failed.status == 2 and said in failed.stderr
    assert len(cli("datasets", "ls", "--json").json) == 1


def test_diff(cli: Cli, support: dict[str, Any]) -> None:
    cli("datasets", "edit", "support", "--drop", "4", "--set", "10:2=Another answer.")
    found = cli("datasets", "diff", "support@1", "support@2", "--json").json
    assert (found["same"], found["added"], found["removed"], found["changed"]) == (41, [], [4], [{"from": 10, "to": 9}])
    text = cli("datasets", "diff", "support@1", "support@2").stdout
    assert "41 rows the same, 0 added, 1 removed, 1 changed" in text
    assert "- row 4" in text and "~ row 10 → row 9" in text and "+ assistant: Another answer." in text
    assert "They hold the same rows." in cli("datasets", "diff", "support", "support").stdout


def test_lineage_and_rm(cli: Cli, support: dict[str, Any]) -> None:
    cli("datasets", "dedupe", "support")
    cli("datasets", "filter", "support", "--where", "metadata.source = web", "--name", "web")
    found = cli("datasets", "lineage", "web", "--json").json
    assert [(one["name"], one["version"]) for one in found["lineage"]] == [("web", 1), ("support", 2), ("support", 1)]
    assert [one["operation"]["kind"] for one in found["lineage"]] == ["filter", "dedupe", "import"]
    text = cli("datasets", "lineage", "support@2").stdout
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["made", "this", "made"]
    shown = cli("datasets", "show", "support@2").stdout
    assert "support v1 (" in shown and "web v1 (" in shown and "dedupe" in shown
    assert "web v1, made from it, stays." in cli("datasets", "rm", "support@2").stdout
    assert "not here any more" in cli("datasets", "lineage", "web").stdout


def test_export_and_import_again(cli: Cli, support: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    written = cli("datasets", "export", "support", str(file), "--json").json
    assert written["rows"] == 43 == len(file.read_text().splitlines()) and written["size_bytes"] == file.stat().st_size
    again = cli("datasets", "import", str(file), "--name", "again", "--json").json
    assert again["rows"] == 43
    before, after = (
        cli("datasets", "show", name, "--rows", "50", "--json").json["first"] for name in ("support", "again")
    )
    assert [row["messages"] for row in before] == [row["messages"] for row in after]
    refused = cli("datasets", "export", "support", str(file), "--split", "validation")
    assert refused.status == 2 and "--overwrite" in refused.stderr
    part = cli("datasets", "export", "support", str(file), "--split", "validation", "--overwrite", "--json").json
    assert part["rows"] == support["splits"]["validation"] == len(file.read_text().splitlines())
    assert cli("datasets", "export", "support", str(tmp_path / "x.jsonl"), "--split", "nope").status == 2
    assert cli("datasets", "export", "support", str(tmp_path / "x.docx")).status == 2
