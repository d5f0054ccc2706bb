"""From nothing to a chat with the adapter, as a user does it: real model, real training, real answers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from engine.home import Home
from engine.runs.rundir import RunDir
from store import open_store
from tests.acceptance.conftest import Demo, Installed
from tests.engine.runs_at_work import events, record, wait_for
from tests.security.modes import open_to_others
from tests.security.secret_values import leaks
from tests.tui.conftest import Driver
from tui.app import FinetuiApp

pytestmark = [pytest.mark.train, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def variant(demo: Demo) -> str:
    """A second run on the starter model, of four steps."""
    demo.finetui.json(
        *("train", "--preset", "quick-look", "--dataset", "emoji", "--name", "variant", "--wait"),
        *("--set", "max_steps=4", "--set", "eval_steps=2", "--set", "max_length=128"),
        timeout_s=300,
    )
    return "variant"


def test_the_adapter_answers_as_taught_and_the_base_does_not(demo: Demo) -> None:
    match = demo.document["match"]
    assert match["of"] == 10
    assert match["adapter"] >= 8
    assert match["base"] <= 1


def test_it_is_four_bit_training_that_lowered_the_losses(demo: Demo) -> None:
    document = demo.document
    assert document["linear4bit"] == 21  # three layers of seven projections
    for loss in ("train_loss", "eval_loss"):
        assert document["after"][loss] < document["before"][loss] / 4
    assert document["run"]["status"] == "succeeded"
    assert document["run"]["metrics"]["eval/loss"]["step"] == document["run"]["total_steps"]


def test_a_second_demo_opens_the_first_ones_run(demo: Demo) -> None:
    again = demo.finetui.json("demo", "--headless")
    assert again["run"]["id"] == demo.document["run"]["id"]
    assert [answer["adapter"] for answer in again["answers"]] == [
        answer["adapter"] for answer in demo.document["answers"]
    ]


def test_base_a_registered_adapter_and_a_run_answer_one_prompt(demo: Demo, variant: str) -> None:
    run = demo.document["run"]["id"]
    assert demo.finetui.json("register", run, "desk", "--tag", "demo")["version"] == 1
    taught = demo.document["answers"][0]
    done = demo.finetui.run("chat", "--run", "desk", "--run", variant, "--prompt", taught["prompt"], "--json")
    assert done.returncode == 0, done.stderr
    assert "desk@1: adapter on" in done.stderr and "not the one" not in done.stderr
    [turn] = json.loads(done.stdout)
    base, first, second = turn["answers"]
    assert (base["run"], first["run"], second["run"]) == (
        None,
        "desk@1",
        demo.finetui.json("runs", "show", variant)["id"],
    )
    assert first["text"] == taught["adapter"]
    assert base["text"] == taught["base"]
    assert second["text"] != first["text"]


def test_two_runs_are_compared(demo: Demo, variant: str) -> None:
    document = demo.finetui.json("runs", "compare", "demo", variant)
    assert document["differing"]["lora_r"] == [64, 16]
    assert "eval loss" in document["sentence"]


def test_the_store_is_made_again_from_the_folders(demo: Demo, variant: str) -> None:
    before = demo.finetui.json("runs", "ls")
    points = demo.finetui.json("runs", "metrics", "demo", "--metric", "train/loss")
    for file in demo.finetui.home.glob("finetui.db*"):
        file.unlink()
    demo.finetui.json("store", "rebuild")
    assert demo.finetui.json("runs", "ls") == before
    assert demo.finetui.json("runs", "metrics", "demo", "--metric", "train/loss") == points


def test_a_run_is_stopped_and_resumed_to_its_end(demo: Demo) -> None:
    finetui = demo.finetui
    run = finetui.json(
        *("train", "--preset", "quick-look", "--dataset", "support", "--name", "paused"),
        *("--set", "max_steps=40", "--set", "eval_steps=20", "--set", "sample_max_new_tokens=4"),
    )
    rundir = RunDir(finetui.home / "runs" / run["id"])
    wait_for(lambda: any(event["step"] >= 3 for event in events(rundir, "metrics")), 300)
    worker = record(rundir).worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)  # on a busy machine it would be done before the command has started
    finetui.json("runs", "stop", "paused")  # which wakes it
    stopped = _until(finetui, "paused", lambda run: run["status"] == "stopped")
    assert 3 <= stopped["step"] < 40

    finetui.json("runs", "resume", "paused")
    ended = _until(finetui, "paused", lambda run: run["status"] in ("succeeded", "failed") and run["attempt"] == 2)
    assert (ended["status"], ended["step"]) == ("succeeded", 40)
    points = finetui.json("runs", "metrics", "paused", "--metric", "train/loss", "--points", "1000")
    assert points["metrics"]["train/loss"]["steps"] == list(range(1, 41))


@pytest.mark.long  # that it trains is in tests/worker/test_train.py, that it is checked in test_trust.py
def test_a_whole_model_that_was_trained_answers(demo: Demo) -> None:
    demo.finetui.json(
        *("train", "--method", "full", "--dataset", "support", "--name", "whole", "--wait"),
        *("--set", "max_steps=2", "--set", "max_length=128"),
        timeout_s=300,
    )
    [turn] = demo.finetui.json("chat", "--run", "whole", "--prompt", "Hello")
    assert turn["answers"][-1]["text"]


async def test_chat_in_the_app_streams_side_by_side_and_is_kept(demo: Demo) -> None:
    app = FinetuiApp(Home(demo.finetui.home))
    taught = demo.document["answers"][0]
    async with app.run_test(size=(160, 40)) as pilot:
        driver = Driver(app, pilot)
        await driver.sees("demo")
        await driver.press("slash")
        await driver.type("demo")
        await driver.press("enter", "t")
        await driver.sees("base", "demo")
        await driver.type(taught["prompt"])
        await driver.press("enter")
        give_up = time.monotonic() + 120
        while driver.text().count("tok") < 2 and time.monotonic() < give_up:
            await asyncio.sleep(0.2)
        answer = " ".join(taught["adapter"].split()[:3])
        await driver.sees(answer)
    store = open_store(Home(demo.finetui.home).db)
    [chat] = store.chats.list()
    texts = {message.text for message in store.chats.messages(chat.id)}
    assert {taught["prompt"], taught["base"], taught["adapter"]} <= texts
    store.close()


def _until(finetui: Installed, name: str, condition: Callable[[Any], bool], timeout_s: float = 300) -> Any:
    """The run's document once it meets the condition."""
    give_up = time.monotonic() + timeout_s
    while not condition(run := finetui.json("runs", "show", name)):
        assert time.monotonic() < give_up, run
        time.sleep(0.5)
    return run


