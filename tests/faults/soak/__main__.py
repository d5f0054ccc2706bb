"""`python -m tests.faults.soak [--kills N] [--minutes M] [--seed S] [--record]`: prints what was lost."""

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.machine import record
from engine.home import Home
from store import open_store
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import import_support, put_away
from tests.faults.soak.soak import Soak


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="keep the result in benchmarks/results/soak.json")
    options = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the app would not die of it
    with tempfile.TemporaryDirectory(prefix="finetui-soak-") as folder:
        home = Home(Path(folder) / "home").ensure()
        make_starter(home)
        store = open_store(home.db)
        import_support(home, store)
        store.close()
        with put_away(home.runs):
            report = Soak(home, options.seed, say=partial(print, flush=True)).run(options.kills, options.minutes)
    kinds = ", ".join(f"{count} × {kind}" for kind, count in report.kills.most_common())
    print(f"{report.total} kills in {report.seconds:.0f} s (seed {report.seed}): {kinds}")
    print(
        f"{report.runs} runs, {report.attempts} attempts, {report.losses} losses and {report.checkpoints} checkpoints"
        f" written, {report.looks} looks; a killed run showed its end after {report.slowest_end_s:.1f} s at most"
    )
    print("lost: " + ("\n  ".join(["", *report.lost]) if report.lost else "nothing"))
    if options.record:
        record("soak", asdict(report) | {"kills": dict(report.kills.most_common()), "total": report.total})
    return 1 if report.lost else 0


if __name__ == "__main__":
    sys.exit(main())
