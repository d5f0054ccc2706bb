"""Tokens, and what a model sees of a row, on the command line."""

import json
import struct
from pathlib import Path

import pytest

from engine.home import Home
from engine.models import resolve_model
from engine.runs.rundir import write_json
from tests.cli.conftest import Cli, MakeRun

TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}
{%- else %}{{ message.content }}<|im_end|>{% endif %}

{% endfor -%}
"""


@pytest.fixture
def bytewise(home: Home) -> str:
    """A model whose tokens are bytes, with its tokenizer prepared as the training side leaves it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from engine.tokens.prepare import tokenizer_key

    folder = home.models / "bytewise"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    header = json.dumps({"embed.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    alphabet = {char: place for place, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    kept = home.root / "cache" / "tokenizers" / tokenizer_key(resolve_model("bytewise", home))
    kept.mkdir(parents=True)
    tokenizer.save(str(kept / "tokenizer.json"))
    (kept / "own.jinja").write_text(TEMPLATE)
    special = {"map": {"eos_token": "<|im_end|>"}, "ids": {"eos_token": 257}, "vocabulary": 258, "max_length": None}
    write_json(kept / "special.json", special | {"training": "", "supports_tools": False, "versions": {}})
    return "bytewise"


@pytest.fixture
def small(cli: Cli, tmp_path: Path) -> str:
    """Three rows, the last with what must not reach a terminal."""
    file = tmp_path / "small.jsonl"
    answers = ["Hello!", "Good-bye.", "\x1b]0;owned\x07 [red]plain[/red]"]
    rows = [{"prompt": f"Say {n}", "response": answer} for n, answer in enumerate(answers)]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert cli("datasets", "import", str(file)).status == 0
    return "small"


def test_render_shows_every_token(cli: Cli, small: str, bytewise: str) -> None:
    found = cli("datasets", "render", small, "--row", "1", "--model", bytewise, "--json").json
    assert found["text"] == "<|im_start|>user\nSay 0<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
    assert "".join(token["text"] for token in found["tokens"]) == found["text"]
    assert {"id", "text", "trained", "truncated"} <= set(found["tokens"][0])
    assert "".join(token["text"] for token in found["tokens"] if token["trained"]) == "Hello!<|im_end|>"
    assert (found["total"], found["trained"], found["cut"]) == (len(found["tokens"]), 7, 0)
    assert [token["text"] for token in found["tokens"] if token["special"]] == ["<|im_start|>", "<|im_end|>"] * 2


def test_render_can_be_read_without_colours(cli: Cli, small: str, bytewise: str) -> None:
    text = cli("datasets", "render", small, "--row", "1", "--model", bytewise).stdout
    assert "▐Hello!<|im_end|>▌" in text and "<|im_start|>user\nSay 0<|im_end|>" in text and "\x1b" not in text
    everything = cli("datasets", "render", small, "--row", "1", "--model", bytewise, "--all").stdout
    assert "▐<|im_start|>user" in everything and "! Every token is trained" in everything
    cut = cli("datasets", "render", small, "--row", "1", "--model", bytewise, "--max-length", "20").stdout
    assert "cut here" in cut and cut.index("cut here") < cut.index("Hello!") and "Nothing of this row is trained" in cut
    harmless = cli("datasets", "render", small, "--row", "3", "--model", bytewise).stdout
    assert "[red]plain[/red]" in harmless and not {"\x1b", "\x07"} & set(harmless)


def test_templates(cli: Cli, small: str, bytewise: str, tmp_path: Path) -> None:
    alpaca = cli("datasets", "render", small, "--row", "1", "--model", bytewise, "--template", "alpaca")
    assert "### Instruction" in alpaca.stdout and "template alpaca" in alpaca.stdout
    own = tmp_path / "own.jinja"
    own.write_text("{% for m in messages %}<{{ m.content }}>{% endfor %}")
    assert "<Say 0><Hello!>" in cli(
        "datasets", "render", small, "--row", "1", "--model", bytewise, "--template", str(own), "--all"
    ).stdout.replace("▐", "").replace("▌", "")
    wrong = cli("datasets", "render", small, "--row", "1", "--model", bytewise, "--template", "nope")
    assert wrong.status == 2 and "chatml" in wrong.stderr


def test_a_pair_shows_both_answers(cli: Cli, bytewise: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.json"
    rows = [{"prompt": f"Say {n}", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(3)]
    file.write_text(json.dumps(rows))
    assert cli("datasets", "import", str(file), "--json").json["kind"] == "preference"
    found = cli("datasets", "render", "pairs", "--row", "2", "--model", bytewise, "--json").json
    assert "yes 1" in found["text"] and "no 1" in found["rejected"]["text"]
    text = cli("datasets", "render", "pairs", "--row", "2", "--model", bytewise).stdout
    assert "▐yes 1<|im_end|>▌" in text and "▐no 1<|im_end|>▌" in text


def test_tokens(cli: Cli, small: str, bytewise: str) -> None:
    found = cli("datasets", "tokens", small, "--model", bytewise, "--max-length", "60", "--json").json
    rows = [cli("datasets", "render", small, "--row", str(n), "--model", bytewise, "--json").json for n in (1, 2, 3)]
    assert found["total"] == sum(row["total"] for row in rows)
    assert found["max"] == max(row["total"] for row in rows)
    assert found["trained"] == sum(row["trained"] for row in rows)
    assert sum(rows for _, _, rows in found["histogram"]) == 3 and found["advice"]
    assert found["cut"]["60"] == sum(row["total"] > 60 for row in rows)
    assert cli("datasets", "ls", "--json").json[0]["tokens"] == found["total"]
    text = cli("datasets", "tokens", small, "--model", bytewise).stdout
    assert f"{found['total']:,}" in text and "█" in text and "MAX LENGTH" in text and "p95" in text
    assert "bytewise" in cli("datasets", "show", small).stdout


def test_the_model_is_that_of_the_newest_run_else_must_be_named(
    cli: Cli, small: str, bytewise: str, make_run: MakeRun
) -> None:
    unnamed = cli("datasets", "render", small, "--row", "1")
    assert unnamed.status == 2 and "--model" in unnamed.stderr and "starter" in unnamed.stderr
    made = cli("datasets", "show", small, "--json").json
    make_run(dataset_id=made["id"], model=bytewise)
    assert cli("datasets", "render", small, "--row", "1", "--json").json["model"] == bytewise
    assert cli("datasets", "render", small, "--row", "4").status == 2
    assert cli("datasets", "tokens", small, "--tiktoken", "--model", bytewise).status == 2