def test_the_adapter_is_served_as_taught(demo: Demo) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from tui.cli import main; main()", "serve"),
            *("--run", "demo", "--port", "0", "--json"),
        ],
        env=os.environ | {"FINETUI_HOME": str(demo.finetui.home), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line
            text += line
        served = json.loads(text)
        assert served["models"] == ["base", "demo", demo.document["run"]["id"]]
        token = Path(served["token_file"]).read_text().strip()
        taught = demo.document["answers"][0]
        with openai.OpenAI(base_url=f"{served['url']}/v1", api_key=token, timeout=120) as client:
            for model, text in (("demo", taught["adapter"]), ("base", taught["base"])):
                pieces = client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": taught["prompt"]}], stream=True
                )
                assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_row_25_no_secret_is_in_anything_that_was_kept_or_passed_on(demo: Demo, tmp_path: Path) -> None:
    finetui, run = demo.finetui, demo.document["run"]["id"]
    for kind in ("html", "csv", "markdown", "curves", "png"):
        assert finetui.run("runs", "compare", run, f"--{kind}", str(tmp_path / f"report.{kind}")).returncode == 0
    finetui.json("register", run, "guarded")
    (tmp_path / "card.md").write_text(finetui.run("registry", "show", "guarded", "--card").stdout)
    finetui.json("export", run, str(tmp_path / "adapter"), "--to", "adapter")
    finetui.run("doctor", "--bundle", str(tmp_path / "report.zip"))
    (tmp_path / "log.txt").write_text(finetui.run("runs", "log", run).stdout)
    assert (tmp_path / "report.zip").is_file() and (tmp_path / "card.md").stat().st_size
    assert leaks([finetui.home, tmp_path]) == []


def test_nothing_in_the_home_is_open_to_others(demo: Demo) -> None:
    assert open_to_others(demo.finetui.home) == []
    names = {path.name for path in demo.finetui.home.rglob("*")}
    assert {"adapter_model.safetensors", "optimizer.pt", "finetui.db", "log.txt", "tokenizer.json"} <= names
