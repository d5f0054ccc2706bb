"""Row 18: names that lead elsewhere, that no file can bear, and links in the folders of runs and datasets.

Files get generated ids, so a name is only ever words. Names within data: `tests/engine/test_datasets_importing.py`.
Links in folders that are imported: `tests/engine/test_datasets_source_files.py`, `tests/history/test_importing.py`; in
a registered adapter: `tests/engine/test_registry.py`.
"""

import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.home import Home
from engine.insight.doctor_bundle import write_bundle
from tests.cli.conftest import Cli, MakeRun, chats, cli, home, make_run
from tests.security.modes import open_to_others

__all__ = ["chats", "cli", "home", "make_run"]

NAMES = ["../../x", "a\0b", "x" * 300]

COMMANDS: dict[str, Callable[[str, str], list[str]]] = {
    "datasets import --name": lambda name, file: ["datasets", "import", file, f"--name={name}"],
    "runs tag": lambda name, file: ["runs", "tag", "first", "--", name],
    "runs show": lambda name, file: ["runs", "show", "--", name],
    "runs rm": lambda name, file: ["runs", "rm", "--", name],
    "runs log": lambda name, file: ["runs", "log", "--", name],
    "runs views save": lambda name, file: ["runs", "views", "save", "--filter", "status:done", "--", name],
    "datasets show": lambda name, file: ["datasets", "show", "--", name],
    "datasets rm": lambda name, file: ["datasets", "rm", "--", name],
    "register": lambda name, file: ["register", "first", "--", name],
    "registry rm": lambda name, file: ["registry", "rm", "--", name],
    "presets show": lambda name, file: ["presets", "show", "--", name],
    "knowledge add": lambda name, file: ["knowledge", "add", "--", name, file],
    "knowledge rm": lambda name, file: ["knowledge", "rm", "--", name],
    "suites rm": lambda name, file: ["suites", "rm", "--", name],
    "sweeps rm": lambda name, file: ["sweeps", "rm", "--", name],
    "evals rm": lambda name, file: ["evals", "rm", "--", name],
    "train --name": lambda name, file: ["train", "--dataset", "nothing", f"--name={name}"],
    "runs rename": lambda name, file: ["runs", "rename", "first", "--", name],
}
"""Every command that is given the name of something."""


def everything(folder: Path) -> dict[str, int]:
    """All there is outside the home, with sizes."""
    return {
        str(path.relative_to(folder)): path.lstat().st_size
        for path in sorted(folder.rglob("*"))
        if "home" not in path.relative_to(folder).parts[:1]
    }


def test_row_18_a_hostile_name_is_a_name_or_an_error_and_no_path(
    cli: Cli, make_run: MakeRun, home: Home, chats: Path, tmp_path: Path
) -> None:
    make_run()
    before = everything(tmp_path)
    for command, words in COMMANDS.items():
        for name in NAMES:
            done = cli(*(word.replace("first", "r0aaa") for word in words(name, str(chats))))
            assert done.status in (0, 1, 2), (command, name)
            if done.status:
                assert re.search("^(finetui: |Usage: )", done.stderr, re.MULTILINE), (command, name)
            assert "\0" not in done.stdout + done.stderr
    assert everything(tmp_path) == before, "nothing was made or removed outside the home"
    for folder in (home.runs, home.datasets):
        for path in folder.iterdir():
            assert re.fullmatch(r"[rd][0-9a-z]{4,12}|\..*", path.name), "ids are generated"
    assert (home.runs / "r0aaa").is_dir()


