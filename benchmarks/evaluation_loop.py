"""The peer of `benchmarks.evaluation`: answers one by one, as scripts after the guides write them.

`python -m benchmarks.evaluation_loop SETTINGS.json` writes texts and seconds to the file that the settings name.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(settings: dict[str, Any]) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(settings["base"])
    model = AutoModelForCausalLM.from_pretrained(settings["base"])
    model = PeftModel.from_pretrained(model, settings["adapter"])
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    answers = []
    began = time.perf_counter()
    for messages in settings["questions"]:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(text, return_tensors="pt").to(model.device)
        with torch.no_grad():
            outputs = model.generate(**inputs, max_new_tokens=settings["max_new_tokens"], do_sample=False)
        new = outputs[0][inputs["input_ids"].shape[1] :]
        answers.append({"text": tokenizer.decode(new, skip_special_tokens=True), "tokens": len(new)})
    figures = {"generate_s": time.perf_counter() - began, "answers": answers}
    Path(settings["out"]).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
