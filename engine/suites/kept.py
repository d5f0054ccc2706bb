"""The prompts of a suite run beside its answers, so that those can be read when the dataset was removed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.errors import NotFound
from engine.runs.rundir import read_json, write_json
from engine.suites.folder import SuiteDir
from engine.suites.reading import Suite, SuitePrompt, read_suite
from store.talk_records import SuiteAnswer, SuiteRun

GONE = "(This prompt went with its dataset.)"


def suite_of(library: DatasetLibrary, run: SuiteRun) -> Suite:
    """The prompts of a suite run, which are kept in its folder from then on; where its dataset was removed, those.

    Raises `NotFound` where neither is there.
    """
    folder = SuiteDir.of(library.home, run.id)
    dataset = next((one for one in library.list() if one.id == run.suite), None)
    if dataset is not None:
        suite = read_suite(library, dataset).first(run.prompts)
        _keep(folder, suite)
        return suite
    if (kept := _kept(folder, run.suite)) is not None:
        return kept
    raise NotFound(
        f"The suite of {run.name} is gone.",
        why=f"The dataset {run.suite} was removed.",
        fix="Import the same file again: it becomes the same dataset.",
    )


def shown_suite(library: DatasetLibrary, run: SuiteRun, answers: Sequence[SuiteAnswer]) -> Suite:
    """As `suite_of`; where the prompts are gone altogether, something that stands for each that was answered."""
    try:
        return suite_of(library, run)
    except NotFound:
        turns: dict[int, int] = {}
        for answer in answers:
            turns[answer.position] = max(turns.get(answer.position, 1), answer.turn + 1)
        prompts = tuple(SuitePrompt(position, (GONE,) * count) for position, count in sorted(turns.items()))
        return Suite(run.suite, run.suite, 0, prompts, removed=True)


def _keep(folder: SuiteDir, suite: Suite) -> None:
    if folder.prompts.exists():
        return
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    prompts = [asdict(prompt) for prompt in suite.prompts]
    write_json(folder.prompts, {"v": 1, "name": suite.name, "version": suite.version, "prompts": prompts})


def _kept(folder: SuiteDir, suite: str) -> Suite | None:
    found: Any = read_json(folder.prompts)
    try:
        prompts = tuple(
            SuitePrompt(
                int(one["position"]),
                tuple(map(str, one["turns"])),
                str(one["category"]),
                tuple(map(str, one["references"])),
                str(one["system"]),
            )
            for one in found["prompts"]
        )
        return Suite(suite, str(found["name"]), int(found["version"]), prompts, removed=True)
    except (TypeError, KeyError, ValueError):
        return None
