"""A run in words: its state, how far it is, what it came to. The same words on every screen."""

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tui.format import fmt_delta, fmt_duration, fmt_number, fmt_percent, fmt_when
from tui.text import clean_line
from tui.widgets.gauge import bar

if TYPE_CHECKING:
    from store.records import Run

EVAL_LOSS, TRAIN_LOSS = "eval/loss", "train/loss"


class State(NamedTuple):
    """How a state is shown; `tone` is one of `live`, `good`, `look`, `act`, `dim`."""

    symbol: str
    word: str
    tone: str


STATES = {
    "queued": State("○", "queued", "dim"),
    "starting": State("◌", "starting", "live"),
    "rehearsing": State("◎", "rehearsing", "live"),
    "training": State("●", "training", "live"),
    "evaluating": State("◉", "evaluating", "live"),
    "stopping": State("◑", "stopping", "look"),
    "succeeded": State("✓", "done", "good"),
    "failed": State("✗", "failed", "act"),
    "stopped": State("■", "stopped", "dim"),
    "lost": State("?", "lost", "act"),
}

FAILURES = {
    "cuda_out_of_memory": "oom",
    "host_out_of_memory": "oom",
    "rehearsal_memory": "too large",
    "loss_not_finite": "nan",
    "disk_full": "disk full",
    "device_lost": "no device",
    "killed": "killed",
    "crashed": "crashed",
    "time_limit": "time limit",
    "preempted": "preempted",
}
"""A word for failures that have one, in ten characters; the others are `failed`."""

FINDINGS = {
    "not_finite": ("nan", "act"),
    "divergence": ("diverges", "act"),
    "frozen": ("stuck", "act"),
    "overfitting": ("overfits", "look"),
    "memorisation": ("memorises", "look"),
    "leak": ("leaks", "look"),
    "learning_rate_high": ("lr high", "look"),
    "learning_rate_low": ("lr low", "look"),
    "idle_gpu": ("idle gpu", "look"),
    "slow_data": ("slow data", "look"),
}
"""A word, in ten characters, and the tone of findings that ask to be looked at; the others only inform."""

TONES = {
    "live": "$text-primary",
    "good": "$text-success",
    "look": "$text-warning",
    "act": "$text-error",
    "dim": "$text-muted",
}
"""The theme's colour of each tone, for `Content`."""


def state_of(run: "Run") -> State:
    """The run's state; a live run that is silent or of which something was found out asks to be looked at, a failed
    one says of what."""
    state = STATES[run.status.value]
    if run.stalled is not None and run.status.live:
        return State("⚠", "stalled", "look")
    if run.status.value == "failed":
        return state._replace(word=FAILURES.get(run.failure, state.word))
    found = FINDINGS.get(run.finding)
    if run.status.live and state.tone == "live":
        if found is not None:
            return State("⚠", *found)
        return State("⚠", state.word, "look") if run.alerts else state
    if run.status.value == "succeeded" and found is not None:
        return state._replace(word=f"{state.word} ⚠")
    return state


def phase_of(run: "Run") -> str:
    """What a live run is doing, with how far it is: `building the starter model 40%`; empty when it trains."""
    if not run.status.live or not run.phase:
        return ""
    percent = f" {fmt_percent(run.phase_progress)}" if run.phase_progress is not None else ""
    return clean_line(run.phase) + percent


def progress_of(run: "Run", width: int, now: float | None = None) -> str:
    """How far a run is, in about `width` characters: a bar, a share and the time left; or how long it took."""
    if run.status.live and run.stalled is not None and run.progress is None:
        return f"since {fmt_when(run.stalled)}"
    if phase := phase_of(run):
        return phase
    if run.status.live:
        if run.progress is None:
            return ""
        left = f" {short_time(run.eta_s)}" if run.eta_s is not None else ""
        if run.stalled is not None:
            left = f" since {fmt_when(run.stalled)}"
        tail = f" {fmt_percent(run.progress)}{left}"
        return bar(run.progress, max(3, min(24, width - len(tail)))) + tail
    took = took_s(run, now)
    done = run.status == "succeeded" or not run.total_steps
    steps = "" if done else f"step {run.step}/{run.total_steps}"
    if done:
        return fmt_duration(took) if took is not None else ""
    return steps


def took_s(run: "Run", now: float | None = None) -> float | None:
    """Seconds from the start of a run to its end, or to now."""
    if run.started is None:
        return None
    end = run.ended if run.ended is not None else (time.time() if now is None else now)
    return max(0.0, end - run.started)


def peak_of(run: "Run") -> float | None:
    """The most memory it took, in bytes: the GPU's, else the process's."""
    if run.peak_vram_bytes:
        return run.peak_vram_bytes
    memory = run.metrics.get("system/rss_bytes")
    return memory.max if memory else None


def short_time(seconds: float | None) -> str:
    """Time left in few characters: `45s`, `12m`, `3h10m`."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m"
    return f"{total // 3600}h{total % 3600 // 60:02d}m" if total < 86400 else f"{total // 86400}d"


def eval_loss_of(run: "Run") -> tuple[str, str, str]:
    """The last evaluation's loss, its distance to the best one, and a tone.

    An arrow says that it rose above the best; `best` that it is the best.
    """
    latest = run.metrics.get(EVAL_LOSS)
    if latest is None:
        return "", "", "dim"
    if not math.isfinite(latest.last):
        return fmt_number(latest.last), "", "act"
    if latest.min is None or latest.last <= latest.min:
        return fmt_number(latest.last), "best" if latest.min_step else "", "good"
    return f"{fmt_number(latest.last)} ↑", fmt_delta(latest.last - latest.min), "look"


def recipe_line(recipe: dict[str, Any]) -> str:
    """A recipe in one line: `qlora r16 α32 · lr 2e-4 cosine · 3 epochs · batch 16`."""
    parts = [str(recipe.get("method", ""))]
    if recipe.get("method") != "full":
        sizes = [(sign, recipe.get(name)) for sign, name in (("r", "lora_r"), ("α", "lora_alpha"))]
        parts[0] = " ".join([parts[0], *(f"{sign}{size}" for sign, size in sizes if size is not None)]).strip()
    if "learning_rate" in recipe:
        parts.append(f"lr {fmt_number(recipe['learning_rate'])} {recipe.get('lr_scheduler_type', '')}".rstrip())
    steps = recipe.get("max_steps", -1)
    if isinstance(steps, int) and steps > 0:
        parts.append(f"{steps} steps")
    elif "num_train_epochs" in recipe:
        parts.append(f"{recipe['num_train_epochs']:g} epochs")
    batch, times = recipe.get("per_device_train_batch_size"), recipe.get("gradient_accumulation_steps", 1)
    if isinstance(batch, int) and isinstance(times, int):
        parts.append(f"batch {batch * times}")
    elif batch == "auto" or times == "auto":
        parts.append(f"batch {recipe.get('effective_batch_size', 'auto')}")
    if recipe.get("packing") is True:
        parts.append("packed")
    return clean_line(" · ".join(part for part in parts if part))
