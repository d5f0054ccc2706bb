"""Folders of evaluations for the worker's tests, and what was measured in them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.runs.rundir import read_json, write_json

GREEDY = {"max_new_tokens": 12, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "seed": 0}


def model(base: Path, adapter: Path | None = None, method: str = "lora", label: str = "") -> dict[str, Any]:
    return {
        "label": label or (adapter or base).name,
        "base": str(base),
        "revision": None,
        "method": method,
        "precision": "auto",
        "adapter": str(adapter) if adapter else None,
    }


def row(question: str, expected: str | None = None, **fields: Any) -> dict[str, Any]:
    """A row that asks `question`."""
    messages = [{"role": "user", "content": question}]
    return {"messages": messages, "expected": expected, "choices": None, "answer": None, "about": {}} | fields


def make_evaluation(
    folder: Path, models: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], **spec: Any
) -> Path:
    folder.mkdir(parents=True)
    asked = {
        "v": 1,
        "id": folder.name,
        "kind": "split",
        "models": list(models),
        "sampling": GREEDY,
        "batch_rows": 16,
        "generate": True,
        "score": True,
        "trust_remote_code": False,
        "max_length": None,
    }
    write_json(folder / "spec.json", asked | spec)
    text = "".join(json.dumps({"row": number} | row) + "\n" for number, row in enumerate(rows))
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    return folder


def answers(folder: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """By row and model; each must be there once."""
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {(line["row"], line["model"]): line for line in lines}
    assert len(found) == len(lines)
    return found


def ending(folder: Path) -> tuple[str, str]:
    """The reason and the code of its end."""
    found = read_json(folder / "end.json")
    assert found is not None
    return found["reason"], found["code"]
