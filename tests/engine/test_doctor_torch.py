"""torch and the compiled libraries, held against the driver and loaded where they are used."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.insight.checks import torch_side
from engine.insight.checks.gpus import Gpus

GPU = Gpus(names=("NVIDIA H200 150 GB",), driver="570.1", card=True, cuda=(13, 0), capability=(9, 0))


@pytest.mark.parametrize(
    ("version", "built", "gpus", "ok", "found"),
    [
        ("2.13.0+cpu", None, GPU, False, "CPU build"),
        ("2.13.0+cpu", None, Gpus(), True, "there is no GPU"),
        (None, None, GPU, False, "not installed"),
        (None, None, Gpus(), True, "not installed"),
        ("2.13.0", (13, 0), Gpus(), True, "CUDA 13.0 build"),
        ("2.13.0", (13, 0), replace(GPU, cuda=(12, 4)), False, "built for CUDA 13.0; driver 570.1 runs up to 12.4"),
    ],
)
def test_torch_is_held_against_the_driver(
    monkeypatch: pytest.MonkeyPatch,
    version: str | None,
    built: tuple[int, int] | None,
    gpus: Gpus,
    ok: bool,
    found: str,
) -> None:
    monkeypatch.setattr(torch_side, "installed_version", lambda name: version)
    monkeypatch.setattr(torch_side, "torch_cuda", lambda: built)
    check = torch_side.check_cuda(gpus)
    assert (check.ok, bool(check.fix)) == (ok, not ok)
    assert found in check.found


@pytest.mark.parametrize(
    ("line", "cuda"),
    [("cuda: Optional[str] = '13.0'", (13, 0)), ("cuda = '12.8'", (12, 8)), ("cuda: Optional[str] = None", None)],
)
def test_the_cuda_of_torch_is_read_from_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, cuda: tuple[int, int] | None
) -> None:
    monkeypatch.setattr(torch_side, "package_folder", lambda name: tmp_path)
    assert torch_side.torch_cuda() is None
    (tmp_path / "version.py").write_text(f"__version__ = '2.13.0'\ndebug = False\n{line}\nhip = '6.1'\n")
    assert torch_side.torch_cuda() == cuda


def test_the_library_of_bitsandbytes_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = torch_side.check_bitsandbytes(Gpus())
    assert real.ok and "loads" in real.found
    monkeypatch.setattr(torch_side, "package_folder", lambda name: tmp_path)
    missing = torch_side.check_bitsandbytes(Gpus())
    assert not missing.ok and "libbitsandbytes_cpu.so" in missing.found
    (tmp_path / "libbitsandbytes_cpu.so").write_bytes(b"\x7fELF broken")
    broken = torch_side.check_bitsandbytes(Gpus())
    assert not broken.ok and "cannot be loaded" in broken.found and "--force-reinstall" in broken.fix


def test_kernels_are_a_choice_but_what_is_there_must_load(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (torch_side.check_attention, torch_side.check_liger):
        assert check(GPU).ok and "not installed" in check(GPU).found
    monkeypatch.setattr(torch_side, "installed_version", lambda name: None if name == "flash_attn_3" else "2.8")
    for check in (torch_side.check_attention, torch_side.check_liger):
        assert "not used without a GPU" in check(Gpus()).found
        failed = check(GPU)  # it is not really there: as with one that was built for another torch
        assert not failed.ok and "ModuleNotFoundError" in failed.found and failed.fix
    assert "older than compute 8.0" in torch_side.check_attention(replace(GPU, capability=(7, 5))).found


@pytest.mark.parametrize(
    ("program", "ok", "found"),
    [
        ("print('a warning'); print(1, 'CUDA 13.0 compute 9.0 bf16')", True, "CUDA 13.0 compute 9.0 bf16"),
        ("print(0, 'CUDA 13.0 no device')", False, "no GPU (CUDA 13.0 no device)"),
        ("raise ImportError('libcudart.so.13: cannot open')", False, "ImportError: libcudart.so.13"),
        ("import os; os.abort()", False, "no message"),
    ],
)
def test_what_torch_says_is_passed_on(program: str, ok: bool, found: str) -> None:
    check = torch_side.ask("cuda", program, bad="no GPU", fix="mend it")
    assert check.ok is ok
    assert found in check.found
    assert bool(check.fix) is not ok


def test_a_torch_that_hangs_is_given_up() -> None:
    check = torch_side.ask("cuda", "import time; time.sleep(60)", fix="mend it", timeout_s=0.2)
    assert not check.ok
    assert "no answer in 0.2 s" in check.found and "nvidia-smi" in check.fix
