"""What is checked of an adapter when it is loaded, on adapters that are right and on ones that are not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.inference.trust import Trust
from engine.runs.rundir import RunDir, read_json, write_json
from engine.tokens.tokenizer import Tokenizer
from engine.worker import train
from engine.worker.adapters import AdapterShelf
from engine.worker.loading import load_base, load_tokenizer
from engine.worker.proof import template_hash
from engine.worker.tokenizer import prepare_tokenizer
from engine.worker.trust import check_adapter, check_whole, logit_change, merged_agrees, probes
from tests.worker.conftest import TinyModel
from tests.worker.runs import make_run

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def tokenizer(tiny_model: TinyModel) -> Any:
    return load_tokenizer(tiny_model.base)


def shelf_of(model: TinyModel, *, method: str = "lora", revision: str | None = None) -> AdapterShelf:
    return AdapterShelf(load_base(model.base, method=method, device="cpu"), str(model.base), revision)


def check(shelf: AdapterShelf, folder: Path, tokenizer: Any, name: str = "one") -> Trust:
    shelf.load(name, folder)
    return check_adapter(shelf, name, folder, tokenizer)


def changed(folder: Path, source: Path, factor: float = 1.0, **config: Any) -> Path:
    """A copy of the adapter `source` with its B matrices times `factor`."""
    shutil.copytree(source, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name: weight * factor if "lora_B" in name else weight for name, weight in weights.items()},
        folder / "adapter_model.safetensors",
    )
    before = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(before | config))
    return folder


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_an_adapter_that_is_on_is_trusted_and_says_by_how_much(
    tiny_model: TinyModel, tokenizer: Any, method: str
) -> None:
    trust = check(shelf_of(tiny_model, method=method), tiny_model.adapters["formal"], tokenizer)
    assert trust.base_matches is True and trust.template_matches is None and trust.warnings == ()
    assert trust.delta is not None and trust.delta > 1
    assert trust.merged_agrees is (True if method == "lora" else None)
    assert trust.words() == f"adapter on (Δ {trust.delta:.1f})"
    assert Trust.from_json(json.loads(json.dumps(trust.to_json()))) == trust


def test_the_change_is_that_of_the_logits_and_nothing_of_the_base_is_touched(
    tiny_model: TinyModel, tokenizer: Any, tmp_path: Path
) -> None:
    shelf = shelf_of(tiny_model)
    before = {name: weight.clone() for name, weight in shelf.model.state_dict().items()}
    shelf.load("formal", tiny_model.adapters["formal"])
    shelf.load("dora", tiny_model.dora)
    ids = probes(tokenizer, None)[:1]
    with torch.no_grad(), shelf.model.disable_adapter():
        old = shelf.model(input_ids=torch.tensor(ids)).logits[0]
    shelf.model.set_adapter("formal")
    with torch.no_grad():
        new = shelf.model(input_ids=torch.tensor(ids)).logits[0]
    found = logit_change(shelf.model, "formal", ids)
    assert found == pytest.approx(float((new - old).abs().amax(-1).mean()), rel=1e-3)
    assert (logit_change(shelf.model, "dora", ids) or 0) > 0.1
    assert merged_agrees(shelf.model, "formal") is True and merged_agrees(shelf.model, "dora") is None
    for name in ("formal", "dora"):
        shelf.remove(name)
    assert all(torch.equal(weight, before[name]) for name, weight in shelf.model.state_dict().items())


def test_an_adapter_that_was_never_trained_is_a_warning(tiny_model: TinyModel, tokenizer: Any, tmp_path: Path) -> None:
    trust = check(shelf_of(tiny_model), changed(tmp_path / "a", tiny_model.adapters["formal"], 0.0), tokenizer)
    assert trust.delta == 0 and trust.words() == "adapter without effect (Δ 0)"
    assert len(trust.warnings) == 1 and "off or untrained" in trust.warnings[0]


def test_an_adapter_of_another_base_or_revision_is_a_warning(
    tiny_model: TinyModel, tokenizer: Any, tmp_path: Path
) -> None:
    source = tiny_model.adapters["formal"]
    other = changed(tmp_path / "other" / "adapter", source, base_model_name_or_path="someone/else")
    shelf = shelf_of(tiny_model)
    trust = check(shelf, other, tokenizer, "other")
    assert trust.base_matches is False and "someone/else" in trust.warnings[0] and "load it" in trust.warnings[0]
    assert "another base model" in trust.words()
    # What the run's folder says counts more than what the adapter's own file says.
    write_json(RunDir(tmp_path / "other").inputs, {"model": {"path": str(tiny_model.base)}})
    assert check_adapter(shelf, "other", other, tokenizer).base_matches is True
    write_json(RunDir(tmp_path / "other").inputs, {"model": {"path": "someone/else", "revision": "v2"}})
    hub = shelf_of(tiny_model, revision="v1")
    hub.base_name = "someone/else"
    trust = check(hub, other, tokenizer)
    assert trust.base_matches is False and "revision v2" in trust.warnings[0] and "v1 is loaded" in trust.warnings[0]
    hub.revision = "v2"
    assert check_adapter(hub, "one", other, tokenizer).base_matches is True


def test_a_merge_that_says_something_else_is_noticed(
    tiny_model: TinyModel, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft.tuners.lora.layer import Linear

    real = Linear.get_delta_weight
    monkeypatch.setattr(Linear, "get_delta_weight", lambda layer, name: 1.1 * real(layer, name))
    trust = check(shelf_of(tiny_model), tiny_model.adapters["formal"], tokenizer)
    assert trust.merged_agrees is False and "unmerged" in trust.warnings[0] and "merged differs" in trust.words()


def test_a_run_with_a_template_of_its_own_is_known_by_it(tiny_model: TinyModel, tokenizer: Any, tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", tiny_model.base, chat_template="instruction", max_steps=2, validation=0, max_length=220
    )
    assert train.main(str(run.path)) == 0
    prepare_tokenizer(tiny_model.base, tmp_path / "tokenizer")
    launched = Tokenizer(tmp_path / "tokenizer", "tiny").template("instruction").hash

    shelf = shelf_of(tiny_model)
    trust = check(shelf, run.adapter, tokenizer)
    assert trust.template_matches is True, "by what the end of the run recorded"
    template = shelf.template("one")
    assert template is not None and template != tokenizer.chat_template
    events = run.events.read_bytes()
    run.events.unlink()
    assert check_adapter(shelf, "one", run.adapter, tokenizer).template_matches is None
    write_json(run.inputs, (read_json(run.inputs) or {}) | {"template_hash": launched})
    assert check_adapter(shelf, "one", run.adapter, tokenizer).template_matches is True, "by what the launch recorded"

    (run.adapter / "chat_template.jinja").write_text("{{ messages }}")
    run.events.write_bytes(events)
    trust = check(shelf, run.adapter, tokenizer, "two")
    assert trust.template_matches is False and "chat_template.jinja" in trust.warnings[0]
    assert replace(trust, delta=None).words() == "loaded, another template"


def test_a_whole_model_of_a_run_is_checked_for_its_template(tiny_model: TinyModel, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "adapter"
    shutil.copytree(tiny_model.base, folder)
    tokenizer = load_tokenizer(folder)
    assert check_whole(folder, tokenizer) is None, "no run has made it"
    write_json(RunDir(folder.parent).inputs, {"template_hash": template_hash(tokenizer.chat_template)})
    trust = check_whole(folder, tokenizer)
    assert trust is not None and trust.template_matches is True and trust.words() == "loaded"
    tokenizer.chat_template = "{{ messages }}"
    trust = check_whole(folder, tokenizer)
    assert trust is not None and trust.template_matches is False and trust.words() == "loaded, another template"


def test_the_training_form_of_a_template_counts_as_that_template(
    tiny_model: TinyModel, tokenizer: Any, chat_model: Path, tmp_path: Path
) -> None:
    prepare_tokenizer(chat_model, tmp_path / "tokenizer")
    launched = Tokenizer(tmp_path / "tokenizer", "tiny").template("own").hash
    folder = tmp_path / "run" / "adapter"
    shutil.copytree(tiny_model.adapters["formal"], folder)
    write_json(RunDir(folder.parent).inputs, {"template_hash": launched})
    own = load_tokenizer(chat_model)
    shelf = shelf_of(tiny_model)
    assert check(shelf, folder, own).template_matches is True
    assert check_adapter(shelf, "one", folder, tokenizer).template_matches is False
