"""Launching: a recipe becomes a run's folder, a row in the store and a supervisor."""

import secrets
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.models import ModelInfo
from engine.planning.devices import probe_command, probe_path
from engine.planning.document import plan_document
from engine.recipe import Recipe
from engine.runs import backends
from engine.runs.backends import Process
from engine.runs.backends.local import SAMPLES, candidate_devices
from engine.runs.claim import claimed
from engine.runs.entry import new_run
from engine.runs.identity import read_process
from engine.runs.parents import Parent
from engine.runs.preflight import Preflight, preflight, require
from engine.runs.protocol import EventWriter
from engine.runs.queue import cpu_runs
from engine.runs.requirements import require_torch_side
from engine.runs.rundir import RunDir, read_table, write_json
from engine.runs.supervisor import WORKER
from store import Store, StoreError
from store.records import Run

LONGEST_NAME = 80


def launch_run(
    home: Home,
    store: Store,
    recipe: Recipe,
    *,
    name: str | None,
    tags: Sequence[str],
    worker: Sequence[str],
    priority: int = 0,
    sweep: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple[Run, Process | None]:
    """Plan the run, freeze its recipe into a folder, put it into the store, hand it to its backend.

    `sweep` is the `id` of the sweep and the number of the `trial` that the run is; `force` launches one that does not
    fit. `progress` hears in words what takes long. Returns the run, and its supervisor where that is a child of ours.
    Raises `BadInput` that says all that stands in the way; nothing is left behind then.
    """
    found = _with_names(preflight(home, store, recipe, progress=progress), name, tags)
    require(found, force=force)
    assert found.model and found.dataset and found.plan, "nothing is missing"
    run_id = new_run_id()
    wanted = clean_name(name) if name and name.strip() else default_name(recipe, found.dataset.name)
    inputs = {
        "id": run_id,
        "name": unique_name(store, wanted),
        "tags": [clean_name(tag, "tag") for tag in dict.fromkeys(tags)],
        "created": time.time(),
        **_what(found),
        **_where(home, found, worker),
        "priority": priority,
        "sweep": dict(sweep) if sweep else None,
    }
    rundir = RunDir(home.runs / run_id)
    draft = RunDir(home.runs / f".new-{run_id}")
    made: list[RunDir] = []
    try:
        _make_folder(draft, rundir, found.plan.recipe, inputs, found.parent)
        with claimed(draft.lock, _taken(inputs["name"])) as claim:  # before anybody can see the folder
            draft.path.rename(rundir.path)
            made.append(rundir)
            process = _enter_and_start(store, rundir, inputs, worker, claim)
    except BaseException as error:
        for folder in made or [draft]:
            shutil.rmtree(folder.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise BadInput(
                f"The run's folder cannot be made in {home.runs}.",
                why=f"The system says: {error.strerror or error}.",
                fix="Free or unlock that folder, or choose another home with --home DIR or $FINETUI_HOME.",
            ) from error
        raise
    run = store.runs.get(run_id)
    assert run is not None, "it was added above"
    return run, process


def _enter_and_start(
    store: Store, rundir: RunDir, inputs: dict[str, Any], worker: Sequence[str], claim: int
) -> Process | None:
    """Put a new run into the store and start it; where it cannot be started it is in the store no more."""
    run = new_run(rundir, inputs)
    try:
        store.runs.add(run)
    except StoreError:
        if store.runs.get(run.id) is None:  # else somebody rebuilds the store, and was faster
            raise
    try:
        return _start(rundir, 1, worker, claim)
    except BaseException:
        store.runs.delete(run.id)
        raise


def _with_names(found: Preflight, name: str | None, tags: Sequence[str]) -> Preflight:
    """What was found, and what is wrong with the run's name and tags."""
    problems, errors = dict(found.problems), list(found.errors)
    for what, texts in (("name", [name] if name and name.strip() else []), ("tag", [*tags])):
        for text in texts:
            try:
                clean_name(text, what)
            except BadInput as error:
                problems.setdefault(what, error.what)
                errors.append(error)
    return replace(found, problems=problems, errors=tuple(errors))


def _what(found: Preflight) -> dict[str, Any]:
    """What the run is made of: model, data, plan."""
    model, dataset, plan, recipe = found.model, found.dataset, found.plan, found.asked
    assert model and dataset and plan, "nothing is missing"
    return {
        "model": {
            "name": model.name,
            "path": str(model.path),
            "revision": recipe.revision,
            "kind": model.kind,
            "own_code": model.own_code and recipe.trust_remote_code,
        },
        "dataset": {"id": dataset.id, "name": dataset.name, "version": dataset.version, "dir": dataset.dir},
        "asked": recipe.model_dump(mode="json"),
        "plan": plan_document(plan),
        "needs_bytes": plan.estimate.needs_bytes,
        "template_hash": found.gate.template_hash if found.gate else "",
        "parent": found.parent.to_json() if found.parent else None,
        "versions": _versions(),
    }


def _where(home: Home, found: Preflight, worker: Sequence[str]) -> dict[str, Any]:
    """Where the run goes, and what its supervisor does before the worker starts."""
    recipe, model, plan = found.asked, found.model, found.plan
    assert model and plan, "nothing is missing"
    device = plan.estimate.device
    # A worker of another command may not be of this installation, and then nothing measured here tells of it.
    probes = tuple(worker) == WORKER and recipe.backend == "local"
    devices = candidate_devices()
    if isinstance(recipe.devices, tuple) and recipe.backend == "local":
        devices = {f"gpu{index}": devices[f"gpu{index}"] for index in recipe.devices}
    return {
        "backend": recipe.backend,
        "processes": recipe.device_count // recipe.nodes,
        "devices": list(devices),
        "visible": {device: value for device, value in devices.items() if value},
        "leases": str(home.root / "leases"),
        "slots": cpu_runs(home),
        "probe": str(probe_path(home, device.title)),
        "prepare": [*_preparation(model, home), *([probe_command(home, device)] if probes else [])],
    }


def start_again(
    home: Home,
    run: Run,
    attempt: int,
    worker: Sequence[str],
    announced: Callable[[], object],
    told: Mapping[str, Any] | None = None,
) -> Process | None:
    """Start the next attempt of a run that has ended: from its last committed checkpoint, else from step 0.

    `announced` is called once the run's log says so, to take that in before a process is at work that nobody follows;
    `told` is the last `end` of the run, which is said again where nothing can be started.
    The records of the attempt before are kept as `process-K.json` and `exit-K.json`. Raises `BadInput` where somebody
    else has started an attempt of this number, and what `announced` raises: nothing is started then.
    """
    require_torch_side()
    rundir = RunDir(home.runs / run.id)
    with claimed(rundir.lock, _taken(run.name)) as claim:
        if last_attempt(rundir) >= attempt:  # it may have been over before we had the claim
            raise BadInput(f"{run.name} was resumed by somebody else a moment ago.", fix="Look at how it stands now.")
        _prepare_attempt(rundir, attempt)
        try:
            announced()
            return _start(rundir, attempt, worker, claim)
        except BaseException:
            _take_back(rundir, attempt, run, told or {})
            with suppress(StoreError):  # it is in the log, for whoever looks next
                announced()
            raise


def _prepare_attempt(rundir: RunDir, attempt: int) -> None:
    """Put the records of the attempt before away, and say where the next one begins."""
    checkpoints = rundir.committed_checkpoints()
    try:
        for record in (rundir.process, rundir.exit):
            if record.exists():
                record.replace(record.with_stem(f"{record.stem}-{attempt - 1}"))
        reason = "" if checkpoints else "no checkpoint was saved: it starts again from step 0"
        _announce(rundir, attempt, reason)
    except OSError as error:
        raise _cannot_start(error) from error


def _take_back(rundir: RunDir, attempt: int, run: Run, told: Mapping[str, Any]) -> None:
    """Say that an attempt was none: the run stands as it stood before."""
    why = {name: told[name] for name in ("best_step", "fix", "changes", "summary") if told.get(name) is not None}
    writer = EventWriter(rundir.events, attempt)
    try:
        writer.write("end", **why, status=str(run.status), reason=run.reason, code=run.failure)
    finally:
        writer.close()


def _taken(name: str) -> str:
    return f"{name} is being run already."


def _start(rundir: RunDir, attempt: int, worker: Sequence[str], claim: int) -> Process | None:
    """Hand an attempt to its backend. `None` where no process of ours stays with it."""
    try:
        return backends.start(rundir, attempt, worker, claim)
    except OSError as error:
        raise _cannot_start(error) from error


def new_run_id() -> str:
    """`r` and eleven letters and digits that sort by time: eight of milliseconds since 2025, three of chance."""
    value = (time.time_ns() // 1_000_000 - 1_735_689_600_000) << 15 | secrets.randbits(15)
    letters = "0123456789abcdefghjkmnpqrstvwxyz"
    return "r" + "".join(letters[value >> shift & 31] for shift in range(50, -1, -5))


def clean_name(text: str, what: str = "name") -> str:
    """`text` without outer blanks. Raises `BadInput` for an empty or long one and for control characters."""
    name = text.strip()
    if not name or len(name) > LONGEST_NAME:
        raise BadInput(f"A {what} has 1 to {LONGEST_NAME} characters; this one has {len(name)}.")
    # Other controls, line and paragraph ends, lone surrogates, and what turns the direction of writing round
    wrong = [c for c in name if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u200e\u200f"]
    if wrong or any("\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" for c in name):
        raise BadInput(f"A {what} cannot hold control characters: {name!r}.", fix="Use letters, digits and signs.")
    return name


def default_name(recipe: Recipe, dataset: str) -> str:
    """What a run is about, in short: `support-qlora-r16`."""
    tail = recipe.method if recipe.method == "full" else f"{recipe.method}-r{recipe.lora_r}"
    return f"{dataset[: LONGEST_NAME - len(tail) - 1]}-{tail}"


def unique_name(store: Store, name: str) -> str:
    """`name`, or the first of `name-2`, `name-3`… that no run has."""
    candidate, number = name, 1
    while any(run.name == candidate for run in store.runs.find(candidate)):
        number += 1
        tail = f"-{number}"
        candidate = name[: LONGEST_NAME - len(tail)] + tail
    return candidate


def _preparation(model: ModelInfo, home: Home) -> list[dict[str, Any]]:
    """Commands that the supervisor runs before the worker."""
    if model.kind != "starter":
        return []
    return [
        {
            "argv": ["python", "-m", "engine.worker.starter", str(home.starter), "--samples", str(SAMPLES)],
            "lock": str(home.models / ".starter.lock"),
            "skip_if_exists": str(home.starter / "config.json"),
            "phase": "building the starter model",
        }
    ]


def _make_folder(draft: RunDir, rundir: RunDir, recipe: Recipe, inputs: dict[str, Any], parent: Parent | None) -> None:
    """What is to be `rundir`, whole: recipe, inputs, the checkpoint it starts from and the first event."""
    draft.path.mkdir(mode=0o700, parents=True)
    draft.recipe.write_text(recipe.to_toml(), encoding="utf-8")
    if parent is not None:
        inputs = inputs | {"parent": parent.kept_in(draft, rundir).to_json()}
    write_json(draft.inputs, inputs)
    _announce(draft, 1, "")


def _announce(rundir: RunDir, attempt: int, reason: str) -> None:
    """The first event of an attempt, written while the log has no other writer.

    From which step a later one goes on is the worker's to say: until it is at work, no point is superseded.
    """
    writer = EventWriter(rundir.events, attempt)
    try:
        writer.write(
            "state", status="queued", phase="starting", reason=reason, **({"from_step": 0} if attempt == 1 else {})
        )
        if writer.dropped:
            raise OSError("the event log cannot be written")
    finally:
        writer.close()


def last_attempt(rundir: RunDir) -> int:
    """The number of the attempt that was at work last, as far as the folder tells."""
    process = read_process(rundir.process)
    ended = read_table(rundir.exit).get("attempt")
    return max(1, process.attempt if process else 0, ended if isinstance(ended, int) else 0)


def _versions() -> dict[str, str]:
    """Versions of what decides a run's outcome, of the packages that are installed."""
    found = {"python": sys.version.split()[0]}
    for package in ("finetui", "torch", "transformers", "trl", "peft", "datasets", "bitsandbytes"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cannot_start(error: OSError) -> FinetuiError:
    return FinetuiError(
        "The run's process could not be started.",
        why=f"The system says: {error.strerror or error}.",
        fix="Look at free memory, disk space and the limit on processes (`ulimit -u`), then try again.",
    )
