"""What a half-typed path to past runs could become: folders, and files that trackers write."""

import os
from pathlib import Path

from tui.format import fmt_bytes
from tui.widgets.path_candidates import MOST, MOST_READ, Candidate

ENDINGS = {
    ".wandb": "W&B",
    ".db": "a database",
    ".sqlite": "a database",
    ".sqlite3": "a database",
}
USUAL = {
    "wandb": "W&B's offline runs",
    "mlruns": "MLflow's runs",
    "mlflow.db": "MLflow's database",
    "runs": "TensorBoard's runs",
    "lightning_logs": "TensorBoard's runs, by Lightning",
    "outputs": "training runs",
}
"""Where the trackers put runs when nobody says otherwise."""


def history_candidates(text: str, cwd: Path | None = None) -> list[Candidate]:
    """Completions of `text`; with nothing typed, the usual places that there are. Reads folders."""
    if not text:
        return _usual(cwd or Path.cwd())
    typed = Path(text).expanduser()
    folder = typed if text.endswith("/") else typed.parent
    part = "" if text.endswith("/") else typed.name
    head = text[: len(text) - len(part)]
    files: list[Candidate] = []
    folders: list[Candidate] = []
    try:
        with os.scandir((cwd or Path.cwd()) / folder) as entries:
            for entry, _ in zip(entries, range(MOST_READ), strict=False):
                name = entry.name
                if not name.lower().startswith(part.lower()) or (name.startswith(".") and not part.startswith(".")):
                    continue
                if entry.is_dir():
                    folders.append(Candidate(f"{head}{name}/", f"{name}/", USUAL.get(name, "")))
                elif (what := _what(name)) and name != part:
                    files.append(Candidate(f"{head}{name}", name, f"{what}, {fmt_bytes(entry.stat().st_size)}"))
    except OSError:  # no such folder, or not ours to read: nothing to complete
        return []
    files.sort(key=lambda one: one.label.lower())
    folders.sort(key=lambda one: (not one.detail, one.label.lower()))
    return (folders + files)[:MOST]


def _what(name: str) -> str:
    """What a file of that name may well be; empty for any other."""
    if "tfevents" in name:
        return "TensorBoard"
    if name == "trainer_state.json":
        return "a Trainer's state"
    return ENDINGS.get(Path(name).suffix, "")


def _usual(cwd: Path) -> list[Candidate]:
    found = []
    for name, what in USUAL.items():
        if (cwd / name).exists():
            text = f"{name}/" if (cwd / name).is_dir() else name
            found.append(Candidate(text, text, what))
    cache = Path("~/.cache/huggingface/trackio")
    if cache.expanduser().is_dir():
        found.append(Candidate(f"{cache}/", f"{cache}/", "Trackio's runs"))
    return found