def test_row_18_a_folder_that_says_to_be_another_is_left_out(cli: Cli, make_run: MakeRun, home: Home) -> None:
    precious = home.root.parent / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    run = make_run()
    inputs = json.loads(run.inputs.read_text())
    (home.runs / "r0bbb").mkdir()
    for name in ("recipe.toml", "events.jsonl"):
        (home.runs / "r0bbb" / name).write_bytes((run.path / name).read_bytes())
    (home.runs / "r0bbb" / "inputs.json").write_text(json.dumps(inputs | {"id": "../../precious", "name": "evil"}))
    assert cli("datasets", "import", str(home.root.parent / "rows.jsonl")).status == 2
    (home.root.parent / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    dataset = cli("datasets", "import", str(home.root.parent / "rows.jsonl"), "--json").json["id"]
    card = json.loads((home.datasets / dataset / "card.json").read_text())
    for number, changed in enumerate(({"id": "../../precious", "name": "evil"}, {"id": None}, None)):
        folder = home.datasets / f"d000000000{number}"
        folder.mkdir()
        (folder / "card.json").write_text(json.dumps(changed and card | changed))
    assert cli("store", "rebuild").status == 0
    assert [one["id"] for one in cli("runs", "ls", "--json").json] == ["r0aaa"]
    assert [one["id"] for one in cli("datasets", "ls", "--json").json] == [dataset]
    assert cli("datasets", "rm", "evil").status == 2
    assert cli("runs", "rm", "evil").status == 2
    assert (precious / "thesis.txt").is_file()


def test_row_18_links_are_removed_and_what_they_lead_to_stays(cli: Cli, make_run: MakeRun, home: Home) -> None:
    elsewhere = home.root.parent / "elsewhere"
    elsewhere.mkdir()
    run = make_run()
    (elsewhere / "keep.txt").write_text("keep")
    (run.path / "checkpoints").symlink_to(elsewhere)
    (run.path / "also.txt").symlink_to(elsewhere / "keep.txt")
    moved = make_run("r0bbb", "second")
    target = home.root.parent / "other-disk"
    moved.path.rename(target)
    moved.path.symlink_to(target)  # a run may live elsewhere
    assert cli("store", "rebuild").status == 0
    assert cli("runs", "show", "second").status == 0
    for name in ("first", "second"):
        assert cli("runs", "rm", name).status == 0
    assert (elsewhere / "keep.txt").read_text() == "keep"
    assert (target / "events.jsonl").is_file()
    assert list(home.runs.iterdir()) == []


READ_INTO_REPORTS = {
    "inputs.json": '{"id": "r0aaa", "name": "first", "words": "somebody\'s private words"}',
    "process.json": '{"host": "somebody\'s private words"}',
    "exit.json": '{"attempt": 1, "code": 1, "words": "somebody\'s private words"}',
    "recipe.toml": 'model = "somebody\'s private words"',
    "log.txt": "somebody's private words",
    "events.jsonl": '{"kind": "end", "reason": "somebody\'s private words"}',
}
"""Every file of a run that is told of in a bug report, as something private that can be read as such a file."""


def reported(target: Path, home: Home) -> dict[str, str]:
    write_bundle(target, home, [], "0.1.0")
    with zipfile.ZipFile(target) as archive:
        return {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.parametrize("name", READ_INTO_REPORTS)
def test_row_18_no_file_of_a_run_that_is_a_link_is_read_into_a_bug_report(
    make_run: MakeRun, home: Home, tmp_path: Path, name: str
) -> None:
    private = tmp_path / "private"
    private.write_text(READ_INTO_REPORTS[name] + "\n")
    run = make_run(status="failed")
    (run.path / name).unlink()
    (run.path / name).write_bytes(private.read_bytes())
    assert "private words" in "".join(reported(tmp_path / "own.zip", home).values()), "a file of its own is read"
    (run.path / name).unlink()
    (run.path / name).symlink_to(private)
    files = reported(tmp_path / "linked.zip", home)
    assert any(file.startswith("runs/r0aaa/") for file in files)
    assert not [file for file, text in files.items() if "private words" in text]
    assert not [line for line in open_to_others(tmp_path / "linked.zip") if line]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", READ_INTO_REPORTS)
def test_row_18_no_pipe_in_a_run_is_waited_for(
    cli: Cli, make_run: MakeRun, home: Home, tmp_path: Path, name: str
) -> None:
    run = make_run(status="failed")
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    assert "README.txt" in reported(tmp_path / "report.zip", home)
    assert cli("store", "rebuild").status == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("target", ["/dev/zero", "/etc", "a pipe"])
def test_row_18_an_event_log_that_is_no_file_ends_nothing(cli: Cli, make_run: MakeRun, home: Home, target: str) -> None:
    run = make_run()
    make_run("r0bbb", "second")
    run.events.unlink()
    if target == "a pipe":
        os.mkfifo(run.events)
    else:
        run.events.symlink_to(target)
    assert cli("store", "rebuild").status == 0
    assert cli("runs", "show", "second", "--json").json["status"] == "succeeded"
    assert cli("runs", "show", "r0aaa", "--json").json["status"] in ("lost", "failed"), "it does not stay live"
