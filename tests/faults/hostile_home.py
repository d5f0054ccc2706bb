"""A home in which everything that somebody else may have written means harm: runs, rows, answers, notes, cards."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.inference.pool import Sampling
from engine.inference.presets import keep_preset
from engine.insight.diagnosis import Act, Evidence, Finding, row_of
from engine.knowledge.library import KnowledgeLibrary
from engine.registry.registering import register
from engine.runs.rundir import RunDir, write_json
from engine.suites.endpoints import FarModel, keep_endpoint
from engine.suites.reading import find_suite, read_suite
from engine.suites.running import new_suite_run
from store import Store, open_store
from store.records import Chat, Message, View
from store.talk_records import Passage, SuiteAnswer, Vote, Winner
from tests.faults.hostile import evil, evil_json
from tests.faults.hostile_measured import add_evaluation, add_sweep
from tests.tui.dataset_samples import write_jsonl
from tests.tui.sample_runs import SampleRuns

DONE, LIVE, FAILED, WAITING = "r1evil00000", "r2evil00000", "r3evil00000", "r4evil00000"
CHAT, EVALUATION, SWEEP = "c1evil", "e1evil", "s1evil"

ACTS = (Act("stop", evil("offer"), from_step=10, question=evil("ask")),)
EVIDENCE = Evidence("eval/loss", (10, 20), (1.0, 1.2), evil("words"))
FINDING = Finding("overfitting", "warning", evil("found"), evil("why"), 0.9, 20, (EVIDENCE,), ACTS)


class Hostile:
    """What is in the home, by the ids that were made up for it."""

    def __init__(self, home: Home, store: Store, runs: SampleRuns, outside: Path) -> None:
        self.home, self.store, self.runs, self.outside = home, store, runs, outside
        self.dataset = self.second = self.suite_run = ""


@contextmanager
def hostile_home(folder: Path) -> Iterator[Hostile]:
    """Make one in `folder`. Its live run has a process; it ends when the home is left."""
    home = Home(folder / "home").ensure()
    store = open_store(home.db)
    made = Hostile(home, store, SampleRuns(home, store), folder)
    try:
        _fill(made)
        yield made
    finally:
        made.runs.close()
        store.close()


def _fill(made: Hostile) -> None:
    home, store = made.home, made.store
    # The app's own bell, for the live run that falls silent after a minute, would be taken for one of theirs.
    (home.root / "settings.toml").write_text("[alerts]\nbell = false\n", encoding="utf-8")
    with closing(DatasetLibrary(home, store)) as library:
        _add_runs(made)
        _add_datasets(made, library)
        _add_suite(made, library)
    _add_talk(made)
    _add_notes(made)
    _add_files(made)
    add_evaluation(home, store, EVALUATION, DONE)
    add_sweep(home, store, made.runs, SWEEP)
    run = store.runs.get(DONE)
    assert run is not None
    for version in (b"1", b"2"):
        (RunDir(home.runs / DONE).adapter / "adapter_model.safetensors").write_bytes(version)
        register(home, store, run, "evil", description=evil("descr"))


def _add_runs(made: Hostile) -> None:
    runs, store = made.runs, made.store
    sample = {"prompt": evil_json("prompt"), "text": evil_json("answer"), "reference": evil_json("wanted")}
    common: dict[str, Any] = {"alert": evil_json("alert"), "samples": [sample], "log": f"{evil('log')}\n{evil('more')}"}
    runs.add(DONE, evil("done"), steps=20, total_steps=20, **common)
    runs.add(LIVE, evil("live"), status="training", steps=20, age_s=900, **common)
    runs.write(LIVE, "state", status="saving", phase=evil_json("phase"), progress=0.5)
    runs.write(LIVE, "metrics", step=21, values={evil_json("figure"): 1.5, f"eval/{evil_json('measure')}": 2.5})
    runs.append_raw(LIVE, json.dumps({"v": 1, "t": 1.0, "kind": evil_json("kind"), evil_json("field"): evil("value")}))
    runs.append_raw(LIVE, evil("broken").replace("\u2028", "").replace("\r", ""))
    runs.add(FAILED, evil("failed"), status="failed", steps=10, reason=evil_json("reason"), failure="error", **common)
    runs.add(WAITING, evil("wait"), status="queued", age_s=5)
    for run in (DONE, LIVE, FAILED, WAITING):
        runs.take_in(run)
        store.runs.set_note(run, evil("note"))
        store.runs.add_tag(run, evil("tag"))
    for run in (DONE, LIVE):
        store.findings.replace(run, [row_of(FINDING, run, time.time())])
    store.views.save(View("runs", evil("view"), "status:failed", "created", True))
    rundir = RunDir(made.home.runs / DONE)
    rundir.adapter.mkdir()
    (rundir.adapter / "adapter_model.safetensors").write_bytes(b"1")
    inputs = json.loads(rundir.inputs.read_text())
    write_json(rundir.inputs, inputs | {"model": {"name": "starter", "path": f"/models/{evil('path')}"}})


def _add_datasets(made: Hostile, library: DatasetLibrary) -> None:
    columns = {"prompt": f"{_put('asked')}\n{_put('second')}", "response": _put("said"), _put("column"): _put("cell")}
    rows = [columns | {"response": f"{_put('said')} {number}"} for number in range(12)]
    for name, few in (("dataset", rows), ("second", rows[:8])):
        file = write_jsonl(made.outside / f"{name}.jsonl", few)
        dataset = library.import_file(file, name=name, origin=evil("origin"))
        setattr(made, name, dataset.id)
        _rename(made, "datasets", dataset.id, evil(name))


def _rename(made: Hostile, table: str, id: str, name: str) -> None:
    """Give it a name that no command takes, as a store from elsewhere may have."""
    with closing(sqlite3.connect(made.home.db)) as database, database:
        database.execute(f"UPDATE {table} SET name = ? WHERE id = ?", (name, id))


def _put(place: str) -> str:
    """For a row of a dataset: one with a NUL or half a character is refused."""
    return evil(place).replace("\0", "")


def _add_suite(made: Hostile, library: DatasetLibrary) -> None:
    prompts = [{"category": _put("sort"), "turns": [_put("turn")], "reference": [_put("right")]} for _ in range(2)]
    file = write_jsonl(made.outside / "questions.jsonl", prompts)
    suite = read_suite(library, find_suite(library, str(file)))
    run = new_suite_run(made.store, suite, ("base:starter", DONE), Sampling())
    _rename(made, "suite_runs", run.id, evil("suite"))
    for model in (0, 1):
        made.store.suites.append([SuiteAnswer(run.id, model, 0, 0, evil(f"reply{model}"), 4, 0.2, 30.0)])
        made.store.suites.append([SuiteAnswer(run.id, model, 1, 0, "", error=evil("error"))])
    made.store.suites.set_ended(run.id, run.created + 60)
    made.suite_run = run.id
    for number, voter in enumerate(("ann", f"judge:{evil('judge')}")):
        about = (f"base:{evil('base')}", DONE, Winner.LEFT, ({"role": "user", "content": evil("voted")},))
        vote = Vote(f"v{number}", 1.0, voter, evil("by"), *about, evil("left"), evil("right"), evil("remark"))
        made.store.votes.add(vote)
        made.store.votes.add(replace(vote, id=f"w{number}", criterion="overall"))
        asked = replace(vote, id=f"x{number}", left="base:starter", suite=run.suite, position=0, criterion="overall")
        made.store.votes.add(replace(asked, left_text=evil("reply0"), right_text=evil("reply1")))


def _add_talk(made: Hostile) -> None:
    now = time.time()
    chats = made.store.chats
    chats.add(Chat(CHAT, evil("title"), now, now, ("base:starter", DONE), evil("system"), {}, (evil("label"),)))
    found = Passage(evil("notes"), f"/{evil('source')}.md", evil("head"), evil("passage"), 1.0)
    chats.append(Message(CHAT, 0, -1, "user", evil("question"), now, passages=(found,)))
    chats.append(Message(CHAT, 0, 0, "assistant", evil("first"), now, 4, 0.2, 30.0))
    chats.append(Message(CHAT, 0, 1, "assistant", f"# {evil('other')}\n\n```{evil('code')}\n```", now, 4, 0.2, 30.0))


def _add_notes(made: Hostile) -> None:
    folder = made.outside / "notes"
    folder.mkdir()
    (folder / "odd\x1b[31m\u202e[b]x[@click=app.quit]q.md").write_text(f"# {_put('heading')}\n\nzebra {_put('text')}\n")
    (folder / "broken\x1b[31m.pdf").write_bytes(b"%PDF-1.4")
    KnowledgeLibrary(made.store).add("evil notes", [folder])


def _add_files(made: Hostile) -> None:
    home = made.home
    keep_endpoint(home, FarModel(evil("far"), "http://127.0.0.1:9/v1"))
    keep_preset(home, evil("way"), Sampling(stop=(evil("stop"),)))
    folder = home.models / "odd\x1b[31m\u202e[b]x[@click=app.quit]q"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": evil("type"), "architectures": [evil("arch")]}))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (home.root / "presets").mkdir(exist_ok=True)
    (home.root / "presets" / "evil.toml").write_text(
        f"description = {json.dumps(evil('preset'))}\n[recipe]\nlora_r = 4\n"
    )
