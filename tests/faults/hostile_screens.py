"""How each screen is opened on the hostile home, and what of it is then to be seen. Screens are found from the code."""

import asyncio
import importlib
import pkgutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.screen import Screen

import tui.screens
from store.records import View
from tests.faults.hostile import evil
from tests.faults.hostile_home import DONE, EVALUATION, FAILED, FINDING, LIVE, SWEEP, Hostile
from tests.tui.conftest import Driver
from tui import messages

Opens = Callable[[Driver, Hostile], Awaitable[None]]
Makes = Callable[[Driver, Hostile], Any]


@dataclass(frozen=True)
class Case:
    """One look at one screen."""

    screen: str
    open: Opens
    sees: tuple[str, ...] = ()
    """Places whose text it shows, each as `told` has it."""
    edits: bool = False
    """Whether it has a line to edit with such a text: what is kept there is not to be changed."""


def every_screen() -> set[str]:
    """All screens of the app that are opened: those that no other screen is made of."""
    for module in pkgutil.iter_modules(tui.screens.__path__):
        importlib.import_module(f"tui.screens.{module.name}")
    importlib.import_module("tui.palette")
    found: list[type] = [Screen]
    for one in found:  # grows while it is gone through
        found += one.__subclasses__()
    ours = {one for one in found if one.__module__.startswith("tui.")}
    return {one.__name__ for one in ours if not one.__subclasses__() or one.__name__ in THEMSELVES} - NOT_SWEPT


NOT_SWEPT = {"Palette"}
"""Textual's own screen with another Enter: it has no text of others until somebody types, which a case does not."""

THEMSELVES = {"PickDialog", "FormDialog"}
"""Opened as they are, though other dialogs are made of them."""


def push(screen: str, makes: Makes, *sees: str, edits: bool = False) -> Case:
    """Put what `makes` gives on the stack."""

    async def open(driver: Driver, made: Hostile) -> None:
        await driver.app.push_screen(await asyncio.to_thread(makes, driver, made))

    return Case(screen, open, sees, edits)


def by_key(keys: str, screen: str, then: Case, *sees: str) -> Case:
    """What keys open from another case."""

    async def open(driver: Driver, made: Hostile) -> None:
        await then.open(driver, made)
        if then.sees:
            await driver.sees(*then.sees[:1])
        await driver.press(*keys.split())

    return Case(screen, open, sees)


def posted(screen: str, makes: Callable[[Hostile], Any], *sees: str, keys: str = "") -> Case:
    """What a message between screens opens, and keys after it."""

    async def open(driver: Driver, made: Hostile) -> None:
        driver.app.post_message(makes(made))
        await driver.wait(lambda: type(driver.app.screen).__name__ == screen)
        if keys:
            await driver.press(*keys.split())

    return Case(screen, open, sees)


def screen(name: str, *arguments: Any) -> Any:
    """An instance of a screen by its class's name."""
    every_screen()
    modules = [importlib.import_module(f"tui.screens.{one.name}") for one in pkgutil.iter_modules(tui.screens.__path__)]
    found = next(getattr(module, name) for module in modules if hasattr(module, name))
    return found(*arguments)


def run_of(driver: Driver, run_id: str) -> Any:
    return driver.app.services.store.runs.get(run_id)


def datasets_of(driver: Driver, made: Hostile) -> list[Any]:
    store = driver.app.services.store
    return [one for one in store.datasets.list() if one.id in (made.dataset, made.second)]


def rows_of(driver: Driver, made: Hostile) -> Any:
    return driver.app.services.library.rows(made.dataset, offset=0, limit=1)[0]


def edit_row(driver: Driver, made: Hostile) -> Any:
    from tui.screens.dataset_edit_row import EditRow

    return EditRow(rows_of(driver, made), total=12)


def failure_of_run(driver: Driver) -> Any:
    from engine.insight.failures import failure_of

    return failure_of(driver.app.services.store, run_of(driver, FAILED))


def look_ahead(driver: Driver) -> Any:
    from tui.screens.suite_start import read_candidates

    return read_candidates(driver.app.services)


def choices_of(driver: Driver) -> Any:
    from tui.screens.evaluation_start import read_choices

    return read_choices(driver.app.services)


def views_of(driver: Driver) -> Any:
    from tui.screens.views_dialog import read_views

    return read_views(driver.app.services.store)


def chats_of(driver: Driver) -> Any:
    from tui.screens.chat_history import find_chats

    return find_chats(driver.app.services.store, "")


