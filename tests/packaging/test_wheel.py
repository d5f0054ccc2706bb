"""What is built and installed works: the base installation reviews runs, and says what training needs."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "bitsandbytes", "uvicorn", "starlette")
Installed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    here = ["--no-isolation"] if find_spec("hatchling") else []  # else it is fetched, where an index can be reached
    done = subprocess.run(
        [sys.executable, "-m", "build", *here, "--outdir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=200,
    )
    if done.returncode and not here and "hatchling" in done.stdout + done.stderr:
        pytest.skip("hatchling is not installed, and no package index answers")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Run a program of an environment that has the wheel and what it requires without extras, and nothing else."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    [wheel] = built.glob("*.whl")
    linked = required(requirements(wheel))
    for distribution in linked.values():
        for top in {Path(str(file)).parts[0] for file in distribution.files or () if ".." not in Path(str(file)).parts}:
            target = site / top
            if top != "__pycache__" and not target.exists():
                target.symlink_to(Path(str(distribution.locate_file(top))))
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"),
            *("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )

    def run(program: str, *words: str, home: Path) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(folder / "bin" / program), *words],
            capture_output=True,
            text=True,
            cwd=home.parent,
            env=environment | {"FINETUI_HOME": str(home)},
            timeout=60,
        )

    return run


def requirements(wheel: Path) -> list[str]:
    """What the wheel itself says that it requires."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]


def required(wanted: list[str]) -> dict[str, metadata.Distribution]:
    """The distributions that `wanted` comes to, with theirs, no extras but those asked for."""
    found: dict[str, metadata.Distribution] = {}
    todo = [(Requirement(line), "") for line in wanted]
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if name in found and not requirement.extras:
            continue
        found[name] = distribution = metadata.distribution(name)
        lines = distribution.requires or []
        todo += [(Requirement(line), asked) for line in lines for asked in ("", *requirement.extras)]
    return found


def test_the_archives_hold_what_they_should(built: Path) -> None:
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        *("tui/app.tcss", "tui/web/page/index.html", "engine/serving/page/chat.html", "samples/starter.jsonl"),
        *("themes/", "engine/presets/", "share/man/man1/finetui.1", "licenses/LICENSE"),
    ):
        assert any(needed in name for name in names), needed
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if "." not in top} == {"tui", "engine", "store", "themes", "samples"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db"))]
    with tarfile.open(sdist) as packed:
        inside = {name.partition("/")[2] for name in packed.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "Dockerfile", "constraints.txt"} <= inside


def test_the_program_says_its_version_and_lists_runs(installed: Installed, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shown = installed("finetui", "--version", home=home)
    assert shown.stdout == f"finetui {metadata.version('finetui')}\n", shown.stderr
    listed = installed("finetui", "runs", "ls", "--json", home=home)
    assert json.loads(listed.stdout) == [], listed.stderr
    assert "no runs" in installed("finetui", "runs", "ls", home=home).stdout.lower()
    doctor = json.loads(installed("finetui", "doctor", "--json", home=home).stdout)["checks"]
    assert {check["name"] for check in doctor if "finetui[train]" in check["fix"]} >= {"torch", "transformers", "peft"}


def test_reviewing_works_without_the_training_side(installed: Installed, tmp_path: Path) -> None:
    program = (
        "import importlib.util as u, sys; from pathlib import Path; "
        f"assert not [name for name in {HEAVY!r} if u.find_spec(name)]; "
        "import tui; assert 'site-packages' in tui.__file__; "
        "import pkgutil, importlib, tui.cli.root, tui.app, engine, store; "
        "modules = [m.name for p in (tui, store) for m in pkgutil.walk_packages(p.__path__, p.__name__ + '.')]; "
        "[importlib.import_module(name) for name in modules if not name.endswith('__main__')]; print(len(modules))"
    )
    done = installed("python", "-c", program, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_training_says_what_to_install(installed: Installed, tmp_path: Path) -> None:
    home, rows = tmp_path / "home", tmp_path / "rows.jsonl"
    answer = {"role": "assistant", "content": "Here."}
    chats = [{"messages": [{"role": "user", "content": f"Where is {n}?"}, answer]} for n in range(20)]
    rows.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    imported = installed("finetui", "datasets", "import", str(rows), "--name", "support", home=home)
    assert imported.returncode == 0, imported.stderr
    refused = installed("finetui", "train", "--dataset", "support", home=home)
    assert refused.returncode in (1, 2) and "pip install 'finetui[train]'" in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
