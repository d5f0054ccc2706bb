"""A model's layers by its config.json alone: how many weights there are, in which layers, under which names.

Known are the families that most people train: Llama, Qwen 2 and 3, Mistral, Phi-3, Gemma 1 to 3, GPT-2, and the
mixtures of experts Mixtral and Qwen 3 MoE. Of others the size is taken from the headers of their weights.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

Config = Mapping[str, Any]

HEAD = "lm_head"
_FUSED = {
    "gate_proj": "experts.gate_up_proj",
    "up_proj": "experts.gate_up_proj",
    "down_proj": "experts.down_proj",
    "w1": "experts.gate_up_proj",
    "w3": "experts.gate_up_proj",
    "w2": "experts.down_proj",
}
"""Names of an expert's layers, and the tensor of all experts that PEFT takes for them."""


@dataclass(frozen=True)
class Linear:
    """A linear layer. `name` is its place within its block, such as `self_attn.q_proj`."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False

    @property
    def elements(self) -> int:
        return self.inputs * self.outputs + (self.outputs if self.bias else 0)


@dataclass(frozen=True)
class Block:
    """One of the model's blocks: attention and what follows it."""

    linears: tuple[Linear, ...]
    plain: int
    """Weights that are in no linear layer: of norms, routers, experts."""
    normed: int
    """Elements a token that norms read."""
    middle: int
    """Width of the feed-forward part for one token; of all the experts that a token is sent to."""
    experts: tuple[Linear, ...] = ()
    """The router and the experts, each kind as wide as all of them: not quantised, but given adapters by PEFT."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """What a config says of a model's size. Compared by identity, so that what follows from one is kept cheaply."""

    name: str
    """`model_type` of the config."""
    prefix: str
    """What the names of blocks begin with: `model.layers.`."""
    blocks: tuple[Block, ...]
    embeddings: int
    """Weights of the token and position embeddings."""
    head: int
    """Weights of the output layer; 0 where it is the embedding itself."""
    final_norm: int
    vocabulary: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int | None
    """The longest sequence that it was made for, in tokens."""
    rotary: int = 0
    """Numbers that are kept for rotating positions, 4 bytes each."""
    gated: bool = True
    """Whether the feed-forward part multiplies two products (SwiGLU); else one goes through GELU."""
    sdpa: bool = True
    """Whether torch's own attention can be used."""
    window: int | None = None
    """The last tokens that some layers attend to; `None` where all attend to all."""
    attention_dropout: bool = False
    known: bool = True
    note: str = ""
    """What is not sure about it."""

    @cached_property
    def parameters(self) -> int:
        blocks = sum(block.plain + sum(linear.elements for linear in block.linears) for block in self.blocks)
        return blocks + self.embeddings + self.head + self.final_norm

    @property
    def attention(self) -> int:
        """Width of all queries together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all keys together; values are as wide."""
        return self.kv_heads * self.head_dim

    def linears(self) -> Iterator[tuple[str, Linear]]:
        """All linear layers of the blocks by their full names; the output layer is not one of them."""
        for place, block in enumerate(self.blocks):
            for linear in block.linears:
                yield f"{self.prefix}{place}.{linear.name}", linear

    def targets(self, target_modules: str | Sequence[str]) -> list[tuple[str, Linear]]:
        """The layers that `target_modules` gives an adapter, by PEFT's rules: ends of names, or a pattern."""
        every = [*self.linears(), *self._experts()]
        if isinstance(target_modules, str):
            if target_modules.lower() == "all-linear":
                return every
            try:
                fits = re.compile(target_modules)
            except re.error:
                return []
            return [(name, one) for name, one in (*every, self._output) if fits.fullmatch(name)]
        ends = {part for end in target_modules for part in (end, _FUSED.get(end, end))}
        return [
            (name, one)
            for name, one in (*every, self._output)
            if any(name == end or name.endswith(f".{end}") for end in ends)
        ]

    @property
    def _output(self) -> tuple[str, Linear]:
        return HEAD, Linear(HEAD, self.hidden, self.vocabulary)

    def _experts(self) -> Iterator[tuple[str, Linear]]:
        for place, block in enumerate(self.blocks):
            for linear in block.experts:
                yield f"{self.prefix}{place}.{linear.name}", linear

    def names(self) -> list[str]:
        """Last parts of the linear layers' names, as people write them in `target_modules`."""
        return list(dict.fromkeys(name.rpartition(".")[2] for name, _ in self.linears()))


def read_architecture(config: Config, parameters: int | None = None) -> Architecture | None:
    """The architecture of a model with this config.json, or `None` where that does not say enough.

    `parameters` is what the headers of the weights count; it decides where the family is not known.
    """
    text = config.get("text_config")
    inner: Config = {**config, **text} if isinstance(text, dict) else config
    family = str(inner.get("model_type", ""))
    read = _FAMILIES.get(family)
    try:
        found = read(inner) if read else _llama(inner, {"num_key_value_heads": None})
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if found.hidden <= 0 or not found.blocks or found.vocabulary <= 0:
        return None
    if read is not None and not isinstance(text, dict):
        return found
    return _by_headers(found, str(config.get("model_type", "")), parameters)


