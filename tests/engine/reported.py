"""Runs with everything that a report tells, and pages looked at by a browser."""

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.records import Attempt, EventRow, FindingRow, IngestBatch, Point, Status
from tests.store.builders import new_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")

NASTY = 'r64 </script><img src=x onerror=alert(1)> [red]$x^2$ \u2028"&'
TOKEN = "hf_qWe7rTy9uIo3pAs5dFg1hJk8lZx2cVb6nM4q"


def add_run(
    store: Store,
    run_id: str,
    name: str = "",
    *,
    steps: int = 200,
    worse: float = 0.0,
    metrics: Sequence[str] = (),
    samples: Sequence[dict[str, str]] = (),
    alerts: Sequence[dict[str, Any]] = (),
    status: Status = Status.SUCCEEDED,
    **fields: Any,
) -> None:
    """A run of `steps` steps: losses that fall, a spike, a gap, an evaluation each twentieth step, checkpoints."""
    store.runs.add(new_run(run_id, name or run_id, **fields))
    started = 1_760_000_000.0
    training: list[Point] = [
        (step, 0.9 + worse + 2 * math.exp(-step / 40) + 0.05 * math.sin(step * 7), started + 2 * step)
        for step in range(1, steps + 1)
    ]
    training[steps // 3] = (training[steps // 3][0], 9.5, training[steps // 3][2])
    training[steps // 2] = (training[steps // 2][0], math.nan, training[steps // 2][2])
    evaluated: list[Point] = [
        (step, 1.0 + worse + 2 * math.exp(-step / 40) + max(0, step - 120) / 400, started + 2 * step + 1)
        for step in range(20, steps + 1, 20)
    ]
    best = min(evaluated, key=lambda point: point[1])[0] if evaluated else None
    points: dict[tuple[str, int], list[Point]] = {
        ("train/loss", 1): training,
        ("train/epoch", 1): [(step, step / 50, t) for step, _, t in training],
        ("train/num_tokens", 1): [(step, step * 4096.0, t) for step, _, t in training],
        ("train/learning_rate", 1): [(step, 2e-4 * (1 - step / steps), t) for step, _, t in training],
        ("train/tokens_per_s", 1): [(step, 1200.0 + step % 7, t) for step, _, t in training],
        ("gpu0/memory_used_bytes", 1): [(step, 9e9 + step * 1e6, t) for step, _, t in training[::5]],
        **{(name, 1): [(step, value * 2, t) for step, value, t in training] for name in metrics},
    }
    if evaluated:
        points["eval/loss", 1] = evaluated
    told: list[tuple[str, dict[str, Any]]] = [
        ("plan", {"total_steps": steps, "train_rows": 426, "eval_rows": 48, "versions": {"torch": "2.13.0"}}),
        *(("checkpoint", {"step": step, "path": f"step-{step}"}) for step in range(50, steps + 1, 50)),
        *(
            ("sample", {"step": step, "samples": [{**one, "text": f"{one['text']} ({step})"} for one in samples]})
            for step in range(20, steps + 1, 20)
            if samples
        ),
        *(("alert", body) for body in alerts),
    ]
    events = [EventRow(run_id, seq, started, 1, kind, body) for seq, (kind, body) in enumerate(told)]
    ended = started + 2 * steps
    updates = {"status": status, "started": started, "ended": ended, "step": steps, "total_steps": steps}
    updates |= {"best_step": best, "cost": 1.25, "energy_j": 3.6e5, "peak_vram_bytes": 9 * 2**30, "tokens_per_s": 1e3}
    attempts = [Attempt(run_id, 1, started, ended, status, "", 0)]
    batch = IngestBatch(run_id, 0, 1, points=points, attempts=attempts, events=events, last_seq=99, updates=updates)
    assert store.runs.ingest(batch)


def finding(run_id: str, title: str, level: str = "warning", *, dismissed: float | None = None) -> FindingRow:
    body = {
        "title": title,
        "why": "The validation loss rises.",
        "evidence": [{"metric": "eval/loss", "words": "1.02 at step 120, 1.21 at step 200"}],
        "acts": [{"offer": "stop and keep step 120"}],
    }
    return FindingRow(run_id, "overfitting", level, 120, 1.0, dismissed, body)


class Page(HTMLParser):
    """A page taken apart as a browser does: its elements, its text, its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str, str]] = []
        """Type and content."""
        self.styles: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._content = ""
        self.feed(text)

    @property
    def data(self) -> Any:
        (found,) = [content for kind, content in self.scripts if kind == "application/json"]
        return json.loads(found)

    @property
    def policy(self) -> str:
        (found,) = [a["content"] for tag, a in self.tags if tag == "meta" and "http-equiv" in a]
        return found or ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " " if tag in ("td", "th", "p", "summary") else ""
        if tag in ("script", "style"):
            self._open.append(tag)
            self._content = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self._content += data
        else:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style") and self._open:
            self._open.pop()
            if tag == "style":
                self.styles.append(self._content)
            else:
                kind = next(a.get("type") for name, a in reversed(self.tags) if name == "script")
                self.scripts.append((kind or "", self._content))


def hashed(text: str) -> str:
    """As a Content-Security-Policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def driven(page: Path, script: str) -> Path:
    """The page with one more script, which its policy allows, before all others."""
    text = page.read_text(encoding="utf-8")
    text = text.replace("script-src ", f"script-src {hashed(script)} ", 1).replace(
        "<title>", f"<script>{script}</script><title>", 1
    )
    found = page.with_name(f"driven-{page.name}")
    found.write_text(text, encoding="utf-8")
    return found


def browse(page: Path, *options: str) -> tuple[str, list[str]]:
    """What the page has become after ten seconds of its own time, and what the browser said on its console."""
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1300,1000"),
            *(f"--user-data-dir={page.parent / 'browser'}", "--enable-logging=stderr", "--v=0"),
            *("--virtual-time-budget=10000", *options, page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=90,
    )
    return done.stdout, re.findall(r":CONSOLE[^\]]*\] (.*)", done.stderr)
