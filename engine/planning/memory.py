"""The memory of a run at its peak, by parts, from the model's config alone.

Weights, adapters and the optimiser's state are exact. Activations follow what autograd keeps of each kind of layer,
checked against what it keeps of small models; the loss is TRL's, which goes over the vocabulary in tiles and never
holds all logits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.planning.architecture import Architecture, Block, Linear
from engine.planning.records import MemoryParts
from engine.recipe import Recipe

BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}

NF4_BLOCK = 64
"""Weights to one scale, with bitsandbytes' NF4."""
SCALE_BLOCK = 256
"""Scales to one scale of theirs, where they are quantised again."""
NF4_CONSTANTS = 16 * 4 + SCALE_BLOCK * 4 + 4
"""The two code books and the offset of a layer."""

LOSS_TOKENS = 4096
LOSS_VOCABULARY = 32_768
"""Size of the tiles that TRL's loss takes."""

SMALLEST_8BIT = 4096
"""Weights from which the 8-bit optimiser is one; smaller tensors have ordinary states."""

CUDA_BYTES = 550 << 20
"""Context, libraries' kernels and workspaces on a recent GPU, beside what torch allocates."""
CUDA_FRAGMENTS = 0.03
"""Share of the activations that the allocator loses between blocks."""
HOST_BYTES = 700 << 20
"""A process that has torch, Transformers and TRL loaded."""


@dataclass(frozen=True)
class Batch:
    """The largest micro-batch: `rows` of `length` tokens, padding included.

    `masked`: attention needs a mask, for padding or for keeping packed rows apart. `trained` is the share of tokens
    that carry loss.
    """

    rows: int
    length: int
    masked: bool = True
    trained: float = 1.0

    @property
    def tokens(self) -> int:
        return self.rows * self.length


def estimate_memory(
    architecture: Architecture, recipe: Recipe, batch: Batch, *, precision: str, kind: str
) -> MemoryParts:
    """Bytes on one device. `recipe` has no `auto` left but `precision`, which is given; `kind` is `cuda` or `cpu`."""
    trained = trained_tensors(architecture, recipe.method, recipe.lora_r, recipe.target_modules)
    elements = sum(trained)
    weights = weight_bytes(architecture, recipe.method, precision)
    if recipe.objective == "dpo" and recipe.method == "full":
        weights *= 2  # the model as it was
    each = adapter_bytes(recipe, precision)
    gradients = elements * each
    optimizer = optimizer_bytes(trained, recipe.optim, each)
    shards = recipe.device_count if recipe.distributed == "fsdp" else 1
    if recipe.device_count > 1 and shards == 1:
        gradients *= 2  # the buckets in which they are exchanged
    kept = activation_bytes(architecture, recipe, batch, precision=precision, kind=kind)
    if recipe.gradient_accumulation_steps == 1:
        # Gradients come as activations go, and are dropped before the next forward.
        kept = max(0, kept - gradients)
    step = 0 if "8bit" in recipe.optim else elements * each  # what AdamW works in
    activations = max(kept, step)
    return MemoryParts(
        weights=math.ceil(weights / shards),
        adapter=0 if recipe.method == "full" else elements * each,
        gradients=math.ceil(gradients / shards),
        optimizer=math.ceil(optimizer / shards),
        activations=activations,
        logits=loss_bytes(architecture, recipe, batch, precision=precision, kind=kind),
        overhead=CUDA_BYTES + int(CUDA_FRAGMENTS * activations) if kind == "cuda" else HOST_BYTES,
    )


@lru_cache(maxsize=64)
def weight_bytes(architecture: Architecture, method: str, precision: str) -> int:
    """The base with its quantisation constants and the numbers for rotating positions.

    Half-precision weights are not trained: with method `full` they are kept in fp32.
    """
    size = 4 if method == "full" else BYTES[precision]
    quantise = {"qlora": nf4_bytes, "lora8bit": int8_bytes}.get(method)
    linears = [linear for _, linear in architecture.linears()]
    total = architecture.rotary * 4
    plain = architecture.parameters - sum(linear.inputs * linear.outputs for linear in linears)
    if quantise is None:
        return total + architecture.parameters * size
    return total + plain * size + sum(quantise(linear) for linear in linears)


