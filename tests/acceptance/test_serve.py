"""The demo's run served to OpenAI's own client: the starter model, its adapter, real answers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from tests.acceptance.conftest import Demo

pytestmark = [pytest.mark.train, pytest.mark.timeout(1200)]


def test_the_adapter_is_served_as_taught(demo: Demo) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from tui.cli.serve import app; app(prog_name='finetui')"),
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
