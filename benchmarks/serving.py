"""How quickly models answer: panes together, the first token, many requests at once, old conversations found again.

`python -m benchmarks.serving [--peer PYTHON] [--rounds 5] [--only PART…]`. On a processor the base is a small model of
27 million parameters, on a GPU one with the shape of a real model of 1.5 billion; adapters are of rank 16 on every
linear layer, their weights drawn at random. PEER is a Python whose `transformers serve` answers the same requests.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.base_models import make_base
from benchmarks.machine import compare, record
from benchmarks.terminal import FINETUI
from engine.home import Home
from engine.inference.client import ModelClient, Sampling, ServerGone
from store import open_store
from store.records import Chat, Message

LIMITS: dict[str, float] = {
    "two_panes_ratio": 1.6,
    "four_panes_ratio": 2.5,
    "first_token_ratio": 1.2,
    "many_ratio": 4.0,
    "search_ms": 100,
}
AT_LEAST = {"two_panes_ratio", "four_panes_ratio", "many_ratio"}
PARTS = ("panes", "first", "many", "search")
TOKENS = 128
AT_ONCE = 32
ALONE = 8
"""Requests one at a time; the time of 32 is reckoned from them."""
CHATS = 10_000
QUESTIONS = (
    "How do I reset my password?",
    "Where is my parcel?",
    "Tell me about the sea at night.",
    "Which train goes to the coast?",
    "What shall I cook today?",
)


@dataclass(frozen=True)
class Spoken:
    """What came of one request: texts by row, all tokens, seconds, seconds to the first token."""

    texts: tuple[str, ...]
    tokens: int
    took_s: float
    first_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python whose `transformers serve` works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    sys.argv = ["PYTHON" if word == options.peer else word for word in sys.argv]  # the record names no folder of ours
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if {"panes", "first", "many"} & set(options.only):
            shape = "qwen-1.5b" if _has_gpu() else "small"
            base = make_base(folder / "base", shape, 0)  # untrained: it hardly ever ends an answer by itself
            adapters = {name: _make_adapter(base, folder / name) for name in ("one", "two", "three")}
            figures["base"] = shape
            with _server(base, adapters, folder / "server.sock") as client:
                if "panes" in options.only:
                    figures |= panes(client, options.rounds)
                if "first" in options.only:
                    figures |= first_token(client, base, options.rounds)
        if "many" in options.only:
            figures |= many(base, folder)
            if options.peer:
                figures |= the_peer(options.peer, base)
        if "search" in options.only:
            figures |= search(folder, options.rounds)
    _report(figures)


def panes(client: ModelClient, rounds: int) -> dict[str, Any]:
    """Base and adapters answered together against one after the other: tokens per second, and whether texts agree."""
    figures: dict[str, Any] = {}
    for word, models in (("two", ("base", "one")), ("four", ("base", "one", "two", "three"))):
        ratios, same = [], True
        for question in QUESTIONS[:rounds]:
            together = _ask(client, models, question)
            alone = [_ask(client, (model,), question) for model in models]
            ratios.append((together.tokens / together.took_s) / (_tokens(alone) / sum(one.took_s for one in alone)))
            same = same and together.texts == tuple(one.texts[0] for one in alone)
        figures[f"{word}_panes_ratio"] = round(statistics.median(ratios), 2)
        figures[f"{word}_panes_same_text"] = same
    return figures


def first_token(client: ModelClient, base: Path, rounds: int) -> dict[str, Any]:
    """The first token through the server against that of a bare `generate` in its own process, in turn; seconds."""
    served, bare = [], []
    argv = [sys.executable, "-m", "benchmarks.serving_bare", str(base)]
    with _process(argv, dict(os.environ), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for question in (QUESTIONS[0], *QUESTIONS * rounds):  # the first answer of a process is slower than any other
            process.stdin.write(f"{question}\n")
            process.stdin.flush()
            bare.append(float(process.stdout.readline()))
            served.append(_ask(client, ("base",), question, 8).first_s)
    return {
        "first_token_s": round(statistics.median(served[1:]), 4),
        "bare_first_token_s": round(statistics.median(bare[1:]), 4),
        "first_token_ratio": round(statistics.median(served[1:]) / statistics.median(bare[1:]), 2),
    }


def many(base: Path, folder: Path) -> dict[str, Any]:
    """32 requests of the `openai` client at once against one at a time, through `finetui serve`."""
    home = Home(folder / "home").ensure()
    token = folder / "token"
    token.write_text(secrets.token_hex(16), encoding="utf-8")
    token.chmod(0o600)
    argv = [FINETUI, "serve", "--base", str(base), "--port", "0", "--token-file", str(token), "--json"]
    environment = os.environ | {"FINETUI_HOME": str(home.root)}
    with _process(argv, environment) as process:
        assert process.stdout is not None
        document = ""
        while not document.endswith("\n}\n"):
            document += process.stdout.readline()
        url = json.loads(document)["url"]
        return _openai_load(url.rstrip("/") + "/v1", token.read_text(encoding="utf-8"), "base", "")


def the_peer(python: str, base: Path) -> dict[str, Any]:
    """The same through `transformers serve`."""
    port = 18_421
    start = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
    argv = [python, "-c", start, "serve", str(base), "--port", str(port)]
    with _process(argv, dict(os.environ)):
        _wait_for(f"http://127.0.0.1:{port}/health")
        return _openai_load(f"http://127.0.0.1:{port}/v1", "none", str(base), "peer_")


def search(folder: Path, rounds: int) -> dict[str, Any]:
    """A word that one of 10,000 stored conversations has, found again; and a common one. In milliseconds."""
    store = open_store(folder / "chats.db")
    with store.transaction():
        for number in range(CHATS):
            chat_id, t = f"chat{number:08d}", 1e9 + number
            store.chats.add(Chat(chat_id, f"Question {number}", t, t, ("base", "run1"), "", {}))
            rare = " about zebrafish" if number == CHATS // 2 else ""
            store.chats.append(Message(chat_id, 0, -1, "user", f"{QUESTIONS[number % 5]}{rare}", t))
            for pane in (0, 1):
                store.chats.append(Message(chat_id, 1, pane, "assistant", f"Answer {number} of pane {pane}. " * 8, t))
    store.close()
    store = open_store(folder / "chats.db")
    took = []
    for words in ("zebrafish", "parcel", "answer 77", "title:question zebra"):
        for _ in range(rounds):
            began = time.perf_counter()
            store.chats.list(words, limit=60)
            took.append((time.perf_counter() - began) * 1000)
    store.close()
    return {"search_ms": round(max(statistics.median(took[at : at + rounds]) for at in range(0, len(took), rounds)), 1)}


def _openai_load(url: str, key: str, model: str, prefix: str) -> dict[str, Any]:
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key=key, max_retries=0, timeout=300)

    def ask(number: int) -> int:
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": f"{QUESTIONS[number % 5]} ({number})"}],
            max_tokens=TOKENS,
            temperature=0,
        )
        return answer.usage.completion_tokens if answer.usage else 0

    ask(0)
    began = time.perf_counter()
    alone = sum(ask(number) for number in range(ALONE)) / (time.perf_counter() - began)
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        tokens = list(threads.map(ask, range(AT_ONCE)))
    together = sum(tokens) / (time.perf_counter() - began)
    return {
        f"{prefix}many_answered": sum(count > 0 for count in tokens),
        f"{prefix}many_tokens_per_s": round(together, 1),
        f"{prefix}alone_tokens_per_s": round(alone, 1),
        f"{prefix}many_ratio": round(together / alone, 2),
    }


def _ask(client: ModelClient, models: Sequence[str], question: str, most: int = TOKENS) -> Spoken:
    async def collect() -> Spoken:
        conversations = [[{"role": "user", "content": question}] for _ in models]
        texts, tokens, first = [""] * len(models), 0, 0.0
        began = time.perf_counter()
        async with aclosing(client.answers(models, conversations, Sampling(max_new_tokens=most))) as chunks:
            async for chunk in chunks:
                first = first or time.perf_counter() - began
                texts[chunk.row] += chunk.text
                tokens += chunk.tokens or 0
        return Spoken(tuple(texts), tokens, time.perf_counter() - began, first)

    return asyncio.run(collect())


def _tokens(spoken: Sequence[Spoken]) -> int:
    return sum(one.tokens for one in spoken)


def _make_adapter(base: Path, folder: Path) -> Path:
    code = (
        "import sys, torch\n"
        "from peft import LoraConfig, get_peft_model\n"
        "from transformers import AutoModelForCausalLM\n"
        "torch.manual_seed(sum(map(ord, sys.argv[2])))\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "model = get_peft_model(model, LoraConfig(r=16, target_modules='all-linear', init_lora_weights=False))\n"
        "for name, weight in model.named_parameters():\n"
        "    if 'lora_B' in name: weight.data.mul_(0.1)\n"
        "model.save_pretrained(sys.argv[2])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(base), str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


@contextmanager
def _server(base: Path, adapters: dict[str, Path], socket: Path) -> Iterator[ModelClient]:
    argv = [sys.executable, "-m", "engine.worker.serve", "--base", str(base), "--method", "lora"]
    argv += ["--socket", str(socket)] + [
        word for name, at in adapters.items() for word in ("--adapter", f"{name}={at}")
    ]
    with _process(argv, dict(os.environ)):
        client = ModelClient(socket)
        while True:
            try:
                health = asyncio.run(client.health())
            except ServerGone:
                time.sleep(0.2)
                continue
            if health.status == "failed":
                raise RuntimeError(health.detail)
            if health.status == "ready":
                break
            time.sleep(0.2)
        _ask(client, ("base", *adapters), QUESTIONS[0])  # the first answer of a process is slower than any other
        yield client


@contextmanager
def _process(argv: list[str], environment: dict[str, str], stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        argv,
        stdin=stdin,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for(url: str, timeout_s: float = 120.0) -> None:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"nothing answers at {url}")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _report(figures: dict[str, Any]) -> None:
    missed = compare(figures, LIMITS, AT_LEAST)
    missed += [name for name in ("two_panes_same_text", "four_panes_same_text") if figures.get(name) is False]
    record("serving", figures | {"limits": LIMITS})
    print("missed: " + ", ".join(missed) if missed else "every limit is met")


if __name__ == "__main__":
    main()
