"""GGUF files: what stands in them, and, where llama.cpp is installed, that it says what transformers says."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.errors import BadInput
from engine.worker.export.gguf_families import interleave
from engine.worker.export.gguf_file import GgufFile, general_name, write_gguf
from engine.worker.export.gguf_tokenizer import cut_of, plain_template
from engine.worker.starter import CHAT_TEMPLATE
from tests.worker.exported import FAMILIES, TEXTS, family_model, pieces


@dataclass(frozen=True)
class Made:
    folder: Path
    file: Path
    written: GgufFile


_MADE: dict[str, Made] = {}


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(params=FAMILIES)
def made(request: pytest.FixtureRequest, models_folder: Path) -> Made:
    """A model of the family, and its GGUF file in f32."""
    return make(request.param, models_folder)


def make(name: str, folder: Path) -> Made:
    if name not in _MADE:
        model = family_model(name, folder / name)
        file = folder / f"{name}.gguf"
        _MADE[name] = Made(model, file, write_gguf(model, file, "f32", f"tiny {name}"))
    return _MADE[name]


def field(reader: GGUFReader, key: str) -> Any:
    return reader.fields[key].contents()


def test_a_file_has_all_weights_the_tokens_and_the_template(made: Made) -> None:
    reader = GGUFReader(made.file)
    model = AutoModelForCausalLM.from_pretrained(made.folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(made.folder)
    numbers = sum(int(np.prod(tensor.shape)) for tensor in reader.tensors if not tensor.name.startswith("rope_"))
    assert numbers == sum(weight.numel() for weight in model.parameters())
    tokens = field(reader, "tokenizer.ggml.tokens")
    assert len(tokens) == model.config.vocab_size > len(tokenizer)
    assert tokens[-1] == f"[PAD{len(tokens) - 1}]"
    assert field(reader, "tokenizer.ggml.eos_token_id") == tokenizer.eos_token_id
    assert field(reader, "tokenizer.chat_template") == tokenizer.chat_template
    assert reader.fields["general.architecture"].contents() == made.written.architecture
    embedding = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    wanted = model.get_input_embeddings().weight.detach().numpy()
    assert np.array_equal(np.asarray(embedding.data).reshape(wanted.shape), wanted)


def test_rotary_pairs_stand_beside_each_other() -> None:
    rows = torch.arange(16.0).reshape(16, 1)  # two heads of eight
    assert interleave(rows, 2).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


@pytest.mark.parametrize(("kind", "near"), [("f16", 1e-3), ("bf16", 1e-2), ("q8_0", 2e-2)])
def test_smaller_formats_keep_the_numbers_and_leave_norms_alone(
    kind: str, near: float, models_folder: Path, tmp_path: Path
) -> None:
    whole = make("qwen2", models_folder)
    written = write_gguf(whole.folder, tmp_path / "small.gguf", kind, "small")
    assert written.bytes < whole.written.bytes
    exact = {tensor.name: tensor for tensor in GGUFReader(whole.file).tensors}
    for tensor in GGUFReader(tmp_path / "small.gguf").tensors:
        wanted = np.asarray(exact[tensor.name].data).reshape(-1)
        values = dequantize(tensor.data, tensor.tensor_type).reshape(-1)
        assert np.abs(values - wanted).max() <= near * np.abs(wanted).max(), tensor.name
        if "norm" in tensor.name or tensor.name.endswith("bias"):
            assert tensor.tensor_type.name == "F32"
        else:
            assert tensor.tensor_type.name == kind.upper()


def test_numbers_too_large_for_f16_are_refused(models_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(make("qwen3", models_folder).folder, tmp_path / "large")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = 1e6
    model.save_pretrained(folder)
    with pytest.raises(BadInput, match="float16 cannot hold"):
        write_gguf(folder, tmp_path / "large.gguf", "f16", "large")
    assert write_gguf(folder, tmp_path / "large.gguf", "bf16", "large").type == "bf16"


def test_the_name_says_whether_special_tokens_swallow_spaces() -> None:
    assert general_name("mine", pieces("phi3")) == "mine (phi-3)"
    assert general_name("Phi3-mine", pieces("phi3")) == "Phi3-mine"
    assert general_name("after Phi-3 mini", pieces("prepend")) == "after phi 3 mini"


def test_what_llama_cpp_cannot_do_is_refused(tmp_path: Path, models_folder: Path) -> None:
    gemma = make("gemma2", models_folder).folder
    config = json.loads((gemma / "config.json").read_text())
    other = tmp_path / "gemma"
    other.mkdir()
    for path in gemma.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "config.json").write_text(json.dumps(config | {"query_pre_attn_scalar": 7}))
    with pytest.raises(BadInput, match="Gemma 2"):
        write_gguf(other, tmp_path / "g.gguf", "f32", "g")
    odd = Tokenizer(models.BPE())
    odd.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("[aeiou]"), "isolated"), pre_tokenizers.ByteLevel(use_regex=False)]
    )
    with pytest.raises(BadInput, match="tokenizer"):
        cut_of(json.loads(odd.to_str()) | {"normalizer": None})


def test_a_template_without_its_markers_writes_the_same() -> None:
    tokenizer = pieces("prepend")
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    plain = plain_template(CHAT_TEMPLATE)
    assert "generation " not in plain.replace("add_generation_prompt", "")
    assert tokenizer.apply_chat_template(messages, chat_template=plain, tokenize=False) == (
        tokenizer.apply_chat_template(messages, chat_template=CHAT_TEMPLATE, tokenize=False)
    )


def test_a_space_that_only_goes_first_is_noted(tmp_path: Path) -> None:
    folder = family_model("llama", tmp_path / "model", tokenizer=pieces("first"))
    notes = write_gguf(folder, tmp_path / "file.gguf", "f32", "first").notes
    assert any("at the beginning only" in note for note in notes)


# With llama.cpp


def loaded(file: Path) -> Any:
    """The file in llama.cpp, all of it in float32. Its context is as long as Phi-3's short positions reach."""
    llama_cpp = pytest.importorskip("llama_cpp")
    exact = llama_cpp.GGML_TYPE_F32
    return llama_cpp.Llama(
        str(file), logits_all=True, n_ctx=256, n_threads=1, type_k=exact, type_v=exact, verbose=False
    )


@torch.no_grad()
def greedy(model: Any, ids: list[int], count: int) -> list[int]:
    """The likeliest next token, `count` times."""
    ids = list(ids)
    for _ in range(count):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids


def test_llama_cpp_says_what_transformers_says(made: Made) -> None:
    llama = loaded(made.file)
    model = AutoModelForCausalLM.from_pretrained(made.folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(made.folder)
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert llama.tokenize(text.encode(), add_bos=False, special=True) == ids, text
        llama.reset()
        llama.eval(ids)
        with torch.no_grad():
            wanted = model(input_ids=torch.tensor([ids])).logits[0].numpy()
        given = np.array(llama.scores[: len(ids)])
        relative = np.abs(given - wanted).max() / np.abs(wanted).max()
        assert relative < 1e-3, f"{text!r}: {relative:.1e}"
    start = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    whole = greedy(model, start, 24)
    llama.reset()
    written = list(start)
    for token in llama.generate(start, temp=0.0, repeat_penalty=1.0):
        written.append(token)
        if len(written) == len(whole):
            break
    assert written == whole
