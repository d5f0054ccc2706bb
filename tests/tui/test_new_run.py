"""New run: the form filled by keys, what it says before a launch, and runs really launched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.planning import DeviceFacts, plan
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir, read_json
from store import Store
from store.records import Dataset, Run, Status
from tests.engine.models_made import make_model, make_starter, prepare_tokenizer
from tests.engine.runs_at_work import put_away, stand_in
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.widgets.launch_plan import next_name
from tui.widgets.recipe_draft import RecipeDraft
from tui.widgets.recipe_fields import field_specs, read_typed, show_field, show_value


def write_rows(path: Path, rows: int) -> Path:
    lines = [json.dumps({"prompt": f"question {row}", "response": f"answer {row}"}) for row in range(rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def machine(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No GPU, a starter model that is there, a stand-in for the worker, and a folder with one file to import."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(RunManager.__init__, "__kwdefaults__", {"worker": tuple(stand_in("--steps", "4"))})
    make_starter(home)
    work = tmp_path / "work"
    work.mkdir()
    write_rows(work / "chats.jsonl", 40)
    monkeypatch.chdir(work)
    with put_away(home.runs):
        yield


@pytest.fixture
def support(home: Home, store: Store, tmp_path: Path) -> Dataset:
    """A dataset of 180 rows."""
    return DatasetLibrary(home, store).import_file(write_rows(tmp_path / "support.jsonl", 180))


def told(driver: Driver) -> list[str]:
    """The messages that appeared in the corner; tests do not draw them."""
    return [one.message for one in driver.app._notifications]


async def go_to(driver: Driver, field: str) -> None:
    """Put the cursor on a field; how a person gets there has a test of its own."""
    driver.app.screen.query_one("FormLines").go_to(field)  # type: ignore[attr-defined]
    await driver.pilot.pause()


async def launched(driver: Driver, store: Store, count: int = 1) -> Run:
    """The newest run, once there are `count` and it has ended."""
    await driver.wait(lambda: store.runs.count() == count)
    newest = store.runs.list(limit=1)[0].id

    def over() -> Run | None:
        run = store.runs.get(newest)
        return run if run is not None and not run.status.live else None

    run: Run = await driver.wait(over)
    return run


def asked_for(home: Home, run: Run) -> dict[str, Any]:
    """The recipe as it was asked for, before the planner decided what it left open."""
    inputs = read_json(RunDir(home.runs / run.id).inputs)
    assert inputs is not None
    asked: dict[str, Any] = inputs["asked"]
    return asked


async def test_first_run_from_an_empty_home(make_app: MakeApp, store: Store) -> None:
    async with make_app() as driver:
        keys = ["3", "i", "enter", "enter", "l"]
        assert len(keys) < 10
        await driver.press(keys[0])
        await driver.sees("before you launch", "dataset: none yet: d picks one, i")
        await driver.press(keys[1])
        await driver.sees("chats.jsonl", "support.jsonl", "sample of finetui")
        await driver.press(keys[2])
        await driver.sees("40 rows", "prompt-response", "question 0", "answer 2")
        await driver.press(keys[3])
        await driver.sees("36 train, 4 validation", "ready to launch")
        await driver.press(keys[4])
        run = await launched(driver, store)
        assert (run.status, run.dataset, run.model, run.name) == (
            Status.SUCCEEDED,
            "chats",
            "starter",
            "chats-qlora-r16",
        )
        assert (run.recipe["max_steps"], run.recipe["eval_steps"]) == (40, 10), "the quick look is preselected"
        assert isinstance(run.recipe["max_length"], int), "the planner decided it"
        await driver.sees("chats-qlora-r16", "✓ done")
        assert type(driver.app.screen).__name__ == "RunScreen"


async def test_variant_of_a_run_in_three_keys(
    make_app: MakeApp, home: Home, store: Store, runs: SampleRuns, support: Dataset
) -> None:
    old = runs.add("r1", "support-r64", learning_rate=1e-3, lora_r=64)
    async with make_app() as driver:
        await driver.sees("support-r64")
        await driver.press("n")
        await driver.sees("support-r64-2", "ready to launch")
        await go_to(driver, "learning_rate")
        await driver.type("5e-4")
        await driver.press("enter")
        await driver.sees("was 0.001", "1 changed")
        await driver.press("l")
        run = await launched(driver, store, 2)
        assert run.name == "support-r64-2"
        asked = asked_for(home, run)
        assert {name for name, value in asked.items() if value != old.recipe[name]} == {"learning_rate"}
        assert run.recipe["learning_rate"] == 5e-4
        await driver.press("n")
        await driver.wait(lambda: "support-r64-3" in driver.text() and "5e-4" in driver.line("learning_rate"))
        assert "auto" in driver.line("max_length"), "what was left to the planner still is"


async def test_what_cannot_work_is_said_and_not_launched(make_app: MakeApp, store: Store, support: Dataset) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        await go_to(driver, "lora_dropout")
        await driver.press("enter", "end", "ctrl+u")
        await driver.type("1.5")
        await driver.press("enter")
        await driver.sees("1 thing stands in the way")
        await driver.wait(lambda: "✗ must be less than 1" in driver.line("✱ lora_dropout"))
        await driver.press("g", "l")
        await driver.wait(lambda: told(driver) == ["lora_dropout: must be less than 1 (got 1.5)"])
        assert driver.app.screen.query_one("FormLines").field == "lora_dropout"  # type: ignore[attr-defined]
        await driver.press("u")
        await driver.sees("ready to launch")
        assert "✱" not in driver.text()
        assert store.runs.count() == 0


async def test_every_kind_of_field_by_keys(make_app: MakeApp, support: Dataset) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        await go_to(driver, "packing")
        await driver.press("space")
        await driver.wait(lambda: " on " in driver.line("packing") and "was auto" in driver.line("packing"))
        await go_to(driver, "method")
        await driver.sees("qlora · lora · lora8bit · dora · full")
        await driver.press("right")
        await driver.wait(lambda: "was qlora" in driver.line(" method  "))
        await driver.press("left", "left")
        await driver.wait(lambda: " full " in driver.line(" method  "))
        await driver.press("enter")
        await driver.sees("type to filter", "enter take it")
        await driver.type("qlo")
        await driver.press("enter")
        await driver.wait(lambda: "✱" not in driver.line(" method  "))
        await go_to(driver, "target_modules")
        await driver.press("enter", "ctrl+u")
        await driver.type("q_proj,v_proj")
        await driver.press("enter")
        await driver.sees("q_proj, v_proj")
        await go_to(driver, "eval_steps")
        await driver.press("enter", "ctrl+u")
        await driver.type("l")
        await driver.press("escape")
        await driver.wait(lambda: " 10" in driver.line(" eval_steps"))
        assert "✱" not in driver.line(" eval_steps"), "Esc leaves the field as it was; l was text"
        await driver.press("e")
        await driver.sees("packing = true", 'model = "starter"')


async def test_a_field_is_found_by_its_name(make_app: MakeApp, support: Dataset) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        lines = driver.app.screen.query_one("FormLines")
        await driver.press("j", "j", "j", "j")
        assert lines.field == "method", "headings are passed over"  # type: ignore[attr-defined]
        await driver.press("G")
        assert lines.field == "slurm_options"  # type: ignore[attr-defined]
        await driver.press("slash")
        await driver.type("grad_n")
        await driver.press("enter")
        assert lines.field == "max_grad_norm"  # type: ignore[attr-defined]


async def test_digits_edit_numbers_and_change_modes_elsewhere(make_app: MakeApp, support: Dataset) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        await go_to(driver, "lora_r")
        await driver.press("6", "4", "enter")
        await driver.wait(lambda: "64" in driver.line("lora_r") and "was 16" in driver.line("lora_r"))
        await go_to(driver, "model")
        await driver.press("6")
        await driver.sees("Nothing is running")
        await driver.press("3")
        await driver.sees("✓ ready to launch · 1 changed")


async def test_presets_are_applied_and_saved(make_app: MakeApp, home: Home, support: Dataset) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        await go_to(driver, "lora_r")
        await driver.type("99")
        await driver.press("enter", "p")
        await driver.sees("Small datasets, least overfitting")
        await driver.type("cons")
        await driver.press("enter")
        await driver.wait(lambda: "conservative" in driver.line("preset  ") and " 8" in driver.line("lora_r "))
        assert "support" in driver.line("dataset "), "a preset keeps the dataset"
        await go_to(driver, "lora_alpha")
        await driver.type("77")
        await driver.press("enter", "s")
        await driver.type("mine/../x")
        await driver.press("enter")
        await driver.sees("cannot be called")
        await driver.press("escape", "s")
        await driver.type("mine")
        await driver.press("enter")
        await driver.wait(lambda: "mine" in driver.line("preset  ") and "✱" not in driver.text())
        kept = (home.root / "presets" / "mine.toml").read_text()
        assert "lora_alpha = 77" in kept
        assert "support" not in kept
        await driver.press("p")
        await driver.sees("mine", "Saved from conservative")


async def test_plan_of_a_launch(make_app: MakeApp, support: Dataset, runs: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("162 train, 18 validation", "40 · ", "4 times, every 10 steps", "cpu, free now")
        await driver.press("p")
        await driver.type("aggressive")
        await driver.press("enter")
        await driver.sees("passes over the data", "after 3 without gain")
        runs.add("busy", "long-one", status="training", steps=5)
        driver.app.tracker.announce("busy")
        await driver.sees("cpu, in turn after long-one")


async def test_models_by_name_and_why_not(make_app: MakeApp, home: Home, tmp_path: Path, support: Dataset) -> None:
    make_model(home.models / "mine")
    (home.models / "broken").mkdir()
    make_model(tmp_path / "plain", template=False)
    prepare_tokenizer(home, "mine")
    prepare_tokenizer(home, str(tmp_path / "plain"), template=False)
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("before you launch")
        await driver.wait(lambda: "mine" in driver.line("model  "))
        await driver.press("m")
        await driver.wait(lambda: "cannot be trained: has no config.json" in driver.line("broken"))
        await driver.type("~[b]/nothing")
        await driver.press("enter")
        await driver.wait(lambda: "~[b]/nothing" in driver.line("model  "))
        await driver.sees("1 thing stands in the way", "There is no model '~[b]/nothing'.")
        await driver.press("m")
        await driver.type(str(tmp_path / "plain"))
        await driver.press("enter")
        await driver.sees("1 thing stands in the way", "✗ the model has no")
        await go_to(driver, "chat_template")
        await driver.press("enter")
        await driver.type("chatml")
        await driver.press("enter")
        await driver.sees_no("stands in the way")
        await driver.press("m")
        await driver.type("starter")
        await driver.press("enter")
        await driver.sees("ready to launch")


GIB = 2**30
LARGE = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "vocab_size": 32000,
}


def device(total_gib: float, free_gib: float | None = None) -> DeviceFacts:
    """A GPU of so much memory."""
    free = total_gib if free_gib is None else free_gib
    return DeviceFacts("gpu0", "NVIDIA Tiny", "cuda", int(total_gib * GIB), int(free * GIB), (8, 0), None)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_run_that_does_not_fit_is_refused_and_mended_with_one_key(
    make_app: MakeApp,
    home: Home,
    store: Store,
    support: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    make_model(home.models / "large", config=LARGE)
    prepare_tokenizer(home, "large")
    monkeypatch.setattr(plan, "list_devices", lambda *_: (device(6),))
    async with make_app(size) as driver:
        await driver.press("3")
        await driver.sees("large", "ready to launch")
        await go_to(driver, "method")
        await driver.press("left")
        await driver.sees("✗ 1 thing stands in the way", "memory: it needs", "a method = qlora", "L launch it anyway")
        await driver.press("l")
        await driver.wait(lambda: told(driver))
        assert told(driver)[0].startswith("memory: it needs ") and told(driver)[0].endswith("a makes it fit")
        assert store.runs.count() == 0
        await driver.press("a")
        await driver.wait(lambda: "qlora" in driver.line("  method  "))
        await driver.sees("✓ ready to launch")
        assert "L launch it anyway" not in driver.text()
        await driver.press("l")
        run = await launched(driver, store)
        assert run.method == "qlora"
        inputs = read_json(RunDir(home.runs / run.id).inputs)
        assert inputs is not None
        assert 0 < inputs["needs_bytes"] <= 6 * GIB
        assert inputs["plan"]["fits"] is True and inputs["asked"]["method"] == "qlora"


async def test_a_run_that_does_not_fit_can_be_launched_anyway(
    make_app: MakeApp, home: Home, store: Store, support: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(home.models / "large", config=LARGE)
    prepare_tokenizer(home, "large")
    monkeypatch.setattr(plan, "list_devices", lambda *_: (device(1),))
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("✗ 1 thing stands in the way", "L launch it anyway")
        await driver.press("L")
        assert (await launched(driver, store)).status is Status.SUCCEEDED


async def test_memory_that_others_use_now_is_waited_for(
    make_app: MakeApp, home: Home, support: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(home.models / "large", config=LARGE)
    prepare_tokenizer(home, "large")
    monkeypatch.setattr(plan, "list_devices", lambda *_: (device(80, 1),))
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("✓ ready to launch", "it waits until", "NVIDIA Tiny", "⚠ not now")


async def test_why_a_field_is_what_it_is(make_app: MakeApp, support: Dataset) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        await go_to(driver, "packing")
        await driver.wait(lambda: "auto → " in driver.line("  packing  "))
        await driver.wait(lambda: any(line.strip().startswith("auto → o") for line in driver.text().splitlines()))
        await go_to(driver, "devices")
        await driver.press("enter", "ctrl+u")
        await driver.type("0,1")
        await driver.press("enter")
        await driver.wait(lambda: "0, 1" in driver.line("✱ devices"))
        await driver.sees("1 thing stands in the way", "there is none here")


async def test_rows_that_teach_nothing_are_refused(make_app: MakeApp, home: Home, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    row = {"prompt": "a very long question " * 40, "response": "answer"}
    file.write_text("\n".join(json.dumps(row | {"id": number}) for number in range(20)))
    DatasetLibrary(home, store).import_file(file)
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        await go_to(driver, "max_length")
        await driver.type("64")
        await driver.press("enter")
        await driver.sees("stand", "in the way", "nothing would be learnt")
        await driver.press("g", "l")
        await driver.wait(lambda: driver.app.screen.query_one("FormLines").field == "max_length")  # type: ignore[attr-defined]
        assert store.runs.count() == 0


async def test_dataset_that_went_away(make_app: MakeApp, home: Home, store: Store, support: Dataset) -> None:
    async with make_app() as driver:
        await driver.press("3")
        await driver.sees("ready to launch")
        DatasetLibrary(home, store).remove(support.id)
        await driver.press("l")
        await driver.sees("There is no dataset 'support'.")
        if "The run was not launched" in driver.text():  # unless the form has found out before
            await driver.press("escape")
        await driver.sees("1 thing stands in the way")
        assert store.runs.count() == 0


@pytest.mark.parametrize(("size", "theme"), [((80, 24), "finetui-dark"), ((200, 60), "finetui-light")])
async def test_fits_small_and_large_terminals(
    make_app: MakeApp, support: Dataset, size: tuple[int, int], theme: str
) -> None:
    async with make_app(size, theme=theme) as driver:
        await driver.press("3")
        await driver.sees(
            "model", "lora_r", "max_length", "before you launch", "✓ ready to launch", "l launch", "? help"
        )
        assert all(len(line) <= size[0] for line in driver.text().splitlines())
        await go_to(driver, "backend")
        await driver.sees("where the run is started")


# Without an app


def test_values_are_typed_as_they_are_shown() -> None:
    values = make_recipe({"dataset": "d", "sample_prompts": ("a, b", "c"), "target_modules": ("q", "v")}).model_dump()
    for name, spec in field_specs().items():
        if spec.kind in ("number", "text", "names", "lines"):
            assert read_typed(spec, show_field(spec, values[name])) == values[name], name


@pytest.mark.parametrize(
    ("value", "text"),
    [(2e-4, "2e-4"), (1.5e-5, "1.5e-5"), (0.05, "0.05"), (3.0, "3"), (0.001, "0.001"), (True, "on"), (None, "–")],
)
def test_values_in_few_characters(value: object, text: str) -> None:
    assert show_value(value) == text


def test_draft_knows_what_changed() -> None:
    draft = RecipeDraft()
    draft.set("dataset", "support")
    draft.start_from("p", {"num_train_epochs": 5, "packing": True})
    assert draft.values["dataset"] == "support"
    assert draft.changed == []
    draft.set("num_train_epochs", 5.0)
    assert draft.changed == []
    draft.set("packing", 1)
    assert draft.changed == ["packing"], "1 is not what was there, even where it means the same"
    draft.set("lora_r", 0)
    assert draft.problems.keys() == {"lora_r"}
    assert draft.recipe() is None
    draft.reset("lora_r")
    draft.reset("packing")
    assert draft.preset_values() == {"num_train_epochs": 5.0, "packing": True}


def test_names_of_variants(make_app: MakeApp, home: Home, store: Store, runs: SampleRuns) -> None:
    from tui.services import open_services

    runs.add("r1", "a-run")
    runs.add("r2", "a-run-2")
    services = open_services(home)
    assert next_name(services, "a-run") == next_name(services, "a-run-2") == "a-run-3"
    assert next_name(services, "support-r16") == "support-r16-2"
    services.store.close()
