"""What was said of a run before it began stands beside what came of it."""

from engine.home import Home
from engine.insight.promises import Promises, read_promises
from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, write_json
from store import open_store
from store.records import NewRun
from tui.widgets.promise_words import promise_rows


def test_plan_rehearsal_and_proof_are_read_back(home: Home) -> None:
    home.ensure()
    store = open_store(home.db)
    rundir = RunDir(home.runs / "r1")
    rundir.path.mkdir(parents=True)
    plan = {"reasons": {"packing": "rows are short"}}
    write_json(
        rundir.inputs,
        {"plan": {"memory_bytes": {"total": 9 << 30}, "time_s": 60.0, "time_spread_s": 5.0, "plan": plan}},
    )
    store.runs.add(NewRun("r1", "one", "m", "qlora", "d", "d1", 1.0, {}, str(rundir.path)))
    writer = EventWriter(rundir.events, 1)
    writer.write("rehearsal", ok=True, seconds=2.0, peak_bytes=3 << 30, estimated_bytes=4 << 30)
    effect = {"max_logit_change": 2.5, "mean_kl": 0.1, "probes": 4}
    writer.write("end", status="succeeded", summary={"adapter_effect": effect})
    writer.close()
    ingest_run(store, "r1", rundir)
    run = store.runs.get("r1")
    assert run is not None
    found = read_promises(store, run)
    store.close()
    assert (found.planned_bytes, found.reasons) == (9 << 30, {"packing": "rows are short"})
    rows = dict(promise_rows(found))
    assert rows["planned"] == "9.0 GB, 1 m 00 s ± 5 s"
    assert rows["rehearsed"] == "fits, 3.0 GB for the longest batch beside 4.0 GB estimated, libraries apart, took 2 s"
    assert rows["adapter"] == "is on: it changes logits by up to 2.500, 0.1000 nats a token, on 4 prompts"


def test_what_is_not_known_has_no_row() -> None:
    assert promise_rows(Promises()) == []
    nothing = Promises(adapter_effect={"max_logit_change": 0.0})
    assert promise_rows(nothing) == [("adapter", "changes nothing: the base model answers")]
