"""The screens of evaluations: the list, verdict and figures, rows word by word, starting one, targets on a run."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.evaluation.folder import EvaluationDir
from engine.evaluation.measures import measure, names_of
from engine.evaluation.rows import EvaluationRow
from engine.evaluation.running import answers_by_model
from engine.evaluation.token_counter import TokenCounter
from engine.home import Home
from engine.runs.rundir import write_json
from engine.suites.reading import find_suite
from store import Store
from store.evaluation_records import Evaluation
from tests.tui.chats import with_adapter
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.evaluation import EvaluationScreen
from tui.screens.evaluation_row import EvaluationRowScreen
from tui.screens.evaluations import EvaluationsScreen

OpenEvaluations = Callable[..., AbstractAsyncContextManager[Driver]]
WORDS = TokenCounter("words", lambda text: len(text.split()))
COLOURS = ("red", "blue", "green", "white", "black", "grey")


@pytest.fixture
def open_evaluations(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> OpenEvaluations:
    monkeypatch.setattr("engine.evaluation.running.token_counter", lambda home, fallback=None: WORDS)

    @asynccontextmanager
    async def start(run: str = "", size: tuple[int, int] = (120, 40), theme: str = "") -> AsyncIterator[Driver]:
        async with make_app(size, theme=theme) as driver:
            await driver.app.push_screen(EvaluationsScreen(run, run))
            yield driver

    return start


@pytest.fixture
def tuned(runs: SampleRuns) -> SampleRuns:
    with_adapter(runs, "r1emoji0000", "emoji-r8", age_s=9_000)
    return runs


def _made(home: Home, store: Store, **more: Any) -> tuple[Evaluation, EvaluationDir]:
    """Twelve rows of two categories for the base and a run, of which nothing is measured."""
    settings = {"data_name": "colours v1", "measures": [*names_of("split")], "seed": 0}
    models = ("base:starter", "r1emoji0000")
    known: dict[str, Any] = {
        "id": "e1colours",
        "created": time.time(),
        "name": "colours-test",
        "kind": "split",
        "data": "d1",
    }
    made = Evaluation(**(known | {"split": "test", "models": models, "settings": settings, "rows": 12} | more))
    rows = [
        EvaluationRow(
            number,
            ({"role": "user", "content": f"Which [bold]colour[/bold] \x1b[2Jis {number}?"},),
            f"It is {COLOURS[number % 6]} and number {number} of the day.",
            about={"category": "odd" if number % 2 else "even"},
        )
        for number in range(12)
    ]
    folder = EvaluationDir.of(home, made.id)
    folder.write(made, {"v": 1, "models": [{"base": "starter"}]}, rows)
    store.evaluations.add(made)
    return made, folder


@pytest.fixture
def measured(home: Home, store: Store, tuned: SampleRuns) -> Evaluation:
    """The run answers as is expected but for row 3, which it answers with an insult; the base does not."""
    made, folder = _made(home, store)
    with folder.answers.open("w") as file:
        for row in folder.read_rows():
            good = "You idiot machine." if row.row == 3 else row.expected
            for model, text in enumerate(("I am a language model.", good)):
                line = {"row": row.row, "model": model, "text": text, "tokens": 9, "finish_reason": "stop", "error": ""}
                scored = {"nll": 4.0 if model else 40.0 + row.row, "scored_tokens": 10, "correct_tokens": 9 * model}
                file.write(json.dumps(line | scored | {"first_token_s": 0.1, "tokens_per_s": 50.0}) + "\n")
    base, own = answers_by_model(folder, 2)
    names = names_of("split")
    figures = measure(base, None, WORDS, names=names, evaluation=made.id)
    figures += measure(own, base, WORDS, names=names, evaluation=made.id, model=1)
    folder.write_figures(figures, "words", ["Twelve of twelve."])
    store.evaluations.set_figures(made.id, figures)
    store.evaluations.end(made.id, time.time())
    return made


@pytest.fixture
def running(home: Home, store: Store, tuned: SampleRuns) -> Iterator[EvaluationDir]:
    """One that is being made: a process holds its lock, a quarter is measured."""
    _, folder = _made(home, store)
    with folder.begun():
        now = time.time()
        at = {"done": 6, "total": 24, "doing": "generating", "model": "b"}
        write_json(folder.progress, at | {"t": now, "began": now - 60})
        folder.say("starting the worker", measuring=True, **{"from": 0})
        yield folder


async def test_without_an_evaluation_it_says_how_to_make_one(open_evaluations: OpenEvaluations) -> None:
    async with open_evaluations(size=(80, 24)) as driver:
        await driver.sees("Nothing was evaluated yet.", "Press n to choose models and rows.")


async def test_the_verdict_comes_first_then_figures_then_the_worst_rows(
    open_evaluations: OpenEvaluations, measured: Evaluation, home: Home
) -> None:
    (home.root / "settings.toml").write_text('[targets]\nrouge_l = ">0.5"\nbleu = ">99"\n')
    async with open_evaluations() as driver:
        await driver.sees("colours-test", "✓ done", "starter (base), emoji")
        await driver.press("enter")
        await driver.sees("emoji-r8 is better in", "12 rows of colours v1, test", "Twelve of twelve.")
        await driver.sees("targets of emoji-r8", "1 of 2 met")
        line = driver.line("ROUGE-L")
        assert "better" in line and "p 0.001" in line and "★" in line and "✓ met" in line, driver.text()
        assert "✗ missed" in driver.line(" BLEU  ")
        assert driver.line("emoji an answer").count("0.00") >= 3 and "better" not in driver.line("emoji an answer")
        rows = [line for line in driver.text().splitlines() if "Which [bold]colour" in line]
        assert rows[0].split()[0] == "3" and "You idiot machine." in rows[0], "the worst is first"
        assert "⚑" in driver.text() and "\x1b" not in driver.text()
        await driver.sees("You idiot machine.", "“idiot”")  # the row beside, whole


async def test_rows_are_sorted_by_the_measure_that_is_chosen_and_filtered_by_words(
    open_evaluations: OpenEvaluations, measured: Evaluation
) -> None:
    async with open_evaluations(size=(80, 24)) as driver:
        await driver.sees("colours-test")
        await driver.press("enter")
        await driver.sees("ROUGE-L  ⚑")
        await driver.press("enter")  # on perplexity, the first
        await driver.sees("perplexity  ⚑")
        await driver.press("m")
        await driver.wait(lambda: driver.line("  11 ").split()[:1] == ["11"])
        first = driver.text().splitlines().index(driver.line("perplexity  ⚑")) + 1
        assert driver.text().splitlines()[first].split()[0] == "11", "of the base row 11 is the worst"
        await driver.press("o")
        await driver.type("exact")
        await driver.press("enter")
        await driver.sees("exact match  ⚑")
        await driver.press("slash")
        await driver.type("green")
        await driver.sees("2 of 12")
        await driver.press("enter", "escape", "slash")
        await driver.type("nowhere")
        await driver.sees("No row has these words.")


async def test_a_row_opens_with_what_was_expected_and_the_answer_of_the_base(
    open_evaluations: OpenEvaluations, measured: Evaluation
) -> None:
    async with open_evaluations(size=(90, 24)) as driver:
        await driver.sees("colours-test")
        await driver.press("enter")
        await driver.sees("ROUGE-L  ⚑")
        await driver.press("tab", "enter")
        await driver.wait(lambda: isinstance(driver.app.screen, EvaluationRowScreen))
        await driver.sees("1 of 12, the worst first", "row 3 · odd", "expected  It is white", "⚑ “idiot”")
        heads = driver.line(" emoji-r8 ")
        assert heads.index("emoji-r8") < heads.index("starter (base)")
        await driver.press("j")
        await driver.sees("2 of 12", "the same")
        await driver.press("escape")
        await driver.sees("ROUGE-L  ⚑")


async def test_a_measure_is_shown_by_category(open_evaluations: OpenEvaluations, measured: Evaluation) -> None:
    async with open_evaluations() as driver:
        await driver.sees("colours-test")
        await driver.press("enter")
        await driver.sees("ROUGE-L  ")
        await driver.press("down", "down", "down", "down", "c")  # exact match
        await driver.sees("exact match")
        await driver.wait(lambda: driver.line(" even ").split()[:1] == ["even"])
        assert "1.000" in driver.line(" even ") and "0.833" in driver.line(" odd ")
        await driver.press("down", "enter")
        await driver.sees("only odd")
        assert len([line for line in driver.text().splitlines() if "Which [bold]" in line and " even " in line]) == 0
        await driver.press("escape")
        await driver.sees("token accuracy")
        await driver.sees_no("only odd")


@pytest.mark.parametrize("ending", ["md", "csv"])
async def test_it_is_written_into_a_file(
    open_evaluations: OpenEvaluations,
    measured: Evaluation,
    ending: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_evaluations() as driver:
        await driver.sees("colours-test")
        await driver.press("enter")
        await driver.sees("ROUGE-L  ")
        await driver.press("e")
        await driver.sees("Write the evaluation to")
        await driver.press("end", "backspace", "backspace")
        await driver.type(ending)
        await driver.press("enter")
        path = tmp_path / f"colours-test.{ending}"
        await driver.wait(path.exists)
    text = path.read_text()
    assert text.index("You idiot machine.") < text.index("It is red") and "\x1b" not in text
    if ending == "md":
        assert "is better in" in text and "| ROUGE-L |" in text and "better |" in text
    else:
        assert len(text.splitlines()) == 25


async def test_what_is_at_work_shows_how_far_it_is_and_stops_when_that_is_confirmed(
    open_evaluations: OpenEvaluations, running: EvaluationDir
) -> None:
    async with open_evaluations(size=(80, 24)) as driver:
        await driver.sees("● running", "6/24", "3 m")
        await driver.press("enter")
        await driver.sees("6/24", "3 m 00 s left", "Nothing can be said before", "Which [bold]colour")
        await driver.press("s")
        await driver.sees("Stop colours-test?", "6 of 24 answers are kept")
        await driver.press("n")
        assert not running.stop.exists()
        await driver.press("s")
        await driver.sees("Stop colours-test?")
        await driver.press("y")
        await driver.wait(running.stop.exists)


async def test_what_was_stopped_goes_on_or_is_removed(
    open_evaluations: OpenEvaluations,
    tuned: SampleRuns,
    home: Home,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    monkeypatch.setattr("engine.evaluation.driver.start_driver", lambda _home, evaluation: started.append(evaluation))
    made, folder = _made(home, store)
    folder.finish(None)
    store.evaluations.end(made.id, time.time(), "It was stopped.")
    async with open_evaluations("r1emoji0000") as driver:
        await driver.sees("Evaluations of", "◦ stopped")
        await driver.press("R")
        await driver.wait(lambda: started == [made.id])
        await driver.press("x")
        await driver.sees("Remove colours-test?")
        await driver.press("y")
        await driver.sees("This run was not evaluated yet.")
        assert store.evaluations.list() == []
        await driver.wait(lambda: not folder.path.exists())


async def test_an_evaluation_is_started_from_the_run(
    make_app: MakeApp, tuned: SampleRuns, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr("engine.evaluation.driver.start_driver", lambda _home, evaluation: started.append(evaluation))
    (home.root / "settings.toml").write_text('[targets]\nrouge_l = ">0.5"\n')
    library = DatasetLibrary(home, store)
    find_suite(library, "everyday")
    library.close()
    async with make_app((80, 24), open_run="r1emoji0000") as driver:
        await driver.sees("M evaluate", "E export", "R register", "0 of 1 met", "rouge_l > 0.5000: not measured")
        await driver.press("M")
        await driver.sees(
            "[x] starter (base)", "[x] emoji-r8", "(•) everyday v1", "20 rows for 2 models", "enter start"
        )
        await driver.press("space", "space")
        await driver.sees("Choose at least one model")
        await driver.press("k", "k", "space", "space", "tab", "tab", "5", "tab", "0")
        await driver.sees("a number, 1 or more")
        await driver.press("backspace", "9", "tab")
        await driver.type("bleu")
        await driver.press("enter")
        await driver.wait(lambda: isinstance(driver.app.screen, EvaluationScreen))
        [made] = store.evaluations.list()
        assert started == [made.id] and made.models == ("base:starter", "r1emoji0000") and made.rows == 5
        assert made.settings["max_new_tokens"] == 9 and made.settings["measures"] == ["bleu"]
        await driver.press("escape", "v")
        await driver.sees("Evaluations of emoji-r8", made.name)


@pytest.mark.parametrize(("size", "theme"), [((40, 12), ""), ((80, 24), "finetui-light"), ((200, 60), "")])
async def test_no_size_of_the_terminal_breaks_it(
    open_evaluations: OpenEvaluations, measured: Evaluation, size: tuple[int, int], theme: str
) -> None:
    async with open_evaluations(size=size, theme=theme) as driver:
        await driver.wait(lambda: "colours" in driver.text())
        await driver.press("enter")
        await driver.wait(lambda: isinstance(driver.app.screen, EvaluationScreen) and "ROUGE" in driver.text())
        await driver.press("tab", "enter")
        await driver.wait(lambda: isinstance(driver.app.screen, EvaluationRowScreen))
