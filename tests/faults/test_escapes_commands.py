"""Rows 16 and 17 for every command: what it writes of others' texts, and of hostile words it was called with."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.faults.hostile import SHOWN, evil, harm_in
from tests.faults.hostile_home import DONE, EVALUATION, LIVE, SWEEP, Hostile
from tui.cli.root import app

SHOWING = {
    "models ls": "",
    "models show": "starter",
    "datasets ls": "",
    "datasets show": "DATASET",
    "datasets lineage": "DATASET",
    "datasets validate": "DATASET",
    "datasets screen": "DATASET",
    "datasets diff": "DATASET SECOND",
    "datasets export": "DATASET out.jsonl",
    "presets ls": "",
    "presets show": "evil",
    "runs ls": "",
    "runs show": LIVE,
    "runs metrics": LIVE,
    "runs log": LIVE,
    "runs diagnose": LIVE,
    "runs lineage": DONE,
    "runs compare": f"{DONE} {LIVE}",
    "runs views ls": "",
    "queue ls": "",
    "sweeps ls": "",
    "sweeps show": SWEEP,
    "suites ls": "",
    "suites show": "SUITE",
    "suites diff": "SUITE",
    "suites export": "SUITE answers.md",
    "knowledge ls": "",
    "knowledge show": "NOTES",
    "knowledge search": "NOTES zebra",
    "arena leaderboard": "",
    "votes export": "votes.jsonl",
    "evals ls": "",
    "evals show": EVALUATION,
    "registry ls": "",
    "registry show": "evil@1",
    "registry check": "",
    "costs": "",
    "store check": "",
}
"""Commands that show what is in the home, and on what."""

AS_JSON = {"runs show", "datasets show", "suites show", "evals show", "registry show", "runs views ls"}
"""Of those, the ones that are asked for a document, too. All documents are written by the same function."""

TELLING = {
    *("demo", "doctor", "train", "estimate", "sweep", "chat", "serve", "web", "eval", "judge", "arena", "open"),
    *("alerts show", "alerts test", "store path", "store rebuild", "store backup", "register", "export"),
    *("datasets import", "datasets rm", "datasets split", "datasets filter", "datasets dedupe", "datasets subset"),
    *("datasets mix", "datasets stage", "datasets edit", "datasets tokens", "datasets render"),
    *("runs stop", "runs resume", "runs fix", "runs rm", "runs rename", "runs tag", "runs note", "runs import"),
    *("runs views save", "runs views rm", "queue move", "queue priority", "queue now", "queue cancel"),
    *("sweeps stop", "sweeps resume", "sweeps rm", "suites stop", "suites rm", "suites run"),
    *("knowledge add", "knowledge refresh", "knowledge rm", "evals stop", "evals rm", "registry promote"),
    *("registry rollback", "registry compare", "registry describe", "registry tag", "registry refresh", "registry rm"),
}
"""Commands that do something: what they say of hostile words is looked at, where they take any."""

ACTING = {"knowledge add", "store backup", "runs views save", "suites run", "estimate", "train", "web", "serve"}
"""Of those, the ones that would do it for any word."""


def commands() -> dict[str, Any]:
    """Every command by its words."""
    found: dict[str, Any] = {}

    def walk(group: Any, words: tuple[str, ...]) -> None:
        inner = getattr(group, "commands", {})
        if words and (not inner or group.invoke_without_command):
            found[" ".join(words)] = group
        for name, command in inner.items():
            walk(command, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def written(hostile: Hostile, *words: str) -> tuple[int, str]:
    """Exit status, and all that a call wrote to either stream."""
    result = CliRunner().invoke(app, [*words], env={"FINETUI_HOME": str(hostile.home.root)}, prog_name="finetui")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout + result.stderr


def test_row_16_every_command_is_called() -> None:
    assert set(commands()) == SHOWING.keys() | TELLING


def test_row_16_and_17_what_others_wrote_is_text_in_every_command(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"DATASET": hostile.dataset, "SECOND": hostile.second, "SUITE": hostile.suite_run, "NOTES": "evil notes"}
    faults, literal = [], set()
    for name, on in SHOWING.items():
        for option in ((), ("--json",))[: 1 + (name in AS_JSON)]:
            words = [known.get(word, word) for word in on.split()]
            status, text = written(hostile, *name.split(), *words, *option)
            faults += [f"{name} {option}: {fault}" for fault in harm_in(text, storms=not option)]
            if status not in (0, 1):
                faults.append(f"{name} {option} ended with {status}: {text}")
            if SHOWN[:9] in text:
                literal.add(name)
            for file in tmp_path.iterdir():
                file.unlink()
    assert not faults, "\n".join(faults)
    assert {
        "runs ls",
        "runs show",
        "runs log",
        "datasets ls",
        "suites show",
        "evals show",
        "knowledge search",
    } <= literal


def test_row_16_hostile_words_come_back_as_text(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    word = evil("word").replace("\0", "")
    taking = {name: sum(one.param_type_name == "argument" for one in it.params) for name, it in commands().items()}
    one_a_group = {name.split()[0]: name for name, count in taking.items() if count and name not in ACTING}
    faults = []
    for name in one_a_group.values():
        count = taking[name]
        status, text = written(hostile, *name.split(), *[word] * count)
        faults += [f"{name}: {fault}" for fault in harm_in(text)]
        if status == 0:
            faults.append(f"{name} took it: {text}")
    assert not faults, "\n".join(faults)
