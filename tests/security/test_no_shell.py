"""Nothing that users, data or models say is ever read by a shell: the source is walked, and the one script is tried.

The only line of shell is the user's own: `command` under `[alerts]` in the settings, which may be one.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from engine.notices.settings import read_notice_settings
from engine.runs.backends.slurm_script import script_text

ROOT = Path(engine.__file__).parents[1]
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
SHELLS |= {"asyncio.create_subprocess_shell", "commands.getoutput", "os.execlp", "os.spawnlp"}
STARTERS = {"run", "Popen", "call", "check_call", "check_output"}
INTERPRETERS = {"sh", "bash", "zsh", "dash", "ksh", "ash"}
"""Wherever they lie: `/usr/bin/bash` too."""

THE_USERS_OWN = "engine/notices/settings.py"


def problems(source: str) -> Iterator[str]:
    """What in a module's source would have a shell read a text, or evaluate one as code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = _dotted(node.func)
            if called in SHELLS or called in ("eval", "exec"):
                yield f"line {node.lineno}: {called}"
            for keyword in node.keywords:
                if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value):
                    yield f"line {node.lineno}: shell="
            first = node.args[0] if node.args else None
            starts = called.rpartition(".")[2] in STARTERS and called.startswith(("subprocess.", "Popen"))
            if starts and isinstance(first, (ast.JoinedStr, ast.Constant, ast.BinOp)) and not _is_list(first):
                yield f"line {node.lineno}: a command that is one string"
        if isinstance(node, ast.ImportFrom):
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                if name in SHELLS:
                    yield f"line {node.lineno}: {name}"
        if isinstance(node, (ast.List, ast.Tuple, ast.Call)):
            parts = node.args if isinstance(node, ast.Call) else node.elts
            words = [one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            read = any(re.fullmatch(r"-\w*c", word) for word in words[1:])  # `-c`, `-lc`
            if words and words[0].rpartition("/")[2] in INTERPRETERS and read:
                yield f"line {node.lineno}: {words[0]} -c"


def _dotted(node: ast.expr) -> str:
    """`a.b.c` as it is written; nothing for what is called otherwise."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_list(node: ast.expr) -> bool:
    """`[…] + […]`, which is a list of words."""
    return isinstance(node, ast.BinOp) and any(isinstance(one, (ast.List, ast.Tuple)) for one in ast.walk(node))


def test_no_module_hands_a_text_to_a_shell() -> None:
    files = [file for folder in ("engine", "store", "tui") for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 300
    found = {str(file.relative_to(ROOT)): list(problems(file.read_text(encoding="utf-8"))) for file in files}
    found = {name: lines for name, lines in found.items() if lines}
    assert list(found) == [THE_USERS_OWN]
    assert len(found[THE_USERS_OWN]) == 1 and found[THE_USERS_OWN][0].endswith("sh -c")


@pytest.mark.parametrize(
    "source",
    [
        "os.system(f'rm {x}')",
        "subprocess.run(x, shell=True)",
        "subprocess.Popen(f'ls {x}')",
        "subprocess.check_output('ls ' + x)",
        "await asyncio.create_subprocess_shell(x)",
        "run(['bash', '-c', x])",
        "run(['/usr/bin/bash', '-lc', x])",
        "await asyncio.create_subprocess_exec('sh', '-c', x)",
        "from os import system",
        "from subprocess import getoutput as said",
        "eval(x)",
    ],
)
def test_the_walk_finds_what_it_is_for(source: str) -> None:
    assert list(problems(f"async def f():\n    {source}"))
    assert not list(problems("subprocess.run(['ls', x], shell=False)\nsubprocess.run([*a] + ['b'])"))


WITNESS = "import json, sys, pathlib; pathlib.Path(sys.argv[1]).write_text(json.dumps(sys.argv[2:]))"
HOSTILE = ["$(touch {0})", "`touch {0}`", "'; touch {0} #", '"; touch {0} #', "a\ntouch {0}", "|touch {0}", "${{IFS}}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_job_script_runs_nothing_of_what_it_is_told(tmp_path: Path, text: str) -> None:
    made = tmp_path / "made"
    words = text.format(made)
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True)
    witness = tmp_path / "witness"
    script = script_text(
        folder,
        {"slurm_partition": "p", "slurm_options": ["--comment=x"]},
        {"id": "r1", "name": words, "processes": 1},
        attempt=1,
        gpus=False,
        supervisor=[sys.executable, "-c", WITNESS, str(witness), words],
        worker=["python", words],
        python_path=words,
    )
    done = subprocess.run(["bash"], input=script, text=True, cwd=tmp_path, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    given = json.loads(witness.read_text())
    assert given[0] == words and given[-1] == words, "word for word"
    assert not made.exists()


def test_a_line_of_shell_in_the_settings_gets_the_notice_by_the_environment_alone(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[alerts]\ncommand = "echo $FINETUI_TITLE"\n')
    assert read_notice_settings(settings).command == ("sh", "-c", "echo $FINETUI_TITLE"), "nothing is put into it"
