"""The sweeps of one home: start, stop, resume, remove, and say how each stands."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.runs.backends.local import own_environment
from engine.runs.claim import claimed, is_taken
from engine.runs.identity import ProcessRecord, boot_id, host, read_process
from engine.runs.launcher import new_run_id
from engine.runs.recognise import last_words
from engine.runs.reconcile import SILENCE_S
from engine.runs.rundir import read_json, read_table, write_json
from engine.runs.supervisor import WORKER
from engine.sweeps.folder import SweepDir
from engine.sweeps.outlook import look_ahead
from engine.sweeps.spec import SweepSpec
from store import Store
from store.records import Sweep, SweepStatus

SETTLE_S = 10.0
"""Time a driver that has said how it ended is given to be gone."""


class SweepManager:
    """What can be done to sweeps. Every method may be called from any thread.

    `worker` is the command that trains, for tests; it gets the run's folder as its last argument.
    """

    def __init__(self, home: Home, store: Store, *, worker: Sequence[str] = WORKER) -> None:
        self._home = home
        self._store = store
        self._worker = tuple(worker)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, spec: SweepSpec) -> Sweep:
        """Begin a sweep; it goes on whatever becomes of this process. A name that is taken gets `-2`, `-3`…

        Raises `BadInput` with all that stands in the way of its runs; nothing is left behind then.
        """
        look_ahead(self._home, self._store, spec)
        spec = spec.model_copy(update={"name": self._unique(spec.name)})
        folder = SweepDir(self._home.sweeps / f"s{new_run_id()[1:]}")
        created = time.time()
        draft = SweepDir(folder.path.with_name(f".new-{folder.path.name}"))
        try:
            draft.path.mkdir(mode=0o700, parents=True)
            draft.spec.write_text(spec.to_toml(), encoding="utf-8")
            write_json(draft.about, {"id": folder.path.name, "name": spec.name, "created": created})
            draft.path.rename(folder.path)
        except OSError as error:
            shutil.rmtree(draft.path, ignore_errors=True)
            raise BadInput(
                f"The sweep's folder cannot be made in {self._home.sweeps}.",
                why=f"The system says: {error.strerror or error}.",
            ) from error
        with claimed(folder.lock, _taken(spec.name)) as claim:
            self._store.sweeps.add(_record(folder, spec, created))
            self._drive(folder, claim)
        return self.get(folder.path.name)

    def stop(self, sweep_id: str) -> None:
        """Ask a sweep to stop the trials at work, which save first, and to end. Returns before it has.

        Raises `BadInput` for one that has ended.
        """
        sweep = self.get(sweep_id)
        if not sweep.status.live:
            raise BadInput(f"{sweep.name} has ended already: it is {sweep.status}.")
        SweepDir(Path(sweep.dir)).stop.touch()
        self._store.sweeps.set_status(sweep_id, SweepStatus.STOPPING)

    def resume(self, sweep_id: str) -> None:
        """Go on with a sweep that was stopped, failed or lost its driver. Raises `BadInput` for another."""
        sweep = self.get(sweep_id)
        if sweep.status.live or sweep.status is SweepStatus.SUCCEEDED:
            raise BadInput(
                f"{sweep.name} cannot be resumed: it is {sweep.status}.",
                fix="Only a sweep that was stopped, failed or was lost can be resumed.",
            )
        folder = SweepDir(Path(sweep.dir))
        if not folder.spec.exists():
            raise BadInput(f"{sweep.name} cannot be resumed: its folder {folder.path} is gone.")
        with claimed(folder.lock, _taken(sweep.name), SETTLE_S) as claim:
            for record in (folder.stop, folder.exit, folder.process):
                record.unlink(missing_ok=True)
            self._store.sweeps.set_status(sweep_id, SweepStatus.RUNNING)
            self._drive(folder, claim)

    def remove(self, sweep_id: str) -> None:
        """Forget a sweep that has ended. Its runs stay. Raises `BadInput` for a live one."""
        sweep = self.get(sweep_id)
        if sweep.status.live:
            raise BadInput(f"{sweep.name} is {sweep.status}.", fix="Stop it first, then remove it.")
        folder = SweepDir(Path(sweep.dir))
        self._wait_until_gone(folder, sweep.name)
        self._store.sweeps.delete(sweep_id)
        shutil.rmtree(folder.path, ignore_errors=True)

    # reading

    def get(self, sweep_id: str) -> Sweep:
        """The sweep as it stands now. Raises `NotFound`."""
        sweep = self._store.sweeps.get(sweep_id)
        if sweep is None:
            raise NotFound(f"There is no sweep {sweep_id!r}.")
        return self._settled(sweep)

    def find(self, text: str) -> Sweep:
        """The sweep with that id, name or start of an id.

        Raises `NotFound`, and `BadInput` where it could be several.
        """
        found = self._store.sweeps.find(text.strip())
        if len(found) == 1:
            return self._settled(found[0])
        if found:
            some = "\n".join(f"  {sweep.id}  {sweep.name}  ({sweep.status})" for sweep in found[:5])
            raise BadInput(f"{text!r} could be {len(found)} sweeps.", why=some, fix="Give the id of one of them.")
        raise NotFound(f"There is no sweep {text!r}.", fix="`finetui sweeps ls` lists them all.")

    def list(self, limit: int = 200) -> "list[Sweep]":
        """Sweeps as they stand now, newest first."""
        return [self._settled(sweep) for sweep in self._store.sweeps.list(limit)]

    def rebuild(self) -> int:
        """Put every sweep's folder into the store anew. Returns how many there are."""
        count = 0
        for path in sorted(self._home.sweeps.glob("s*/")):
            folder, about = SweepDir(path), read_json(SweepDir(path).about)
            try:
                sweep = _record(folder, folder.read_spec(), float((about or {})["created"]))
            except (BadInput, KeyError, TypeError, ValueError):
                continue
            if self._store.sweeps.get(sweep.id) is None:
                self._store.sweeps.add(sweep)
            self._settled(sweep)
            count += 1
        return count

    def _settled(self, sweep: Sweep) -> Sweep:
        """The sweep, its end put into the store where its driver has ended without doing so."""
        if not sweep.status.live:
            return sweep
        child = self._children.get(sweep.id)
        if child is not None and child.poll() is not None:
            del self._children[sweep.id]  # no zombie stays
        verdict = judge(SweepDir(Path(sweep.dir)))
        if verdict is None:
            return sweep
        status, reason, ended = verdict
        self._store.sweeps.set_status(sweep.id, status, reason, ended)
        return self._store.sweeps.get(sweep.id) or sweep

    # inner workings

    def _unique(self, name: str) -> str:
        taken = {sweep.name for sweep in self._store.sweeps.list(10_000)}
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}-{number}"
        return candidate

    def _drive(self, folder: SweepDir, claim: int) -> None:
        """Start the driver in a session of its own, its output in the sweep's log, and hand it the claim."""
        # -P: what lies in the working directory cannot stand in for a module.
        driver = [sys.executable, "-P", "-m", "engine.sweeps.driver", str(folder.path), "--claim", str(claim)]
        try:
            with folder.log.open("ab") as log:
                self._children[folder.path.name] = subprocess.Popen(
                    [*driver, "--worker", *self._worker],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(claim,),
                    start_new_session=True,
                    cwd=folder.path.parent,
                    env=own_environment(),
                )
        except OSError as error:
            reason = f"its driver could not be started: {error.strerror or error}"
            self._store.sweeps.set_status(folder.path.name, SweepStatus.FAILED, reason, time.time())
            raise FinetuiError(
                "The sweep's process could not be started.", why=f"The system says: {error.strerror or error}."
            ) from error

    def _wait_until_gone(self, folder: SweepDir, name: str) -> None:
        if folder.path.is_dir():
            with claimed(folder.lock, _taken(name), SETTLE_S):
                return


