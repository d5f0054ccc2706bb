"""Rules, each on curves that it is for and on curves that look like it and are not."""

import random
from collections.abc import Callable
from math import inf, nan, sin
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.insight.diagnosis import HEALTHY, LEVELS, Curves, Finding, curves_from, diagnose
from engine.insight.diagnosis.curves import MOST_POINTS
from engine.insight.diagnosis.rules import EXPLAINS, RULES
from engine.recipe import Recipe, recipe_problems
from tests.engine.curves_made import RECIPE, falling, points, run

UP = [(10, 1.5), (20, 1.2), (30, 1.02), (40, 1.1), (50, 1.25), (60, 1.4)]
"""Validation losses with their best at step 30."""
GIB = float(2**30)


def found(curves: Curves) -> dict[str, Finding]:
    return {finding.code: finding for finding in diagnose(curves)}


def only(curves: Curves) -> list[str]:
    return [finding.code for finding in diagnose(curves)]


def learnt(share: float) -> float:
    return 2.0 * (1 - share) ** 3 + 0.03


# overfitting and what goes with it


def test_validation_loss_that_rises_while_training_loss_falls() -> None:
    curves = run(points(falling(2.0, 0.5), 60), eval=UP, best_step=30, checkpoints=(30, 50, 60))
    finding = found(curves)["overfitting"]
    assert finding.level == "warning" and finding.step == 30 and finding.confidence > 0.8
    assert finding.title == "Overfitting since step 30: best 1.02, now 1.4"
    assert finding.evidence[0].steps == (30, 40, 50, 60) and finding.evidence[0].values == (1.02, 1.1, 1.25, 1.4)
    stop, again, data = finding.acts
    assert (stop.code, stop.offer, stop.from_step) == ("stop", "stop and keep step 30", 30)
    assert "step 30" in stop.question
    assert again.code == "retrain" and again.changes == {"lora_dropout": 0.1, "lora_r": 8, "lora_alpha": 16}
    assert again.offer == "train again with dropout 0.1 and rank 8" and again.question
    assert data.code == "data"


