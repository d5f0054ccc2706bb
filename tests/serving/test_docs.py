"""What `docs/api.md` prints works as it is printed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.serving.asked import MOST_STOPS
from engine.serving.guard import MOST_BODY_BYTES, rules_for
from engine.serving.refusals import STATUSES
from tests.serving.stand_in import BASE, SUPPORT, TOKEN, Api, served

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = [
    (language, example)
    for language, example in re.findall(r"```(sh|python)\n(.*?)```", TEXT, flags=re.DOTALL)
    if "finetui serve" not in example
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    api = Api(rules_for("127.0.0.1", TOKEN), [BASE, replace(SUPPORT, label="demo")])
    with served(api.app) as url:
        yield url


@pytest.mark.parametrize(("language", "example"), EXAMPLES, ids=[text.split("\n")[0][:50] for _, text in EXAMPLES])
def test_an_example_works_as_printed(url: str, language: str, example: str, tmp_path: Path) -> None:
    (tmp_path / ".finetui-token").write_text(f"{TOKEN}\n")
    command = ["bash", "-ec"] if language == "sh" else [sys.executable, "-c"]
    assert "http://127.0.0.1:8000" in example
    done = subprocess.run(
        [*command, example.replace("http://127.0.0.1:8000", url)],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "demo: How do I reset my password?" in done.stdout and '"error"' not in done.stdout


def test_the_figures_in_it_are_those_of_the_code() -> None:
    assert len(EXAMPLES) == 3
    assert f"larger than {MOST_BODY_BYTES >> 20} MiB" in TEXT and MOST_STOPS == 8 and "up to eight" in TEXT
    assert {int(status) for status in re.findall(r"^\| (\d{3}) \|", TEXT, flags=re.MULTILINE)} == {*STATUSES, 405}
