"""What a start of the training side imports, and what it leaves alone."""

import subprocess
import sys

COMPILER = """
import sys
from engine.worker.libraries import import_quickly
import_quickly()
import torch
print("torch._inductor" in sys.modules, "bitsandbytes" in sys.modules, torch.compile.__name__)
from bitsandbytes.nn import Linear4bit
layer = Linear4bit(64, 64, quant_type="nf4", compute_dtype=torch.float32).to("cpu")
print(layer(torch.ones(2, 64)).shape, layer.weight.dtype)
"""

SEARCHES = """
import os
from engine.worker.libraries import import_quickly
look, found = os.scandir, []
def scandir(path="."):
    if str(path).endswith(os.sep.join(("transformers", "models"))):
        found.append("models")
    return look(path)
os.scandir = scandir
import_quickly()
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
print(found, AutoModelForCausalLM._model_mapping[LlamaConfig] is LlamaForCausalLM)
"""


def test_the_compiler_is_not_loaded_and_four_bit_layers_work() -> None:
    assert _printed(COMPILER) == ["False True compile", "torch.Size([2, 64]) torch.uint8"]


def test_models_are_looked_for_once() -> None:
    assert _printed(SEARCHES) == ["['models'] True"]


def _printed(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
