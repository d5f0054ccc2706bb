"""Fetches a dataset of the hub, or of a folder, through `datasets`: `python -m engine.worker.hub --dataset=NAME`.

Leaves a Parquet file for each split in the folder it runs in, and one line of JSON about how it went. It never runs
code that comes with a dataset.
"""

import argparse
import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

from engine.datasets.sources.files import places_inside
from engine.errors import FinetuiError
from engine.text import clean_line

RESULT = ".hub-result.json"
PROGRESS = ".hub-progress"
ROWS_IN_GROUP = 1_000

_REACH_S = 5.0
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_ARCHIVES = ("zip://", "tar://", "gzip://", "bz2://", "xz://", "zstd://")
_COPY = "On a machine with a network, download its files; copy them here and import their folder."


def main(arguments: list[str]) -> int:
    """Fetch, and say in `RESULT` how it went. Returns the exit status."""
    options = parse_arguments(arguments)
    if options.parent_pid:
        threading.Thread(target=_end_without, args=(options.parent_pid,), daemon=True).start()
    is_folder = Path(options.dataset).is_absolute()
    try:
        missing = None if is_folder else _no_network()
        files = fetch(options.dataset, options.config, options.revision, options.split, missing)
        result: dict[str, Any] = {"ok": True, "files": files}
    except FinetuiError as error:
        result = {"ok": False, "what": error.what, "why": error.why, "fix": error.fix}
    part = Path(f"{RESULT}.part")
    part.write_text(json.dumps(result) + "\n", encoding="utf-8")
    part.replace(RESULT)
    return 0 if result["ok"] else 1


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker.hub", description=__doc__)
    parser.add_argument("--dataset", required=True, help="OWNER/NAME, or the absolute path of a folder")
    parser.add_argument("--config", help="configuration of the dataset")
    parser.add_argument("--revision", help="branch, tag or commit")
    parser.add_argument("--split", help="one split alone, or a slice of it")
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    return parser.parse_args(arguments)


def fetch(
    dataset: str, config: str | None, revision: str | None, split: str | None, missing: str | None = None
) -> list[str]:
    """Write the Parquet files into the folder we are in and return their names. Raises `FinetuiError`.

    `missing` says why the hub cannot be asked; the cache may have the dataset all the same.
    """
    if missing:
        os.environ["HF_HUB_OFFLINE"] = "1"  # before the library is imported: else it tries for half a minute
    _report(0.05)
    from datasets import DatasetDict, load_dataset_builder

    try:
        builder = load_dataset_builder(dataset, name=config, revision=revision)
        check_places(dataset, [str(name) for names in (builder.config.data_files or {}).values() for name in names])
        builder.download_and_prepare()
        loaded = builder.as_dataset(split=split)
        _report(0.6)
        splits = dict(loaded) if isinstance(loaded, DatasetDict) else {(split or "train").split("[")[0]: loaded}
        total = max(1, sum(len(rows) for rows in splits.values()))
        files = []
        done = 0
        for name, rows in splits.items():
            file = f"{re.sub(r'[^0-9A-Za-z_.-]+', '-', str(name)).strip('.') or 'train'}.parquet"
            rows.to_parquet(f".{file}.part", batch_size=ROWS_IN_GROUP)
            Path(f".{file}.part").replace(file)
            files.append(file)
            done += len(rows)
            _report(0.6 + 0.4 * done / total)
    except FinetuiError:
        raise
    except Exception as error:  # whatever a library of a hundred loaders raises
        raise explained(error, dataset, missing) from error
    return files


