"""What stands side by side in a chat: the base model, the adapters of runs, models behind an address."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.home import Home, find_home
from engine.inference.endpoint import endpoint
from engine.runs.rundir import RunDir, read_json
from store.records import Run


@dataclass(frozen=True)
class Pane:
    """One model of a chat. Panes with the same `server` are answered by one server, in one batch."""

    label: str
    model: str
    """The base model that is loaded: a folder or a hub name."""
    revision: str | None
    quantised: bool
    """Whether the base is held in 4-bit, as it was for a QLoRA run."""
    adapter: Path | None
    run_id: str | None
    precision: str = "auto"
    trust_remote_code: bool = False
    url: str = ""
    """An OpenAI-compatible endpoint that answers instead; `model` is then the name there."""
    key_env: str = ""
    """The environment variable with the endpoint's key. The key itself is kept nowhere."""

    @property
    def server(self) -> tuple[str, str, str | None, bool, str, bool]:
        """What decides which server can answer."""
        return (self.url, self.model, self.revision, self.quantised, self.precision, self.trust_remote_code)


def panes_for(runs: Sequence[Run], base: str | None, home: Home | None = None) -> list[Pane]:
    """The base model, then each run's adapter.

    The base is `base` (a name as in a recipe), else what the first run was trained on. Raises `BadInput` for a run that
    has no adapter yet and where there is neither run nor base.
    """
    adapted = [_pane(run) for run in runs]
    if base is not None:
        first = _named_base(base, adapted, home or find_home())
    elif runs:
        first = _base_of(runs[0])
    else:
        raise BadInput("There is no model to chat with.", fix="Name a base model, or a run that has an adapter.")
    return [first, *adapted]


def remote_panes(url: str, models: Sequence[str], key_env: str = "") -> list[Pane]:
    """A pane for each of `models` at an OpenAI-compatible endpoint. Raises `BadInput` for what is no web address."""
    endpoint(url)
    return [Pane(model, model, None, False, None, None, url=url, key_env=key_env) for model in models]


def adapter_name(pane: Pane, folder: Path) -> tuple[str, str]:
    """The pane's stem and its name at a server, which changes when the adapter's file does (a resumed run)."""
    file = folder / "adapter_model.safetensors"
    try:
        state = file.stat()
    except OSError as error:
        raise FinetuiError(
            f"The adapter of {pane.label} is gone.", why=f"There is no {file}.", fix="Was the run deleted?"
        ) from error
    words = re.sub(r"[^A-Za-z0-9_-]", "-", pane.run_id or folder.name)[:50]
    stem = f"{words}-{_digest(str(folder))}"  # of two folders, the words may be the same
    return stem, f"{stem}-{_digest(f'{state.st_mtime_ns} {state.st_size}')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _pane(run: Run) -> Pane:
    folder = RunDir(Path(run.dir)).adapter
    if run.method == "full":
        # Full training leaves a whole model, which is its own base.
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise _nothing_yet(run, "model")
        recipe = run.recipe
        return Pane(
            run.name, str(folder), None, False, None, run.id, _precision(recipe), bool(recipe.get("trust_remote_code"))
        )
    if not (folder / "adapter_model.safetensors").is_file():
        raise _nothing_yet(run, "adapter")
    model, revision = _trained_on(run)
    recipe = run.recipe
    return Pane(
        run.name,
        model,
        revision,
        run.method == "qlora",
        folder,
        run.id,
        _precision(recipe),
        bool(recipe.get("trust_remote_code")),
    )


def _base_of(run: Run) -> Pane:
    model, revision = _trained_on(run)
    trusted = bool(run.recipe.get("trust_remote_code"))
    return Pane("base", model, revision, run.method == "qlora", None, None, _precision(run.recipe), trusted)


def _named_base(name: str, adapted: Sequence[Pane], home: Home) -> Pane:
    from engine.models import resolve_model

    info = resolve_model(name, home)
    if info.kind == "starter" and not info.ready:
        raise BadInput(
            "The starter model has not been built yet.",
            fix="`finetui demo` builds it, and so does any run that uses it.",
        )
    for pane in adapted:
        if pane.model == info.path:
            # The same model as a run's: held as the run holds it, so that one server answers both.
            return Pane(
                "base", pane.model, pane.revision, pane.quantised, None, None, pane.precision, pane.trust_remote_code
            )
    return Pane("base", info.path, None, False, None, None)


def _trained_on(run: Run) -> tuple[str, str | None]:
    """The base model's folder or hub name, and its revision, as the run's folder recorded them."""
    inputs = read_json(RunDir(Path(run.dir)).inputs)
    model = inputs.get("model") if isinstance(inputs, dict) else None
    if isinstance(model, dict) and model.get("path"):
        return str(model["path"]), model.get("revision")
    raise BadInput(
        f"The base model of run {run.name} is not known.",
        why=f"{run.dir}/inputs.json is missing or damaged.",
        fix="Restore that file; it names the model that the adapter was trained on.",
    )


def _precision(recipe: dict[str, Any]) -> str:
    return str(recipe.get("precision", "auto"))


def _nothing_yet(run: Run, thing: str) -> BadInput:
    steps = f" at step {run.step} of {run.total_steps}" if run.total_steps else ""
    return BadInput(
        f"Run {run.name} has no {thing} yet.",
        why=f"It is {run.status}{steps}, and the {thing} is saved at the end.",
        fix="Wait for the run, or stop it: what it has learned by then is saved."
        if run.status.live
        else "Resume the run, or choose another.",
    )
