"""Evaluations from the command line; a stand-in measures in place of the worker."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from engine.evaluation.running import drive, find_evaluation
from engine.home import Home
from store import open_store
from store.evaluation_records import Measured
from tests.cli.conftest import Cli, MakeRun
from tests.engine.models_made import make_starter
from tui.cli import evaluation
from tui.cli.evaluation_words import shown_difference
from tui.cli.root import app

STAND_IN = Path(__file__).parents[1] / "engine" / "evaluation_stand_in.py"


@pytest.fixture(autouse=True)
def _command() -> None:
    if not any(group.name == "evals" for group in app.registered_groups):
        app.add_typer(evaluation.starting)
        app.add_typer(evaluation.app, name="evals")


class Driver:
    """What measures in this process, at once, as if it were one of its own."""

    def __init__(self) -> None:
        self.how = "well"

    def start(self, home: Home, evaluation_id: str) -> "Driver":
        store = open_store(home.db)
        try:
            drive(home, store, find_evaluation(store, evaluation_id), worker=[sys.executable, str(STAND_IN), self.how])
        except Exception:  # as in a process of its own: the folder says why
            return self
        finally:
            store.close()
        return self

    def poll(self) -> int:
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr("engine.evaluation.driver.start_driver", made.start)
    return made


@pytest.fixture
def ready(home: Home, cli: Cli, make_run: MakeRun, tmp_path: Path) -> str:
    """A run called `first` on the starter model, and its data with eight rows held out. Returns the dataset's id."""
    make_starter(home)
    file = tmp_path / "support.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"question {number}\x1b[2J"},
                {"role": "assistant", "content": f"answer {number} of the day"},
            ],
            "split": "test" if number >= 4 else "train",
        }
        for number in range(12)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    dataset: str = cli("datasets", "import", str(file), "--json").json["id"]
    make_run(dataset_id=dataset, model="starter")
    inputs = home.runs / "r0aaa" / "inputs.json"
    inputs.write_text(inputs.read_text().replace('"path": "starter"', f'"path": "{home.starter}"'))
    return dataset


def test_a_run_is_measured_beside_its_base_shown_and_removed(cli: Cli, home: Home, driver: Driver, ready: str) -> None:
    assert "finetui eval RUN" in cli("evals", "ls").stdout
    (home.root / "settings.toml").write_text('[targets]\n"train/loss" = "<1.5"\nrouge_l = ">2"\nbleu = "50.."\n')
    found = cli("eval", "first", "--json").json
    assert (found["state"], found["rows"], found["split"], found["data"]) == ("done", 8, "test", ready)
    base, tuned = found["models"]
    assert (base["model"], tuned["model"], tuned["name"]) == ("base:starter", "r0aaa", "first")
    assert tuned["figures"]["exact_match"]["difference"] == 1.0 and base["figures"]["exact_match"]["value"] == 0.0
    assert {one["name"]: one["met"] for one in tuned["targets"]} == {"train/loss": True, "rouge_l": False, "bleu": True}
    assert base["targets"] == [] and found["tokenizer"]

    text = cli("evals", "show", found["id"]).stdout
    assert "ROUGE-L" in text and "beside starter (base)" in text and "better" in text
    assert "train/loss < 1.500: 1.000, met" in text and "rouge_l > 2.000: 1.000, missed" in text
    worst = cli("evals", "show", "support-test", "--worst", "2", "--model", "1")
    assert worst.stdout.count("expected: ") == 2 and "{+I am a language model" in worst.stdout
    assert "\x1b" not in worst.stdout
    rows = cli("evals", "show", "support-test", "--worst", "9", "--by", "perplexity", "--json").json
    assert rows["sorted_by"] == "perplexity" and [row["row"] for row in rows["worst"]] == [*range(11, 3, -1)]
    assert cli("evals", "show", "support-test", "--worst", "1", "--by", "beauty").status == 2
    assert cli("evals", "show", "support-test", "--model", "3").status == 2

    listed = cli("evals", "ls", "--run", "first", "--json").json
    assert [one["id"] for one in listed] == [found["id"]] and "support-test" in cli("evals", "ls").stdout
    assert [one["name"] for one in cli("runs", "ls", "--filter", "eval.exact_match>0.9", "--json").json] == ["first"]
    assert cli("runs", "ls", "--filter", "eval.exact_match<0.9", "--json").json == []
    run = cli("runs", "show", "first", "--json").json
    assert run["figures"]["exact_match"] == 1.0 and run["targets"][1]["met"] is False
    shown = cli("runs", "show", "first").stdout
    assert "rouge_l > 2.000: 1.000, missed" in shown and "exact match" in shown

    assert cli("evals", "stop", "support-test").status == 2, "nobody is at work"
    assert cli("store", "rebuild", "--json").json["evaluations"] == 1
    assert cli("evals", "show", "support-test", "--json").json["models"] == found["models"]
    assert cli("evals", "rm", "support-test").status == 0 and cli("evals", "show", "support-test").status == 2


