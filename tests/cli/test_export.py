"""`finetui export`: what it says before, what it makes, what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.export.spec import Difference, Result, Uploaded
from engine.home import Home
from engine.runs.rundir import write_json
from tests.cli.conftest import Cli, MakeRun
from tests.engine.models_made import make_model
from tui.export_words import result_lines


@pytest.fixture
def run(home: Home, make_run: MakeRun) -> str:
    """A run on a model of the home, with an adapter."""
    make_model(home.models / "mine")
    folder = make_run("r0exp", "to go", model="mine", method="lora")
    inputs: dict[str, Any] = json.loads(folder.inputs.read_text())
    inputs["model"] = {"name": "mine", "path": str(home.models / "mine"), "revision": None, "kind": "folder"}
    write_json(folder.inputs, inputs)
    write_json(folder.adapter / "adapter_config.json", {"peft_type": "LORA", "r": 8})
    return "r0exp"


def test_a_dry_run_says_what_it_would_need(cli: Cli, run: str, tmp_path: Path) -> None:
    said = cli("export", run, "--to", "ollama", str(tmp_path / "o"), "--dry-run")
    assert said.status == 0 and "would write" in said.stdout and "q8_0" in said.stdout
    told = cli("export", run, "--to", "ollama", str(tmp_path / "o"), "--dry-run", "--json").json
    assert told["kind"] == "ollama" and told["base"] == "mine" and told["disk_bytes"] > told["dest_bytes"]
    assert not (tmp_path / "o").exists()


def test_the_adapter_is_copied_and_nothing_is_pushed(cli: Cli, run: str, tmp_path: Path) -> None:
    words = ("export", run, "--to", "hub", str(tmp_path / "a"), "--repo", "me/mine")
    told = cli(*words, "--json").json
    assert {one["name"] for one in told["files"]} >= {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    assert told["uploaded"]["repo"] == "me/mine" and not told["uploaded"]["pushed"]
    again = cli(*words)
    assert again.status == 2 and "is there already" in again.stderr and "--overwrite" in again.stderr
    said = cli(*words, "--overwrite")
    assert said.status == 0 and "Not pushed: --push would upload these to me/mine (private)" in said.stdout


def test_what_is_wrong_is_said(cli: Cli, run: str, tmp_path: Path) -> None:
    assert "no export 'zip'" in cli("export", run, "--to", "zip", str(tmp_path / "o")).stderr
    assert "no type 'q4'" in cli("export", run, "--to", "gguf", str(tmp_path / "o.gguf"), "--type", "q4").stderr
    missing = cli("export", "nobody", "--to", "merged", str(tmp_path / "o"), "--json")
    assert missing.status == 2 and missing.json["error"]


def test_the_result_in_words() -> None:
    found = Difference(3e-7, 4e-6, 1.0, 4, 86)
    result = Result(
        "merged",
        "/m",
        2_000_000,
        (("model.safetensors", 2_000_000),),
        dtype="bf16",
        base_weights="the NF4 weights that it was trained on, dequantised",
        merged=found,
        saved=found,
        trained=found,
        uploaded=Uploaded("me/m", (("model.safetensors", 2_000_000),), private=False, pushed=True, url="https://hub/m"),
        commands=("vllm serve /m",),
        notes=("Mind the gap.",),
    )
    text = "\n".join(result_lines(result))
    assert "logits differ by 3.0e-07 of the largest, the same next token at 86 of 86 places" in text
    assert "NF4" in text and "Pushed to https://hub/m" in text and "Note: Mind the gap." in text
    assert text.endswith("To use it:\n  vllm serve /m")
