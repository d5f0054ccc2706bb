"""Who may take a seat in the chat, to pick from: base models, runs, a model at an endpoint."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import BadInput, FinetuiError
from tui.screens.dialogs import Option
from tui.screens.form_dialog import Field, FormDialog, Values
from tui.text import clean_line
from tui.widgets.chat_seats import (
    API,
    BASE,
    Seat,
    api_seat,
    base_seat,
    lettered,
    run_seat,
    runs_with_adapter,
    seats_for,
)
from tui.widgets.run_words import eval_loss_of, state_of

if TYPE_CHECKING:
    from engine.home import Home
    from store import Store

SEATED = "seated"
"""The choice of those who are seated already."""
AN_API = Option(API, "an API …", "a model at an OpenAI-compatible address")


def choices(store: "Store", home: "Home", taken: set[str]) -> list[Option]:
    """Who may take a seat: base models where there is none yet, then runs that have an adapter, then an endpoint."""
    from engine.models import list_models

    options = []
    if BASE not in taken:
        ready = [info for info in list_models(home) if info.ready]
        options = [Option(f"{BASE}:{info.name}", info.name, "base model") for info in ready]
    for run in runs_with_adapter(store):
        if run.id not in taken:
            loss, _, _ = eval_loss_of(run)
            words = [state_of(run).word, f"eval {loss}" if loss else "", clean_line(run.model)]
            options.append(Option(run.id, run.name, " · ".join(filter(None, words))))
    return [*options, AN_API]


def seat_of(store: "Store", home: "Home", key: str) -> Seat:
    """The seat of what was picked. Raises `FinetuiError` where it cannot answer."""
    if key.startswith(f"{BASE}:"):
        found = base_seat(key.removeprefix(f"{BASE}:"), home)
    else:
        run = store.runs.get(key)
        found = run_seat(run) if run is not None else FinetuiError(f"Run {key} is gone.")
    if isinstance(found, FinetuiError):
        raise found
    return found


def seats_of(store: "Store", home: "Home", key: str) -> list[Seat]:
    """A conversation's seats around what was picked: a run has its base beside it. Raises `FinetuiError`."""
    if key.startswith(f"{BASE}:"):
        return [seat_of(store, home, key)]
    seating = seats_for(store, home, [key])
    if seating.problems:
        raise seating.problems[0]
    return placed(seating.seats)


def placed(seats: Sequence[Seat]) -> list[Seat]:
    """The seats of a new conversation: places from 0, and letters."""
    return lettered([replace(seat, place=place) for place, seat in enumerate(seats)])


class ApiDialog(FormDialog):
    """Asks for a model at an endpoint."""

    def __init__(self) -> None:
        fields = (
            Field("url", "address", hint="http://127.0.0.1:8000/v1"),
            Field("model", "model", hint="its name there"),
            Field("key_env", "key", hint="the environment variable that holds it, or nothing"),
        )
        super().__init__("A model at an OpenAI-compatible address", fields, _preview, label="add it")


def seat_from(values: Values) -> Seat:
    """The seat of what was filled in. Raises `BadInput`."""
    return api_seat(values["url"], values["model"], values["key_env"])


def _preview(values: Values) -> str:
    if not values["url"] or not values["model"]:
        raise BadInput("An address and a model are needed.", why="The key itself is read when it asks, and never kept.")
    seat_from(values)
    variable = values["key_env"]
    if not variable:
        return f"{values['model']} is asked without a key."
    if not os.environ.get(variable):
        raise BadInput(f"${variable} is not set.", fix="Set it before finetui is started, or leave the field empty.")
    return f"{values['model']} is asked with the key in ${variable}."
