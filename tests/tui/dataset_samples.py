"""Datasets to look at, and a model whose tokenizer needs no training side."""

import json
from pathlib import Path
from typing import Any

from textual.widgets import Input

from engine.home import Home
from engine.models import resolve_model
from tests.tui.conftest import Driver

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a file of rows to import."""
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def numbered(rows: int) -> list[dict[str, Any]]:
    """Rows that say their own number."""
    return [
        {"prompt": f"question number {row}", "response": f"answer {row}", "topic": row % 7}
        for row in range(1, rows + 1)
    ]


def add_model(home: Home, name: str = "tiny-chat", template: str = CHATML) -> Path:
    """A model folder in the home, and its tokenizer (one token a byte) as the training side would have kept it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from engine.tokens.prepare import tokenizer_key

    folder = home.models / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "chat_template.jinja").write_text(template)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={piece: id for id, piece in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(SPECIAL))
    backend.save(str(folder / "tokenizer.json"))
    kept = home.root / "cache" / "tokenizers" / tokenizer_key(resolve_model(name, home))
    kept.mkdir(parents=True)
    backend.save(str(kept / "tokenizer.json"))
    (kept / "own.jinja").write_text(template)
    special = {
        "map": {"eos_token": "<|im_end|>"},
        "ids": {"eos_token": backend.token_to_id("<|im_end|>")},
        "vocabulary": backend.get_vocab_size(),
        "max_length": 4096,
        "training": "",
        "supports_tools": False,
        "versions": {},
    }
    (kept / "special.json").write_text(json.dumps(special))
    return folder


async def fill(driver: Driver, text: str) -> None:
    """Put text into the line in focus at once, as if it were pasted over what is there: typing takes long."""
    entry = driver.app.focused
    assert isinstance(entry, Input)
    entry.value = text
    entry.cursor_position = len(text)
    await driver.pilot.pause()
