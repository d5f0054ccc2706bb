"""The filter language of runs: figures, times, settings, metrics, findings, in one store with a run of each kind."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from math import nan

import pytest

from store import QueryError, Store, open_store
from store.query import compile
from store.records import FindingRow, IngestBatch, Status, Sweep, SweepStatus
from store.run_language import RUNS
from tests.store.builders import add_points, new_run

ALL = ["good", "big", "bad", "old"]
DAY = 86_400.0


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all questions that change nothing."""
    opened = open_store(tmp_path_factory.mktemp("asked") / "finetui.db")
    fill(opened)
    yield opened
    opened.close()


@pytest.fixture
def filled(store: Store) -> Store:
    fill(store)
    return store


def fill(store: Store) -> None:
    now = time.time()
    store.sweeps.add(Sweep("s1", "Ranks", now, SweepStatus.RUNNING, "", None, {}, "/sweeps/s1"))
    recipes = {
        "good": {"lora_r": 16, "learning_rate": 2e-4, "packing": True, "max_length": "auto", "devices": [0, 1]},
        "big": {"lora_r": 64, "learning_rate": 1e-5, "packing": False, "target_modules": ["q_proj", "v_proj"]},
        "bad": {"lora_r": 16, "learning_rate": 10.0, "chat_template": "[INST] {{ x }}", "continue_from": None},
        "old": {"seed": 1, "model": "Qwen/Qwen2.5-1.5B", "target_modules": "all-linear", "note": "ÄRGER"},
    }
    for at, (name, recipe) in enumerate(recipes.items()):
        store.runs.add(new_run(f"{name}-id", name, recipe=recipe, created=now - at * 10 * DAY, tags=(name, "all")))
    changes = {
        "good": {"status": Status.TRAINING, "step": 60, "total_steps": 100, "eta_s": 90.0, "stalled": now - 60},
        "big": {"status": Status.SUCCEEDED, "step": 1500, "peak_vram_bytes": 9 << 30, "cost": 2.5, "energy_j": 7.2e6},
        "bad": {
            "status": Status.FAILED,
            "failure": "cuda_out_of_memory",
            "reason": "CUDA is out of memory",
            "attempt": 3,
        },
        "old": {"status": Status.LOST, "tokens_per_s": 1250.0, "best_step": 40},
    }
    for at, (name, updates) in enumerate(changes.items()):
        started = now - at * 10 * DAY - 60
        ended = {} if name == "good" else {"ended": started + 3600 * (at + 1)}
        batch = IngestBatch(
            f"{name}-id", 0, 1, updates={"started": started, "heartbeat": started + 30, **ended, **updates}
        )
        assert store.runs.ingest(batch)
    add_points(
        store, "good-id", {"eval/loss": [(10, 2.0, 1.0), (20, 1.1, 2.0), (30, 1.3, 3.0)], "acc": [(9, 0.8, 1.0)]}
    )
    add_points(store, "big-id", {"eval/loss": [(10, 1.5, 1.0), (1000, 0.5, 2.0)], "time/step_s": [(1, 90.0, 1.0)]})
    add_points(store, "bad-id", {"eval/loss": [(10, 3.0, 1.0), (20, nan, 2.0)], "Val F1 (macro)": [(5, 0.7, 1.0)]})
    for name, code, dismissed in (
        ("big", "overfitting", None),
        ("old", "overfitting", 5.0),
        ("old", "slow_data", None),
    ):
        found = store.findings.of(f"{name}-id")
        row = FindingRow(f"{name}-id", code, "warning", 10, 1.0, dismissed, {})
        store.findings.replace(f"{name}-id", [*found, row])
    with store.transaction() as connection:
        connection.execute("UPDATE runs SET sweep = 's1', parent = 'good-id' WHERE id = 'big-id'")
        connection.execute("UPDATE runs SET source = 'wandb', alerts = 2 WHERE id = 'old-id'")
    store.runs.set_note("old-id", "Ärgerlich: try again")


