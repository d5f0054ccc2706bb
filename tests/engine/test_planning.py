"""What the planner decides, refuses and suggests."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput
from engine.home import Home
from engine.planning import DeviceFacts, Probe, RunPlan
from engine.planning.calibration import calibration
from engine.planning.combinations import doubtful_combinations, wrong_combinations
from engine.planning.decide import decide
from engine.planning.devices import list_devices, probe_command, probe_path, read_probe
from engine.planning.facts import Facts
from engine.planning.plan import plan_run
from engine.planning.speed import default_speed
from engine.planning.suggest import suggestions
from engine.recipe import Recipe
from engine.runs.rundir import write_json
from store import Store, open_store
from store.records import NewRun
from tests.engine.planned import CPU, LARGE, SMALL, facts, gpu, skewed

MAY_STAY_AUTO = {"eval_steps"}
EQUAL = np.full(1000, 128)

CASES: dict[str, Facts] = {
    "small, skewed, cpu": facts(SMALL, skewed(), CPU),
    "small, equal, cpu": facts(SMALL, EQUAL, CPU),
    "large, skewed, flash": facts(LARGE, skewed(), gpu()),
    "large, skewed, sdpa": facts(LARGE, skewed(), gpu(flash=None)),
    "large, small gpu": facts(LARGE, skewed(), gpu(12)),
    "large, full": facts(LARGE, skewed(), gpu(), method="full"),
    "staged": facts(SMALL, skewed(), CPU, staged=True),
    "pairs": facts(SMALL, skewed(), CPU, shape="preference", objective="dpo"),
    "unknown model": facts(None, skewed(), gpu()),
    "unknown architecture": facts(SMALL | {"model_type": "mystery"}, skewed(), gpu()),
    "no rows": facts(SMALL, np.zeros(0, dtype=np.int64), CPU),
    "gemma2": facts(SMALL | {"model_type": "gemma2", "head_dim": 64}, skewed(), gpu()),
    "accumulation given": facts(SMALL, skewed(), CPU, gradient_accumulation_steps=4),
    "batch given": facts(SMALL, skewed(), CPU, per_device_train_batch_size=2),
    "two devices": facts(LARGE, skewed(), gpu(), devices=2),
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_stays_auto_and_every_decision_has_a_reason(name: str) -> None:
    asked = CASES[name].asked
    decision = decide(CASES[name])
    for field in Recipe.model_fields:
        if getattr(asked, field) == "auto" and field not in MAY_STAY_AUTO:
            assert getattr(decision.recipe, field) != "auto", field
            reason = decision.reasons[field]
            assert reason and "\n" not in reason and len(reason) < 160, field
        elif field not in MAY_STAY_AUTO:
            assert getattr(decision.recipe, field) == getattr(asked, field), "what was asked for is not changed"
            assert field not in decision.reasons


@pytest.mark.parametrize("name", CASES)
def test_what_is_decided_is_never_a_wrong_combination(name: str) -> None:
    settled = decide(CASES[name]).recipe
    problems = wrong_combinations(CASES[name].asking(settled.model_dump()))
    problems.pop("dataset", None)  # no rows
    problems.pop("devices", None)  # more than there are
    assert problems == {}


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("unknown model", "no rows")])
def test_the_effective_batch_is_kept(name: str) -> None:
    decision = decide(CASES[name])
    recipe = decision.recipe
    assert decision.layout is not None
    if recipe.packing is True:
        assert decision.layout.rows_a_step * recipe.device_count == pytest.approx(16, rel=0.26)
    else:
        assert recipe.batches_per_step == 16


def test_skewed_rows_are_not_padded_and_equal_ones_need_no_packing() -> None:
    for name in ("small, skewed, cpu", "large, skewed, flash", "large, skewed, sdpa"):
        recipe = decide(CASES[name]).recipe
        assert recipe.packing is True or recipe.padding_free is True, name
    assert decide(CASES["large, skewed, flash"]).recipe.packing is True
    equal = decide(CASES["small, equal, cpu"]).recipe
    assert equal.packing is False and equal.train_sampling_strategy == "random"


def test_staged_rows_and_pairs_are_never_packed() -> None:
    staged = decide(CASES["staged"]).recipe
    assert staged.packing is False and staged.train_sampling_strategy == "random"
    pairs = decide(CASES["pairs"]).recipe
    assert pairs.packing is False and pairs.padding_free is False
    unknown = decide(CASES["unknown architecture"]).recipe
    assert unknown.packing is False and unknown.padding_free is False


def test_no_row_is_cut_unless_the_model_is_too_short() -> None:
    fits = decide(facts(SMALL, EQUAL, CPU))
    assert (fits.recipe.max_length, fits.rows_cut) == (128, 0)
    lengths = np.array([100] * 99 + [5000])
    cut = decide(facts(SMALL, lengths, CPU))
    assert (cut.recipe.max_length, cut.rows_cut) == (2048, 1)
    assert "made for 2,048" in cut.reasons["max_length"] and "1 of 100 rows" in cut.reasons["max_length"]


def test_activations_are_computed_twice_only_where_memory_needs_it() -> None:
    long = np.full(500, 4096)
    assert decide(facts(LARGE, long, gpu(140))).recipe.gradient_checkpointing is False
    tight = decide(facts(LARGE, long, gpu(24)))
    assert tight.recipe.gradient_checkpointing is True
    assert tight.memory is not None and tight.memory.total < 24 << 30


def test_a_model_is_shared_out_only_where_it_does_not_fit_onto_one_gpu() -> None:
    rows = skewed(200)
    small = decide(facts(LARGE, rows, gpu(80), devices=4, method="lora"))
    assert small.recipe.distributed == "ddp"
    large = decide(facts(LARGE, rows, gpu(12), devices=4, method="lora"))
    assert large.recipe.distributed == "fsdp"
    assert "does not fit onto one NVIDIA H100" in large.reasons["distributed"]
    assert large.memory is not None
    assert large.memory.total < 12 << 30, "each of the four holds a part"
    assert decide(facts(LARGE, rows, gpu(12), devices=4, method="lora8bit")).recipe.distributed == "ddp"
    assert decide(facts(LARGE, rows, gpu(12), method="lora")).recipe.distributed == "ddp", "one alone has none to share"


def test_precision_is_what_was_measured() -> None:
    assert decide(CASES["large, skewed, flash"]).recipe.precision == "bf16"
    assert decide(facts(LARGE, EQUAL, gpu(best="fp16"))).recipe.precision == "fp16"
    slow = Probe({"fp32": 0.1, "bf16": 1.0}, "fp32", None, False, "2")
    decision = decide(facts(SMALL, EQUAL, DeviceFacts("cpu", "CPU", "cpu", 1 << 34, 1 << 34, None, slow)))
    assert decision.recipe.precision == "fp32"
    assert "bf16 takes 10.0 times as long" in decision.reasons["precision"]


def test_what_was_not_measured_yet_is_measured_before_the_run() -> None:
    decision = decide(facts(SMALL, EQUAL, DeviceFacts("cpu", "CPU", "cpu", 1 << 34, 1 << 34, None, None)))
    assert decision.recipe.precision == "auto"
    assert "measured before the run" in decision.reasons["precision"]


def test_the_8_bit_optimiser_is_taken_only_where_memory_needs_it_and_never_a_paged_one() -> None:
    assert decide(facts(LARGE, EQUAL, gpu(140))).recipe.optim == "adamw_torch"
    assert decide(facts(LARGE, EQUAL, gpu(120), method="full")).recipe.optim == "adamw_8bit"


WRONG: list[tuple[str, Facts]] = [
    ("packing", facts(SMALL, EQUAL, CPU, packing=True, staged=True)),
    ("packing", facts(SMALL, EQUAL, CPU, packing=True, objective="dpo", shape="preference")),
    ("padding_free", facts(SMALL, EQUAL, CPU, padding_free=True, objective="dpo", shape="preference")),
    ("packing", facts(SMALL | {"model_type": "mystery"}, EQUAL, CPU, packing=True)),
    ("train_sampling_strategy", facts(SMALL, EQUAL, CPU, train_sampling_strategy="group_by_length", staged=True)),
    ("train_sampling_strategy", facts(SMALL, EQUAL, CPU, train_sampling_strategy="group_by_length", packing=True)),
    ("target_modules", facts(SMALL, EQUAL, CPU, target_modules=("q_proj", "lm_head"))),
    ("target_modules", facts(SMALL, EQUAL, CPU, target_modules=("c_attn",))),
    ("max_length", facts(SMALL, EQUAL, CPU, max_length=4096)),
    ("max_length", facts(SMALL, EQUAL, CPU, max_length=32)),
    ("objective", facts(SMALL, EQUAL, CPU, objective="dpo")),
    ("dataset", facts(SMALL, EQUAL, CPU, shape="prompts")),
    ("dataset", facts(SMALL, np.zeros(0, dtype=np.int64), CPU)),
    ("precision", facts(SMALL, EQUAL, CPU, precision="fp16")),
    ("attn_implementation", facts(SMALL, EQUAL, CPU, attn_implementation="flash_attention_2")),
    ("attn_implementation", facts(LARGE, EQUAL, gpu(), attn_implementation="flash_attention_2", precision="fp32")),
    ("attn_implementation", facts(SMALL | {"model_type": "gemma2"}, EQUAL, gpu(), attn_implementation="sdpa")),
    ("use_liger_kernel", facts(SMALL, EQUAL, CPU, use_liger_kernel=True)),
    ("distributed", facts(SMALL, EQUAL, CPU, distributed="fsdp")),
    ("distributed", facts(SMALL, EQUAL, CPU, distributed="fsdp", devices=2)),
    ("devices", facts(SMALL, EQUAL, gpu(), devices=2)),
    ("nodes", facts(SMALL, EQUAL, gpu(), nodes=2)),
]


@pytest.mark.parametrize(("field", "wrong"), WRONG)
def test_a_combination_that_cannot_work_is_refused(field: str, wrong: Facts) -> None:
    assert field in wrong_combinations(wrong)


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = facts(
        SMALL, EQUAL, CPU, packing=True, staged=True, precision="fp16", use_liger_kernel=True, max_length=9000
    )
    assert set(wrong_combinations(wrong)) == {"packing", "precision", "use_liger_kernel", "max_length"}


def test_a_paged_optimiser_is_warned_of() -> None:
    assert any("resumed" in text for text in doubtful_combinations(facts(SMALL, EQUAL, CPU, optim="paged_adamw_8bit")))


def test_what_is_suggested_fits_when_it_is_applied() -> None:
    tight = facts(
        LARGE,
        skewed(),
        gpu(24),
        method="lora",
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        gradient_checkpointing=False,
        packing=False,
        padding_free=False,
    )
    decision = decide(tight)
    assert decision.memory is not None and decision.memory.total > tight.device.free_bytes
    found = suggestions(tight, decision, 1.0, tight.device.free_bytes)
    assert found and found[0].fits and len(found) <= 5
    assert [one.fits for one in found] == sorted((one.fits for one in found), reverse=True)
    for one in found:
        applied = decide(tight.asking(one.changes))
        assert applied.memory is not None and applied.memory.total == one.total_bytes < decision.memory.total
        assert one.fits == (one.total_bytes <= tight.device.free_bytes)
    batch = next(one for one in found if "per_device_train_batch_size" in one.changes)
    assert batch.changes["per_device_train_batch_size"] * batch.changes["gradient_accumulation_steps"] == 16


def test_a_default_speed_follows_the_work() -> None:
    recipe = Recipe(dataset="d", gradient_checkpointing=False)
    speed = default_speed(recipe, 1_000_000_000, gpu())
    assert default_speed(recipe, 2_000_000_000, gpu()) == pytest.approx(speed / 2)
    assert default_speed(recipe.model_copy(update={"gradient_checkpointing": True}), 1_000_000_000, gpu()) < speed
    assert default_speed(recipe, 1_000_000_000, CPU) < speed / 100


# A home with a dataset, for the whole


@pytest.fixture
def store(home: Home) -> Store:
    home.ensure()
    return open_store(home.db)


@pytest.fixture
def dataset(home: Home, store: Store, tmp_path: Path) -> str:
    said = [({"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": "yes " * n}) for n in range(1, 61)]
    rows = [json.dumps({"messages": turns}) for turns in said]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(rows))
    return DatasetLibrary(home, store).import_file(file, name="rows").name


def plan(home: Home, store: Store, **changes: Any) -> RunPlan:
    return plan_run(home, store, Recipe(dataset="rows", **changes), devices=[CPU], count=False)


def test_a_run_is_planned_before_its_model_is_built(home: Home, store: Store, dataset: str) -> None:
    found = plan(home, store)
    assert found.problems == {}
    assert "not built yet" in found.tokens_known
    assert found.rows == found.sequences or found.recipe.packing is True
    assert found.estimate.memory is not None and found.estimate.fits is True
    assert found.total_steps > 0 and found.estimate.time_s and found.estimate.tokens_per_s
    assert found.trained_tokens < found.tokens


def test_a_hub_model_that_is_not_here_is_planned_without_its_size(home: Home, store: Store, dataset: str) -> None:
    found = plan(home, store, model="owner/model")
    assert found.estimate.memory is None and "not on this machine" in found.estimate.unknown
    assert found.estimate.fits is None and found.total_steps > 0


def test_unknown_names_are_errors(home: Home, store: Store, dataset: str) -> None:
    with pytest.raises(BadInput):
        plan(home, store, model="no-such-model")
    with pytest.raises(BadInput):
        plan_run(home, store, Recipe(dataset="none"), devices=[CPU], count=False)


def test_cost_follows_the_price(home: Home, store: Store, dataset: str) -> None:
    found = plan(home, store, cost_per_hour=3.6)
    assert found.estimate.cost == pytest.approx((found.estimate.time_s or 0) / 1000)


def test_planning_again_takes_no_time_to_speak_of(home: Home, store: Store, dataset: str) -> None:
    plan(home, store)
    best = min(_seconds(home, store) for _ in range(3))
    assert best < 0.5  # some 30 ms on an idle machine


def _seconds(home: Home, store: Store) -> float:
    started = time.perf_counter()
    plan(home, store)
    return time.perf_counter() - started


def test_measured_runs_say_how_fast_and_how_large(home: Home, store: Store, dataset: str) -> None:
    first = plan(home, store)
    memory = first.estimate.memory
    assert memory is not None
    for number in range(3):
        _run_before(home, store, f"r{number}", tokens_per_s=100.0 + number, peak=memory.total)
    found = plan(home, store)
    assert found.estimate.tokens_per_s == pytest.approx(101.0)
    assert "measured in 3 runs" in found.estimate.speed_source
    assert calibration(store.runs.list(), CPU) == pytest.approx(1.5, rel=0.01)
    assert found.estimate.needs_bytes == pytest.approx(1.5 * found.estimate.memory.total, rel=0.02)  # type: ignore[union-attr]


def _run_before(home: Home, store: Store, name: str, *, tokens_per_s: float, peak: int) -> None:
    """A run that measured half as much again as was planned for it."""
    folder = home.runs / name
    folder.mkdir()
    overhead = 1_000_000
    memory = {"total": peak + overhead, "overhead": overhead}
    write_json(folder / "inputs.json", {"plan": {"device_title": CPU.title, "memory_bytes": memory}})
    recipe = Recipe(dataset="rows").model_dump(mode="json")
    store.runs.add(NewRun(name, name, "starter", "qlora", "rows", "d", time.time(), recipe, str(folder)))
    measured = int(1.5 * (peak + overhead))
    with store._database.transaction() as connection:
        connection.execute(
            "UPDATE runs SET status = 'succeeded', tokens_per_s = ?, peak_vram_bytes = ? WHERE id = ?",
            (tokens_per_s, measured, name),
        )


def test_a_device_is_measured_once(home: Home) -> None:
    home.ensure()
    cpu = list_devices(home, {"CUDA_VISIBLE_DEVICES": ""})[0]
    assert cpu.kind == "cpu" and 0 < cpu.free_bytes <= cpu.total_bytes and cpu.probe is None
    step = probe_command(home, cpu)
    path = probe_path(home, cpu.title)
    assert step["skip_if_exists"] == str(path) and str(path) in step["argv"]
    write_json(
        path, {"seconds": {"fp32": 0.1}, "best": "fp32", "flash": None, "liger": False, "torch": "2", "flops": 1e9}
    )
    probe = list_devices(home, {"CUDA_VISIBLE_DEVICES": ""})[0].probe
    assert probe is not None and probe.best == "fp32"
    path.write_text("{}")
    assert read_probe(path) is None
