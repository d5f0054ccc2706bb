"""One vLLM server, where vLLM is installed: `vllm serve` on a loopback port, with a key that only finetui knows."""

import json
import os
import secrets
import shlex
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.inference.logged_process import LoggedProcess
from engine.inference.panes import Pane
from engine.inference.process import module_environment

ARGUMENTS = "FINETUI_VLLM_ARGS"
"""The environment variable with more arguments for `vllm serve`, such as `--max-model-len 8192`."""
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The limits that vLLM takes; it reserves memory for the limit, so the smallest that fits is used."""
MOST_LORAS = 4
"""Adapters in one batch."""
DTYPES = {"auto": "auto", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


class VllmProcess(LoggedProcess):
    """`vllm serve` for the base model of `pane`, with room for adapters of `rank`. Ends with this process or `stop`."""

    def __init__(self, home: Home, pane: Pane, rank: int) -> None:
        program = find_vllm()
        home.ensure()
        self.rank = rank
        self.key = secrets.token_urlsafe(32)
        self.loaded: set[str] = set()
        """The adapters it has, by the names that it was given."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        leash = [sys.executable, "-P", "-m", "engine.inference.leash", str(os.getpid()), "--"]
        environment = module_environment() | {
            "VLLM_API_KEY": self.key,  # arguments can be read by everybody on this machine
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }
        super().__init__([*leash, *vllm_command(program, pane, port, rank)], home.sockets / "vllm.log", environment)


def find_vllm() -> str:
    """The program, beside this Python or on the path. Raises `FinetuiError` where vLLM is not installed."""
    beside = Path(sys.executable).parent / "vllm"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("vllm")
    if found is None:
        raise FinetuiError(
            "vLLM is not installed.",
            why="There is no program `vllm` beside this Python, nor on the path.",
            fix="Install it with: pip install vllm (it needs a GPU; best in an environment of its own, with its bin on"
            " the path). Without --engine vllm finetui's own server answers.",
        )
    return found


def vllm_command(program: str, pane: Pane, port: int, rank: int) -> list[str]:
    """The command line. The base is called `base`; sampling is what is asked for, not the model's own defaults."""
    command = [program, "serve", pane.model, "--served-model-name", "base", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", DTYPES.get(pane.precision, "auto"), "--generation-config", "vllm"]
    command += ["--enable-lora", "--max-loras", str(MOST_LORAS), "--max-lora-rank", str(rank)]
    command += ["--quantization", "bitsandbytes"] if pane.quantised else []
    command += ["--revision", pane.revision] if pane.revision else []
    command += ["--trust-remote-code"] if pane.trust_remote_code else []
    return command + shlex.split(os.environ.get(ARGUMENTS, ""))


def rank_of(panes: Sequence[Pane]) -> int:
    """The smallest of vLLM's limits that all adapters of `panes` keep to. Raises `BadInput` for one it cannot run."""
    highest = 0
    for pane in panes:
        if pane.adapter is None:
            continue
        try:
            config = json.loads((pane.adapter / "adapter_config.json").read_bytes())
            ranks = [int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"The adapter of {pane.label} cannot be read.", why=f"{pane.adapter}/adapter_config.json: {error}."
            ) from error
        if config.get("use_dora"):
            raise BadInput(
                f"vLLM cannot run the adapter of {pane.label}.",
                why="It was trained with DoRA, which vLLM does not know.",
                fix="Leave --engine vllm out, or merge the adapter.",
            )
        highest = max(highest, *ranks)
    fitting = [limit for limit in RANKS if limit >= highest]
    if not fitting:
        raise BadInput(f"vLLM takes adapters up to rank {RANKS[-1]}.", why=f"One here has rank {highest}.")
    return fitting[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
