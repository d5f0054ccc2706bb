"""What a start of the training side imports, and what it leaves alone."""

import subprocess
import sys

PROGRAM = """
import importlib.metadata, os, sys
from engine.worker.libraries import import_quickly
look, found = os.scandir, []
def scandir(path="."):
    if str(path).endswith(os.sep.join(("transformers", "models"))):
        found.append("models")
    return look(path)
os.scandir = scandir
list_packages = importlib.metadata.packages_distributions
def packages():
    found.append("packages")
    return list_packages()
importlib.metadata.packages_distributions = packages
import_quickly()
import torch
print("torch._inductor" in sys.modules, "bitsandbytes" in sys.modules, torch.compile.__name__)
from bitsandbytes.nn import Linear4bit
layer = Linear4bit(64, 64, quant_type="nf4", compute_dtype=torch.float32).to("cpu")
print(layer(torch.ones(2, 64)).shape, layer.weight.dtype)
import trl
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
print(sorted(found), AutoModelForCausalLM._model_mapping[LlamaConfig] is LlamaForCausalLM)
"""

FETCHED = """
import pathlib, sys, types
kernels = types.ModuleType("kernels")
kernels.get_kernel = lambda *_args, **_more: print("fetched")
sys.modules["kernels"] = kernels
import ctypes
find = ctypes.CDLL.__getattr__
def as_with_bf16(library, name):
    return (lambda: True) if name == "has_avx512bf16_cpu" else find(library, name)
ctypes.CDLL.__getattr__ = as_with_bf16
from engine.worker.libraries import import_quickly
import_quickly()
import bitsandbytes.functional
print(bitsandbytes.functional.has_avx512bf16(), sys.modules["kernels"] is kernels)
"""


def test_no_kernel_is_fetched_from_the_hub_whatever_the_processor() -> None:
    done = subprocess.run([sys.executable, "-c", FETCHED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
    assert "kernels" not in done.stderr


def test_the_compiler_is_not_loaded_models_and_packages_are_looked_for_once_and_all_works() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    compiler, four_bit, models = done.stdout.splitlines()
    assert compiler == "False True compile"
    assert four_bit == "torch.Size([2, 64]) torch.uint8"
    assert models == "['models', 'packages'] True"
