"""What an export needs is found out before it starts, and what ends early leaves nothing behind."""

import json
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, Cancelled, FinetuiError
from engine.export.commands import commands_for
from engine.export.plan import ExportPlan, Machine, model_name, plan_export
from engine.export.running import clear_up, exports_of, start_export
from engine.export.spec import Source, Spec
from engine.home import Home
from engine.runs.rundir import RunDir, write_json
from store.records import Run, Status
from tests.engine.models_made import make_model

Plan = Callable[..., ExportPlan]
PLENTY = Machine(lambda _: 10**12, 10**12)


def make_run(home: Home, *, method: str = "qlora", model: str = "mine", **values: Any) -> Run:
    """A run that left an adapter on the model of that name under the home."""
    folder = RunDir(home.runs / "r1")
    folder.adapter.mkdir(parents=True)
    write_json(folder.inputs, {"model": {"name": model, "path": str(home.models / model), "revision": None}})
    write_json(folder.adapter / "adapter_config.json", {"peft_type": "LORA", "r": 12})
    (folder.adapter / "adapter_model.safetensors").write_bytes(b"weights")
    given: dict[str, Any] = {"recipe": {"method": method}, "source": ""} | values
    known: dict[str, Any] = (
        {"id": "r1", "name": "My run, v2", "status": Status.SUCCEEDED, "reason": "", "model": model}
        | {"method": method, "dataset": "d", "dataset_id": "d1", "created": 0.0, "started": None, "ended": None}
        | {"attempt": 1, "step": 1, "total_steps": 1, "eta_s": None, "tokens_per_s": None, "peak_vram_bytes": None}
        | {"cost": None, "phase": "", "phase_progress": None, "heartbeat": None, "best_step": None, "tags": ()}
        | {"notes": "", "dir": str(folder.path)}
        | given
    )
    return Run(**known)


@pytest.fixture
def home(home: Home) -> Home:
    return home.ensure()


@pytest.fixture
def plan(home: Home, tmp_path: Path) -> Plan:
    make_model(home.models / "mine")
    run = make_run(home)

    def made(kind: str = "merged", dest: str = "out", machine: Machine = PLENTY, **options: Any) -> ExportPlan:
        return plan_export(home, run, kind, tmp_path / dest, machine=machine, **options)

    return made