def names(store: Store, query: str) -> list[str]:
    found = [run.name for run in store.runs.list(query)]
    assert store.runs.count(query) == len(found)
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # settings
        ("cfg.lora_r>=16", ["good", "big", "bad"]),
        ("cfg.lora_r:16", ["good", "bad"]),
        ("cfg.lora_r:1", []),
        ("cfg.lora_r!=16", ["big", "old"]),
        ("cfg.lora_r:8..32", ["good", "bad"]),
        ("cfg.LORA_R = 64", ["big"]),
        ("cfg.learning_rate<1e-4", ["big"]),
        ("cfg.learning_rate=2e-4", ["good"]),
        ("cfg.learning_rate>=0.0002", ["good", "bad"]),
        ("cfg.packing:true", ["good"]),
        ("cfg.packing=no", ["big"]),
        ("-cfg.packing:true", ["big", "bad", "old"]),
        ("cfg.max_length:auto", ["good"]),
        ("cfg.max_length>10", []),
        ("cfg.model:qwen", ["old"]),
        ("cfg.model:2.5", ["old"]),
        ("cfg.model=qwen", []),
        ('cfg.model="qwen/qwen2.5-1.5b"', ["old"]),
        ("cfg.target_modules:q_proj", ["big"]),
        ("cfg.target_modules=v_proj", ["big"]),
        ("cfg.target_modules~proj", ["big"]),
        ("cfg.target_modules=proj", []),
        ("cfg.target_modules:all-linear", ["old"]),
        ("cfg.devices:1", ["good"]),
        ("cfg.devices:2", []),
        ("cfg.chat_template~inst", ["bad"]),
        ("cfg.continue_from=none", ALL),
        ("cfg.lora_r=none", ["old"]),
        ("cfg.note:ärg", ["old"]),
        ("cfg.nowhere:1", []),
        ("cfg.lora_r:", ALL),
        ("has:cfg.target_modules", ["big", "old"]),
        ("has:cfg.continue_from", []),
        # metrics
        ("eval/loss<1.2", ["big"]),
        ("eval/loss.last<1.4", ["good", "big"]),
        ("eval/loss.min<1.2", ["good", "big"]),
        ("eval/loss.max>=2", ["good", "bad"]),
        ("EVAL/LOSS.MIN<1.2", ["good", "big"]),
        ("eval/loss:0.4..1.3", ["good", "big"]),
        ("eval/loss=nan", ["bad"]),
        ("eval/loss!=nan", ["good", "big", "old"]),
        ("eval/loss.min=nan", []),
        ("-eval/loss<1.2", ["good", "bad", "old"]),
        ("eval/loss!=0.5", ["good", "bad", "old"]),
        ("eval/loss@20<1.2", ["good"]),
        ("eval/loss@15<1.6", ["big"]),
        ("eval/loss@9<100", []),
        ("eval/loss@999<1.6", ["good", "big"]),
        ("eval/loss@1000=0.5", ["big"]),
        ("eval/loss.step>25", ["good", "big"]),
        ("eval/loss.min_step=20", ["good"]),
        ("acc>0.5", ["good"]),
        ("acc.max:0.8", ["good"]),
        ('"Val F1 (macro)">0.5', ["bad"]),
        ('"val f1 (macro)".max > 70%', []),
        ('"val f1 (macro)".max >= 70%', ["bad"]),
        ("time/step_s>1m", ["big"]),
        ("time/step_s<1m30s", []),
        ("evl/loss<5", []),
        ("eval/loss<", ALL),
        ("eval/loss<-", ALL),
        ("eval/loss<1e-", ["big"]),
        ("has:eval/loss", ["good", "big", "bad"]),
        ("has:acc", ["good"]),
        # times
        ("started>7d", ["big", "bad", "old"]),
        ("started<7d", ["good"]),
        ("started<7", ["good"]),
        ("created:15d", ["good", "big"]),
        ("created>2w", ["bad", "old"]),
        ("created<=1w3d12h", ["good", "big"]),
        ("ended:never", ["good"]),
        ("ended!=never", ["big", "bad", "old"]),
        ("created:today", ["good"]),
        ("created<today", ["big", "bad", "old"]),
        ("created>yesterday", ["good"]),
        ("created>=1999", ALL),
        ("created:1999..2010-05", []),
        ("created:..2010", []),
        # figures
        ("duration>2h", ["bad", "old"]),
        ("duration:1h..2h30m", ["big"]),
        ("duration<1m", ["good"]),
        ("progress>50%", ["good", "big"]),
        ("progress>0.5", ["good", "big"]),
        ("progress<=60", ["good"]),
        ("step>1k", ["big"]),
        ("step:60", ["good"]),
        ("step:>60", ["big"]),
        ("eta<2m", ["good"]),
        ("peak>8GB", ["big"]),
        ("peak>9gib", []),
        ("peak_vram_bytes>=9GB", ["big"]),
        ("cost>$1", ["big"]),
        ("cost!=2.5", ["good", "bad", "old"]),
        ("energy>1kWh", ["big"]),
        ("energy>2kwh", []),
        ("energy:2000", ["big"]),
        ("tokens_per_s>1.2k", ["old"]),
        ("best_step<100", ["old"]),
        ("attempt>1", ["bad"]),
        ("alerts>0", ["old"]),
        # states, reasons, relations
        ("is:live", ["good"]),
        ("is:failed", ["bad", "old"]),
        ("is:done", ["big"]),
        ("is:imported", ["old"]),
        ("is:stalled", ["good"]),
        ("is:alerting", ["old"]),
        ("is:resumed", ["bad"]),
        ("-is:ended", ["good"]),
        ("is:st", ["good"]),
        ("failure:oom", ["bad"]),
        ("failure:out_of", ["bad"]),
        ("reason:cuda", ["bad"]),
        ("finding:overfitting", ["big"]),
        ("finding:slow", ["old"]),
        ("finding=slow", []),
        ("has:finding", ["big", "old"]),
        ("-has:finding", ["good", "bad"]),
        ("source:wandb", ["old"]),
        ("sweep:ranks", ["big"]),
        ("sweep:s1", ["big"]),
        ("parent:good", ["big"]),
        ("parent:good-id", ["big"]),
        ("has:parent", ["big"]),
        ("notes:ÄRGERLICH", ["old"]),
        ("note:again", ["old"]),
        ("tag:OLD", ["old"]),
        ("tag~ol", ["old"]),
        ("tag!=old", ["good", "big", "bad"]),
        ("name=big", ["big"]),
        ("name=bi", []),
        ("name!~b", ["good", "old"]),
        ("id:ba", ["bad"]),
        ("id~d-id", ["good", "bad", "old"]),
        # together
        ("tag:all cfg.lora_r>=16 eval/loss.min<1.2 -is:live", ["big"]),
        ("(eval/loss.min<1.2 OR source:wandb) AND NOT status:succeeded", ["good", "old"]),
    ],
)
def test_what_is_asked_is_found(asked: Store, query: str, expected: list[str]) -> None:
    assert names(asked, query) == expected


