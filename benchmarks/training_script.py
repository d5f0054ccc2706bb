"""The peer of `benchmarks.training`: a training script as people write it by hand after a guide.

Batch 4, accumulation 4, padding, gradient checkpointing, QLoRA r 16 on all projections, no evaluation. Where there is
no GPU its half precision and its paged optimiser cannot be had; then float32 and AdamW stand in.
`python -m benchmarks.training_script SETTINGS.json` writes its figures to the file that the settings name.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

BEGAN = time.time()


def main(settings: dict[str, Any]) -> None:
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    gpu = torch.cuda.is_available()
    half = torch.bfloat16 if gpu else torch.float32
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=half,
    )
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    model = AutoModelForCausalLM.from_pretrained(
        settings["model"], quantization_config=quantisation, dtype=half, device_map="cuda:0" if gpu else "cpu"
    )
    rows = load_dataset("json", data_files=settings["data"], split="train")
    clock = _clock(TrainerCallback)
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=rows,
        peft_config=LoraConfig(
            r=16,
            lora_alpha=32,
            lora_dropout=0.05,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
            bias="none",
            task_type="CAUSAL_LM",
        ),
        args=SFTConfig(
            output_dir=settings["output"],
            num_train_epochs=settings["epochs"],
            max_length=1024,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=4,
            gradient_checkpointing=True,
            learning_rate=settings["learning_rate"],
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            logging_steps=10,
            save_strategy="steps",
            save_steps=50,
            save_total_limit=2,
            bf16=gpu,
            optim="paged_adamw_8bit" if gpu else "adamw_torch",
            assistant_only_loss=settings["assistant_only_loss"],
            use_cpu=not gpu,
            report_to="none",
            disable_tqdm=True,
            seed=settings["seed"],
        ),
        callbacks=[clock],
    )
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    else:  # as for the other side: products in bfloat16 are many times slower on a processor
        for weight in trainer.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    trainer.train()
    trainer.save_model(settings["output"])
    figures = {
        "first_step_s": clock.ends[0] - BEGAN,
        "train_s": clock.ends[-1] - clock.begins[0],
        "steps": len(clock.ends),
        "peak_bytes": torch.cuda.max_memory_reserved() if gpu else None,
    }
    Path(settings["figures"]).write_text(json.dumps(figures), encoding="utf-8")


def _clock(callback: Any) -> Any:
    class Clock(callback):
        """When steps begin and end, in unix seconds."""

        def __init__(self) -> None:
            self.begins: list[float] = []
            self.ends: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begins.append(time.time())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ends.append(time.time())

    return Clock()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
