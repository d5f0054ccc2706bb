"""A process that does to a home what people do, one line of JSON a wish; between two it takes in what runs write.

`python -m tests.faults.soak.actor HOME -- WORKER…`. Each wish gets one line back once it is done: that line is what a
person would have seen, so whatever it says must hold, whoever is killed afterwards.
"""

import json
import select
import sys
from pathlib import Path
from typing import Any

from engine.errors import FinetuiError
from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from store import Store, StoreError, open_store

LOOK_S = 0.05
COPY = "backup.db"
"""Where in the home the store is copied to."""


def main() -> int:
    home = Home(Path(sys.argv[1]))
    store = open_store(home.db)
    manager = RunManager(home, store, worker=sys.argv[3:])
    print(json.dumps({"ready": True}), flush=True)
    while True:
        if not select.select([sys.stdin], [], [], LOOK_S)[0]:
            try:
                manager.refresh()
            except StoreError as error:
                print(json.dumps({"complaint": str(error)}), file=sys.stderr, flush=True)
            continue
        line = sys.stdin.readline()
        if not line:
            return 0
        wish = json.loads(line)
        try:
            answer = do(home, store, manager, wish)
        except (FinetuiError, StoreError) as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer), flush=True)


def do(home: Home, store: Store, manager: RunManager, wish: dict[str, Any]) -> dict[str, Any]:
    run = wish.get("run", "")
    match wish["do"]:
        case "launch":
            return {"run": manager.launch(make_recipe({"dataset": "support"}), name=wish["name"]).id}
        case "stop":
            manager.stop(run)
        case "kill":
            manager.stop(run, now=True)
        case "resume":
            manager.resume(run)
        case "note":
            store.runs.set_note(run, wish["text"])
        case "rebuild":
            manager.rebuild()
        case "backup":
            target = home.root / COPY
            target.unlink(missing_ok=True)
            store.backup(target)
        case "yield":
            manager.close()
    return {"done": wish["do"]}


if __name__ == "__main__":
    sys.exit(main())
