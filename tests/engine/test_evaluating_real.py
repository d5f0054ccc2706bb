"""An evaluation by the real processes, on the tiny model: killed in the middle, and gone on with."""

import json
import shutil
import signal
import time
from collections.abc import Callable

import pytest

from engine.evaluation.driver import start_driver
from engine.evaluation.folder import EvaluationDir
from engine.evaluation.reading import Chosen
from engine.evaluation.rows import EvaluationRow
from engine.evaluation.running import Options, new_evaluation
from engine.evaluation.state import state_of
from engine.home import Home
from engine.runs.driver_folder import Stage
from engine.runs.identity import kill_group, read_process, send_signal
from engine.runs.rundir import RunDir, write_json
from store import open_store
from tests.store.builders import new_run
from tests.worker.conftest import TinyModel, tiny_model

__all__ = ["tiny_model"]
PATIENCE_S = 120.0


def wait_for(told: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not told():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def ask(number: int) -> EvaluationRow:
    messages = ({"role": "user", "content": "the answer" + " is on its way" * number},)
    return EvaluationRow(number, messages, "the answer is on its way")


@pytest.mark.long  # the worker alone, killed, is in tests/worker/test_evaluate.py
@pytest.mark.train
def test_a_killed_evaluation_comes_to_the_same_end(home: Home, tiny_model: TinyModel) -> None:
    store = open_store(home.ensure().db)
    shutil.copytree(tiny_model.base, home.models / "tiny")
    folder = RunDir(home.runs / "r1")
    folder.path.mkdir()
    shutil.copytree(tiny_model.adapters["terse"], folder.adapter)
    write_json(folder.inputs, {"model": {"path": str(home.models / "tiny"), "revision": None}})
    recipe = {"precision": "fp32"}
    store.runs.add(new_run("r1", "terse", dir=str(folder.path), method="lora", model="tiny", recipe=recipe))
    chosen = Chosen("split", "d1", "ways v1", "test", tuple(map(ask, range(6))))
    options = Options(max_new_tokens=24, batch_rows=2)
    made = new_evaluation(home, store, chosen, ("base:tiny", "r1"), options)
    its = EvaluationDir.of(home, made.id)

    driver = start_driver(home, made.id)
    wait_for(lambda: its.answers.exists() and b"\n" in its.answers.read_bytes())
    record = read_process(its.process)
    assert record is not None and record.supervisor is not None and record.worker is not None
    assert send_signal(record.supervisor, signal.SIGKILL) and kill_group(record.worker)
    driver.wait()
    wait_for(lambda: not its.busy())
    before = [*its.answer_lines()]
    assert 0 < len(before) <= 12

    driver = start_driver(home, made.id)
    assert driver.wait(PATIENCE_S) == 0, its.log.read_text()
    lines = [*its.answer_lines()]
    assert lines[: len(before)] == before, "what was there is not done again"
    assert len({(line["row"], line["model"]) for line in lines}) == len(lines) == 12
    assert not any(line["error"] for line in lines), json.dumps(lines)
    ended = store.evaluations.get(made.id)
    assert ended is not None and ended.reason == "" and state_of(home, ended).stage is Stage.DONE
    figures = {(one.model, one.metric): one for one in store.evaluations.figures(made.id)}
    assert figures[0, "perplexity"].value > 1.0 and figures[1, "perplexity"].difference != 0.0
    assert figures[1, "perplexity"].rows == 6 and figures[1, "perplexity"].p_value is not None
    run = store.runs.get("r1")
    assert run is not None and run.figures["answer_tokens"] == figures[1, "answer_tokens"].value
    store.close()
