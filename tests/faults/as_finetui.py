"""The command `finetui`, in all but its worker: `python -m tests.faults.as_finetui WORDS…` trains by the stand-in."""

import os
import sys

from engine.runs.manager import RunManager
from tests.engine.runs_at_work import stand_in
from tui.cli import main

if __name__ == "__main__":
    defaults = RunManager.__init__.__kwdefaults__
    assert defaults is not None
    defaults["worker"] = tuple(stand_in(*os.environ["STAND_IN"].split()))
    sys.exit(main())