def grow(folder: Path, numbers: int) -> None:
    """Have the model's file claim so many numbers; it is sparse."""
    header = json.dumps({"w": {"dtype": "BF16", "shape": [numbers], "data_offsets": [0, 2 * numbers]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 2 * numbers)


def test_types_are_the_usual_ones_or_those_asked_for(plan: Plan) -> None:
    assert plan("merged").spec.type == "" and plan("gguf", "a.gguf").spec.type == "f16"
    assert plan("ollama").spec.type == "q8_0" and plan("gguf", "a.gguf", type="BF16").spec.type == "bf16"
    with pytest.raises(BadInput, match="no type 'q8_0' for merged"):
        plan("merged", type="q8_0")
    with pytest.raises(BadInput, match="no type 'f16' for adapter"):
        plan("adapter", type="f16")
    with pytest.raises(BadInput, match="no export 'zip'"):
        plan("zip")


def test_planning_changes_nothing(plan: Plan, tmp_path: Path) -> None:
    made = plan("merged", "deep/below/out")
    assert not (tmp_path / "deep").exists()
    assert made.spec.name == "My-run-v2" and made.spec.source.adapter is not None
    assert Spec.from_json(json.loads(json.dumps(made.spec.to_json()))) == made.spec


def test_the_place_must_be_free(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert plan("merged", "empty").spec.dest == str(tmp_path / "empty")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(BadInput, match="is there already"):
        plan("merged", "photos")
    with pytest.raises(BadInput, match="is not replaced"):
        plan("merged", "photos", overwrite=True)
    (tmp_path / "photos" / "config.json").touch()
    assert plan("merged", "photos", overwrite=True).spec.overwrite
    assert plan("gguf", "photos").spec.dest == str(tmp_path / "photos" / "My-run-v2-f16.gguf")
    with pytest.raises(BadInput, match=r"End it in \.gguf"):
        plan("gguf", "photos/model.bin")


def test_disk_and_memory_are_looked_at_first(home: Home, plan: Plan) -> None:
    grow(home.models / "mine", 100_000_000)
    assert plan("merged").dest_bytes == pytest.approx(2e8, rel=0.01)
    gguf = plan("gguf", "a.gguf", type="q8_0")
    assert gguf.dest_bytes == 106_250_000 and gguf.disk_bytes > 3e8, "the merged model lies there, too, for a while"
    with pytest.raises(BadInput, match="not enough room") as full:
        plan("merged", machine=Machine(lambda _: 10**8, 10**12))
    assert "95.4 MB are free" in full.value.why
    with pytest.raises(BadInput, match="cannot be merged here"):
        plan("merged", machine=Machine(lambda _: 10**12, 4 * 10**8))
    assert plan("adapter", machine=Machine(lambda _: 10**9, 1)).memory_bytes == 0


def test_a_base_that_is_gone_is_only_missed_where_it_is_needed(home: Home, plan: Plan) -> None:
    (home.models / "mine").rename(home.models / "elsewhere")
    with pytest.raises(BadInput, match="base model of My run, v2 is gone"):
        plan("merged")
    assert plan("adapter").spec.kind == "adapter"


def test_families_that_gguf_has_not_are_refused(home: Home, plan: Plan) -> None:
    write_json(home.models / "mine" / "config.json", {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]})
    with pytest.raises(BadInput, match="gpt2 model cannot be written as GGUF"):
        plan("gguf", "a.gguf")
    assert plan("merged").spec.kind == "merged"


def test_the_hub_needs_a_name(plan: Plan) -> None:
    with pytest.raises(BadInput, match="Where on the hub"):
        plan("hub")
    with pytest.raises(BadInput, match="no name on the hub"):
        plan("hub", repo="just-me")
    with pytest.raises(BadInput, match="where to push"):
        plan("merged", push=True)
    assert plan("hub", repo="me/mine").spec.private


def test_imported_runs_have_nothing_to_export(home: Home, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be exported"):
        plan_export(home, make_run(home, source="wandb"), "adapter", tmp_path / "out", machine=PLENTY)


@pytest.mark.parametrize(("name", "wanted"), [("a b/c", "a-b-c"), ("…", "model"), ("Qwen2.5_x", "Qwen2.5_x")])
def test_names_are_what_files_and_servers_take(name: str, wanted: str) -> None:
    assert model_name(name) == wanted


def test_commands_fit_what_was_written(tmp_path: Path) -> None:
    source = Source("r", "Qwen/Q", "Qwen/Q", "main", "lora", str(tmp_path))
    spec = Spec("e", "adapter", source, "r", str(tmp_path), "s", repo="me/r")
    write_json(tmp_path / "adapter_config.json", {"r": 12})
    serve, push = commands_for(spec, tmp_path, None)
    assert serve == (f"vllm serve Qwen/Q --revision main --enable-lora --max-lora-rank 16 --lora-modules r={tmp_path}")
    assert push == f"hf upload me/r {tmp_path}"
    write_json(tmp_path / "adapter_config.json", {"r": 12, "use_dora": True})
    assert not any(command.startswith("vllm") for command in commands_for(spec, tmp_path, None)), "vLLM has no DoRA"


# At work


def test_what_cannot_be_done_is_said_and_leaves_nothing(home: Home, plan: Plan, tmp_path: Path) -> None:
    made = plan("merged")
    (home.models / "mine" / "config.json").write_text("no JSON")
    with pytest.raises(FinetuiError, match="is not a model folder"):
        start_export(home, made).follow()
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_given_up_or_killed_nothing_is_left(home: Home, plan: Plan, tmp_path: Path) -> None:
    export = start_export(home, plan("merged"))
    with pytest.raises(Cancelled):
        export.follow(cancelled=lambda: True)
    assert export.process.returncode != 0
    made = plan("merged")
    (home.models / "mine" / "config.json").write_text("no JSON")  # it would end by itself soon
    killed = start_export(home, made)
    killed.process.send_signal(signal.SIGSTOP)
    Path(killed.spec.staging).mkdir()
    clear_up(home)
    assert Path(killed.spec.staging).exists(), "it is at work"
    killed.process.send_signal(signal.SIGKILL)
    with pytest.raises(FinetuiError, match="could not be exported") as told:
        killed.follow()
    assert "-9" in told.value.why and not Path(killed.spec.staging).exists()


def test_what_stood_there_before_is_put_back(home: Home, plan: Plan, tmp_path: Path) -> None:
    spec = plan("merged").spec
    folder = exports_of(home) / spec.id
    folder.mkdir(parents=True)
    write_json(folder / "spec.json", spec.to_json())
    old = Path(f"{spec.staging}.old")
    old.mkdir()
    (old / "config.json").write_text("the earlier one")
    Path(spec.staging).mkdir()
    clear_up(home)
    assert (tmp_path / "out" / "config.json").read_text() == "the earlier one"
    assert not old.exists() and not Path(spec.staging).exists()


def test_only_the_latest_exports_are_remembered(home: Home) -> None:
    for number in range(25):
        folder = exports_of(home) / f"e{number:02}"
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
    clear_up(home)
    assert {path.name for path in exports_of(home).iterdir()} == {f"e{number:02}" for number in range(5, 25)}
