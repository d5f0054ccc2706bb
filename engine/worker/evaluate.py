"""Measures models on rows: answers, and log-probabilities of what is expected. Reads and writes an evaluation's folder.

`python -m engine.worker.evaluate DIR`. What is in `answers.jsonl` already is not done again; SIGTERM ends it between
two batches. `end.json` says how it ended.
"""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from engine.errors import FinetuiError
from engine.worker.evaluation_folder import AnswerLog, Progress, Spec, Subject, begin, end, read_items, read_spec
from engine.worker.failures import explain
from engine.worker.interrupt import StopRequest
from engine.worker.libraries import import_quickly
from engine.worker.live_row import LiveRow
from engine.worker.refusal import Refusal

STOPPED = "stopped"


def main(folder: str) -> int:
    """Exit status 0 where everything was measured or it was stopped, else 1."""
    path = Path(folder)
    stop = StopRequest()
    begin(path)
    try:
        whole = _evaluate(path, stop)
    except BaseException as error:
        failure = explain(error, None)
        known = isinstance(error, Refusal | FinetuiError)
        if not known:
            traceback.print_exc()
        # The usual remedies are those of training; here they would be about settings that an evaluation has not.
        fix = getattr(error, "fix", "") if known else ""
        reason = f"{failure.reason.rstrip('.')}. {fix}".strip()
        sys.stderr.write(f"{reason}\n")
        end(path, reason, failure.code.value)
        return 1
    end(path, *(("", "") if whole else ("It was stopped.", STOPPED)))
    return 0


def _evaluate(folder: Path, stop: StopRequest) -> bool:
    """Measure what is missing; whether it came to the end."""
    spec, items = read_spec(folder), read_items(folder)
    at_work: list[Sequence[LiveRow]] = [()]

    def watch(rows: Sequence[LiveRow]) -> None:
        at_work[0] = rows

    def cancel_if_asked() -> None:
        if stop.requested:
            for row in at_work[0]:
                row.cancel()

    log = AnswerLog(folder)
    total = len(items) * len(spec.subjects)
    wanted = {(item.row, subject.place) for item in items for subject in spec.subjects}
    progress = Progress(folder, total, len(wanted & log.done), cancel_if_asked)
    try:
        import_quickly()
        from engine.worker.measuring import Measuring, require_folders

        groups = _by_base(spec)
        missing = [
            group for group in groups if any((item.row, one.place) not in log.done for item in items for one in group)
        ]
        require_folders([subject for group in missing for subject in group])
        for group in missing:
            if stop.requested:
                return False
            measuring = Measuring(spec, group, progress, lambda: stop.requested, watch)
            if not measuring.measure(items, log):
                return False
            del measuring  # its memory is the next one's
        progress.say("done")
        return True
    finally:
        progress.close()
        log.close()


def _by_base(spec: Spec) -> list[list[Subject]]:
    """The models, those together that stand on one loaded base."""
    groups: dict[tuple[str, str | None, str, str], list[Subject]] = {}
    for subject in spec.subjects:
        groups.setdefault(subject.loaded, []).append(subject)
    return list(groups.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
