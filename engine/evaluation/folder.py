"""An evaluation's folder: what is asked, every answer, the figures, how it ended. The truth; the store is its index."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from engine.errors import FinetuiError
from engine.evaluation.answered import Answered
from engine.evaluation.rows import EvaluationRow, answered, row_document, row_of
from engine.home import Home
from engine.runs.driver_folder import DriverDir, words_of
from engine.runs.rundir import write_json
from store.evaluation_records import Evaluation, Measured

_RECORD = ("id", "created", "name", "kind", "data", "split", "models", "settings", "rows")


@dataclass(frozen=True)
class EvaluationDir(DriverDir):
    """`evaluations/<id>` of a home."""

    taken: ClassVar[str] = "The evaluation {} is being made already."
    driver: ClassVar[str] = "engine.evaluation.driver"

    @classmethod
    def of(cls, home: Home, evaluation: str) -> "EvaluationDir":
        return cls(home.evaluations / evaluation)

    @property
    def about(self) -> Path:
        """JSON: the fields of `Evaluation` that do not change."""
        return self.path / "about.json"

    @property
    def spec(self) -> Path:
        """JSON: what the worker is to do."""
        return self.path / "spec.json"

    @property
    def rows(self) -> Path:
        return self.path / "rows.jsonl"

    @property
    def answers(self) -> Path:
        """A line a row and model, added by the worker as they come."""
        return self.path / "answers.jsonl"

    @property
    def progress(self) -> Path:
        """JSON: `done` of `total`, what the worker is `doing`, and since when."""
        return self.path / "progress.json"

    @property
    def process(self) -> Path:
        """JSON: the machine, the boot, the driver and the worker, as runs have it."""
        return self.path / "process.json"

    @property
    def end(self) -> Path:
        """JSON: how the worker ended; `reason` is empty where it came to its end."""
        return self.path / "end.json"

    @property
    def figures(self) -> Path:
        """JSON: what was measured. Its being there says that the evaluation is done."""
        return self.path / "figures.json"

    # the driver

    @property
    def left(self) -> tuple[Path, ...]:
        return (*super().left, self.end, self.figures)

    def say(self, doing: str, **more: Any) -> None:
        """Record what is being done."""
        write_json(self.doing, {"doing": doing} | more)

    # what is asked and answered

    def write(self, evaluation: Evaluation, spec: Mapping[str, Any], rows: Iterable[EvaluationRow]) -> None:
        """Make the folder; `about.json`, which makes it an evaluation, is written last."""
        self.path.mkdir(mode=0o700, parents=True)
        with self.rows.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row_document(row), ensure_ascii=False) + "\n")
        write_json(self.spec, spec)
        write_json(self.about, {"v": 1} | {name: getattr(evaluation, name) for name in _RECORD})

    def read_rows(self) -> list[EvaluationRow]:
        """Raises `FinetuiError` where they cannot be read."""
        try:
            lines = self.rows.read_bytes().split(b"\n")  # texts may hold other ends of lines
            return [row_of(json.loads(line)) for line in lines if line]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FinetuiError(
                f"The rows of the evaluation {self.path.name} cannot be read.",
                why=f"{self.rows} is missing or damaged.",
                fix="Evaluate anew.",
            ) from error

    def read_answers(self) -> list[tuple[int, Answered]]:
        """The model's place with each answer, in the order in which they came; damaged lines are left out."""
        rows = {row.row: row for row in self.read_rows()}
        found: dict[tuple[int, int], Answered] = {}
        for value in self.answer_lines():
            try:
                row, model = int(value["row"]), int(value["model"])
                if row in rows:
                    found[row, model] = answered(rows[row], value)
            except (KeyError, TypeError, ValueError):
                continue
        return [(model, answer) for (_, model), answer in found.items()]

    def answer_lines(self) -> Iterator[dict[str, Any]]:
        """The whole lines of `answers.jsonl`."""
        try:
            with self.answers.open("rb") as file:
                for line in file:
                    try:
                        value = json.loads(line) if line.endswith(b"\n") else None
                    except ValueError:
                        continue
                    if isinstance(value, dict):
                        yield value
        except FileNotFoundError:
            return

    def forget_errors(self) -> int:
        """Take the answers that are errors out, so that they are asked again. Only while nobody is at work."""
        lines = [*self.answer_lines()]
        kept = [line for line in lines if not line.get("error")]
        if len(kept) < len(lines):
            draft = self.answers.with_name(".answers.jsonl")
            with draft.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.answers)
        return len(lines) - len(kept)

    # what came of it

    def write_figures(self, figures: Sequence[Measured], tokenizer: str, notes: Sequence[str]) -> None:
        """The figures, what tokens were counted by, and what is to be known about them."""
        values = [asdict(one) for one in figures]
        write_json(
            self.figures, {"v": 1, "t": time.time(), "tokenizer": tokenizer, "notes": list(notes), "figures": values}
        )

    def record(self) -> Evaluation | None:
        """The evaluation as its folder tells it; `None` for a folder that is none."""
        about, figures, ending = self.read(self.about), self.read(self.figures), self.read(self.exit)
        try:
            known = {name: about[name] for name in _RECORD} | {"models": tuple(about["models"])}
        except (KeyError, TypeError):
            return None
        error = ending.get("error")
        return Evaluation(
            **known,
            ended=figures.get("t") or ending.get("ended"),
            reason=reason_of(error if isinstance(error, dict) else {}) if ending and not figures else "",
        )

    def measured(self) -> list[Measured]:
        """The figures that were kept."""
        try:
            return [Measured(**value) for value in self.read(self.figures).get("figures", [])]
        except TypeError:
            return []


def reason_of(error: Mapping[str, Any]) -> str:
    """Why an evaluation ended before its rows did, in words."""
    return words_of(error) or "It was stopped."
