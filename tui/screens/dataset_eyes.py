"""Whose eyes the rows are seen with: asks for a model, a template or a length."""

from dataclasses import replace
from typing import TYPE_CHECKING

from tui.screens.dataset_pane import SeenBy
from tui.screens.dialogs import Option, PickDialog, TextDialog
from tui.screens.pick_model import PickModel

if TYPE_CHECKING:
    from engine.models import ModelInfo
    from tui.screens.dataset import DatasetScreen
    from tui.services import Services

LONGEST = 1 << 20
TEMPLATE_WORDS = {"own": "the template that comes with the model"}


def choose(page: "DatasetScreen", what: str) -> None:
    """Ask for another model, template or length, or turn `assistant_only` round."""
    seen = page.seen_by
    if what == "answers":
        page.see(replace(seen, assistant_only=not seen.assistant_only))
    elif what == "model":
        page.in_thread(lambda: _models(page.services), lambda models: _ask_model(page, models), group="models")
    elif what == "template":
        page.in_thread(
            lambda: _templates(page.services, seen), lambda names: _ask_template(page, names), group="templates"
        )
    elif what == "length":
        hint = f"tokens, 8 to {LONGEST:,}; what is longer is cut"
        page.app.push_screen(
            TextDialog("Longest sequence", str(seen.max_length), hint=hint), lambda text: _take_length(page, text)
        )


def _ask_model(page: "DatasetScreen", models: "list[ModelInfo]") -> None:
    dialog = PickModel(models, page.seen_by.model)
    page.app.push_screen(
        dialog, lambda name: page.see(replace(page.seen_by, model=name, template=SeenBy.template)) if name else None
    )


def _ask_template(page: "DatasetScreen", names: list[str]) -> None:
    choices = [Option(name, name, TEMPLATE_WORDS.get(name, "")) for name in names]
    page.app.push_screen(
        PickDialog("Template", choices, selected=page.seen_by.template),
        lambda name: page.see(replace(page.seen_by, template=name)) if name else None,
    )


def _take_length(page: "DatasetScreen", text: str | None) -> None:
    if text is None:
        return
    digits = text.replace(",", "").strip()
    if not digits.isdecimal() or not 8 <= int(digits[:12]) <= LONGEST:
        page.notify(f"A length is a whole number, 8 to {LONGEST:,}.", severity="warning", markup=False)
        return
    page.see(replace(page.seen_by, max_length=int(digits)))


def _models(services: "Services") -> "list[ModelInfo]":
    """What is on this machine, then the models of earlier runs that are not."""
    from engine.errors import BadInput
    from engine.models import list_models, resolve_model

    found = list_models(services.home)
    known = {model.name for model in found}
    for run in services.store.runs.list(limit=200):
        if run.model not in known:
            known.add(run.model)
            try:
                found.append(resolve_model(run.model, services.home))
            except BadInput:
                continue  # a folder that is gone
    return found


def _templates(services: "Services", seen: SeenBy) -> list[str]:
    from engine.tokens import model_tokenizer

    return list(model_tokenizer(services.home, seen.model).templates())