def _taken(name: str) -> str:
    return f"The driver of {name} is still at work."


def judge(folder: SweepDir, now: float | None = None) -> tuple[SweepStatus, str, float] | None:
    """How a sweep ended, why and when, or `None` while a driver may be at work on it."""
    now = time.time() if now is None else now
    record = read_process(folder.process)
    at_work = _may_be_at_work(folder, record, now)
    ending = read_table(folder.exit)  # after the driver was looked for: of a dead one, nothing can change it
    if ending.get("status") in list(SweepStatus):
        return SweepStatus(ending["status"]), str(ending.get("reason", "")), float(ending.get("ended") or now)
    if at_work or read_process(folder.process) != record:  # it was resumed meanwhile
        return None
    if record is None:
        words = last_words(folder.log).line
        return SweepStatus.LOST, "its driver never started" + (f": {words}" if words else ""), now
    gone = "the machine was restarted" if record.host == host() and record.boot_id != boot_id() else "it was killed"
    return SweepStatus.LOST, f"its driver is gone: {gone}; resume goes on", _changed(folder.process) or now


def _may_be_at_work(folder: SweepDir, record: ProcessRecord | None, now: float) -> bool:
    if record is not None and record.alive():
        return True
    if record is None or record.host == host():
        return is_taken(folder.lock)
    return now - _changed(folder.process) < SILENCE_S


def _record(folder: SweepDir, spec: SweepSpec, created: float) -> Sweep:
    written: dict[str, Any] = spec.model_dump(mode="json")
    return Sweep(folder.path.name, spec.name, created, SweepStatus.RUNNING, "", None, written, str(folder.path))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
