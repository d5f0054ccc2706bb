"""The pool over real server processes, on the tiny model."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.inference.pool import Delta, Pane, Sampling, ServerPool, panes_for, remote_panes
from engine.runs.rundir import write_json
from store.records import Run, Status
from tests.engine.endpoint_made import Reply, Request, document, says, serving
from tests.worker.conftest import TinyModel, tiny_model

__all__ = ["tiny_model"]

SHORT = Sampling(max_new_tokens=8)
HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerPool]:
    """A pool for several tests, in a home whose path is too long for a socket."""
    pool = ServerPool(Home(tmp_path_factory.mktemp("long" * 30)))
    yield pool
    asyncio.run(pool.close())


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[ServerPool]:
    pool = ServerPool(Home(tmp_path / "home"))
    yield pool
    await pool.close()


def panes_of(model: TinyModel, *, quantised: bool = False) -> list[Pane]:
    base = Pane("base", str(model.base), None, quantised, None, None)
    return [base, *(replace(base, label=name, adapter=path, run_id=name) for name, path in model.adapters.items())]


async def collect(pool: ServerPool, panes: Sequence[Pane], sampling: Sampling = SHORT) -> tuple[list[str], list[Delta]]:
    """Each pane's text, and its last delta."""
    texts = [""] * len(panes)
    last: dict[int, Delta] = {}
    async with aclosing(pool.answer(panes, [HELLO] * len(panes), sampling)) as deltas:
        async for delta in deltas:
            assert delta.pane not in last, "nothing comes after the last delta"
            texts[delta.pane] += delta.text
            if delta.done:
                last[delta.pane] = delta
    return texts, [last[index] for index in range(len(panes))]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short path: sockets lie in the home only where their paths fit."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def servers(home: Path) -> list[psutil.Process]:
    """The live model servers of `home`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if "engine.worker.serve" in command and str(home) in " ".join(command) and process.info["status"] != "zombie":
            found.append(process)
    return found


@pytest.mark.train
async def test_panes_are_answered_side_by_side_by_one_server(tiny_model: TinyModel, tmp_path: Path) -> None:
    lines: list[str] = []
    home = tmp_path / "home"
    pool = ServerPool(Home(home), lines.append)
    panes = panes_of(tiny_model)
    texts, last = await collect(pool, panes)
    assert len(set(texts)) == 3 and all(texts)
    assert [end.tokens for end in last] == [8, 8, 8] and all(end.error is None for end in last)
    assert all(end.first_token_s and end.tokens_per_s for end in last)
    assert lines[0] == "starting the model server" and "loading base" in lines and "loading adapter terse" in lines

    (server,) = servers(home)
    sockets = list((home / "sockets").glob("*.sock"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in sockets] == [0o600]

    # Asked again, nothing is started or loaded again.
    lines.clear()
    assert (await collect(pool, panes))[0] == texts and lines == []

    # A server that died is replaced at the next answer.
    server.kill()
    server.wait(10)
    assert (await collect(pool, panes))[0] == texts
    assert lines[0] == "starting the model server" and servers(home) != [server]

    # One that is killed in the middle of an answer is an error, and the next question starts another.
    (server,) = servers(home)
    with pytest.raises(FinetuiError, match="ended in the middle of an answer") as caught:
        long = Sampling(max_new_tokens=230)
        async with aclosing(pool.answer(panes * 5, [HELLO] * 15, long)) as deltas:
            async for _ in deltas:
                server.send_signal(signal.SIGKILL)
    assert "SIGKILL" in caught.value.why and "started again" in caught.value.fix
    assert (await collect(pool, panes))[0] == texts and servers(home) != [server]
    trust = pool.trust(panes[1])
    assert trust is not None and trust.delta and pool.trust(panes[0]) is None

    # An adapter that was trained further is loaded anew under the same run.
    weights = tiny_model.adapters["terse"] / "adapter_model.safetensors"
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (resumed / name).write_bytes((tiny_model.adapters["formal"] / name).read_bytes())
    pane = replace(panes[1], adapter=resumed, run_id="again")
    assert (await collect(pool, [pane]))[0] == [texts[1]]
    (resumed / "adapter_model.safetensors").write_bytes(weights.read_bytes())
    os.utime(resumed / "adapter_model.safetensors", (1, 1))
    assert (await collect(pool, [pane]))[0] == [texts[2]]

    await pool.close()
    assert servers(home) == [] and not list((home / "sockets").glob("*.sock"))
    with pytest.raises(FinetuiError, match="closed"):
        await collect(pool, panes)


@pytest.mark.long  # another model server
@pytest.mark.train
def test_whole_answers_can_be_had_without_an_event_loop(shared: ServerPool, tiny_model: TinyModel) -> None:
    panes = panes_of(tiny_model, quantised=True)[:2]
    lines: list[str] = []
    shared.on_status = lines.append
    answers = shared.answer_all(panes, [HELLO, HELLO], SHORT)
    assert [answer.pane.label for answer in answers] == ["base", "formal"]
    assert answers[0].text != answers[1].text and answers[0].tokens == 8
    assert "loading base in 4-bit" in lines


async def test_panes_with_an_address_are_answered_beside_each_other(
    pool: ServerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)

    def answer(request: Request) -> Reply:
        if request.body["model"] == "c":
            return document({"error": {"message": "no such model"}}, 404)
        together.wait(5)  # breaks unless both are asked at once
        return says(f"I am {request.body['model']}.", tokens=5)

    monkeypatch.setenv("A_KEY", "secret-1")
    with serving(answer) as there:
        panes = remote_panes(there.url, ["a", "b", "c"], "A_KEY")
        texts, last = await collect(pool, panes)
        assert texts == ["I am a.", "I am b.", ""] and [end.tokens for end in last] == [5, 5, None]
        assert last[0].finish_reason == "stop" and last[0].prompt_tokens == 9
        assert "no such model" in (last[2].error or "") and last[0].error is None
        assert there.requests[0].headers["authorization"] == "Bearer secret-1"
        assert pool.trust(panes[0]) is None and "secret" not in repr(panes)
        monkeypatch.delenv("A_KEY")
        with pytest.raises(BadInput, match="A_KEY is not set"):
            await collect(pool, panes[:1])


@pytest.mark.train
async def test_a_pane_here_and_one_elsewhere_answer_together(shared: ServerPool, tiny_model: TinyModel) -> None:
    with serving([says("elsewhere")]) as there:
        panes = [panes_of(tiny_model, quantised=True)[0], *remote_panes(there.url, ["m"])]
        texts, last = await collect(shared, panes)
    assert texts[0] and texts[1] == "elsewhere" and [end.error for end in last] == [None, None]


@pytest.mark.train
async def test_a_model_that_cannot_be_loaded_is_the_error_of_its_pane_alone(
    shared: ServerPool, tiny_model: TinyModel, tmp_path: Path
) -> None:
    broken = Pane("broken", str(tmp_path), None, False, None, None)
    texts, last = await collect(shared, [broken, panes_of(tiny_model, quantised=True)[0]])
    assert texts[0] == "" and "is not a model folder" in (last[0].error or "")
    assert texts[1] and last[1].error is None


@pytest.mark.train
async def test_leaving_an_answer_cancels_it_and_the_server_goes_on(shared: ServerPool, tiny_model: TinyModel) -> None:
    panes = panes_of(tiny_model, quantised=True)[:1] * 16
    async with aclosing(shared.answer(panes, [HELLO] * 16, Sampling(max_new_tokens=230))) as deltas:
        async for _ in deltas:
            break
    async with asyncio.timeout(60):
        assert (await collect(shared, panes[:1]))[0][0]
    with pytest.raises(BadInput, match="too long by"):
        long = [{"role": "user", "content": "zq" * 300}]
        async with aclosing(shared.answer(panes[:1], [long], SHORT)) as deltas:
            async for _ in deltas:
                pass


@pytest.mark.train
async def test_more_answers_than_one_batch_holds_come_in_several(
    shared: ServerPool, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    panes = panes_of(tiny_model, quantised=True)
    expected = (await collect(shared, panes))[0]
    monkeypatch.setattr("engine.inference.pool.MOST_ROWS", 2)
    assert (await collect(shared, panes))[0] == expected


def test_the_server_ends_when_the_app_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom engine.home import Home\nfrom engine.inference.pool import *\n"
        "pane = Pane('base', sys.argv[2], None, False, None, None)\n"
        "ServerPool(Home(Path(sys.argv[1]))).answer_all([pane], [[]], Sampling())\n"
    )
    (tmp_path / "model").mkdir()
    app = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "home"), str(tmp_path / "model")],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        while not (started := servers(tmp_path / "home")):
            assert app.poll() is None
        app.send_signal(signal.SIGKILL)
        app.wait()
        started[0].wait(60)
    finally:
        app.kill()
        app.wait()


async def test_without_the_training_side_it_says_what_to_install(
    pool: ServerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.inference.process.find_spec", lambda name: None)
    with pytest.raises(FinetuiError) as caught:
        await collect(pool, [Pane("base", "starter", None, False, None, None)])
    assert "finetui[train]" in caught.value.fix


async def test_a_server_that_dies_at_its_start_shows_the_end_of_its_log(
    pool: ServerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "engine.inference.process.ServerProcess._command",
        lambda *_: [sys.executable, "-c", "raise SystemExit('no such library')"],
    )
    with pytest.raises(FinetuiError, match="ended while it was starting") as caught:
        await collect(pool, [Pane("base", "starter", None, False, None, None)])
    assert "no such library" in caught.value.why


def make_run(folder: Path, method: str = "qlora", *, model: str = "/models/m", files: Sequence[str] = ()) -> Run:
    """A run whose folder holds `files` under adapter/."""
    (folder / "adapter").mkdir(parents=True)
    for name in files:
        (folder / "adapter" / name).write_bytes(b"")
    write_json(folder / "inputs.json", {"model": {"name": "m", "path": model, "revision": "abc", "kind": "folder"}})
    values: dict[str, Any] = dict.fromkeys(Run.__dataclass_fields__)
    values |= {
        "id": folder.name,
        "name": f"run {folder.name}",
        "status": Status.TRAINING,
        "method": method,
        "step": 3,
        "total_steps": 10,
        "recipe": {"method": method, "precision": "fp32"},
        "dir": str(folder),
        "metrics": {},
    }
    return Run(**values)


def test_panes_are_the_base_and_then_the_runs(tmp_path: Path) -> None:
    first = make_run(tmp_path / "r1", files=["adapter_model.safetensors"])
    plain = make_run(tmp_path / "r2", "lora", files=["adapter_model.safetensors"])
    full = make_run(tmp_path / "r3", "full", files=["config.json", "model.safetensors"])
    base, one, two, three = panes_for([first, plain, full], None)
    assert (base.label, base.model, base.revision, base.quantised, base.adapter, base.run_id) == (
        "base",
        "/models/m",
        "abc",
        True,
        None,
        None,
    )
    assert one.adapter == tmp_path / "r1" / "adapter" and one.run_id == "r1" and one.precision == "fp32"
    assert one.server == base.server != two.server and not two.quantised
    assert (three.model, three.adapter, three.quantised) == (str(tmp_path / "r3" / "adapter"), None, False)


def test_a_named_base_that_is_a_runs_own_shares_its_server(tmp_path: Path, tiny_model: TinyModel) -> None:
    run = make_run(tmp_path / "r1", model=str(tiny_model.base), files=["adapter_model.safetensors"])
    base, pane = panes_for([run], str(tiny_model.base), Home(tmp_path))
    assert base.server == pane.server and base.run_id is None
    (alone,) = panes_for([], str(tiny_model.base), Home(tmp_path))
    assert alone.model == str(tiny_model.base) and not alone.quantised


@pytest.mark.parametrize(("method", "thing"), [("qlora", "adapter"), ("full", "model")])
def test_a_run_without_an_adapter_says_so(tmp_path: Path, method: str, thing: str) -> None:
    with pytest.raises(BadInput) as caught:
        panes_for([make_run(tmp_path / "r1", method)], None)
    assert f"has no {thing} yet" in caught.value.what and "training at step 3 of 10" in caught.value.why


def test_what_cannot_be_a_pane_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model to chat with"):
        panes_for([], None)
    with pytest.raises(BadInput, match="starter model has not been built"):
        panes_for([], "starter", Home(tmp_path))
    run = make_run(tmp_path / "r1", files=["adapter_model.safetensors"])
    (tmp_path / "r1" / "inputs.json").write_text(json.dumps([]))
    with pytest.raises(BadInput, match="base model of run run r1 is not known"):
        panes_for([run], None)


def test_nothing_of_the_torch_side_is_imported() -> None:
    program = (
        "import sys, engine.inference.pool\n"
        "heavy = {'torch', 'transformers', 'peft', 'httpx', 'starlette', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
