"""How fast datasets come in, are looked through, thinned out and counted; peers are measured in the same run.

* Import of JSONL, beside `datasets.load_dataset("json")`, which parses the same file and converts nothing.
* A million rows in the app: jumps to any row, first search results, and the memory of the app's process.
* Exact and near duplicates.
* Token counts, beside `datasets.map` with the same tokenizer and template in one process, row by row and in batches.

    python -m benchmarks.datasets [--rows 100000] [--browse-rows 1000000] [--only import,dedupe,tokens,browse]

The tokens need the starter model (`finetui demo --headless` builds it): `--model` names another.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.browsing import browse
from benchmarks.conversations import NEEDLE, NEEDLE_EVERY, write_jsonl
from benchmarks.machine import record
from engine.datasets.library import DatasetLibrary
from engine.home import Home, find_home
from store import open_store
from store.records import Dataset

PARTS = ("import", "dedupe", "tokens", "browse")
PEER_ROWS = 10_000
"""Rows for the slowest peer, which is linear in them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--browse-rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many imports")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--model", default="starter")
    options = parser.parse_args()
    parts = options.only.split(",")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder, "home")).ensure()
        starter = find_home().starter
        if options.model == "starter" and starter.exists():
            shutil.copytree(starter, home.starter)
        store = open_store(home.db)
        library = DatasetLibrary(home, store)
        try:
            if parts != ["browse"]:
                file = write_jsonl(Path(folder, "chats.jsonl"), options.rows, duplicates=0.05, near=0.05)
                dataset, figures["import"] = imports(library, file, options.rounds)
            if "dedupe" in parts:
                figures["dedupe"] = duplicates(library, dataset)
            if "tokens" in parts:
                figures["tokens"] = tokens(library, dataset, options.model)
            if "browse" in parts:
                figures["browse"] = million(home, library, Path(folder), options.browse_rows)
        finally:
            library.close()
            store.close()
    show(figures)
    print(f"written: {record('datasets', figures)}")


def imports(library: DatasetLibrary, file: Path, rounds: int) -> tuple[Dataset, dict[str, Any]]:
    """JSONL to a version, the best of some rounds, beside a bare load of the file by `datasets`."""
    found = [timed(partial(library.import_file, file, name=f"chats-{number}")) for number in range(rounds)]
    best, dataset = min(found, key=lambda one: one[0])
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        peer, _ = timed(lambda: datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=cache))
    return dataset, {
        "rows": dataset.rows,
        "bytes": file.stat().st_size,
        "seconds": round(best, 2),
        "rows_per_s": round(dataset.rows / best),
        "load_dataset_s": round(peer, 2),
        "over_load_dataset": round(best / peer, 2),
    }


def duplicates(library: DatasetLibrary, dataset: Dataset) -> dict[str, Any]:
    """Both ways, new version included."""
    from engine.datasets.making import dedupe

    exact_s, exact = timed(lambda: dedupe(library, dataset))
    near_s, near = timed(lambda: dedupe(library, dataset, near=0.9))
    return {
        "rows": dataset.rows,
        "exact_s": round(exact_s, 2),
        "exact_removed": exact.before - exact.after,
        "near_s": round(near_s, 2),
        "near_removed": near.before - near.after,
    }


def tokens(library: DatasetLibrary, dataset: Dataset, model: str) -> dict[str, Any]:
    """All rows counted, then again from what was kept; the peers count fewer rows and are scaled."""
    from engine.tokens import model_tokenizer, row_tokens

    tokenizer = model_tokenizer(library.home, model)
    first_s, lengths = timed(lambda: row_tokens(library, dataset, tokenizer))
    again_s, _ = timed(lambda: row_tokens(library, dataset, tokenizer))

    import datasets
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    peer = AutoTokenizer.from_pretrained(str(library.home.starter if model == "starter" else model))
    count = min(PEER_ROWS, dataset.rows)
    rows = datasets.Dataset.from_list(
        [
            {"messages": [{"role": turn.role, "content": turn.content} for turn in row.messages]}
            for row in library.rows(dataset.id, limit=count)
        ]
    )

    def single(row: dict[str, Any]) -> dict[str, Any]:
        return {"length": len(peer.apply_chat_template(row["messages"], return_dict=True)["input_ids"])}

    def batched(batch: dict[str, Any]) -> dict[str, Any]:
        ids = peer.apply_chat_template(batch["messages"], return_dict=True)["input_ids"]
        return {"length": [len(one) for one in ids]}

    single_s, counted = timed(lambda: rows.map(single, load_from_cache_file=False))
    batched_s, _ = timed(lambda: rows.map(batched, batched=True, load_from_cache_file=False))
    if list(counted["length"]) != list(lengths[:count]):
        raise SystemExit("the counts differ from those of the peer")
    scale = dataset.rows / count
    return {
        "rows": dataset.rows,
        "tokens": int(lengths.sum()),
        "seconds": round(first_s, 2),
        "again_s": round(again_s, 3),
        "map_s": round(single_s * scale, 1),
        "map_batched_s": round(batched_s * scale, 1),
        "times_faster_than_map": round(single_s * scale / first_s, 1),
        "times_faster_than_batched_map": round(batched_s * scale / first_s, 1),
    }


def million(home: Home, library: DatasetLibrary, folder: Path, rows: int) -> dict[str, Any]:
    """The app, in a process of its own, on a dataset of a million rows."""
    file = write_jsonl(folder / "million.jsonl", rows)
    seconds, dataset = timed(lambda: library.import_file(file, name="million"))
    file.unlink()
    return {"rows": dataset.rows, "import_s": round(seconds, 1), **browse(home, dataset.id, NEEDLE, NEEDLE_EVERY)}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def show(figures: dict[str, Any]) -> None:
    for part, found in figures.items():
        print(part)
        for name, value in found.items():
            print(
                f"  {name.replace('_', ' '):<32}{value:>14,}" if isinstance(value, int) else f"  {name:<32}{value:>14}"
            )


if __name__ == "__main__":
    main()
