"""Exporting from a run's screen: choose, see what it needs, make it, read what came of it."""

from pathlib import Path

import pytest

from engine.home import Home
from engine.runs.rundir import RunDir, write_json
from tests.engine.models_made import make_model
from tests.tui.chats import with_adapter
from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.export_run import ExportedDialog, ExportRunDialog


@pytest.fixture
def adapted(home: Home, runs: SampleRuns) -> str:
    """A run with an adapter on a model of the home."""
    make_model(home.models / "mine")
    run = with_adapter(runs, "r1emoji0000", "emoji-r8", model="mine", method="lora")
    folder = RunDir(Path(run.dir))
    write_json(folder.inputs, {"model": {"name": "mine", "path": str(home.models / "mine"), "revision": None}})
    write_json(folder.adapter / "adapter_config.json", {"peft_type": "LORA", "r": 8})
    return run.id


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_an_adapter_is_exported_by_keyboard(
    make_app: MakeApp, adapted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with make_app(size=size, open_run=adapted) as driver:
        await driver.sees("emoji-r8", "charts")
        await driver.press("E")
        await driver.wait(lambda: isinstance(driver.app.screen, ExportRunDialog))
        await driver.sees("Export emoji-r8", "adapter", "ollama", "finetui-exports/emoji-r8-adapter", "About")
        await driver.press("down")
        await driver.sees("finetui-exports/emoji-r8-merged", "Merging takes", "f32, f16, bf16")
        await driver.press("down")
        await driver.sees("finetui-exports/emoji-r8.gguf", "q8_0")
        await driver.press("up", "up", "enter")
        await driver.wait(lambda: isinstance(driver.app.screen, ExportedDialog))
        await driver.sees("Exported", "Wrote")
        assert (tmp_path / "finetui-exports" / "emoji-r8-adapter" / "adapter_config.json").is_file()
        await driver.press("escape", "E")
        await driver.sees("is there already")
        await driver.press("enter")
        assert isinstance(driver.app.screen, ExportRunDialog), "it is not made over what is there"
