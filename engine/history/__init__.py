"""Past experiments as runs of this home: what other trackers, trainers and machines wrote.

`find_history` says which runs a path holds, by what is in its files; `import_history` makes run folders of them, which
every screen and `finetui store rebuild` read like any other. `docs/history.md` lists what is taken over from where.
"""

from engine.history.finding import Findings, find_history
from engine.history.importing import Imported, Outcome, import_history
from engine.history.items import FoundRun

__all__ = ["Findings", "FoundRun", "Imported", "Outcome", "find_history", "import_history"]
