"""The validation loss of an adapter, one way for both sides: `python -m benchmarks.training_loss MODEL DATA ADAPTER…`.

Row by row, in float32 (bfloat16 on a GPU), on what the assistant says; the mean is over tokens. Prints one JSON list.
"""

import json
import sys
from pathlib import Path


def main(base: str, data: str, adapters: list[str]) -> list[float]:
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer

    from engine.worker.loading import load_base

    gpu = torch.cuda.is_available()
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [json.loads(line)["messages"] for line in Path(data).read_text(encoding="utf-8").splitlines()]
    losses = []
    for adapter in adapters:
        model = load_base(base, method="qlora", precision="bf16" if gpu else "fp32")
        if adapter != "base":
            model = PeftModel.from_pretrained(model, adapter)
        model.eval()
        total, tokens = 0.0, 0
        for messages in rows:
            batch = tokenizer.apply_chat_template(
                messages, return_dict=True, return_assistant_tokens_mask=True, return_tensors="pt"
            )
            ids = batch["input_ids"][:, :1024].to(model.device)  # (1, tokens)
            mask = torch.as_tensor(batch["assistant_masks"]).view(1, -1)[:, :1024].to(model.device).bool()
            if not mask.any():
                continue
            with torch.no_grad():
                loss = model(input_ids=ids, labels=ids.masked_fill(~mask, -100)).loss
            count = int(mask[:, 1:].sum())
            total += float(loss) * count
            tokens += count
        losses.append(total / tokens)
        del model
    return losses


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3:])))