def check_places(dataset: str, files: list[str]) -> None:
    """Raise `FinetuiError` for a data file that lies elsewhere.

    A README may name any file of this machine as data, and a link in a folder may lead to one.
    """
    inside = places_inside(Path(dataset)) if Path(dataset).is_absolute() else ()
    for name in files:
        *packed, place = name.split("::")  # `zip://a.csv::hf://…/data.zip`
        there = "://" not in place and any(Path(place).resolve().is_relative_to(folder) for folder in inside)
        far = not inside and place.startswith(("hf://", "https://"))
        if not (there or far) or not all(one.startswith(_ARCHIVES) for one in packed):
            raise FinetuiError(
                f"The dataset {dataset} takes data from elsewhere: {clean_line(name)[:200]}.",
                why="A link in it, or its README, leads to a file that is no part of it. Nothing of it was read.",
                fix="If you want that file as data, import it by its own name; else take the link or the line out.",
            )


def explained(error: Exception, dataset: str, missing: str | None = None) -> FinetuiError:
    """What the libraries said about a dataset, as a person needs it."""
    text = " ".join(str(error).split())
    kinds = {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    what = f"The dataset {dataset} cannot be fetched."
    if "scripts are no longer supported" in text:
        return FinetuiError(
            f"The dataset {dataset} is made by a script that comes with it.",
            why="Such scripts can do anything, so they are not run any more; nothing of it was run.",
            fix=f"Look for its Parquet files: hub:{dataset}@refs/convert/parquet, or a newer copy of the dataset.",
        )
    if "gated" in text or "GatedRepoError" in kinds:
        return FinetuiError(
            what,
            why="It is gated: its owners let in whom they know.",
            fix="Ask for access on its page, then run `hf auth login` or set HF_TOKEN.",
        )
    if text.startswith("Revision ") or "RevisionNotFoundError" in kinds:
        return FinetuiError(what, why=text, fix="Name a branch, a tag or a commit after the @.")
    if "DatasetNotFoundError" in kinds or "RepositoryNotFoundError" in kinds:
        return FinetuiError(
            what,
            why="The hub has no dataset of that name, or it is private.",
            fix="Check the name (owner/name); for a private one run `hf auth login` or set HF_TOKEN.",
        )
    if "Config name is missing" in text or "BuilderConfig" in text:
        return FinetuiError(
            what, why=f"It has several configurations: {text}", fix=f"Name one of them: hub:{dataset}/CONFIG."
        )
    if "Unknown split" in text or "Bad split" in text:
        return FinetuiError(what, why=text, fix="Name one of these splits after the colon, or none for all.")
    if "EmptyDatasetError" in kinds or "DataFilesNotFoundError" in kinds:
        return FinetuiError(what, why="It has no data files that can be read.", fix="Look at its files on the hub.")
    if missing or kinds & {"OfflineModeIsEnabled", "ConnectError"} or "Couldn't reach" in text:
        why = f"{missing or 'There is no network.'} It is not in the cache of this machine either."
        return FinetuiError(what, why=why, fix=_COPY)
    if kinds & {"ConnectionError", "TimeoutException", "HTTPError", "NetworkError", "TransportError"}:
        return FinetuiError(what, why=f"The connection broke: {text[:300]}", fix=f"Try again later. {_COPY}")
    cause = _causes(error)[-1]
    why = f"{type(cause).__name__}: {' '.join(str(cause).split())[:500]}"
    return FinetuiError(what, why=why, fix="Import its files themselves: finetui says which row is wrong.")


def _causes(error: BaseException) -> list[BaseException]:
    """The error, and what caused it, the first cause last."""
    found = [error]
    while (cause := found[-1].__cause__) and cause not in found:
        found.append(cause)
    return found


def _no_network() -> str | None:
    """Why the hub cannot be asked, or `None`. Asking once is quick; the libraries would try again and again."""
    for name in _OFFLINE:
        if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"{name} keeps finetui from asking the hub."
    import httpx

    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        httpx.head(address, timeout=_REACH_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"{address} cannot be reached ({type(error).__name__})."
    return None


def _report(share: float) -> None:
    part = Path(f"{PROGRESS}.part")
    part.write_text(f"{share:.4f}", encoding="ascii")
    part.replace(PROGRESS)


def _end_without(parent: int) -> None:
    """End this process when the one that started it is gone: a download of hours is wanted by nobody then."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
