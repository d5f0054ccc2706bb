"""A bare `generate` with nothing around it: `python -m benchmarks.serving_bare BASE`, questions line by line.

Answers each line with one: seconds from the question, already rendered and tokenised by the call, to its first token.
"""

import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.streamers import BaseStreamer


class FirstToken(BaseStreamer):
    """Remembers when the first token came. `generate` puts the prompt first."""

    def __init__(self) -> None:
        self.puts = 0
        self.at = 0.0

    def put(self, value: Any) -> None:
        self.puts += 1
        if self.puts == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        """Nothing is held back."""


def main() -> None:
    folder = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).to("cuda" if torch.cuda.is_available() else "cpu").eval()
    for question in sys.stdin:
        streamer = FirstToken()
        began = time.perf_counter()
        messages = [{"role": "user", "content": question.strip()}]
        ids = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(model.device)
        with torch.no_grad():
            model.generate(**ids, max_new_tokens=8, do_sample=False, streamer=streamer)
        print(streamer.at - began, flush=True)


if __name__ == "__main__":
    main()
