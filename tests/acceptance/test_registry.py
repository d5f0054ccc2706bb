"""A registered adapter answers as its run does, on a real model server."""

import json

from tests.acceptance.conftest import Demo


def test_a_registered_adapter_answers_as_its_run(demo: Demo) -> None:
    run = demo.document["run"]["id"]
    assert demo.finetui.json("register", run, "desk", "--tag", "demo")["version"] == 1
    asked = ("--prompt", "Do you sell gift cards?", "--temperature", "0", "--max-new-tokens", "24")
    [said] = demo.finetui.json("chat", "--run", run, *asked)
    done = demo.finetui.run("chat", "--run", "desk", *asked, "--json")
    assert done.returncode == 0, done.stderr
    assert "desk@1: adapter on" in done.stderr and "not the one" not in done.stderr
    [again] = json.loads(done.stdout)
    assert [one["run"] for one in again["answers"]] == [None, "desk@1"]
    assert [one["text"] for one in again["answers"]] == [one["text"] for one in said["answers"]]
