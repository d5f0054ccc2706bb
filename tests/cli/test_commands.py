"""What holds for every command."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tui.cli import recipe_reference
from tui.cli.reference import commands, reference
from tui.cli.root import app

COMMANDS = list(commands(app))
NAMES = [name for name, _ in COMMANDS]
SPINE = """
demo, doctor, models ls, models show, datasets import, datasets ls, datasets show, datasets validate, datasets rm,
datasets split, datasets filter, datasets dedupe, datasets subset, datasets mix, datasets tokens, datasets render,
datasets diff, datasets export, train, presets ls, presets show, runs ls, runs show, runs log, runs metrics, runs
stop, runs resume, runs rm, runs rename, runs tag, runs note, runs compare, chat, store path, store check, store
rebuild, store backup
"""


def test_every_command_of_the_contract_is_there() -> None:
    assert {f"finetui {' '.join(name.split())}" for name in SPINE.split(",")} <= set(NAMES)


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=NAMES)
def test_help_has_an_example_that_is_the_command(name: str, command: Any, cli: Cli) -> None:
    words = name.split()[1:]
    shown = cli(*words, "--help")
    assert shown.status == 0
    text = " ".join(shown.stdout.split())
    assert "Example" in text and f" {name}" in text.partition("Example")[2]
    assert "--json" in text and "--home" in text
    options = {option for parameter in command.params for option in parameter.opts}
    for line in shown.stdout.partition("Example")[2].splitlines()[1:]:
        before_dashes = line.partition(" -- ")[0]  # what follows is no option
        used = {word.partition("=")[0] for word in before_dashes.split() if word.startswith("-")}
        assert used <= options, f"the example uses options that are not there: {used - options}"


def test_the_reference_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    assert page.read_text() == reference(app), "python -m tui.cli.reference > docs/cli.md"


def test_groups_and_the_root_show_help(cli: Cli) -> None:
    for words in ((), ("runs",), ("datasets",), ("store",)):
        shown = cli(*words)
        assert "Usage: finetui" in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "show", "nothing"),
        ("runs", "compare", "a", "b"),
        ("runs", "ls", "--filter", "nokey:x"),
        ("runs", "ls", "--sort", "nokey"),
        ("datasets", "show", "nothing"),
        ("datasets", "import", "/nowhere.jsonl"),
        ("models", "show", "/nowhere"),
        ("presets", "show", "nothing"),
        ("chat", "--run", "nothing", "--prompt", "hello"),
        ("chat",),
        ("demo",),
        ("train", "--dataset", "nothing"),
        ("train", "--set", "nokey"),
    ],
    ids=" ".join,
)
def test_bad_input_is_said_with_a_way_out(words: tuple[str, ...], cli: Cli) -> None:
    plain = cli(*words)
    assert plain.status == 2
    assert plain.stdout == ""
    assert plain.stderr.startswith("finetui: ") and "Traceback" not in plain.stderr
    if words == ("demo",):
        return
    document = cli(*words, "--json")
    assert document.status == 2
    assert document.json["error"]["what"] and document.json["error"]["what"] in plain.stderr


def test_usage_errors_have_status_2(cli: Cli) -> None:
    for words in (("runs", "frobnicate"), ("runs", "ls", "--nope"), ("runs", "ls", "--limit", "0"), ("runs", "show")):
        shown = cli(*words)
        assert shown.status == 2 and "Error" in shown.stderr and shown.stdout == ""


def test_the_recipe_reference_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "recipe.md"
    assert page.read_text(encoding="utf-8") == recipe_reference.reference(), (
        "python -m tui.cli.recipe_reference > docs/recipe.md"
    )