def test_what_failed_is_said_and_gone_on_with(cli: Cli, driver: Driver, ready: str) -> None:
    driver.how = "refuse"
    failed = cli("eval", "first")
    assert failed.status == 1 and "The model is a chair." in failed.stdout and "finetui eval --resume" in failed.stdout
    driver.how = "well"
    assert cli("eval", "--resume", "support-test", "--json").json["state"] == "done"
    assert cli("eval", "first", "--resume", "support-test").status == 2


def test_retention_is_told_beside_another_model(cli: Cli, driver: Driver, ready: str, tmp_path: Path) -> None:
    probes = tmp_path / "mine.jsonl"
    lines = [
        {"question": "Which is a colour?", "choices": ["red", "seven"], "answer": 0},
        {"question": "What is two and two?", "answer": "four", "accept": ["4"]},
    ]
    probes.write_text("\n".join(map(json.dumps, lines)))
    found = cli("eval", "first", "--probes", str(probes), "--json").json
    assert found["kind"] == "retention" and "retention" in found["models"][1]["figures"]
    assert "→ red" in cli("evals", "show", found["id"], "--worst", "2").stdout
    for wrong in (("base:starter", "--retention"), ("first", "--retention", "--against", "none")):
        assert cli("eval", *wrong).status == 2


def test_a_suite_can_be_measured_without_a_base(cli: Cli, driver: Driver, ready: str, tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_text("\n".join(json.dumps({"turns": [text]}) for text in ("one", "two", "three")))
    words = ("--suite", str(file), "--against", "none", "--measure", "emoji_share", "--rows", "2")
    found = cli("eval", "first", *words, "--json").json
    assert [model["name"] for model in found["models"]] == ["first"] and found["rows"] == 2
    assert set(found["models"][0]["figures"]) == {"emoji_share"} and "2 of 3 rows, drawn with seed 0." in found["notes"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("first", "--split", "nope"), "held out under the name 'nope'"),
        (("first", "--suite", "everyday", "--retention"), "of a split, of a suite, or of probes"),
        (("base:starter",), "on which rows"),
        (("nobody",), "no run 'nobody'"),
        (("first", "--measure", "beauty"), "no measure 'beauty'"),
        (("first", "--probes", "nothing.jsonl"), "no probes"),
    ],
)
def test_what_cannot_be_is_said(cli: Cli, driver: Driver, ready: str, words: tuple[str, ...], said: str) -> None:
    refused = cli("eval", *words)
    assert refused.status == 2 and said in refused.stderr and cli("evals", "ls", "--json").json == []


def test_without_waiting_it_goes_on_by_itself(cli: Cli, driver: Driver, ready: str) -> None:
    told = cli("eval", "--no-wait", "--name", "mine", "--json").json
    assert (told["name"], told["rows"], told["models"]) == ("mine", 8, ["base:starter", "r0aaa"])


def test_without_a_run_the_way_is_told(cli: Cli) -> None:
    refused = cli("eval")
    assert refused.status == 2 and "finetui demo" in refused.stderr


def test_every_command_has_an_example() -> None:
    commands: Callable[[typer.Typer], object] = typer.main.get_command
    group = commands(evaluation.app)
    assert isinstance(group, typer.core.TyperGroup)
    assert {*group.commands} == {"ls", "show", "stop", "rm"}
    assert all(one.epilog for one in group.commands.values())


@pytest.mark.parametrize(
    ("metric", "figures", "said"),
    [
        ("bleu", (5.0, 1.0, 9.0, 0.0004), "+5.00 [1.00, 9.00] p < 0.001 better"),
        ("perplexity", (0.5, 0.1, 0.9, 0.02), "+0.500 [0.100, 0.900] p 0.020 worse"),
        ("bleu", (5.0, 1.0, 9.0, 0.06), "+5.00 [1.00, 9.00] p 0.060"),
        ("bleu", (5.0, -1.0, 9.0, 0.01), "+5.00 [-1.00, 9.00] p 0.010"),
        ("length_ratio", (0.5, 0.1, 0.9, 0.01), "+0.500 [0.100, 0.900] p 0.010"),
        ("first_token_s", (1e-5, 1e-6, 2e-5, 0.01), "+0.000 [0.000, 0.000] p 0.010"),
        ("lm_eval/wikitext/word_perplexity", (-2.0, -3.0, -1.0, 0.01), "-2.000 [-3.000, -1.000] p 0.010 better"),
        ("bleu", (None, None, None, None), ""),
    ],
)
def test_verdicts_are_for_what_is_certain(metric: str, figures: tuple[float | None, ...], said: str) -> None:
    assert shown_difference(metric, Measured("e1", 1, metric, 1.0, None, None, 9, *figures)) == said
