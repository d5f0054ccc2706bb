"""Of the hostile home: an evaluation whose rows and answers mean harm, and a sweep whose name and reasons do."""

import json
import time
from typing import Any

from engine.evaluation.folder import EvaluationDir
from engine.evaluation.measures import measure, names_of
from engine.evaluation.rows import EvaluationRow
from engine.evaluation.running import answers_by_model
from engine.evaluation.token_counter import TokenCounter
from engine.home import Home
from engine.runs.rundir import write_json
from engine.sweeps.folder import SweepDir, Trial, TrialState
from engine.sweeps.manager import SweepManager
from engine.sweeps.spec import make_spec
from store import Store
from store.evaluation_records import Evaluation
from tests.faults.hostile import evil, evil_json
from tests.tui.sample_runs import SampleRuns

WORDS = TokenCounter("words", lambda text: len(text.split()))


def add_evaluation(home: Home, store: Store, id: str, run: str) -> None:
    """Two models, four rows; what they were asked, what was wanted and what they said."""
    models = (f"base:{evil('basis')}", run)
    settings = {"data_name": evil("data"), "measures": [*names_of("split")], "seed": 0}
    made = Evaluation(id, time.time(), evil("eval"), "split", "d1", "test", models, settings, 4)
    rows = [
        EvaluationRow(
            number, ({"role": "user", "content": evil("probe")},), evil("expect"), about={"category": evil("class")}
        )
        for number in range(4)
    ]
    folder = EvaluationDir.of(home, id)
    folder.write(made, {"v": 1, "models": [{"base": "starter"}]}, rows)
    store.evaluations.add(made)
    with folder.answers.open("w", encoding="utf-8") as file:
        for row in rows:
            for model in (0, 1):
                error = evil_json("fault") if row.row == 3 and model else ""
                line: dict[str, Any] = {"row": row.row, "model": model, "text": evil_json(f"gave{model}"), "tokens": 9}
                scored = {"nll": 4.0 + model, "scored_tokens": 10, "correct_tokens": 9 * model}
                line |= scored | {"first_token_s": 0.1, "tokens_per_s": 50.0, "finish_reason": "stop", "error": error}
                file.write(json.dumps(line) + "\n")
    base, own = answers_by_model(folder, 2)
    names = names_of("split")
    figures = measure(base, None, WORDS, names=names, evaluation=id)
    figures += measure(own, base, WORDS, names=names, evaluation=id, model=1)
    folder.write_figures(figures, "words", [evil("remark")])
    store.evaluations.set_figures(id, figures)
    store.evaluations.end(id, time.time(), evil("reason"))


def add_sweep(home: Home, store: Store, runs: SampleRuns, id: str) -> None:
    """Two trials, one of which failed for a reason in hostile words; no driver is at work."""
    folder = SweepDir(home.sweeps / id)
    folder.path.mkdir(parents=True)
    name = evil("sweep")
    search = {"lora_r": [4, 8], "model": ["starter", evil("model")]}
    spec = make_spec({"name": "evil", "method": "grid", "search": search, "recipe": {"dataset": "support"}})
    folder.spec.write_text(spec.to_toml(), encoding="utf-8")
    write_json(folder.about, {"id": id, "name": name, "created": time.time() - 60})
    trials = []
    for number, state in enumerate((TrialState.COMPLETE, TrialState.FAILED)):
        run = runs.add(f"r{number}sweep0000", evil(f"trial{number}"), steps=20, total_steps=20, lora_r=4 + 4 * number)
        value = None if number else 1.5
        reason = evil("because") if number else ""
        trials.append(
            Trial(number, {"lora_r": 4 + 4 * number, "model": evil("model")}, state, value, 20, run.id, reason)
        )
    folder.write_trials(trials)
    assert SweepManager(home, store).rebuild() == 1