@pytest.mark.parametrize(
    ("query", "what", "fix"),
    [
        ("stauts:failed", "no key 'stauts'", "Did you mean status?"),
        ("lora_r>8", "no key 'lora_r'", "Did you mean cfg.lora_r?"),
        ("loss<1", "no key 'loss'", "Did you mean eval/loss"),
        ("status:traning", "no status 'traning'", "Did you mean status:training?"),
        ("is:runing", "no is 'runing'", "Values: live"),
        ("has:nots", "no has 'nots'", "Did you mean has:notes?"),
        ("model>qwen", "model has no order", "For example model:qwen."),
        ("eval/loss~1", "a number contains nothing", "For example eval/loss<1.2."),
        ("eval/loss<good", "'good' is not understood as a number", "For example eval/loss<1.2."),
        ("eval/loss=<2", "'<2' is not understood", "Write eval/loss<=2."),
        ("eval/loss>nan", "nan is neither more nor less", "Write eval/loss=nan."),
        ("eval/loss.min@5<2", "over all of its steps", "eval/loss@5"),
        ("cfg.lora_r>much", "'much' is not understood", "For example cfg.lora_r>=16."),
        ("peak>8 GPUs peak>8GX", "'8GX'", "For example peak>8GB."),
        ("started>lunch", "'lunch' is no time", "For example started<7d."),
        ("created:2026-13", "'2026-13' is no time", "For example created>=2026-11."),
        ("started~7d", "a time contains nothing", ""),
        ("cfg.:3", "no key 'cfg.'", "To look for the text itself"),
    ],
)
def test_an_error_says_what_is_wrong_and_what_there_is(asked: Store, query: str, what: str, fix: str) -> None:
    with pytest.raises(QueryError) as caught:
        asked.runs.order(query)
    assert what in caught.value.what
    assert caught.value.fix
    assert fix in caught.value.fix


def test_a_value_at_a_step_leaves_out_what_a_resume_superseded(filled: Store) -> None:
    add_points(filled, "good-id", {"eval/loss": [(25, 0.3, 4.0)]}, attempt=2, from_step=20)
    assert names(filled, "eval/loss@20=1.1") == ["good"]
    assert names(filled, "eval/loss@24=1.1") == ["good"]
    assert names(filled, "eval/loss@29=0.3") == ["good"]
    assert names(filled, "eval/loss@30<0.4") == ["good"], "step 30 was of the attempt before"
    add_points(filled, "good-id", {"eval/loss": [(15, 0.2, 5.0), (40, 0.1, 6.0)]}, attempt=3, from_step=12)
    assert names(filled, "eval/loss@14=2") == ["good"]
    assert names(filled, "eval/loss@39=0.2") == ["good"]
    assert names(filled, "eval/loss@40=0.1") == ["good"]


