"""The file for a bug report: what helps is in it, what is secret or somebody's data is not."""

import json
import stat
import zipfile
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.home import Home
from engine.insight.checks.check import Check
from engine.insight.doctor_bundle import Redactor, failed_runs, variables, write_bundle
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, write_json

HUB = "hf_qWe7rTy9uIo3pAs5dFg1hJk8lZx2cVb6nM4q"
OWN = "correct-horse-battery"
SERVED = "n0t-of-any-known-form-77"
DATA = "My order 4711 never came"
PERSON, TOPIC = "ann@home", "our-topic"
"""Words of the alerts that no pattern knows, and no variable holds."""


def make_run(home: Home, name: str, code: int) -> RunDir:
    run = RunDir(home.runs / name)
    run.path.mkdir()
    run.recipe.write_text(f'model = "starter"\nsample_prompts = ["{DATA}"]\nhub_token = "{HUB}"\nrank = 8\n')
    write_json(run.inputs, {"id": name, "model": {"name": "starter"}, "api_key": "abcdef", "note": f"token={HUB}"})
    write_json(run.exit, {"attempt": 1, "code": code, "words": [OWN]})
    run.log.write_text(f"loading\nAuthorization: Bearer {OWN}\n{Path.home()}/models\nCUDA error: no kernel image\n")
    writer = EventWriter(run.events, 1)
    writer.write("sample", step=1, prompt=DATA, answer=DATA)
    writer.write("end", status="failed", reason=f"refused with {HUB}")
    writer.close()
    return run


@pytest.fixture
def home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    home.ensure()
    (home.root / "serve-token").write_text(SERVED + "\n")
    (home.root / "settings.toml").write_text(
        f'theme = "nord"\n[alerts]\nwebhook_token = "{OWN}"\n'
        f'command = "notify {PERSON} {OWN}"\nwebhook = "https://u:{TOPIC}@push.example/{TOPIC}?to={TOPIC}"\n'
    )
    (home.root / "finetui.log").write_text(f"--- finetui serve\nRuntimeError: {SERVED} and {HUB}\n")
    monkeypatch.setenv("WANDB_API_KEY", OWN)
    monkeypatch.setenv("HF_TOKEN", HUB)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return home


def read(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return {name.removeprefix("finetui-report/"): archive.read(name).decode() for name in names}


def test_nothing_secret_and_nobodys_data_is_in_it(home: Home, tmp_path: Path) -> None:
    make_run(home, "r1", 1)
    target = tmp_path / "report.zip"
    names = write_bundle(target, home, [Check("hub", False, f"{OWN} was refused", "ask")], "0.1.0")
    files = read(target)
    assert list(files) == names and stat.S_IMODE(target.stat().st_mode) == 0o600
    together = "\n".join(files.values())
    for secret in (HUB, OWN, SERVED, DATA, PERSON, TOPIC, "abcdef", "webhook_token", "hub_token"):
        assert secret not in together, secret
    assert str(Path.home()) not in files["runs/r1/log.txt"] and "~/models" in files["runs/r1/log.txt"]


def test_what_helps_is_in_it(home: Home, tmp_path: Path) -> None:
    make_run(home, "r1", 1)
    target = tmp_path / "report.zip"
    write_bundle(target, home, [Check("gpu", True, "none")], "0.1.0")
    files = read(target)
    assert json.loads(files["checks.json"]) == [{"name": "gpu", "ok": True, "found": "none", "fix": ""}]
    assert json.loads(files["machine.json"])["finetui"] == "0.1.0"
    assert json.loads(files["environment.json"])["CUDA_VISIBLE_DEVICES"] == "0"
    assert "HF_TOKEN" in json.loads(files["environment.json"]), "that it is set may matter; what it is does not"
    settings = json.loads(files["settings.json"])
    assert settings["theme"] == "nord"
    assert settings["alerts"] == {"command": "notify …", "webhook": "https://push.example/…"}
    assert "pydantic==" in files["packages.txt"] and "RuntimeError" in files["log.txt"]
    assert "CUDA error: no kernel image" in files["runs/r1/log.txt"]
    assert json.loads(files["runs/r1/recipe.json"])["rank"] == 8
    [event] = files["runs/r1/events.jsonl"].splitlines()
    assert json.loads(event)["kind"] == "end" and "refused with" in event
    assert "Read it before you pass it on" in files["README.txt"]


def test_the_latest_failures_are_taken(home: Home) -> None:
    made = [make_run(home, f"r{number}", number % 5) for number in range(6)]
    found = [run.path.name for run in failed_runs(home)]
    assert len(found) == 3 and "r0" not in found and "r5" not in found
    assert made[4].path.name == found[0]


def test_a_damaged_home_still_gives_a_report(home: Home, tmp_path: Path) -> None:
    (home.root / "settings.toml").write_text("theme = [")
    home.db.write_bytes(b"not a database")
    run = make_run(home, "r1", 1)
    run.recipe.write_bytes(b"\xff\xfe")
    run.events.write_bytes(b'{"half')
    run.exit.write_text("{")
    target = tmp_path / "report.zip"
    assert "runs/r1/log.txt" in write_bundle(target, home, [], "0.1.0")
    assert "problem" in read(target)["settings.json"]


def test_a_file_that_is_there_is_not_written_over(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "report.zip"
    target.write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        write_bundle(target, home, [], "0.1.0")
    with pytest.raises(BadInput, match="cannot be written"):
        write_bundle(tmp_path / "none" / "report.zip", home, [], "0.1.0")
    assert target.read_text() == "mine"


def test_short_values_are_no_secrets_and_unknown_variables_are_not_told(home: Home) -> None:
    environment = {"MY_TOKEN": "true", "EDITOR": "vi", "LANG": "C.UTF-8", "HF_HOME": "/h"}
    redactor = Redactor(home, environment)
    assert redactor.text("it is true") == "it is true"
    assert variables(redactor, environment) == {"HF_HOME": "/h", "LANG": "C.UTF-8"}
