"""What a start of the training side imports, and what it leaves alone."""

import subprocess
import sys

IMPORT = """
import sys
from engine.worker.libraries import import_quickly
import_quickly()
import torch
print("torch._inductor" in sys.modules, "bitsandbytes" in sys.modules, torch.compile.__name__)
from bitsandbytes.nn import Linear4bit
layer = Linear4bit(64, 64, quant_type="nf4", compute_dtype=torch.float32).to("cpu")
print(layer(torch.ones(2, 64)).shape, layer.weight.dtype)
"""


def test_the_compiler_is_not_loaded_and_four_bit_layers_work() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False True compile", "torch.Size([2, 64]) torch.uint8"]
