"""How far apart two models are: their logits on a few prompts, in float32."""

from collections.abc import Sequence
from typing import Any

import torch

from engine.export.spec import Difference

PROMPTS = (
    "Hello, who are you?",
    "How do I reset my password?",
    "Name three colours.",
    "Explain in two sentences why the sky is blue, then say what 17 + 25 is.",
)
MOST_TOKENS = 96

Logits = list[torch.Tensor]
"""For each prompt (tokens, vocabulary), float32, on the CPU."""


def prompt_ids(tokenizer: Any) -> list[list[int]]:
    """Token ids of a few questions as the template writes them; as they are where there is no template."""
    found = []
    for question in PROMPTS:
        text = question
        if tokenizer.chat_template:
            text = tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
        found.append(tokenizer(text)["input_ids"][-MOST_TOKENS:])
    return [ids for ids in found if ids]


@torch.no_grad()
def logits_of(model: Any, prompts: Sequence[Sequence[int]]) -> Logits:
    """What `model` thinks of the next token at each token of each prompt."""
    model.eval()
    return [
        model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits[0].float().cpu()
        for ids in prompts
    ]


def difference(new: Logits, old: Logits) -> Difference:
    """`new` against `old`: the largest absolute difference, also over the largest of the old logits."""
    largest = max(float((one - other).abs().max()) for one, other in zip(new, old, strict=True))
    scale = max(float(other.abs().max()) for other in old)
    tokens = sum(len(one) for one in new)
    same = sum(int((one.argmax(-1) == other.argmax(-1)).sum()) for one, other in zip(new, old, strict=True))
    return Difference(largest / scale if scale else largest, largest, same / tokens, len(new), tokens)
