"""vLLM behind the pool: its command line, its start and its end, with a program that stands in for it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.inference.pool import Pane, Sampling, ServerPool
from engine.inference.vllm_process import rank_of, vllm_command

STAND_IN = Path(__file__).with_name("vllm_stand_in.py")
BASE = Pane("base", "/models/m", "abc", True, None, None, "bf16", True)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program `vllm` on the path."""
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {STAND_IN} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.fixture
async def pool(home: Home) -> AsyncIterator[ServerPool]:
    pool = ServerPool(home, engine="vllm")
    yield pool
    await pool.close()


def adapter(folder: Path, rank: int = 8, **more: object) -> Pane:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank} | more))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return replace(BASE, label=folder.name, adapter=folder, run_id=folder.name)


async def texts(pool: ServerPool, panes: list[Pane], question: str = "who") -> list[str]:
    said = [""] * len(panes)
    conversations = [[{"role": "user", "content": question}]] * len(panes)
    async with aclosing(pool.answer(panes, conversations, Sampling())) as deltas:
        async for delta in deltas:
            assert delta.error is None
            said[delta.pane] += delta.text
    return said


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUI_VLLM_ARGS", "--max-model-len 4096")
    words = vllm_command("/bin/vllm", BASE, 5000, 32)
    assert words[:3] == ["/bin/vllm", "serve", "/models/m"]
    line = " ".join(words)
    for part in (
        "--host 127.0.0.1 --port 5000",
        "--served-model-name base",
        "--enable-lora",
        "--max-lora-rank 32",
        "--dtype bfloat16",
        "--quantization bitsandbytes",
        "--revision abc",
        "--trust-remote-code",
        "--generation-config vllm",
        "--max-model-len 4096",
    ):
        assert part in line, part
    plain = " ".join(vllm_command("vllm", Pane("base", "m", None, False, None, None), 1, 8))
    assert "--dtype auto" in plain and "bitsandbytes" not in plain and "--trust-remote-code" not in plain
    assert "key" not in line, "arguments can be read by everybody"


def test_the_rank_is_the_smallest_limit_that_fits(tmp_path: Path) -> None:
    assert rank_of([BASE]) == 8 and rank_of([adapter(tmp_path / "a", 9)]) == 16
    assert rank_of([adapter(tmp_path / "a", 8, rank_pattern={"q_proj": 40}), BASE]) == 64
    with pytest.raises(BadInput, match="rank 512"):
        rank_of([adapter(tmp_path / "a", 513)])
    with pytest.raises(BadInput) as caught:
        rank_of([adapter(tmp_path / "a", use_dora=True)])
    assert "DoRA" in caught.value.why
    (tmp_path / "a" / "adapter_config.json").write_text("[]")
    with pytest.raises(BadInput, match="cannot be read"):
        rank_of([replace(BASE, adapter=tmp_path / "a")])


async def test_without_vllm_it_says_how_to_install_it(pool: ServerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FinetuiError, match="vLLM is not installed") as caught:
        await texts(pool, [BASE])
    assert "pip install vllm" in caught.value.fix


@pytest.mark.usefixtures("installed")
async def test_a_base_and_adapters_are_answered_by_one_server(pool: ServerPool, tmp_path: Path) -> None:
    lines: list[str] = []
    pool.on_status = lines.append
    first, second = adapter(tmp_path / "r1"), adapter(tmp_path / "r2")
    said = await texts(pool, [BASE, first, second])
    assert said[0] == "base!" and said[1].startswith("r1-") and said[2].startswith("r2-")
    assert lines[0] == "starting vLLM" and "loading adapter r1" in lines
    (pid,) = await texts(pool, [BASE], "pid")
    server = psutil.Process(int(pid))
    assert pool.trust(first) is None

    # An adapter that was trained further is loaded anew, and nothing else is.
    lines.clear()
    os.utime(tmp_path / "r1" / "adapter_model.safetensors", (1, 1))
    again = await texts(pool, [BASE, first, second])
    assert again[1] != said[1] and again[2] == said[2] and lines == ["loading adapter r1"]

    # One with a higher rank needs a server with more room.
    larger = await texts(pool, [adapter(tmp_path / "r3", 20)])
    assert larger[0].startswith("r3-") and not server.is_running()
    (arguments,) = await texts(pool, [BASE], "arguments")
    assert json.loads(arguments)[json.loads(arguments).index("--max-lora-rank") + 1] == "32"

    (pid,) = await texts(pool, [BASE], "pid")
    await pool.close()
    assert not psutil.pid_exists(int(pid))


@pytest.mark.usefixtures("installed")
async def test_several_who_ask_an_adapter_at_once_are_all_answered(pool: ServerPool, tmp_path: Path) -> None:
    pane = adapter(tmp_path / "r1")
    for _ in range(2):  # its server is new, then only the adapter is
        said = await asyncio.gather(*(texts(pool, [pane]) for _ in range(4)))
        assert len({text for [text] in said}) == 1 and said[0][0].startswith("r1-")
        os.utime(tmp_path / "r1" / "adapter_model.safetensors", (1, 1))


@pytest.mark.usefixtures("installed")
async def test_killed_in_an_answer_it_says_so_and_is_started_again(pool: ServerPool) -> None:
    (pid,) = await texts(pool, [BASE], "pid")
    with pytest.raises(FinetuiError, match="vLLM ended in the middle") as caught:
        async with aclosing(pool.answer([BASE], [[{"role": "user", "content": "stay"}]], Sampling())) as deltas:
            async for _ in deltas:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    assert "SIGKILL" in caught.value.why and "started again" in caught.value.fix
    (other,) = await texts(pool, [BASE], "pid")
    assert other != pid


@pytest.mark.usefixtures("installed")
async def test_one_that_cannot_start_shows_the_end_of_its_log(
    pool: ServerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    with pytest.raises(FinetuiError, match="while it was starting") as caught:
        await texts(pool, [BASE])
    assert "CUDA out of memory" in caught.value.why and "FINETUI_VLLM_ARGS" in caught.value.fix


@pytest.mark.usefixtures("installed")
def test_it_ends_when_the_app_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from engine.home import Home\nfrom engine.inference.pool import *\n"
        "pane = Pane('base', 'm', None, False, None, None)\n"
        "ask = [{'role': 'user', 'content': 'pid'}]\n"
        "pool = ServerPool(Home(Path(sys.argv[1])), engine='vllm')\n"
        "print(pool.answer_all([pane], [ask], Sampling())[0].text, flush=True)\ntime.sleep(60)\n"
    )
    app = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "home")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert app.stdout is not None
    try:
        server = psutil.Process(int(app.stdout.readline()))
        app.kill()
        app.wait()
        server.wait(10)
    finally:
        app.kill()
        app.wait()
        app.stdout.close()


@pytest.mark.usefixtures("installed")
async def test_leaving_a_start_leaves_a_server_that_can_be_asked(pool: ServerPool) -> None:
    asking = asyncio.create_task(texts(pool, [BASE], "pid"))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    async with asyncio.timeout(20):
        assert (await texts(pool, [BASE], "pid"))[0]
