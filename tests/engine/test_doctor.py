"""Each check says what is there and, where that is too little, what to do."""

import locale
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread

import pytest

from engine.home import Home
from engine.insight import doctor
from engine.insight.checks import gpus as gpu_checks
from engine.insight.checks import packages, room, storing, surroundings
from engine.insight.checks.check import Check
from engine.insight.checks.gpus import Gpus

GPU = Gpus(names=("NVIDIA H200 150 GB",), driver="570.1", card=True, cuda=(13, 0), capability=(9, 0))
ALL = """
python, home, permissions, file system, disk, hub cache, memory, shared memory, limits, clock, sqlite, store, processes,
leases, torch, transformers, peft, trl, bitsandbytes, datasets, accelerate, gguf, gpu, cuda, bitsandbytes library,
flash attention, liger, terminal, starter model, hub, cluster
"""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_every_check_answers_and_only_failures_have_a_fix(home: Home) -> None:
    checks = doctor.run_checks(home)
    names = [check.name for check in checks]
    assert names == [" ".join(name.split()) for name in ALL.split(",")]
    for check in checks:
        assert check.found
        assert bool(check.fix) is not check.ok, check


def test_a_check_that_fails_itself_stops_no_other(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Check:
        raise RuntimeError("beyond repair")

    monkeypatch.setattr(doctor, "check_memory", broken)
    checks = {check.name: check for check in doctor.run_checks(home)}
    assert "beyond repair" in checks["memory"].found and not checks["memory"].ok
    assert checks["python"].ok and len(checks) == len(ALL.split(","))


def test_nothing_heavy_is_imported(home: Home) -> None:
    program = (
        "import sys; from pathlib import Path; from engine.home import Home;"
        "from engine.insight.doctor import run_checks;"
        f"run_checks(Home(Path({str(home.root)!r})));"
        "print({'torch', 'transformers', 'trl', 'peft', 'datasets', 'bitsandbytes'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_home_that_cannot_be_made_fails_the_checks_that_need_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = Home(tmp_path / "file" / "home")
    check = storing.check_home(home)
    assert not check.ok
    assert "--home" in check.fix
    assert not storing.check_store(home).ok
    assert "GB free" in room.check_disk(home).found


def test_little_room_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FREE_BYTES", 1 << 60)
    assert not room.check_disk(home).ok


def test_the_store_is_tried_without_leaving_anything(home: Home) -> None:
    home.ensure()
    before = sorted(home.root.iterdir())
    check = storing.check_store(home)
    assert check.ok, check
    assert "write-ahead log works" in check.found
    assert sorted(home.root.iterdir()) == before


def test_a_store_that_is_none_is_said(home: Home) -> None:
    home.ensure()
    home.db.write_bytes(b"not a database" * 1000)
    check = storing.check_store(home)
    assert not check.ok
    assert check.fix


def test_a_package_that_is_missing_or_old_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "installed_version", lambda name: None)
    assert "finetui[train]" in packages.check_package("torch").fix
    monkeypatch.setattr(packages, "installed_version", lambda name: "2.13.0+cpu")
    monkeypatch.setattr(packages, "least_version", lambda name: "2.9")
    assert packages.check_package("torch").ok
    monkeypatch.setattr(packages, "installed_version", lambda name: "2.8.1")
    assert packages.check_package("torch") == Check(
        "torch", False, "2.8.1, older than 2.9", "pip install -U 'torch>=2.9'"
    )


def test_the_oldest_version_comes_from_our_own_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["torch>=2.9; extra == 'train'", "torchvision>=1", "trl >= 1 ; extra == 'train'"]
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    assert (packages.least_version("torch"), packages.least_version("trl")) == ("2.9", "1")
    assert packages.least_version("peft") is None


def test_gpus_are_found_or_their_absence_explained() -> None:
    gpus = gpu_checks.find_gpus()
    assert bool(gpus.names) is not bool(gpus.problem)


@pytest.mark.parametrize(
    ("gpus", "ok", "found"),
    [
        (GPU, True, "H200"),
        (Gpus(problem="NVML Shared Library Not Found"), True, "CPU"),
        (Gpus(problem="Driver Not Loaded", card=True), False, "Driver Not Loaded"),
    ],
)
def test_a_card_without_a_driver_is_a_failure_and_no_card_is_not(gpus: Gpus, ok: bool, found: str) -> None:
    check = gpu_checks.check_gpu(gpus)
    assert check.ok is ok
    assert found in check.found


def test_a_card_is_found_on_the_bus(tmp_path: Path) -> None:
    for name, vendor, kind in (("audio", "0x10de", "0x040300"), ("vga", "0x8086", "0x030000")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "class").write_text(kind + "\n")
    (tmp_path / "odd").mkdir()
    assert not gpu_checks.nvidia_card_present(tmp_path)
    (tmp_path / "vga" / "vendor").write_text("0x10de\n")
    assert gpu_checks.nvidia_card_present(tmp_path)


@pytest.mark.parametrize(
    ("size", "characters", "environment", "ok", "found"),
    [
        ((120, 36), "UTF-8", {"COLORTERM": "truecolor"}, True, "120×36, 16 million colours"),
        ((80, 24), "utf8", {"TERM": "xterm-256color"}, True, "256 colours"),
        ((79, 24), "UTF-8", {"TERM": "xterm"}, False, "79×24, 16 colours"),
        ((120, 36), "ANSI_X3.4-1968", {"TERM": "xterm"}, False, "ANSI_X3.4-1968"),
        ((120, 36), "UTF-8", {"TERM": "dumb"}, False, "120×36"),
    ],
)
def test_the_terminal_is_judged(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    characters: str,
    environment: dict[str, str],
    ok: bool,
    found: str,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size(size))
    monkeypatch.setattr(locale, "getencoding", lambda: characters)
    check = surroundings.check_terminal(environment)
    assert check.ok is ok
    assert found in check.found


def test_a_starter_that_is_damaged_says_so(home: Home) -> None:
    assert "not built yet" in surroundings.check_starter(home).found
    home.starter.mkdir(parents=True)
    (home.starter / "config.json").write_text("{}")
    check = surroundings.check_starter(home)
    assert not check.ok
    assert "model_type" in check.found


@contextmanager
def web_server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_hub_is_asked_unless_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "off by HF_HUB_OFFLINE" in surroundings.check_hub(asked=True).found
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    assert "not asked" in surroundings.check_hub(asked=False).found
    with web_server() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert surroundings.check_hub(asked=True) == Check("hub", True, f"{address} answers")
    check = surroundings.check_hub(asked=True)
    assert not check.ok
    assert "ConnectError" in check.found
    monkeypatch.setenv("HF_ENDPOINT", "nonsense://[")
    assert not surroundings.check_hub(asked=True).ok


def test_a_cluster_is_told_by_its_partitions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no Slurm" in surroundings.check_cluster().found

    def install(name: str, prints: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{prints}\n")
        (tmp_path / name).chmod(0o755)

    install("sbatch", "")
    silent = surroundings.check_cluster()
    assert not silent.ok
    assert silent.fix
    install(
        "sinfo",
        "echo 'gpu|1-00:00:00|8|gpu:h100:8(S:0-1)'; echo 'gpu|1-00:00:00|1|gpu:h100:4'; echo 'cpu|1:00:00|1|(null)'",
    )
    told = surroundings.check_cluster()
    assert told.ok
    assert "gpu (8 nodes, gpu:h100:8, 1-00:00:00)" in told.found
    assert "cpu (1 node, 1:00:00)" in told.found