def models_of(made: Hostile) -> Any:
    from engine.models import list_models

    return list_models(made.home)


def mapping_of(driver: Driver, made: Hostile) -> Any:
    from engine.datasets.importing import preview_source

    source = made.outside / "dataset.jsonl"
    return screen("MappingScreen", source, preview_source(source), driver.app.services.library.preview)


def works(progress: Any, given_up: Any) -> None:
    progress(0.5)
    while not given_up():
        time.sleep(0.01)


def options(label: str) -> Any:
    from tui.screens.dialogs import Option

    return Option(label, label, evil("detail"))


def field_of() -> Any:
    from tui.screens.form_dialog import Field

    return Field("one", "field", evil("value"), hint="hint")


def evil_words(values: Any) -> str:
    return evil("words")


def orders_of(driver: Driver) -> Any:
    from tui.screens.order_dialog import read_orders

    return read_orders(driver.app.services.store)


def settings_of() -> Any:
    from engine.inference.pool import Sampling
    from tui.screens.chat_settings import ChatSettings

    return ChatSettings(evil("system"), Sampling(stop=(evil("stop"),)))


def exported(made: Hostile) -> Any:
    from engine.export.spec import Result

    return Result("adapter", f"/{evil('dest')}", 5, ((evil("piece"), 5),), evil("dtype"), evil("weights"))


RUN = posted("RunScreen", lambda made: messages.OpenRun(LIVE), "live")
SUITE_RUN = push("SuiteRunScreen", lambda driver, made: screen("SuiteRunScreen", made.suite_run), "suite", "turn")
EVALUATED = push("EvaluationScreen", lambda driver, made: screen("EvaluationScreen", EVALUATION), "eval", "probe")
SWEPT = push("SweepScreen", lambda driver, made: screen("SweepScreen", SWEEP), "trial0", "model")
DATASET = push("DatasetScreen", lambda driver, made: screen("DatasetScreen", made.dataset), "dataset", "asked", "said")
EDITED = View("runs", evil("view"), evil("query"), "created", True)

PAGES = (
    Case("RunsScreen", lambda driver, made: driver.press("1"), ("done", "live", "failed", "wait")),
    RUN,
    *(
        posted("RunScreen", lambda made: messages.OpenRun(LIVE), *sees, keys="right_square_bracket")
        for sees in (("prompt", "answer"), ("",), ("alert",), (), (), ("live",))
    ),
    posted("RunScreen", lambda made: messages.OpenRun(FAILED), "failed", "reason"),
    push("LiveScreen", lambda driver, made: screen("LiveScreen"), "live"),
    push("CostsScreen", lambda driver, made: screen("CostsScreen")),
    posted("CompareScreen", lambda made: messages.CompareRuns([DONE, LIVE]), "done", "live"),
    Case("QueueScreen", lambda driver, made: driver.press("6"), ("live", "wait")),
    push("SweepsScreen", lambda driver, made: screen("SweepsScreen"), "trial0"),
    SWEPT,
    posted("NewRunScreen", lambda made: messages.NewRunLike(DONE, made.dataset), "dataset"),
    Case("DatasetsScreen", lambda driver, made: driver.press("2"), ("dataset", "second")),
    DATASET,
    push("DiffScreen", lambda driver, made: screen("DiffScreen", *datasets_of(driver, made)), "asked"),
    posted("ChatScreen", lambda made: messages.ChatWith([DONE]), "done"),
    push("ArenaScreen", lambda driver, made: screen("ArenaScreen", ["base:starter", DONE])),
    push("LeaderboardScreen", lambda driver, made: screen("LeaderboardScreen"), "done"),
    push("SuitesScreen", lambda driver, made: screen("SuitesScreen"), "suite"),
    SUITE_RUN,
    by_key("enter", "SuiteAnswersScreen", SUITE_RUN, "turn", "reply0"),
    push("SuiteJudgeScreen", lambda driver, made: screen("SuiteJudgeScreen", made.suite_run), "suite"),
    push("KnowledgeScreen", lambda driver, made: screen("KnowledgeScreen")),
    push("EvaluationsScreen", lambda driver, made: screen("EvaluationsScreen"), "eval"),
    EVALUATED,
    by_key("tab enter", "EvaluationRowScreen", EVALUATED, "probe", "gave0"),
    push("RegistryScreen", lambda driver, made: screen("RegistryScreen"), "descr"),
    push("RegistryCompareScreen", lambda driver, made: screen("RegistryCompareScreen", "evil", 1, 2)),
)
"""Screens that fill the terminal."""

