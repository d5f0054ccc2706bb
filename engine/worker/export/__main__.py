"""Does an export: `python -m engine.worker.export FOLDER`, where FOLDER has its `spec.json`.

It says how far it is in `progress.json` and how it ended in `end.json`; what it writes appears at its place whole.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from engine.errors import FinetuiError
from engine.export.spec import END, PROGRESS, SPEC, Spec
from engine.runs.rundir import write_json
from engine.worker.export.doing import export


def main(folder: Path) -> int:
    """Exit status 0 where everything was written, else 1."""
    signal.signal(signal.SIGTERM, _end)
    spec = Spec.from_json(json.loads((folder / SPEC).read_text(encoding="utf-8")))
    staging = Path(spec.staging)

    def step(doing: str, share: float) -> None:
        write_json(folder / PROGRESS, {"doing": doing, "share": share, "t": time.time()})

    try:
        step("starting", 0.0)
        ended = {"t": time.time(), "result": export(spec, step).to_json()}
    except FinetuiError as error:
        ended = {"t": time.time(), "error": {"what": error.what, "why": error.why, "fix": error.fix}}
    except (OSError, MemoryError) as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        fix = "Free some of it, or export to another place."
        ended = {"t": time.time(), "error": {"what": "The export could not be written.", "why": words, "fix": fix}}
    finally:
        if staging.is_dir():
            shutil.rmtree(staging, ignore_errors=True)
        else:
            staging.unlink(missing_ok=True)
    write_json(folder / END, ended)
    return 0 if "result" in ended else 1


def _end(_number: int, _frame: FrameType | None) -> None:
    """Asked to stop: what was half written goes."""
    sys.exit(1)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main(Path(sys.argv[1])))