def _by_headers(found: Architecture, family: str, parameters: int | None) -> Architecture:
    """`found` with the number of weights that the headers count, where it is not sure otherwise."""
    said = f"{family or 'the architecture'} is not known to the planner: its memory is an estimate"
    if not parameters:
        return replace(found, name=family, known=False, note=said)
    more = parameters - found.parameters
    return replace(found, name=family, known=False, embeddings=max(0, found.embeddings + more), note=said)


class _Values:
    """Numbers of a config, with a family's own defaults: configs leave out what equals them."""

    def __init__(self, config: Config, defaults: Config) -> None:
        self._config = config
        self._defaults = defaults

    def get(self, name: str, default: Any = None) -> Any:
        value = self._config.get(name)
        return self._defaults.get(name, default) if value is None else value

    def number(self, name: str, default: int | None = None) -> int:
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise ValueError(name)
        return int(value)


Feed = Callable[[_Values, int, int], tuple[list[Linear], list[Linear], int]]
"""The feed-forward part of a block: its linear layers, its experts, its width for one token."""


def _llama(config: Config, defaults: Config, **how: Any) -> Architecture:
    """Llama and what is built like it.

    `how`: `bias` of the attention (`all`, `qkv`), `fused` products, `norms` a block, `qk_norm`, `mlp`, `gemma`.
    """
    values = _Values(config, defaults)
    hidden, heads = values.number("hidden_size"), values.number("num_attention_heads")
    kv_heads = values.number("num_key_value_heads", heads)
    head_dim = values.number("head_dim", hidden // heads)
    count, vocabulary = values.number("num_hidden_layers"), values.number("vocab_size")
    queries, keys = heads * head_dim, kv_heads * head_dim
    bias = how.get("bias") or ("all" if values.get("attention_bias") else "")
    if how.get("fused"):
        attention = [Linear("self_attn.qkv_proj", hidden, queries + 2 * keys)]
    else:
        widths = {"q": queries, "k": keys, "v": keys}
        attention = [Linear(f"self_attn.{name}_proj", hidden, width, bool(bias)) for name, width in widths.items()]
    attention.append(Linear("self_attn.o_proj", queries, hidden, bias == "all"))
    norms = how.get("norms", 2)
    qk_norm = how.get("qk_norm", False)
    plain = norms * hidden + (2 * head_dim if qk_norm else 0)
    normed = norms * hidden + (queries + keys if qk_norm else 0)
    feed: Feed = how.get("mlp", _swiglu)
    blocks = []
    for place in range(count):
        linears, experts, middle = feed(values, hidden, place)
        more = sum(expert.inputs * expert.outputs // _together(expert, values) for expert in experts)
        blocks.append(Block((*attention, *linears), plain + more, normed, middle, tuple(experts)))
    return Architecture(
        name=str(config.get("model_type", "")),
        prefix="model.layers.",
        blocks=tuple(blocks),
        embeddings=vocabulary * hidden,
        head=0 if values.get("tie_word_embeddings", False) else vocabulary * hidden,
        final_norm=hidden,
        vocabulary=vocabulary,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        context=_context(values.get("max_position_embeddings")),
        rotary=_rotary(values, head_dim) * how.get("rotary_kinds", _one_kind)(values, count) + how.get("scale", 0),
        sdpa=how.get("sdpa", True),
        window=_window(values),
    )


def _swiglu(values: _Values, hidden: int, _place: int) -> tuple[list[Linear], list[Linear], int]:
    middle, bias = values.number("intermediate_size"), bool(values.get("mlp_bias"))
    linears = [
        Linear("mlp.gate_proj", hidden, middle, bias),
        Linear("mlp.up_proj", hidden, middle, bias),
        Linear("mlp.down_proj", middle, hidden, bias),
    ]
    return linears, [], middle


def _fused_swiglu(values: _Values, hidden: int, _place: int) -> tuple[list[Linear], list[Linear], int]:
    middle = values.number("intermediate_size")
    return [Linear("mlp.gate_up_proj", hidden, 2 * middle), Linear("mlp.down_proj", middle, hidden)], [], middle


def _mixtral_experts(values: _Values, hidden: int, _place: int) -> tuple[list[Linear], list[Linear], int]:
    """Experts are kept as one tensor each way, which is not quantised."""
    middle = values.number("intermediate_size")
    experts = _expert_layers(values.number("num_local_experts"), hidden, middle)
    return [], experts, middle * values.number("num_experts_per_tok")


def _qwen_experts(values: _Values, hidden: int, place: int) -> tuple[list[Linear], list[Linear], int]:
    count = _expert_count(values)
    alone = values.get("mlp_only_layers") or ()
    if place in alone or count <= 0 or (place + 1) % values.number("decoder_sparse_step") != 0:
        return _swiglu(values, hidden, place)
    middle = values.number("moe_intermediate_size")
    return [], _expert_layers(count, hidden, middle), middle * values.number("num_experts_per_tok")


def _expert_count(values: _Values) -> int:
    return values.number("num_local_experts", values.number("num_experts", 0))


def _expert_layers(count: int, hidden: int, middle: int) -> list[Linear]:
    return [
        Linear("mlp.gate", hidden, count),
        Linear("mlp.experts.gate_up_proj", count * hidden, count * 2 * middle),
        Linear("mlp.experts.down_proj", count * middle, count * hidden),
    ]


def _together(expert: Linear, values: _Values) -> int:
    """How often the weights of a layer of experts would be counted: each is as wide as all, and they share nothing."""
    return _expert_count(values) if "experts" in expert.name else 1


def _context(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _rotary(values: _Values, head_dim: int) -> int:
    """Numbers of one kind of rotation: as it is and as it was before any scaling."""
    rope = values.get("rope_parameters")
    share = (rope.get("partial_rotary_factor") if isinstance(rope, dict) else None) or values.get(
        "partial_rotary_factor", 1.0
    )
    return 2 * (int(head_dim * float(share)) // 2)


def _window(values: _Values) -> int | None:
    """Qwen's configs name a window that only `use_sliding_window` puts to use."""
    if str(values.get("model_type", "")).startswith("qwen") and not values.get("use_sliding_window"):
        return None
    window = values.get("sliding_window")
    return window if isinstance(window, int) and window > 0 else None


def _one_kind(_values: _Values, _count: int) -> int:
    return 1


def _kinds_of_layers(values: _Values, count: int) -> int:
    """Gemma 3 rotates differently in sliding and in full attention; it keeps what it has layers for."""
    kinds = values.get("layer_types")
    if isinstance(kinds, list) and kinds:
        return len(set(kinds[:count]))
    return 1 if count < values.number("sliding_window_pattern", 6) else 2


def _gpt2(config: Config) -> Architecture:
    values = _Values(config, {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257})
    hidden, heads, vocabulary = values.number("n_embd"), values.number("n_head"), values.number("vocab_size")
    positions, middle = values.number("n_positions"), values.number("n_inner", 4 * hidden)
    block = Block(
        (
            Linear("attn.c_attn", hidden, 3 * hidden, True),
            Linear("attn.c_proj", hidden, hidden, True),
            Linear("mlp.c_fc", hidden, middle, True),
            Linear("mlp.c_proj", middle, hidden, True),
        ),
        plain=4 * hidden,
        normed=2 * hidden,
        middle=middle,
    )
    return Architecture(
        name="gpt2",
        prefix="transformer.h.",
        blocks=(block,) * values.number("n_layer"),
        embeddings=(vocabulary + positions) * hidden,
        head=0 if values.get("tie_word_embeddings", True) else vocabulary * hidden,
        final_norm=2 * hidden,
        vocabulary=vocabulary,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        context=positions,
        gated=False,
        attention_dropout=float(values.get("attn_pdrop", 0.1)) > 0,
    )


_GEMMA: dict[str, Any] = {"head_dim": 256, "tie_word_embeddings": True, "vocab_size": 256_000}
_GEMMA2: dict[str, Any] = {
    **_GEMMA,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 8192,
}

_FAMILIES: dict[str, Callable[[Config], Architecture]] = {
    "llama": lambda config: _llama(config, {}),
    "mistral": lambda config: _llama(config, {"num_key_value_heads": 8}),
    "qwen2": lambda config: _llama(config, {}, bias="qkv"),
    "qwen3": lambda config: _llama(config, {"head_dim": 128}, qk_norm=True),
    "phi3": lambda config: _llama(config, {}, fused=True, mlp=_fused_swiglu),
    "gemma": lambda config: _llama(config, {**_GEMMA, "num_key_value_heads": 16}, scale=1),
    "gemma2": lambda config: _llama(config, _GEMMA2, norms=4, sdpa=False, scale=1),
    "gemma3_text": lambda config: _llama(
        config,
        {**_GEMMA2, "vocab_size": 262_208, "max_position_embeddings": 131_072},
        norms=4,
        qk_norm=True,
        rotary_kinds=_kinds_of_layers,
        scale=1,
    ),
    "gpt2": _gpt2,
    "mixtral": lambda config: _llama(
        config,
        {"num_local_experts": 8, "num_experts_per_tok": 2, "num_key_value_heads": 8},
        mlp=_mixtral_experts,
    ),
    "qwen3_moe": lambda config: _llama(
        config,
        {
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 768,
            "decoder_sparse_step": 1,
            "num_key_value_heads": 4,
        },
        qk_norm=True,
        mlp=_qwen_experts,
    ),
}
