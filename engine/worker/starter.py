"""The starter model: a small chat model made on this machine, so that finetui works without a GPU, a hub or a network.

A Qwen2-architecture model of 2.5 million parameters and a byte-level BPE tokenizer with a ChatML template, trained
from nothing for about a minute: on the conversations of `samples/starter.jsonl`, and on the questions of the other
sample datasets, whose answers it never reads (its tokenizer has seen their words). Same samples, same machine, same
model.

`python -m engine.worker.starter DEST --samples DIR`
"""

import argparse
import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir

SEED = 20
VOCABULARY = 2048
BLOCK_TOKENS = 256
BATCH_BLOCKS = 4
STEPS = 180
PASSES = 8
PEAK_LEARNING_RATE = 3e-3
WARMUP_STEPS = 20
INITIALIZER_RANGE = 0.05
"""Spread of the first weights. The usual 0.02 leaves tied embeddings so short that no token can become likely within a
minute of training, and none that an adapter wants later."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- generation -%}
{{- message['content'] + '<|im_end|>' -}}
{%- endgeneration -%}
{{- '\\n' -}}
{%- else -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""ChatML, with the generation block that marks what the assistant said, and so what is trained."""

Progress = Callable[[float], None]


def build_starter(
    destination: Path, samples: Path, *, steps: int = STEPS, progress: Progress = lambda _: None
) -> float:
    """Make the starter model in `destination` (appears whole or not at all). Returns the last training loss.

    `samples` is the folder with `starter.jsonl` (what the model reads) and the other sample datasets.
    `progress` is called with the share done, 0 to 1.
    """
    random.seed(SEED)
    torch.manual_seed(SEED)
    tokenizer = train_tokenizer(samples)
    blocks = token_blocks(tokenizer, list(documents(samples)))
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=2048,
            initializer_range=INITIALIZER_RANGE,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    loss = pretrain(model, blocks, steps, progress)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    save_model(model, tokenizer, destination)
    return loss


def train_tokenizer(samples: Path) -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        (
            turn["content"]
            for path in sorted(samples.glob("*.jsonl"))
            for row in _rows(path)
            for turn in row["messages"]
        ),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=2048,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _rows(path: Path) -> Iterator[dict[str, list[dict[str, str]]]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def documents(samples: Path) -> Iterator[list[dict[str, str]]]:
    """What the model reads: whole conversations of the starter text, the questions alone of the other datasets."""
    for path in sorted(samples.glob("*.jsonl")):
        for row in _rows(path):
            if path.name == "starter.jsonl":
                yield row["messages"]
            else:
                yield from ([turn] for turn in row["messages"] if turn["role"] == "user")


def token_blocks(tokenizer: PreTrainedTokenizerFast, read: list[list[dict[str, str]]]) -> torch.Tensor:
    """The documents end to end, in a new order for each pass, cut into blocks: (blocks, BLOCK_TOKENS)."""
    texts = [tokenizer.apply_chat_template(messages, tokenize=False) for messages in read]
    encoded: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    ids: list[int] = []
    shuffle = random.Random(SEED)
    for _ in range(PASSES):
        shuffle.shuffle(encoded)
        ids.extend(token for document in encoded for token in document)
    whole = len(ids) // BLOCK_TOKENS
    return torch.tensor(ids[: whole * BLOCK_TOKENS]).view(whole, BLOCK_TOKENS)


def pretrain(model: Qwen2ForCausalLM, blocks: torch.Tensor, steps: int, progress: Progress) -> float:
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    other = [weight for weight in model.parameters() if weight.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": other, "weight_decay": 0.0}], betas=(0.9, 0.95), lr=0.0
    )
    model.train()
    loss = torch.tensor(math.nan)
    for step in range(steps):
        start = step * BATCH_BLOCKS % (len(blocks) - BATCH_BLOCKS + 1)
        batch = blocks[start : start + BATCH_BLOCKS]  # (BATCH_BLOCKS, BLOCK_TOKENS)
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, steps)
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress((step + 1) / steps)
    model.eval()
    return float(loss.detach())


def _learning_rate(step: int, steps: int) -> float:
    if step < WARMUP_STEPS:
        return PEAK_LEARNING_RATE * (step + 1) / WARMUP_STEPS
    done = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    return PEAK_LEARNING_RATE * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def save_model(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, destination: Path) -> None:
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary, safe_serialization=True)
    tokenizer.save_pretrained(temporary)
    shutil.rmtree(destination, ignore_errors=True)
    temporary.replace(destination)


def _event_progress() -> Progress:
    """Progress into the event log of the run that waits for the model, where there is one."""
    folder = os.environ.get("FINETUI_RUN_DIR")
    if not folder:
        return lambda _: None
    writer = EventWriter(RunDir(Path(folder)).events, int(os.environ.get("FINETUI_ATTEMPT", "1")))
    said = [0.0]

    def report(share: float) -> None:
        if time.monotonic() - said[0] >= 0.5 or share >= 1:
            said[0] = time.monotonic()
            writer.write("state", status="starting", phase="building the starter model", progress=round(share, 3))

    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    build_starter(arguments.destination, arguments.samples, steps=arguments.steps, progress=_event_progress())


if __name__ == "__main__":
    main()
