"""The whole of a run before it starts: what the recipe leaves open is decided, and what it takes is worked out."""

from collections.abc import Callable, Sequence

from engine.home import Home
from engine.planning.records import DeviceFacts, Estimate, RunPlan
from engine.recipe import Recipe, without_auto
from store import Store
from store.records import Dataset


def plan_run(
    home: Home,
    store: Store,
    recipe: Recipe,
    *,
    dataset: Dataset | None = None,
    devices: Sequence[DeviceFacts] | None = None,
    count: bool = True,
    progress: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RunPlan:
    """The recipe with every decision made, and what the run takes.

    `dataset` is what `recipe.dataset` names where that is known already; `devices` are those of this machine unless
    given. `count` may spend seconds: the model's tokenizer is prepared and the rows' tokens are counted, and `progress`
    is told so in words; without it what was counted before is used, else an estimate from the text. Whatever keeps a
    launch from working is in the plan's `problems`; raises `BadInput` only for an unknown model or dataset, and
    `Cancelled`.
    """
    device = devices[0] if devices else DeviceFacts("cpu", "CPU", "cpu", 0, 0, None, None)
    estimate = Estimate(None, "not worked out", device, 0, None, 1.0, None, None, None, None, "", ())
    return RunPlan(without_auto(recipe), recipe, {}, estimate, {}, (), 0, 0, 0, 0, 0, 0, "")
