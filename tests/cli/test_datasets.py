"""Datasets, presets, models and the store from the command line."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

from engine.home import Home
from tests.cli.conftest import Cli, MakeRun

REBUILT = {"runs": 1, "datasets": 1, "sweeps": 0, "evaluations": 0, "registered": 0}
DATASET_KEYS = "id, name, shape, rows, splits, tokens, parent, source, problems, warnings, grade"


def test_import_list_show_remove(cli: Cli, chats: Path) -> None:
    made = cli("datasets", "import", str(chats), "--name", "small", "--json").json
    assert set(made) >= set(DATASET_KEYS.split(", "))
    assert made["rows"] == 10 and sum(made["splits"].values()) == 10 and made["problems"] == []
    [listed] = cli("datasets", "ls", "--json").json
    assert listed.items() <= made.items() and made["new"]
    shown = cli("datasets", "show", "small", "--rows", "10", "--json").json
    assert len(shown["first"]) == 10 and shown["first"][3]["messages"][-1]["content"] == "answer 3"
    text = cli("datasets", "show", "small", "--rows", "10").stdout
    assert "plain" in text and "\x1b" not in text and "owned" not in text
    assert "small" in cli("datasets", "ls").stdout
    assert cli("datasets", "rm", "small").status == 0
    assert cli("datasets", "ls", "--json").json == []


def test_a_bad_row_is_named_and_nothing_is_kept(cli: Cli, chats: Path, home: Home) -> None:
    with chats.open("a") as file:
        file.write('\n{"messages": [{"role": "user"}]}\n')
    failed = cli("datasets", "import", str(chats), "--json")
    assert failed.status == 2
    [problem] = failed.json["problems"]
    assert problem["row"] == 11 and set(problem) == {"row", "field", "problem"}
    assert "row 11" in failed.stderr
    assert cli("datasets", "ls", "--json").json == []
    assert not [path for path in home.datasets.iterdir() if path.is_dir()]
    made = cli("datasets", "import", str(chats), "--skip-bad", "--json").json
    assert made["rows"] == 10


def test_a_dry_run_shows_what_would_be_imported(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    lines = [f"what is {n},it is {n},{'mail' if n % 2 else 'web'}" for n in range(20)]
    file.write_text("\n".join(["frage,antwort,source", *lines]))
    mapped = ("datasets", "import", str(file), "--map", "prompt=frage", "--map", "response=antwort")
    found = cli(*mapped, "--dry-run", "--json").json
    assert found["shape"] == "prompt-response" and found["mapping"] == {"prompt": "frage", "response": "antwort"}
    assert found["rows"] == 20 and not found["problems"] and not found["unsure"] and 0.8 <= found["confidence"] <= 1
    assert [[turn["content"] for turn in row["messages"]] for row in found["first"]] == [
        [f"what is {n}", f"it is {n}"] for n in range(3)
    ]
    assert [row["row"] for row in found["first"]] == [1, 2, 3]
    text = cli(*mapped, "--dry-run").stdout
    assert "prompt = frage" in text and "it is 2" in text and "Nothing was imported" in text
    assert cli("datasets", "ls", "--json").json == []
    made = cli(*mapped, "--where", "metadata.source = mail", "--system", "Be kind.", "--json").json
    assert made["rows"] == 10
    row = cli("datasets", "show", "table", "--row", "1", "--json").json["first"][0]
    assert row["messages"][0] == {"role": "system", "content": "Be kind."} and row["metadata"] == {"source": "mail"}
    assert cli(*mapped, "--where", "metadata.source = mail", "--system", "Be kind.", "--json").json["new"] is False


def test_a_guess_is_asked_about_and_the_answer_is_at_hand(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("\n".join(["frage,antwort", *(f"what is {n},it is {n}" for n in range(20))]))
    refused = cli("datasets", "import", str(file))
    assert refused.status == 2
    fix = re.search(r"--map \S+(?: --map \S+)*", refused.stderr)
    assert fix is not None, "the error says what to type"
    assert cli("datasets", "import", str(file), *fix.group().rstrip(";").split(), "--json").json["rows"] == 20
    assert cli("datasets", "import", str(file), "--dry-run", "--json").json["unsure"]
    assert fix.group().rstrip(";") in cli("datasets", "import", str(file), "--dry-run").stdout
    for wrong in ("prompt", "=frage", "prompt=", "nofield=frage", "prompt=nocolumn"):
        failed = cli("datasets", "import", str(file), "--map", wrong)
        assert failed.status == 2 and "Traceback" not in failed.stderr
    assert cli("datasets", "import", str(file), "--map", "prompt=frage", "--map", "prompt=antwort").status == 2
    assert cli("datasets", "import", str(file), "--dry-run", "--where", "nofield = 1").status == 2


def test_names_of_columns_reach_the_terminal_clean(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("\n".join(["fra\x1b]0;owned\x07ge,[red]antwort", *(f"what is {n},it is {n}" for n in range(20))]))
    shown = cli("datasets", "import", str(file), "--dry-run").stdout
    assert "frage" in shown and "[red]antwort" in shown and not {"\x1b", "\x07"} & set(shown)
    refused = cli("datasets", "import", str(file)).stderr
    assert "--map" in refused and not {"\x1b", "\x07"} & set(refused)


def test_folders_patterns_and_the_hub_are_sources(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in ("train", "test"):
        rows = [{"prompt": f"{part} {n}", "response": f"answer {n} to {part}"} for n in range(4)]
        (folder / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = cli("datasets", "import", str(folder), "--json").json
    assert made["name"] == "parts" and made["rows"] == 8 and made["splits"]["test"] == 4
    assert cli("datasets", "import", f"{folder}/te*.jsonl", "--name", "some", "--json").json["rows"] == 4
    offline = cli("datasets", "import", "hub:nobody/nothing", "--json")
    assert offline.status == 2 and offline.json["error"]["fix"]
    assert len(cli("datasets", "ls", "--json").json) == 2


def test_ctrl_c_leaves_nothing_of_an_import(home: Home, tmp_path: Path) -> None:
    """The whole process group hears Ctrl+C, as from a terminal."""
    file = tmp_path / "many.jsonl"
    line = json.dumps({"messages": [{"role": role, "content": "words " * 20} for role in ("user", "assistant")]})
    file.write_text(f"{line}\n" * 60_000)
    code = "import sys; from tui.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "datasets", "import", str(file)],
        env=os.environ | {"FINETUI_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "importing many.jsonl\n"
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and out == ""
    assert "nothing was kept" in errors and "Traceback" not in errors
    assert [path.name for path in home.datasets.iterdir() if path.is_dir()] == []


def test_presets_are_recipes(cli: Cli, tmp_path: Path) -> None:
    listed = cli("presets", "ls", "--json").json
    assert {"quick-look", "conservative", "aggressive"} <= {preset["name"] for preset in listed}
    shown = cli("presets", "show", "quick-look").stdout
    assert tomllib.loads(shown) == cli("presets", "show", "quick-look", "--json").json["values"]


def test_the_starter_is_a_model(cli: Cli) -> None:
    assert "starter" in [model["name"] for model in cli("models", "ls", "--json").json]
    shown = cli("models", "show", "starter", "--json").json
    assert shown["kind"] == "starter" and isinstance(shown["path"], str)
    assert "starter" in cli("models", "ls").stdout and "starter" in cli("models", "show", "starter").stdout


def test_doctor(cli: Cli) -> None:
    checks = cli("doctor", "--json").json["checks"]
    assert {"name", "ok", "found", "fix"} == set(checks[0])
    text = cli("doctor").stdout
    assert "✓" in text and all(check["name"] in text for check in checks)


def test_store(cli: Cli, home: Home, make_run: MakeRun, tmp_path: Path) -> None:
    make_run()
    assert cli("store", "path").stdout == f"{home.db}\n"
    found = cli("store", "check", "--json").json
    assert (found["ok"], found["problems"]) == (True, [])
    assert cli("store", "rebuild", "--json").json == REBUILT | {"datasets": 0}
    copy = tmp_path / "copy.db"
    assert cli("store", "backup", str(copy), "--json").json["size_bytes"] == copy.stat().st_size > 0
    [[count]] = sqlite3.connect(copy).execute("select count(*) from runs").fetchall()
    assert count == 1
    again = cli("store", "backup", str(copy))
    assert again.status == 2 and "exists" in again.stderr


def test_a_lost_store_comes_back_from_the_folders(cli: Cli, home: Home, make_run: MakeRun, chats: Path) -> None:
    make_run()
    cli("datasets", "import", str(chats))
    before = [cli("runs", "ls", "--json").json, cli("datasets", "ls", "--json").json]
    home.db.unlink()
    assert cli("runs", "ls", "--json").json == []
    assert cli("store", "rebuild", "--json").json == REBUILT
    assert [cli("runs", "ls", "--json").json, cli("datasets", "ls", "--json").json] == before


def test_a_file_that_is_no_store_is_refused(cli: Cli, home: Home) -> None:
    home.db.write_text("this is a diary, not a database. " * 100)
    failed = cli("runs", "ls", "--json")
    assert failed.status in (1, 2) and failed.json["error"]["what"]
    assert "Traceback" not in failed.stderr
    assert home.db.read_text().startswith("this is a diary")


def test_json_escapes_what_a_terminal_would_obey(cli: Cli, chats: Path) -> None:
    chats.write_text(json.dumps({"prompt": "a\x9b31mb\x7f", "response": "\u2028c"}))
    cli("datasets", "import", str(chats))
    shown = cli("datasets", "show", "chats", "--json")
    assert not {"\x9b", "\x7f", "\u2028"} & set(shown.stdout)
    assert shown.json["first"][0]["messages"][0]["content"] == "a\x9b31mb\x7f"
