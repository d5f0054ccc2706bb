"""Where finetui keeps everything: one folder, `$FINETUI_HOME`."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput


@dataclass(frozen=True)
class Home:
    """The folder that holds the store, the datasets, the models and the runs."""

    root: Path

    @property
    def db(self) -> Path:
        """The store: where `store` in `settings.toml` says, else in the home. Raises `BadInput` for no such place."""
        return _chosen_store(self.root / "settings.toml") or self.root / "finetui.db"

    @property
    def ingest_lock(self) -> Path:
        """Locked by the process that takes events into the store. Beside the store: machines that share a home over a
        network each have their own."""
        db = self.db
        return self.root / "ingest.lock" if db.parent == self.root else db.with_name(f"{db.name}-ingest")

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def run_folders(self) -> list[Path]:
        """The folders of the runs, sorted; those that are being made or removed have a dot before their name."""
        return sorted(self.runs.glob("[!.]*/"))

    @property
    def sweeps(self) -> Path:
        return self.root / "sweeps"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def evaluations(self) -> Path:
        return self.root / "evaluations"

    @property
    def sockets(self) -> Path:
        return self.root / "sockets"

    @property
    def starter(self) -> Path:
        """The starter model's folder; it exists once the model has been built."""
        return self.models / "starter"

    def ensure(self) -> "Home":
        """Make the folders (mode 0700). Raises `BadInput` where that is not possible."""
        try:
            for folder in (self.root, self.datasets, self.models, self.runs, self.sockets):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise BadInput(
                f"finetui cannot write to its home, {self.root}.",
                why=f"The system says: {error.strerror or error}.",
                fix="Free or unlock that folder, or choose another with --home DIR or $FINETUI_HOME.",
            ) from error
        return self


def _chosen_store(settings: Path) -> Path | None:
    try:
        words = settings.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    if "store" not in words:
        return None
    import tomllib

    try:
        chosen = tomllib.loads(words).get("store")
    except ValueError:
        return None  # the app says what is wrong with the file
    if chosen is None:
        return None
    place = Path(chosen).expanduser() if isinstance(chosen, str) and chosen and "\0" not in chosen else None
    if place is None or not place.is_absolute():
        raise BadInput(
            f"{settings} says something else than a place for the store.",
            why=f"store is {str(chosen)[:200]!r}; it has to be the whole path of a file.",
            fix='Write store = "/a/local/disk/finetui.db" there, or remove it.',
        )
    return place


def find_home(override: str | Path | None = None) -> Home:
    """The home: `override`, else `$FINETUI_HOME`, else the platform's user data folder. Not made yet."""
    chosen = override or os.environ.get("FINETUI_HOME")
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    from platformdirs import user_data_path

    return Home(user_data_path("finetui", appauthor=False))
