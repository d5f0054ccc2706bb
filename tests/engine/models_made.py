"""Folders that look like base models, and their tokenizers as if the training side had read them."""

import json
import struct
from pathlib import Path
from typing import Any

from engine.home import Home
from engine.models import resolve_model
from engine.runs.rundir import write_json
from engine.tokens.prepare import tokenizer_key
from tests.engine.tokenizers_made import CHATML, prepared

CONFIG = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}


def make_model(folder: Path, *, template: bool = True, config: dict[str, Any] | None = None) -> None:
    """A folder that looks like a finished model; its one weight is a single number."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", config or CONFIG)
    write_json(folder / "tokenizer_config.json", {"chat_template": CHATML} if template else {})
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)


def prepare_tokenizer(home: Home, model: str, *, template: bool = True) -> None:
    """Keep a tokenizer for the model, so that nothing has to be started to read it."""
    folder = home.root / "cache" / "tokenizers" / tokenizer_key(resolve_model(model, home))
    prepared(folder, own=CHATML if template else None)


def make_starter(home: Home) -> None:
    """A starter model that is there, so that no run has to build one, with its tokenizer."""
    make_model(home.starter)
    prepare_tokenizer(home, "starter")