@pytest.mark.parametrize(
    "evaluations",
    [
        UP[:4],  # one that is higher may be chance
        [(step, 1.02 + 0.015 * (step // 10 % 2)) for step in range(10, 70, 10)],  # to and fro
        [(10, 1.5), (20, 1.2), (30, 1.1), (40, 1.05), (50, 1.04), (60, 1.04)],
    ],
    ids=["one-rise", "to-and-fro", "still-falling"],
)
def test_validation_loss_that_has_not_risen(evaluations: list[tuple[int, float]]) -> None:
    assert "overfitting" not in found(run(points(falling(2.0, 0.5), 60), eval=evaluations))


def test_validation_loss_that_stands_while_training_loss_falls_far_below_it() -> None:
    stands = [(10, 1.5), (20, 1.2), (30, 1.1), (40, 1.105), (50, 1.102), (60, 1.104)]
    finding = found(run(points(falling(2.0, 0.1), 60), eval=stands))["overfitting"]
    assert "has not fallen below 1.1 since" in finding.why and finding.step == 30 and finding.confidence < 0.7
    assert "overfitting" not in found(run(points(falling(2.0, 0.9), 60), eval=stands)), "they are not far apart"


def test_validation_loss_that_rises_with_training_loss_is_no_overfitting() -> None:
    train = points(lambda share: 1.5 - share if share < 0.5 else 1.0 + 3 * (share - 0.5), 60)
    assert "overfitting" not in found(run(train, eval=UP))


def test_what_has_ended_is_not_stopped_again() -> None:
    curves = run(points(falling(2.0, 0.5), 60), eval=UP, best_step=30, checkpoints=(30, 60), status="succeeded")
    acts = found(curves)["overfitting"].acts
    assert [act.code for act in acts] == ["retrain", "data"] and not acts[0].question


def test_what_was_imported_offers_nothing() -> None:
    curves = run(points(falling(2.0, 0.5), 60), eval=UP, best_step=30, source="wandb")
    assert found(curves)["overfitting"].acts == ()


def test_rows_learnt_by_heart() -> None:
    known = run(points(learnt), epoch=40.0, train_rows=20, eval=[(20, 1.5), (60, 1.9), (100, 2.4)], best_step=20)
    assert found(known).keys() == {"memorisation", "overfitting"}
    assert "40 passes over 20 rows" in found(known)["memorisation"].why
    alone = run(points(learnt), epoch=40.0, train_rows=20, eval_rows=0, total_steps=100, status="succeeded")
    assert found(alone).keys() == {"memorisation", "no_validation"}
    assert "memorisation" not in found(run(points(learnt), epoch=1.0)), "one pass: the rows are easy"
    still = [(step, 2.0 - step / 60) for step in range(20, 101, 10)]
    assert "memorisation" not in found(run(points(learnt), epoch=40.0, eval=still)), "validation loss still falls"
    preferring = run(points(learnt), epoch=40.0, recipe={"objective": "dpo"})
    assert "memorisation" not in found(preferring), "the loss of a preference goes to 0 where it is learnt"


def test_validation_rows_that_training_has() -> None:
    train = points(lambda share: 3.0 - 2.9 * share)
    seen = [(step, 2.9 - 0.0289 * step) for step in range(0, 101, 10)]
    curves = run(train, eval=seen, epoch=20.0, total_steps=100)
    assert found(curves)["leak"].acts[0].code == "data"
    assert "leak" not in found(run(train, eval=[(step, value * 1.3) for step, value in seen], epoch=20.0))
    assert "leak" not in found(run(train, eval=seen, epoch=2.0)), "in the first passes all rows are new"
    easy = [(0, 2.9), (10, 0.6), *seen[2:]]
    assert "leak" not in found(run(train, eval=easy, epoch=20.0)), "it fell at once, without repetition"
    curves.leaking_rows = 0
    assert "leak" not in found(curves), "the dataset's report says that there are none"
    told = found(run(eval=[(step, 1.5) for step in range(0, 101, 10)], leaking_rows=12))["leak"]
    assert told.confidence > 0.8 and "12 such rows" in told.why


def test_nothing_held_back() -> None:
    assert found(run(eval_rows=0))["no_validation"].level == "info"
    assert "no_validation" not in found(run(eval_rows=None)), "nobody has said so"
    assert "no_validation" not in found(run(eval_rows=0, eval=[(10, 1.0)])), "it is there"


# how the loss moves


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_a_loss_that_is_no_number(value: float) -> None:
    finding = diagnose(run([*points(falling(), 30), (31, value)], checkpoints=(10, 20, 30), best_step=20))[0]
    assert (finding.code, finding.level, finding.step, finding.confidence) == ("not_finite", "error", 31, 1.0)
    branch = finding.acts[0]
    assert (branch.code, branch.from_step, branch.changes["learning_rate"]) == ("branch", 20, 1e-4)
    assert branch.changes["num_train_epochs"] == pytest.approx(2.03, abs=0.01), "what was left of the run"
    assert branch.offer == "branch from step 20 with half the learning rate (0.0001)"


def test_gradients_that_overflow_are_harmless_in_fp16() -> None:
    gradients = [(step, inf if step == 7 else 0.5) for step in range(1, 31)]
    assert "not_finite" not in found(run(train__grad_norm=gradients, recipe={"precision": "fp16"}))
    assert "not_finite" in found(run(train__grad_norm=gradients))


def test_a_loss_that_leaves_its_level() -> None:
    train = points(lambda share: 2.0 - 2 * share if share < 0.5 else 1.0 + 6 * (share - 0.5), noise=0.02)
    finding = found(run(train))["divergence"]
    assert finding.level == "error" and 35 <= finding.step <= 60
    assert found(run([(step, 2.0 if step < 4 else 9.0) for step in range(1, 40)])).keys() == {"divergence"}
    spike = [(step, value + (3.0 if step == 50 else 0.0)) for step, value in points(falling(), noise=0.02)]
    assert "divergence" not in found(run(spike)), "it came back"


def test_full_training_starts_anew_for_there_is_no_adapter_to_go_on_from() -> None:
    train = points(lambda share: 2.0 - 2 * share if share < 0.5 else 1.0 + 6 * (share - 0.5))
    acts = found(run(train, checkpoints=(10, 20), recipe={"method": "full"}))["divergence"].acts
    assert [act.code for act in acts] == ["retrain", "stop"]


def test_a_loss_that_leaps() -> None:
    usual = points(falling(), noise=0.02)
    leaps = {30, 45, 60, 75, 90}
    train = [(step, value * (2.0 if {step, step - 1, step - 2} & leaps else 1.0)) for step, value in usual]
    gradients = [(step, 9.0 if step in leaps else 0.8) for step in range(1, 101)]
    finding = found(run(train, train__grad_norm=gradients, recipe={"learning_rate": 5e-3}))["learning_rate_high"]
    assert finding.title == "Unsteady: the loss leapt up 5 times"
    assert finding.evidence[0].steps == tuple(sorted(leaps))
    odd = [(step, value * (3.0 if step in leaps else 1.0)) for step, value in usual]
    assert "learning_rate_high" not in found(run(odd, train__grad_norm=gradients)), "odd batches: it is back at once"


def test_a_loss_that_rises_for_the_rows_are_harder_now() -> None:
    train = points(lambda share: 1.0 - share if share < 0.5 else 2.0 - share, noise=0.02)
    better = [(step, 2.0 - step / 100) for step in range(10, 101, 10)]
    assert "divergence" in found(run(train))
    assert "divergence" in found(run(train, eval=[*better[:5], (60, 3.0), (80, 3.2), (100, 3.1)]))
    assert "divergence" not in found(run(train, eval=better)), "it answers better than ever"


def test_a_loss_that_hardly_falls_at_a_tiny_learning_rate() -> None:
    train = points(lambda share: 2.0 - 0.02 * share, noise=0.02)
    finding = found(run(train, recipe={"learning_rate": 1e-6}))["learning_rate_low"]
    assert finding.acts[0].changes == {"learning_rate": 2e-4}
    assert "learning_rate_low" not in found(run(train)), "at the usual rate, the model may know the rows already"
    assert "learning_rate_low" not in found(run(train, recipe={"learning_rate": 1e-6}, total_steps=1000)), "too early"
    assert "learning_rate_low" not in found(run(recipe={"learning_rate": 1e-6})), "it learns"


def test_a_loss_that_does_not_move() -> None:
    flat = points(lambda share: 2.0, noise=0.05)
    dead = found(run(flat, train__grad_norm=points(lambda share: 0.0)))["frozen"]
    assert dead.level == "error" and "No gradient reaches" in dead.why
    same = [(step, 2.0123) for step in range(0, 101, 20)]
    tiny = found(run(flat, eval=same, recipe={"learning_rate": 1e-12}))["frozen"]
    assert "1e-12" in tiny.why and {"learning_rate": 2e-4} in [act.changes for act in tiny.acts]
    cut = found(run(flat, eval=same, recipe={"max_grad_norm": 1e-9}))["frozen"]
    assert {"max_grad_norm": 1.0} in [act.changes for act in cut.acts]
    assert "frozen" not in found(run(flat, eval=[(step, 2.0 - step / 1e4) for step in range(0, 101, 20)]))


def test_a_plateau() -> None:
    train = points(lambda share: max(1.0, 2.0 - 5 * share), noise=0.02)
    assert found(run(train))["plateau"].level == "info"
    decayed = points(lambda share: 2e-4 * (1 - share) ** 3)
    assert "plateau" not in found(run(train, train__learning_rate=decayed)), "it stands because the rate has gone"
    rest = [(step, 1.5 - step / 200) for step in range(0, 101, 10)]
    assert "plateau" not in found(run(train, eval=rest)), "validation loss still falls"


def test_a_start_without_warm_up() -> None:
    train = [
        (1, 2.0),
        (2, 2.2),
        (3, 3.5),
        (4, 3.6),
        (5, 3.1),
        (6, 2.6),
        *[(step, 2.0 - step / 100) for step in range(7, 60)],
    ]
    cold = found(run(train, recipe={"warmup_ratio": 0.0}))["warmup_missing"]
    assert cold.acts[0].changes == {"warmup_ratio": 0.1}
    constant = found(run(train, recipe={"lr_scheduler_type": "constant"}))["warmup_missing"]
    assert constant.acts[0].changes["lr_scheduler_type"] == "constant_with_warmup"
    assert "warmup_missing" not in found(run(train)), "it had one"
    assert "warmup_missing" not in found(run(recipe={"warmup_ratio": 0.0})), "it did no harm"


def test_gradients_that_are_always_cut() -> None:
    long = points(lambda share: 12.0 + sin(40 * share))
    finding = found(run(train__grad_norm=long))["clipping"]
    assert finding.acts[0].changes == {"max_grad_norm": 20.0}
    assert "clipping" not in found(run(train__grad_norm=points(lambda share: 1.5))), "a little too long is usual"


# the machine


def test_a_gpu_with_nothing_to_do() -> None:
    idle = found(run(gpu0__utilization_percent=points(lambda share: 8.0, 20)))["idle_gpu"]
    assert "gpu0 is idle: busy 8 %" in idle.title
    assert idle.acts[0].changes == {"per_device_train_batch_size": 16, "gradient_accumulation_steps": 1}
    second = run(
        gpu0__utilization_percent=points(lambda share: 97.0), gpu1__utilization_percent=points(lambda share: 3.0)
    )
    assert "gpu1" in found(second)["idle_gpu"].title
    assert not {"idle_gpu", "slow_data"} & found(run(gpu0__utilization_percent=points(lambda share: 85.0))).keys()
    assert "idle_gpu" not in found(run(gpu0__utilization_percent=points(lambda share: 8.0, 5))), "too few looks"


def test_a_gpu_that_waits_in_turns() -> None:
    turns = [(step, 99.0 if step % 3 else 0.0) for step in range(1, 40)]
    assert found(run(gpu0__utilization_percent=turns)).keys() == {"slow_data"}


@pytest.mark.parametrize(("used", "level"), [(79.5, "warning"), (77.0, "info"), (60.0, None)])
def test_memory_that_is_nearly_full(used: float, level: str | None) -> None:
    metric = {"gpu0__memory_used_bytes": [(5, used * GIB)]}
    told = run(gpu0__memory_total_bytes=[(5, 80 * GIB)], **metric)
    planned = run(memory_bytes={"gpu0": 80 * GIB}, **metric)
    for curves in (told, planned):
        finding = found(curves).get("memory_full")
        assert (finding and finding.level) == level
    assert "memory_full" not in found(run(**metric)), "nobody knows how much there is"


def test_a_machine_that_is_nearly_full() -> None:
    assert "The machine's memory" in found(run(system__host_memory_percent=[(5, 97.0)]))["memory_full"].title


def test_a_pace_that_falls() -> None:
    slower = points(lambda share: 1000.0 if share < 0.5 else 300.0, noise=20)
    finding = found(run(train__tokens_per_s=slower))["slowing"]
    assert 45 <= finding.step <= 60
    assert "slowing" not in found(run(train__tokens_per_s=points(lambda share: 1000.0, noise=300)))
    sorted_rows = run(train__tokens_per_s=slower, recipe={"train_sampling_strategy": "group_by_length"})
    assert "slowing" not in found(sorted_rows), "its batches differ"


# all of them


def test_a_run_that_goes_well_is_called_so() -> None:
    (finding,) = diagnose(run(eval=[(step, 2.0 - step / 120) for step in range(0, 101, 10)]))
    assert finding.code == "healthy" and finding.title == "Learning well: validation loss 2 → 1.17"


def test_the_worst_comes_first_and_nothing_twice() -> None:
    train = [*points(falling(2.0, 0.5), 60), (61, nan)]
    codes = only(
        run(train, eval=UP, eval_rows=0, recipe={"max_grad_norm": 0.01}, train__grad_norm=points(lambda _: 1.0))
    )
    assert codes == ["not_finite", "overfitting", "clipping"]
    levels = [LEVELS.index(finding.level) for finding in diagnose(run(train, eval=UP))]
    assert levels == sorted(levels)


def test_an_empty_run_shows_nothing() -> None:
    assert diagnose(Curves()) == []
    assert diagnose(run([])) == []


def test_figures_too_large_to_be_added_are_none() -> None:
    huge = [(step, 1.7e308) for step in range(1, 40)]
    names = ("train__tokens_per_s", "train__grad_norm", "gpu0__utilization_percent", "gpu0__memory_used_bytes")
    assert only(run(huge, eval=huge, recipe={"max_grad_norm": 1e-300}, **dict.fromkeys(names, huge))) == []


def test_every_rule_says_something_of_its_own() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes) >= 15
    assert EXPLAINS.keys() <= set(codes) and set().union(*EXPLAINS.values()) <= set(codes)
    assert len({rule.why for rule in RULES}) == len(RULES)
    guide = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    assert [code for code in [*codes, HEALTHY] if f"| `{code}` | " not in guide] == []


numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
metric = st.lists(numbers, max_size=80).map(lambda values: list(enumerate(values, 1)))
names = st.sampled_from(
    [
        "train/loss",
        "eval/loss",
        "train/grad_norm",
        "train/learning_rate",
        "train/tokens_per_s",
        "gpu0/utilization_percent",
        "gpu0/memory_used_bytes",
        "gpu0/memory_total_bytes",
        "system/host_memory_percent",
    ]
)
settings_of_runs = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["lora", "full", None]),
        "learning_rate": st.sampled_from([0, 2e-4, 1e-30, "2e-4", None, 100.0]),
        "max_grad_norm": st.sampled_from([0, 1e-12, 1.0, "1"]),
        "warmup_ratio": st.just(0.0),
        "lora_r": st.sampled_from([1, 16, None]),
        "num_train_epochs": st.sampled_from([3, 0.5, "3"]),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    metrics=st.dictionaries(names, metric, max_size=6),
    recipe=settings_of_runs,
    total=st.one_of(st.none(), st.integers(0, 200)),
    epoch=st.one_of(st.none(), st.floats(0, 100)),
    status=st.sampled_from(["", "training", "failed", "succeeded"]),
)
def test_no_curves_are_too_odd(
    metrics: dict[str, Any], recipe: dict[str, Any], total: int | None, epoch: float | None, status: str
) -> None:
    step = max((points[-1][0] for points in metrics.values() if points), default=0)
    curves = Curves(metrics, step, total, status, recipe=recipe, epoch=epoch, eval_rows=0, checkpoints=(3, 9))
    for finding in diagnose(curves):
        assert 0 <= finding.confidence <= 1 and "{" not in finding.title + finding.why
        assert all(len(one.steps) == len(one.values) for one in finding.evidence)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    start=st.floats(0.8, 12.0),
    share=st.floats(0.2, 0.8),
    noise=st.floats(0.0, 0.08),
    tail=st.floats(0.0, 0.5),
    count=st.integers(5, 300),
    power=st.sampled_from([1, 2, 4]),
)
def test_noise_around_a_falling_loss_is_no_alarm(
    seed: int, start: float, share: float, noise: float, tail: float, count: int, power: int
) -> None:
    """Also where single batches are far off, as those of few and short rows are."""
    end = start * share
    line: Callable[[float], float] = lambda at: end + (start - end) * (1 - at) ** power  # noqa: E731
    odd = random.Random(seed + 3)
    smooth = points(line, count, noise=noise * start, seed=seed)
    train = [(step, value * (1 + tail * odd.expovariate(1) * (odd.random() < 0.1))) for step, value in smooth]
    every = max(1, count // 10)
    unseen = points(lambda at: 1.05 * line(at), count // every, every=every, noise=0.005 * end, seed=seed + 1)
    gradients = points(lambda at: 1.0, count, noise=0.2, seed=seed + 2)
    curves = run(train, eval=unseen, train__grad_norm=gradients, epoch=3.0)
    assert [finding.code for finding in diagnose(curves) if finding.level != "info"] == []


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_is_offered_makes_a_recipe(method: str) -> None:
    falls = points(falling(2.0, 0.5), 60)
    flat = points(lambda share: 2.0)
    same = [(step, 2.0) for step in range(0, 101, 20)]
    fed = {"gpu0__utilization_percent": points(lambda share: 5.0)}
    runs = (
        run(falls, eval=UP, best_step=30, checkpoints=(30, 60), recipe={"method": method}, **fed),
        run([*falls, (61, nan)], checkpoints=(30, 60), recipe={"method": method}),
        run(flat, eval=same, recipe={"method": method, "learning_rate": 1e-12, "max_grad_norm": 1e-12}),
        run(points(learnt), epoch=40.0, recipe={"method": method}, train__grad_norm=points(lambda share: 30.0)),
    )
    known = {name: value for name, value in RECIPE.items() if name in Recipe.model_fields}
    offered = [act for curves in runs for finding in diagnose(curves) for act in finding.acts]
    assert {act.code for act in offered} >= {"stop", "retrain", "data"}
    for act in offered:
        assert not recipe_problems({"dataset": "support"} | known | {"method": method} | dict(act.changes)), act


# from events


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "seq": 0, "t": 1.0, "attempt": 1, "kind": kind} | fields


def test_curves_from_events() -> None:
    curves = curves_from(
        [
            event("state", status="starting", from_step=0),
            event(
                "plan",
                total_steps=10,
                train_rows=40,
                eval_rows=4,
                device="cuda:0",
                gpus=[{"index": 1, "memory_bytes": 80}],
            ),
            event("metrics", step=1, values={"train/loss": 2.0, "train/note": "x", "flag": True}, epoch=0.1),
            event("metrics", step=2, values={"train/loss": "nan"}, epoch=0.2),
            event("evaluation", step=2, values={"eval/loss": 1.9}, best=True),
            event("checkpoint", step=2, path="checkpoints/step-000002"),
            event("end", status="failed", code="loss_not_finite"),
        ]
    )
    assert curves.metrics["train/loss"][0] == (1, 2.0) and curves.metrics["train/loss"][1][1] != 2.0
    assert curves.metrics.keys() == {"train/loss", "eval/loss"}
    assert (curves.step, curves.total_steps, curves.train_rows, curves.eval_rows, curves.epoch) == (2, 10, 40, 4, 0.2)
    assert (curves.best_step, curves.checkpoints, curves.memory_bytes) == (2, (2,), {"gpu1": 80.0})
    assert (curves.status, curves.failure, curves.live) == ("failed", "loss_not_finite", False)


def test_what_a_resume_undoes_does_not_count() -> None:
    first = [event("metrics", step=step, values={"train/loss": 1.0 * step}) for step in range(1, 7)]
    kept = [event("checkpoint", step=step) for step in (2, 4, 6)]
    back = event("state", status="queued", from_step=4)
    again = [event("metrics", step=step, values={"train/loss": 9.0}) for step in (5, 6)]
    curves = curves_from([*first, *kept, back, *again])
    assert curves.metrics["train/loss"] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 9.0), (6, 9.0)]
    assert curves.checkpoints == (2, 4)


@pytest.mark.parametrize(
    "damaged",
    [
        event("metrics"),
        event("metrics", step="3", values={"train/loss": 1.0}),
        event("metrics", step=3, values=[1.0]),
        event("metrics", step=3, values={"train/loss": "much"}),
        event("plan", total_steps=-1, gpus=["x"]),
        event("state", from_step="two"),
        event("unheard-of"),
        {},
    ],
    ids=["bare", "step", "values", "word", "plan", "state", "kind", "empty"],
)
def test_damaged_events_are_passed_over(damaged: dict[str, Any]) -> None:
    curves = curves_from([event("metrics", step=1, values={"train/loss": 2.0}), damaged])
    assert curves.metrics == {"train/loss": [(1, 2.0)]}


def test_a_long_run_is_thinned_and_what_is_no_number_stays() -> None:
    curves = Curves()
    for step in range(1, 20_001):
        curves.take(event("metrics", step=step, values={"train/loss": "nan" if step == 77 else 1.0}))
    kept = curves.metrics["train/loss"]
    assert len(kept) <= MOST_POINTS and kept[-1][0] == 20_000 and kept[0][0] < 100
    assert [step for step, value in kept if value != value] == [77]
