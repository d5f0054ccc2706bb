"""Measures in place of the worker: `python evaluation_stand_in.py HOW DIR`. Adapters answer as expected, bases do not.

HOW is `well`; `killed`: by the system, after three answers, until no more than four are missing; `refuse`; `slow`:
until it is asked to end; `error`: the first row cannot be answered; `lazy`: it ends without having done anything.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any


def main(how: str, folder: Path) -> int:
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, ask)
    if how == "refuse":
        return end(folder, "The model is a chair.", "model_files", 1)
    spec = json.loads((folder / "spec.json").read_text())
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    path = folder / "answers.jsonl"
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(line["row"], line["model"]) for line in known}
    total, began, added = len(rows) * len(spec["models"]), time.time(), 0
    with path.open("a") as file:
        for place, model in enumerate(spec["models"]):
            for row in rows:
                if how == "lazy" or (row["row"], place) in done:
                    continue
                while how == "slow" and added == 2 and not asked:
                    time.sleep(0.02)
                if asked:
                    return end(folder, "It was stopped.", "stopped", 0)
                file.write(json.dumps(answer(row, place, model, how)) + "\n")
                file.flush()
                added += 1
                told = {"done": len(done) + added, "total": total, "doing": "measuring", "model": model["label"]}
                write(folder / "progress.json", told | {"t": time.time(), "began": began})
                if how == "killed" and added == 3 and total - len(done) > 4:
                    os.write(1, b"taking all the memory\n")
                    os.kill(os.getpid(), signal.SIGKILL)
    return end(folder, "", "", 0)


def answer(row: dict[str, Any], place: int, model: dict[str, Any], how: str) -> dict[str, Any]:
    good = model["adapter"] is not None
    text = (row["expected"] or "well") if good else "I am a language model and say something else at length."
    if how == "error" and row["row"] % 10 == 8:
        return {"row": row["row"], "model": place, "text": "", "error": "The prompt is too long."}
    words = len((row["expected"] or "x").split())
    choices = row["choices"] or []
    return {
        "row": row["row"],
        "model": place,
        "text": text,
        "tokens": len(text.split()),
        "finish_reason": "stop",
        "first_token_s": 0.1,
        "tokens_per_s": 50.0,
        "nll": words * (0.5 if good else 2.0) + row["row"] * 0.001,
        "scored_tokens": words,
        "correct_tokens": words if good else 0,
        "choice_nll": [1.0 if at == row["answer"] else 2.0 for at in range(len(choices))] or None,
        "choice_tokens": [1 for _ in choices] or None,
        "error": "",
    }


def end(folder: Path, reason: str, code: str, status: int) -> int:
    write(folder / "end.json", {"t": time.time(), "reason": reason, "code": code})
    return status


def write(path: Path, value: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value))
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
