"""`finetui estimate`, and `finetui train` as far as it plans: what a run takes, and why it is refused."""

from pathlib import Path

import pytest

from engine.home import Home
from engine.planning import DeviceFacts, plan
from tests.cli.conftest import Cli
from tests.engine.models_made import make_model, make_starter, prepare_tokenizer
from tests.engine.test_preflight import LARGE, gpu

KEYS = {"weights", "adapter", "optimizer", "gradients", "activations", "logits", "overhead", "total"}


@pytest.fixture(autouse=True)
def machine(home: Home, chats: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is planned for a GPU of 6 GB, and a dataset."""
    make_starter(home)
    make_model(home.models / "large", config=LARGE)
    prepare_tokenizer(home, "large")
    assert cli("datasets", "import", str(chats), "--name", "small").status == 0
    use(monkeypatch, gpu(6))


def use(monkeypatch: pytest.MonkeyPatch, devices: tuple[DeviceFacts, ...]) -> None:
    monkeypatch.setattr(plan, "list_devices", lambda *_: devices)


def test_estimate_as_json(cli: Cli, home: Home) -> None:
    found = cli("estimate", "--model", "large", "--dataset", "small", "--epochs", "2", "--json").json
    assert found["memory_bytes"].keys() == KEYS
    assert found["memory_bytes"]["total"] == sum(found["memory_bytes"][name] for name in KEYS - {"total"})
    assert (found["device"], found["fits"], found["suggestions"]) == ("gpu0", True, [])
    assert found["free_bytes"] == 6 * 2**30
    assert found["time_s"] > 0 and found["cost"] is None
    assert found["plan"]["reasons"].keys() >= {"packing", "max_length", "per_device_train_batch_size"}
    assert found["plan"]["decided"].keys() == found["plan"]["reasons"].keys()
    assert list(home.runs.iterdir()) == []


def test_estimate_of_what_does_not_fit_says_what_helps(cli: Cli) -> None:
    words = ("--model", "large", "--dataset", "small", "--method", "full")
    shown = cli("estimate", *words, "--name", "as-with-train", "--priority", "3")
    assert shown.status == 0
    assert shown.stdout.startswith("It does not fit: ")
    assert all(word in shown.stdout for word in ("weights", "total", "WHAT WOULD HELP", "--set method=qlora", "WHY"))
    found = cli("estimate", *words, "--json").json
    assert found["fits"] is False and found["problems"].keys() == {"memory"}
    assert found["suggestions"][0]["changes"] == {"method": "qlora"}


def test_training_what_does_not_fit_is_refused_unless_forced(cli: Cli, home: Home) -> None:
    words = ("--model", "large", "--dataset", "small", "--method", "full", "--dry-run")
    refused = cli("train", *words)
    assert refused.status == 2
    assert "does not fit" in refused.stderr and "--set method=qlora" in refused.stderr
    assert cli("train", *words, "--force").status == 0
    assert cli("train", *words, "--set", "method=qlora").status == 0
    assert list(home.runs.iterdir()) == []


def test_dry_run_tells_why(cli: Cli) -> None:
    shown = cli("train", "--dataset", "small", "--dry-run")
    lines = shown.stdout.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith("packing = "))
    assert lines[place - 1].startswith("# ")
    found = cli("train", "--dataset", "small", "--dry-run", "--json").json
    assert lines[place - 1] == f"# {found['plan']['reasons']['packing']}"
    assert found["asked"]["packing"] == "auto" and isinstance(found["recipe"]["packing"], bool)


def test_devices_by_number_by_name_and_auto(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.runs import requirements

    monkeypatch.setattr(requirements, "candidate_devices", lambda: {"gpu0": "0", "gpu1": "1"})
    use(monkeypatch, (*gpu(80), DeviceFacts("gpu1", "NVIDIA Tiny", "cuda", 80 << 30, 80 << 30, (8, 0), None)))
    for words, meant in (("0,1", [0, 1]), ("2", 2), ("1,", [1])):
        found = cli("train", "--model", "large", "--dataset", "small", "--devices", words, "--dry-run", "--json")
        assert found.json["asked"]["devices"] == meant
    refused = cli("train", "--model", "large", "--dataset", "small", "--devices", "0,5", "--dry-run")
    assert refused.status == 2 and "There is no gpu5 here." in refused.stderr


def test_nothing_to_estimate(cli: Cli) -> None:
    failed = cli("estimate", "--dataset", "no-such", "--model", "no-such-either")
    assert failed.status == 2
    assert "dataset: " in failed.stderr and "model: " in failed.stderr
