"""Run folders of finetui that were copied from another machine: their history, without weights and without commands.

`inputs.json` of a run says what to execute before its worker. None of that is taken over: a folder from somewhere else
must not be able to run anything here.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from engine.history.config import without_secret_settings
from engine.history.items import FoundRun
from engine.runs.protocol import EventWriter, read_events
from engine.runs.reconcile import judge
from engine.runs.rundir import RunDir, read_json
from engine.toml import parse_toml
from store.records import TERMINAL, Status

ID = re.compile(r"r[0-9a-z]{11}")
IMPORTED = "imported:"
"""How the stamp begins of a run that had been imported there: it is the stamp of what it was imported from."""
_KEPT = ("asked", "plan", "versions", "template_hash", "needs_bytes", "parent")
_LONGEST_RECIPE = 1 << 20
_LONGEST_LOG = 256 << 20


def is_run_folder(folder: Path) -> bool:
    rundir = RunDir(folder)
    return all(path.is_file() and not path.is_symlink() for path in (rundir.inputs, rundir.events))


def find_copied(folder: Path) -> FoundRun | None:
    """The run in a folder; `None` where its `inputs.json` cannot be read. Raises `OSError`."""
    inputs = read_json(RunDir(folder).inputs)
    if not isinstance(inputs, dict):
        return None
    events = RunDir(folder).events.stat()
    own = inputs.get("source_id")  # imported there: what it was then is what it is here
    stamp = inputs.get("source_stamp")
    created = inputs.get("created")
    return FoundRun(
        source=str(inputs.get("source") or "finetui"),
        source_id=own if isinstance(own, str) and own else f"finetui:{inputs.get('id') or folder.name}",
        name=str(inputs.get("name") or folder.name),
        path=folder,
        files=(RunDir(folder).events,),
        stamp=f"{IMPORTED}{stamp}" if own and stamp else f"{events.st_size}:{events.st_mtime_ns}",
        size=events.st_size,
        key=str(inputs.get("id") or ""),
        created=float(created) if isinstance(created, (int, float)) else None,
    )


def copy_run(run: FoundRun, draft: RunDir) -> dict[str, Any]:
    """Copy the history of a run folder into `draft`; returns its inputs as they are to be here. Raises `OSError`."""
    there = RunDir(run.path)
    inputs = read_json(there.inputs)
    inputs = inputs if isinstance(inputs, dict) else {}
    shutil.copyfile(there.events, draft.events, follow_symlinks=False)
    draft.events.chmod(0o600)
    if there.log.is_file() and not there.log.is_symlink() and there.log.stat().st_size <= _LONGEST_LOG:
        shutil.copyfile(there.log, draft.log, follow_symlinks=False)
    _end(there, draft)
    model, dataset = (_object(inputs.get(name)) for name in ("model", "dataset"))
    config = inputs.get("config")
    recipe = config if isinstance(config, dict) else _recipe(there.recipe)
    return {
        **{name: without_secret_settings(inputs[name]) for name in _KEPT if name in inputs},
        "model": {"name": str(model.get("name") or ""), "kind": "imported"},
        "dataset": {"id": "", "name": str(dataset.get("name") or ""), "version": dataset.get("version")},
        "method": str(inputs.get("method") or recipe.get("method") or ""),
        "config": recipe,
        "notes": str(inputs.get("notes") or ""),
        "tags": [str(tag) for tag in inputs["tags"]] if isinstance(inputs.get("tags"), list) else [],
    }


def _end(there: RunDir, draft: RunDir) -> None:
    """Say how the run ended where its log does not: nobody here could find out later."""
    size = draft.events.stat().st_size
    window = 1 << 16
    while True:
        chunk = read_events(draft.events, max(0, size - window), window + 1)
        said = [event.get("status") for event in chunk.events if event["kind"] in ("state", "end")]
        if said or window >= size:
            break
        window *= 8
    if said and said[-1] in TERMINAL:
        return
    read = (there.exit, there.process, there.log)  # what it is judged by; a link may lead to anything of this machine
    verdict = None if any(path.is_symlink() for path in read) else judge(there)
    attempt = chunk.events[-1]["attempt"] if chunk.events else 1
    ended = verdict.ended if verdict else (chunk.events[-1]["t"] if chunk.events else there.events.stat().st_mtime)
    writer = EventWriter(draft.events, attempt, clock=lambda: ended)
    try:
        status, reason = (
            (verdict.status, verdict.reason) if verdict else (Status.LOST, "it was at work when it was copied")
        )
        writer.write("end", status=str(status), reason=reason)
    finally:
        writer.close()


def _recipe(path: Path) -> dict[str, Any]:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LONGEST_RECIPE:
            return {}
        return parse_toml(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
