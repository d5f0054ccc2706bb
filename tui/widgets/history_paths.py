"""What a half-typed path to past runs could become: folders, and files that trackers write."""

from pathlib import Path

from tui.widgets.path_candidates import MOST, Candidate, entries_like, is_folder, size_words

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
    head, entries = entries_like(text, cwd)
    files: list[Candidate] = []
    folders: list[Candidate] = []
    for entry in entries:
        name = entry.name
        if is_folder(entry):
            folders.append(Candidate(f"{head}{name}/", f"{name}/", USUAL.get(name, "")))
        elif (what := _what(name)) and f"{head}{name}" != text:
            words = ", ".join(filter(None, (what, size_words(entry))))
            files.append(Candidate(f"{head}{name}", name, words))
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