def test_a_metric_whose_name_ends_in_a_part_is_found_by_its_whole_name(filled: Store) -> None:
    add_points(filled, "old-id", {"gpu/temp.max": [(1, 80.0, 1.0)]})
    assert names(filled, "gpu/temp.max>70") == ["old"]
    assert names(filled, "gpu/temp.max.min>70") == ["old"]


def test_days_are_local_and_whole() -> None:
    noon = datetime(2026, 3, 4, 12)
    for query, first, last in (
        ("created:2026-03-04", noon.replace(hour=0), noon.replace(hour=0) + timedelta(days=1)),
        ("created:today", noon.replace(hour=0), noon.replace(hour=0) + timedelta(days=1)),
        ("created:this-week", datetime(2026, 3, 2), datetime(2026, 3, 9)),
        ("created:last-month", datetime(2026, 2, 1), datetime(2026, 3, 1)),
        ("created:2026-3", datetime(2026, 3, 1), datetime(2026, 4, 1)),
        ("created:2026-12", datetime(2026, 12, 1), datetime(2027, 1, 1)),
        ("created:2026-03-04T10:30", noon.replace(hour=10, minute=30), noon.replace(hour=10, minute=31)),
        ("created:2026-02..2026-03-04", datetime(2026, 2, 1), datetime(2026, 3, 5)),
    ):
        assert compile(query, RUNS, now=noon.timestamp())[1] == [first.timestamp(), last.timestamp()]
    assert compile("created>7d", RUNS, now=1e9)[1] == [1e9 - 7 * DAY]
    assert compile("created>1d12h", RUNS, now=1e9)[1] == [1e9 - 1.5 * DAY]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("eval/loss", ["good", "big"]),
        ("eval/loss.min", ["bad", "good", "big"]),
        ("eval/loss.max", ["bad", "good", "big"]),
        ("eval/loss@20", ["big", "good"]),
        ("acc", ["good"]),
        ("cfg.lora_r", ["big", "bad", "good"]),
        ("cfg.learning_rate", ["bad", "good", "big"]),
        ("cost", ["big"]),
        ("energy_j", ["big"]),
        ("energy", ["big"]),
        ("peak", ["big"]),
        ("progress", ["big", "good"]),
        ("duration", ["old", "bad", "big", "good"]),
        ("attempt", ["bad"]),
        ("failure", ["bad"]),
    ],
)
def test_sorting_puts_what_is_not_known_last(asked: Store, sort: str, expected: list[str]) -> None:
    found = [run.name for run in asked.runs.list(sort=sort)]
    assert found[: len(expected)] == expected
    assert sorted(found) == sorted(ALL)
    assert [run.name for run in asked.runs.some(asked.runs.order(sort=sort))] == found


def test_a_sort_that_there_is_not_names_those_that_may_be_meant(asked: Store) -> None:
    for sort, meant in (("lora_r", "cfg.lora_r"), ("steps", "step"), ("loss", "eval/loss")):
        with pytest.raises(QueryError) as caught:
            asked.runs.order(sort=sort)
        assert f"Did you mean {meant}" in caught.value.fix


def test_a_filter_that_names_what_no_run_has_gets_a_hint(asked: Store) -> None:
    assert asked.runs.hint("evl/loss<1") == "No run has the metric evl/loss. Did you mean eval/loss?"
    assert asked.runs.hint("tag:old cfg.lora_rr=1") == "No run has the setting lora_rr. Did you mean lora_r?"
    assert asked.runs.hint("tag:biig") == "No run has the tag biig. Did you mean big?"
    assert asked.runs.hint("cfg.zzz:1") == "No run has the setting zzz."
    for fine in ("", "words", "eval/loss.min<1", "EVAL/loss@5<1", "cfg.lora_r>1", "tag:OLD", "colour:red", "evl/loss<"):
        assert asked.runs.hint(fine) == ""


def test_a_dataset_and_a_chat_are_asked_for_in_the_same_language(store: Store) -> None:
    from store.records import Dataset

    dataset = Dataset("d1", "support", 1, "messages", 1200, {}, None, None, "file", time.time(), "/d1", (), "B")
    store.datasets.add(dataset)
    store.datasets.add(replace(dataset, id="d2", name="emoji", rows=10, created=5.0, grade="A"))
    for query, found in (("rows>1k", ["d1"]), ("created<1d", ["d1"]), ("grade:a", ["d2"]), ("-name:supp", ["d2"])):
        assert [one.id for one in store.datasets.list(query)] == found
    with pytest.raises(QueryError, match="no key 'row'") as caught:
        store.datasets.list("row>1")
    assert "rows" in caught.value.fix
