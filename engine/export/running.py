"""An export as a process of its own: started, followed, given up. It outlives who started it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Cancelled, FinetuiError
from engine.export.plan import ExportPlan
from engine.export.spec import END, LOCK, LOG, PROGRESS, SPEC, Result, Spec
from engine.home import Home
from engine.private import make_shared_folder
from engine.runs.backends.local import own_environment
from engine.runs.claim import claimed, is_taken
from engine.runs.rundir import read_json, write_json

POLL_S = 0.1
STOP_S = 10.0
KEPT = 20
"""So many ended exports keep their folder, with its log."""

Progress = Callable[[str, float], None]
"""Hears what is being done, and the share that is done, 0 to 1."""


def exports_of(home: Home) -> Path:
    """The folder with a folder for each of the latest exports."""
    return home.root / "exports"


@dataclass
class Export:
    """One export at work. `folder` is `exports/<id>` of the home."""

    folder: Path
    spec: Spec
    process: "subprocess.Popen[bytes]"

    def follow(self, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None) -> Result:
        """Wait for it. Raises what went wrong as `FinetuiError`, and `Cancelled` once `cancelled` says so."""
        seen = ("", -1.0)
        while self.process.poll() is None:
            if cancelled is not None and cancelled():
                self.stop()
                raise Cancelled
            at = read_json(self.folder / PROGRESS)
            if progress is not None and isinstance(at, dict) and (at.get("doing", ""), at.get("share", 0.0)) != seen:
                seen = (str(at.get("doing", "")), float(at.get("share", 0.0)))
                progress(*seen)
            time.sleep(POLL_S)
        return self._result()

    def stop(self) -> None:
        """End it; nothing of it is left at its place."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
                break
        _clear(self.spec)

    def _result(self) -> Result:
        ended = read_json(self.folder / END)
        if isinstance(ended, dict) and "result" in ended:
            return Result.from_json(ended["result"])
        _clear(self.spec)
        if isinstance(ended, dict) and isinstance(ended.get("error"), dict):
            told = ended["error"]
            raise FinetuiError(str(told["what"]), why=str(told.get("why", "")), fix=str(told.get("fix", "")))
        code = self.process.returncode
        killed = " The system does that when memory runs out." if code == -signal.SIGKILL else ""
        raise FinetuiError(
            f"{self.spec.source.label} could not be exported.",
            why=f"Its process ended with status {code}.{killed} {_last_line(self.folder / LOG)}".strip(),
            fix=f"All that it said is in {self.folder / LOG}.",
        )


def start_export(home: Home, plan: ExportPlan) -> Export:
    """Start the process, in a session of its own. Raises `FinetuiError` where the system refuses."""
    clear_up(home)
    folder, place = exports_of(home) / plan.spec.id, Path(plan.spec.dest)
    try:
        make_shared_folder(place.parent)
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
        folder.mkdir(mode=0o700, parents=True)
        with claimed(folder / LOCK, "It is being exported already.") as claim, (folder / LOG).open("ab") as log:
            write_json(folder / SPEC, plan.spec.to_json())
            process = subprocess.Popen(
                # -P: what lies in the working directory cannot stand in for a module.
                [sys.executable, "-P", "-m", "engine.worker.export", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(claim,),
                start_new_session=True,
                cwd=folder,
                env=own_environment() | {"TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""},
            )
    except OSError as error:
        raise FinetuiError(
            "The export could not be started.", why=f"The system says: {error.strerror or error}."
        ) from error
    return Export(folder, plan.spec, process)


def export_run(
    home: Home, plan: ExportPlan, progress: Progress | None = None, cancelled: Callable[[], bool] | None = None
) -> Result:
    """Start and follow. An interrupt of this process ends the export, too."""
    export = start_export(home, plan)
    try:
        return export.follow(progress, cancelled)
    except BaseException:
        if export.process.poll() is None:
            export.stop()
        raise


def clear_up(home: Home) -> None:
    """Remove what killed exports left half written, and the folders of all but the latest ones."""
    if not exports_of(home).is_dir():
        return
    ended = []
    for folder in exports_of(home).iterdir():
        if is_taken(folder / LOCK):
            continue
        ended.append(folder)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            _clear(Spec.from_json(json.loads((folder / SPEC).read_text(encoding="utf-8"))))
    ended.sort(key=_made)
    for folder in ended[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path) -> float:
    """When the last file came into a folder, unix seconds; 0 for one that another clearing up has removed."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _clear(spec: Spec) -> None:
    """Remove what was half written; what stood at the place before, and was not replaced, is put back."""
    old, place = Path(f"{spec.staging}.old"), Path(spec.dest)
    if old.exists() and not place.exists():
        old.rename(place)
    for path in (Path(spec.staging), Path(f"{spec.staging}.merged"), old):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _last_line(log: Path) -> str:
    try:
        text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rsplit("\r", 1)[-1].strip() for line in text.split("\n") if line.strip()]
    return f"Its last words: {lines[-1][:300]}" if lines else ""
