"""Row 13: malformed data, given to the real command in a process of its own, one file after the other.

What exactly is said of each kind is in `tests/engine/test_datasets_importing.py` and the tests of the sources. Here it
is that a user sees the row, that nothing is imported by halves, that no model's library is loaded and that memory is
bounded.
"""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home
from store import open_store

GOOD = b'{"prompt": "a", "response": "b"}\n'
BOM = b"\xef\xbb\xbf"
MEMORY_BYTES = 700 << 20
"""Three times the largest row, in the forms that it goes through, and the interpreter with its libraries."""

PROGRAM = """
import json, resource, sys
from tui.cli import main
status = {}
for file in sys.argv[1:]:
    print(f"--- {file}", file=sys.stderr, flush=True)
    status[file] = main(["datasets", "import", file, "--json"])
# Of the process itself by its status: what getrusage says begins with the peak of the process that it was forked from.
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
peaks = [size * 1024 for size in (own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)]
told = {"status": status, "peaks": peaks}
print(json.dumps(told | {"torch": "torch" in sys.modules}), file=sys.stderr)
"""


def row(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def chat(*messages: Any) -> bytes:
    return row(messages=list(messages))


USER = {"role": "user", "content": "x"}
BOT = {"role": "assistant", "content": "y"}

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "bom-alone": (BOM, "is empty"),
    "mixed": (GOOD * 2 + chat(USER, BOT), "row 3: prompt and response is missing; the row looks like messages"),
    "bad-utf8": (GOOD + b'{"prompt": "a", "response": "caf\xe9"}\n', "row 2: is not UTF-8"),
    "no-role": (chat(USER, BOT) + chat({"content": "x"}, BOT), "row 2: messages[0] has no role"),
    "nested-null": (chat(USER, BOT) + chat({"role": "user", "content": {"a": [None]}}, BOT), "row 2: messages[0]"),
    "null": (GOOD + row(prompt="a", response=None), "row 2: response is null"),
    "cut": (GOOD + b'{"prompt": "a", "resp', "row 2: is not JSON"),
    "nul": (GOOD + row(prompt="a", response="\0"), "row 2: response has a NUL character"),
    "bomb": (GOOD + b'{"prompt": "', "row 2: is longer than 64 MB"),
    "late": (GOOD * 5_000 + row(prompt="a"), "row 5001: response is missing"),
}
"""What is in the file, and what is said of it."""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for name, (content, _) in REFUSED.items():
        made[name] = tmp_path / f"{name}.jsonl"
        made[name].write_bytes(content)
    # A small file that becomes a line of 160 MB.
    made["bomb"].write_bytes(gzip.compress(REFUSED["bomb"][0]) + gzip.compress(b"x" * (4 << 20)) * 40)
    made["fifty"] = tmp_path / "fifty.jsonl"
    with made["fifty"].open("wb") as file:  # one row of 50 MB among others is a row
        file.write(BOM + GOOD * 3 + b'{"prompt": "a", "response": "' + b"long " * (10 << 20) + b'"}\n' + GOOD)
    return made


def test_row_13_every_malformed_file_is_refused_by_its_row_and_leaves_nothing(
    home: Home, files: Mapping[str, Path]
) -> None:
    home.ensure()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, files.values())],
        env=os.environ | {"FINETUI_HOME": str(home.root)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *said, last = done.stderr.strip().splitlines()
    told = json.loads(last)
    words = {part.partition("\n")[0].strip(): part for part in "\n".join(said).split("--- ")}
    for name, (_, message) in REFUSED.items():
        assert told["status"][str(files[name])] == 2, name
        assert message in words[str(files[name])].replace("\n  ", " "), name
    assert "Traceback" not in done.stderr
    assert told["torch"] is False
    assert max(told["peaks"]) < MEMORY_BYTES

    assert told["status"][str(files["fifty"])] == 0
    store = open_store(home.db)
    [dataset] = store.datasets.list()
    store.close()
    assert (dataset.name, dataset.rows) == ("fifty", 5)
    assert [path.name for path in home.datasets.iterdir() if not path.name.startswith(".lock")] == [dataset.id]