def nf4_bytes(linear: Linear) -> int:
    """The weight of a layer in bitsandbytes' NF4 with double quantisation; its bias is not quantised."""
    elements = linear.inputs * linear.outputs
    scales = -(-elements // NF4_BLOCK)
    return -(-elements // 2) + scales + -(-scales // SCALE_BLOCK) * 4 + NF4_CONSTANTS


def int8_bytes(linear: Linear) -> int:
    """The weight of a layer in bitsandbytes' 8 bits, a scale to each output."""
    return linear.inputs * linear.outputs + 4 * linear.outputs


@lru_cache(maxsize=64)
def trained_tensors(
    architecture: Architecture, method: str, lora_r: int, target_modules: str | tuple[str, ...]
) -> tuple[int, ...]:
    """Elements of each tensor that is trained."""
    if method == "full":
        linears = [linear.inputs * linear.outputs for _, linear in architecture.linears()]
        return (*linears, architecture.parameters - sum(linears))
    found: list[int] = []
    for _, linear in architecture.targets(target_modules):
        found += [lora_r * linear.inputs, lora_r * linear.outputs]
        if method == "dora":
            found.append(linear.outputs)
    return tuple(found)


def adapter_bytes(recipe: Recipe, precision: str) -> int:
    """Bytes of one trained number: TRL trains the adapter of a quantised base in bf16, PEFT any other in fp32."""
    return 2 if recipe.method in ("qlora", "lora8bit") and precision != "fp32" else 4


@lru_cache(maxsize=64)
def optimizer_bytes(trained: tuple[int, ...], optim: str, each: int) -> int:
    """AdamW's two states: as wide as what is trained, or 8 bits with a scale to 256 of them."""
    if optim not in ("adamw_8bit", "paged_adamw_8bit"):
        return 2 * each * sum(trained)
    small = sum(count for count in trained if count < SMALLEST_8BIT)
    large = [count for count in trained if count >= SMALLEST_8BIT]
    return 8 * small + sum(2 * (count + 4 * -(-count // 256)) for count in large)


def activation_bytes(architecture: Architecture, recipe: Recipe, batch: Batch, *, precision: str, kind: str) -> int:
    """What a forward keeps for the backward at its peak, and what the backward works in."""
    rows = batch.rows * (2 if recipe.objective == "dpo" else 1)  # a chosen and a rejected answer to each
    tokens = rows * batch.length
    size = BYTES[precision]
    stream = 4 if recipe.method == "full" else size  # bytes of a number between blocks
    flash = "flash" in recipe.attn_implementation
    how = _How(recipe.method, recipe.lora_r, recipe.lora_dropout > 0, size, stream, kind, batch.masked and not flash)
    blocks, largest = _kept_by_blocks(architecture, recipe.target_modules, how)
    count = len(architecture.blocks)
    pairs = _attention_probabilities(architecture, rows, batch.length, size, recipe.attn_implementation, kind)
    linears, widest, middle = _widths(architecture)
    # Weights that autocast turned into the compute's format, once for each forward
    cast = size * linears if recipe.method == "full" and size < 4 else 0
    if recipe.method == "dora":  # the weights with the adapter in them, for their norms
        cast = 4 * sum(one.inputs * one.outputs for _, one in architecture.targets(recipe.target_modules))
    if recipe.gradient_checkpointing:
        cast = cast // count
        kept = tokens * (architecture.hidden * stream * count + largest) + pairs
    else:
        kept = tokens * blocks + pairs * count
    unpacked = widest * size if recipe.method in ("qlora", "lora8bit") else 0
    works = tokens * size * (3 * middle + architecture.hidden) + unpacked
    final = tokens * (4 + stream + size) * architecture.hidden
    mask = rows * batch.length**2 * (1 + size) if how.masked else 0
    return int(kept + cast + works + final + mask)


@dataclass(frozen=True)
class _How:
    """What decides how much a block keeps of a token. `size` and `stream` are the bytes of a number within a block and
    between blocks; `masked` says that attention takes a mask."""

    method: str
    lora_r: int
    dropout: bool
    size: int
    stream: int
    kind: str
    masked: bool

    @property
    def adapter(self) -> int:
        """Bytes of a number of the adapter."""
        return 2 if self.method in ("qlora", "lora8bit") and self.size == 2 else 4


@lru_cache(maxsize=64)
def _kept_by_blocks(
    architecture: Architecture, target_modules: str | tuple[str, ...], how: _How
) -> tuple[float, float]:
    """Bytes that all blocks keep of one token, and those of the largest."""
    targets = {name for name, _ in architecture.targets(target_modules)} if how.method != "full" else set()
    each = [
        _block_bytes(
            architecture,
            block,
            [one for one in block.linears if f"{architecture.prefix}{place}.{one.name}" in targets],
            how,
        )
        for place, block in enumerate(architecture.blocks)
    ]
    return sum(each), max(each)


@lru_cache(maxsize=64)
def _widths(architecture: Architecture) -> tuple[int, int, int]:
    """Weights of all linear layers, of the largest, and the width of the widest feed-forward part."""
    linears = [one.inputs * one.outputs for _, one in architecture.linears()]
    return sum(linears), max(linears, default=0), max(block.middle for block in architecture.blocks)


def _block_bytes(architecture: Architecture, block: Block, targets: Sequence[Linear], how: _How) -> float:
    """Bytes that one block keeps of one token."""
    full, size = how.method == "full", how.size
    # Norms read in fp32; a trained one keeps what it made of that, too.
    norms = block.normed * (4 + (how.stream if full else 0))
    grouped = architecture.kv_heads < architecture.heads
    # A mask keeps SDPA from sharing keys between heads.
    keys = architecture.attention if grouped and how.masked else architecture.keys
    attention = 2 * size * (architecture.attention + keys) + 4 * architecture.heads
    feed = (3 if architecture.gated else 4) * size * block.middle
    inputs = 0.0
    if full:
        # q, k, v and the gates each take a copy in the compute's format; in fp32 they share one.
        inputs = (5 * size if size < 4 else 2 * 4) * architecture.hidden + size * block.middle
    for linear in targets:
        if how.dropout:
            flags = 1 if how.kind == "cuda" else how.adapter
            inputs += linear.inputs * (size + flags)
        inputs += how.lora_r * size
        if how.method == "dora":
            inputs += 2 * linear.outputs * size  # both products, to be weighed by the magnitude
    if targets and not how.dropout:
        # Inputs are shared, unless each adapter turns them into its own format.
        copies = 2 if how.adapter == size else 5
        inputs += size * (copies * architecture.hidden + block.middle)
    return norms + attention + feed + inputs


def _attention_probabilities(
    architecture: Architecture, rows: int, length: int, size: int, implementation: str, kind: str
) -> int:
    """What attention that is written out keeps: the weights of each pair of tokens, before and after rounding."""
    if implementation == "eager":
        return rows * architecture.heads * length**2 * (4 + size)
    # With dropout on the weights of attention the CPU has no fused attention.
    return rows * architecture.heads * length**2 * 12 if architecture.attention_dropout and kind == "cpu" else 0


def loss_bytes(architecture: Architecture, recipe: Recipe, batch: Batch, *, precision: str, kind: str) -> int:
    """The tile of logits that TRL's loss works in, and gradients of what goes into it."""
    size = BYTES[precision]
    tokens = batch.tokens * (2 if recipe.objective == "dpo" else 1)
    if kind == "cuda":  # only tokens that carry loss are looked at
        tokens = max(1, math.ceil(tokens * batch.trained))
    rows = min(tokens, LOSS_TOKENS)
    width = min(architecture.vocabulary, LOSS_VOCABULARY)
    # On a GPU as wide for small vocabularies; on a CPU, without Triton, the steps are written out.
    tile = rows * (LOSS_VOCABULARY * size if kind == "cuda" else width * (size + 4 * 4))
    head = architecture.vocabulary * architecture.hidden if recipe.method == "full" else 0
    gradients = tokens * architecture.hidden * (4 + size) + 4 * head
    return tile + gradients
