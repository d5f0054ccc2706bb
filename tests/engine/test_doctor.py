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
from engine.insight.doctor import Check, Gpus

GPU = Gpus(names=("NVIDIA H200 150 GB",), driver="570.1", card=True)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_every_check_answers_and_only_failures_have_a_fix(home: Home) -> None:
    checks = doctor.run_checks(home)
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    assert {"python", "home", "disk", "store", "torch", "bitsandbytes", "gpu", "cuda", "terminal", "hub"} <= set(names)
    for check in checks:
        assert check.found
        assert bool(check.fix) is not check.ok, check


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
    check = doctor.check_home(home)
    assert not check.ok
    assert "--home" in check.fix
    assert not doctor.check_store(home).ok
    assert "GB free" in doctor.check_disk(home).found


def test_little_room_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_FREE_BYTES", 1 << 60)
    assert not doctor.check_disk(home).ok


def test_the_store_is_tried_without_leaving_anything(home: Home) -> None:
    home.ensure()
    before = sorted(home.root.iterdir())
    check = doctor.check_store(home)
    assert check.ok, check
    assert "write-ahead log works" in check.found
    assert sorted(home.root.iterdir()) == before


def test_a_store_that_is_none_is_said(home: Home) -> None:
    home.ensure()
    home.db.write_bytes(b"not a database" * 1000)
    check = doctor.check_store(home)
    assert not check.ok
    assert check.fix


def test_a_package_that_is_missing_or_old_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    assert "finetui[train]" in doctor.check_package("torch").fix
    monkeypatch.setattr(doctor, "installed_version", lambda name: "2.13.0+cpu")
    monkeypatch.setattr(doctor, "_least_version", lambda name: "2.9")
    assert doctor.check_package("torch").ok
    monkeypatch.setattr(doctor, "installed_version", lambda name: "2.8.1")
    assert doctor.check_package("torch") == Check(
        "torch", False, "2.8.1, older than 2.9", "pip install -U 'torch>=2.9'"
    )


def test_the_oldest_version_comes_from_our_own_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["torch>=2.9; extra == 'train'", "torchvision>=1", "trl >= 1 ; extra == 'train'"]
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    assert (doctor._least_version("torch"), doctor._least_version("trl")) == ("2.9", "1")
    assert doctor._least_version("peft") is None


def test_gpus_are_found_or_their_absence_explained() -> None:
    gpus = doctor.find_gpus()
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
    check = doctor.check_gpu(gpus)
    assert check.ok is ok
    assert found in check.found


def test_a_card_is_found_on_the_bus(tmp_path: Path) -> None:
    for name, vendor, kind in (("audio", "0x10de", "0x040300"), ("vga", "0x8086", "0x030000")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "class").write_text(kind + "\n")
    (tmp_path / "odd").mkdir()
    assert not doctor.nvidia_card_present(tmp_path)
    (tmp_path / "vga" / "vendor").write_text("0x10de\n")
    assert doctor.nvidia_card_present(tmp_path)


def test_a_cpu_build_beside_a_gpu_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: "2.13.0+cpu")
    assert not doctor.check_cuda(GPU).ok
    assert doctor.check_cuda(Gpus()).ok
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    assert not doctor.check_cuda(GPU).ok
    assert doctor.check_cuda(Gpus()).ok


@pytest.mark.parametrize(
    ("program", "ok", "found"),
    [
        ("print(1, 'CUDA 13.0 compute 9.0 bf16')", True, "CUDA 13.0 compute 9.0 bf16"),
        ("print(0, 'CUDA 13.0 no device')", False, "does not reach the GPU (CUDA 13.0 no device)"),
        ("raise ImportError('libcudart.so.13: cannot open')", False, "ImportError: libcudart.so.13"),
        ("import os; os.abort()", False, "no message"),
    ],
)
def test_what_torch_says_is_passed_on(program: str, ok: bool, found: str) -> None:
    check = doctor.ask_torch(program)
    assert check.ok is ok
    assert found in check.found
    assert bool(check.fix) is not ok


def test_a_torch_that_hangs_is_given_up() -> None:
    check = doctor.ask_torch("import time; time.sleep(60)", timeout_s=0.5)
    assert not check.ok
    assert "did not answer" in check.found


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
    check = doctor.check_terminal(environment)
    assert check.ok is ok
    assert found in check.found


def test_a_starter_that_is_damaged_says_so(home: Home) -> None:
    assert "not built yet" in doctor.check_starter(home).found
    home.starter.mkdir(parents=True)
    (home.starter / "config.json").write_text("{}")
    check = doctor.check_starter(home)
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
    assert "off by HF_HUB_OFFLINE" in doctor.check_hub().found
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    with web_server() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert doctor.check_hub() == Check("hub", True, f"{address} answers")
    check = doctor.check_hub()
    assert not check.ok
    assert "ConnectError" in check.found
    monkeypatch.setenv("HF_ENDPOINT", "nonsense://[")
    assert not doctor.check_hub().ok


def test_a_cluster_is_told_by_its_partitions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no Slurm" in doctor.check_cluster().found

    def install(name: str, prints: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{prints}\n")
        (tmp_path / name).chmod(0o755)

    install("sbatch", "")
    silent = doctor.check_cluster()
    assert not silent.ok
    assert silent.fix
    install(
        "sinfo",
        "echo 'gpu|1-00:00:00|8|gpu:h100:8(S:0-1)'; echo 'gpu|1-00:00:00|1|gpu:h100:4'; echo 'cpu|1:00:00|1|(null)'",
    )
    told = doctor.check_cluster()
    assert told.ok
    assert "gpu (8 nodes, gpu:h100:8, 1-00:00:00)" in told.found
    assert "cpu (1 node, 1:00:00)" in told.found
