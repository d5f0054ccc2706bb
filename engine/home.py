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
        return self.root / "finetui.db"

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


def find_home(override: str | Path | None = None) -> Home:
    """The home: `override`, else `$FINETUI_HOME`, else the platform's user data folder. Not made yet."""
    chosen = override or os.environ.get("FINETUI_HOME")
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    from platformdirs import user_data_path

    return Home(user_data_path("finetui", appauthor=False))