DIALOGS = (
    push("ConfirmDialog", lambda driver, made: screen("ConfirmDialog", evil("title"), evil("body")), "title", "body"),
    push("TextDialog", lambda driver, made: screen("TextDialog", evil("title"), evil("value")), "title"),
    push("ErrorDialog", lambda driver, made: screen("ErrorDialog", evil("title"), evil("what"), evil("why")), "what"),
    push("WorkingDialog", lambda driver, made: screen("WorkingDialog", evil("title"), works), "title"),
    push("ReadingDialog", lambda driver, made: screen("ReadingDialog", evil("title"), evil("text")), "title", "text"),
    push("HelpScreen", lambda driver, made: screen("HelpScreen", driver.app.screen)),
    push("FindingDialog", lambda d, made: screen("FindingDialog", run_of(d, LIVE), [FINDING]), "live", "found"),
    push("FailureDialog", lambda d, made: screen("FailureDialog", run_of(d, FAILED), failure_of_run(d)), "failed"),
    push("PickDialog", lambda d, made: screen("PickDialog", evil("title"), [options(evil("label"))]), "title", "label"),
    push(
        "FormDialog", lambda d, made: screen("FormDialog", evil("title"), [field_of()], evil_words), "title", edits=True
    ),
    push("OrderDialog", lambda d, made: screen("OrderDialog", orders_of(d), "created")),
    push("ViewsDialog", lambda d, made: screen("ViewsDialog", made.store, EDITED, views_of(d)), "view"),
    push("ReportDialog", lambda d, made: screen("ReportDialog", Path(_path("file")), 2), edits=True),
    push(
        "ColumnsDialog",
        lambda d, made: screen("ColumnsDialog", {"a": (evil("head"), evil("sort"))}, ["a"], lambda one: [one]),
        "head",
    ),
    push("ExportRunDialog", lambda d, made: screen("ExportRunDialog", made.home, run_of(d, DONE)), "done"),
    push("ExportedDialog", lambda d, made: screen("ExportedDialog", exported(made)), "dest"),
    push("ExportDialog", lambda d, made: screen("ExportDialog", datasets_of(d, made)[0])),
    push("MixDialog", lambda d, made: screen("MixDialog", datasets_of(d, made)), "dataset", "second"),
    push("StageDialog", lambda d, made: screen("StageDialog", datasets_of(d, made)), "dataset", "second"),
    push("PresetDialog", lambda d, made: screen("PresetDialog", made.home), "way"),
    push("ChatSettingsDialog", lambda d, made: screen("ChatSettingsDialog", settings_of(), made.home), edits=True),
    push("ApiDialog", lambda d, made: screen("ApiDialog")),
    push("PickModel", lambda d, made: screen("PickModel", models_of(made), "starter")),
    push(
        "SuiteStartDialog",
        lambda d, made: screen("SuiteStartDialog", "s", evil("title"), 2, look_ahead(d), ()),
        *("title", "done", "far"),
    ),
    push("EvaluationStartDialog", lambda d, made: screen("EvaluationStartDialog", choices_of(d), [DONE]), "done"),
    push("SweepDialog", lambda d, made: screen("SweepDialog", d.app.services, {"model": evil("model")})),
    push("ChatHistory", lambda d, made: screen("ChatHistory", made.store, chats_of(d)), "title"),
    push("PickKnowledge", lambda d, made: screen("PickKnowledge", made.store.knowledge.all())),
    push("AddNotesDialog", lambda d, made: screen("AddNotesDialog", _notes(d))),
    push("ImportDialog", lambda d, made: screen("ImportDialog", d.app.services.library)),
    push("ImportHistoryDialog", lambda d, made: screen("ImportHistoryDialog", d.app.services, str(made.outside))),
    push("MappingScreen", mapping_of, "column", "asked"),
    push("EditRow", lambda d, made: edit_row(d, made), "asked", "said"),
    push("FilterDialog", lambda d, made: screen("FilterDialog", d.app.services.library, datasets_of(d, made)[0])),
)
"""Boxes over a screen."""


def _path(place: str) -> str:
    return evil(place).replace("\0", "")


def _notes(driver: Driver) -> Any:
    from engine.knowledge.library import KnowledgeLibrary

    return KnowledgeLibrary(driver.app.services.store)
