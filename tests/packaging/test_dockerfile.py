"""The Dockerfile, which is built elsewhere: what it copies is there, and nothing is kept from it."""

import fnmatch
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Its instructions in order, each as one line."""
    text = "\n".join(line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_every_instruction_is_one() -> None:
    known = {"FROM", "WORKDIR", "RUN", "ENV", "COPY", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
    names = [name for name, _ in instructions()]
    assert set(names) <= known and names[0] == "FROM" and names[-1] == "CMD"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    for name, words in instructions():
        if name != "COPY" or "--from=" in words:
            continue
        for source in words.split()[:-1]:
            assert (ROOT / source).exists(), source
            last = [line for line in ignored if fnmatch.fnmatch(source, line.lstrip("!")) or line == f"!{source}"][-1]
            assert last.startswith("!"), f"{source} is kept from the image"


def test_the_whole_package_is_copied() -> None:
    copied = {word for name, words in instructions() if name == "COPY" for word in words.split()}
    pyproject = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r'^packages = \["(tui".*)"\]$', pyproject, re.MULTILINE)
    assert packages and set(packages[1].replace('"', "").split(", ")) <= copied


def test_it_is_pinned_and_runs_as_nobody_special() -> None:
    lines = instructions()
    assert all(re.search(r":\d+\.\d+\.\d+", words) for name, words in lines if name == "FROM")
    assert [words for name, words in lines if name == "USER"] == ["1000"]
    assert not [words for name, words in lines if re.search(r"token|secret|password", words, re.IGNORECASE)]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="there is no hadolint")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(FILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
