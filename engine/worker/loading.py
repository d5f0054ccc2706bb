"""Loads the base model and its tokenizer: one way in, for the trainer and for the model server.

What a chat runs on is therefore what was trained on: the same quantisation, the same number format, the same attention.
"""

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from engine.errors import FinetuiError
from engine.private import as_the_user
from engine.runs.failure_codes import FailureCode
from engine.runs.rundir import read_json
from engine.worker.distributed import local_rank

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


class LoadError(FinetuiError):
    """A model, tokenizer or adapter that cannot be loaded: `what`, `why`, `fix`; `code` is that of a failed run."""

    def __init__(self, what: str, why: str = "", fix: str = "", code: FailureCode = FailureCode.MODEL) -> None:
        super().__init__(what, why=why, fix=fix)
        self.code = code


def default_device() -> str:
    """The GPU of this process, `cuda:0` where it is the only one, else `cpu`."""
    return f"cuda:{local_rank()}" if torch.cuda.is_available() else "cpu"


def precision_name(precision: str, device: str, probe: str | Path | None = None) -> str:
    """`bf16`, `fp16` or `fp32`: what `precision` means on `device`.

    `auto` is what `engine.worker.probe` found to be best and wrote to `probe`. Where nothing was measured: bf16 where
    the GPU has it, else fp16 there; fp32 on a CPU, many of which are slower in bf16.
    """
    if precision != "auto":
        return precision
    measured = read_json(Path(probe)) if probe else None
    if isinstance(measured, dict) and measured.get("best") in DTYPES:
        return str(measured["best"])
    if not device.startswith("cuda"):
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def compute_dtype(precision: str, device: str) -> torch.dtype:
    """The number format of the compute; see `precision_name`."""
    return DTYPES[precision_name(precision, device)]


def load_tokenizer(path: str | Path, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model folder or hub name, with a padding token. Raises `LoadError`."""
    _check_source(str(path), trust_remote_code)
    try:
        with as_the_user():  # others may share the cache that this fills
            tokenizer = AutoTokenizer.from_pretrained(str(path), revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _explained(error, "tokenizer", str(path), trust_remote_code) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(
    path: str | Path,
    *,
    revision: str | None = None,
    method: str = "qlora",
    precision: str = "auto",
    attention: str = "sdpa",
    trust_remote_code: bool = False,
    device: str | None = None,
    storage: torch.dtype = torch.uint8,
) -> Any:
    """The base model on `device`, in evaluation mode: NF4 with double quantisation for `qlora`, 8 bits for `lora8bit`.

    `precision` is `auto`, `bf16`, `fp16` or `fp32`; `storage` the type under which 4-bit weights are kept. Models that
    cannot do `sdpa`, as Gemma 2, take `eager` in its place. Only safetensors are read. A hub name is taken from the
    cache where there is no network, and only from there with `HF_HUB_OFFLINE=1`. Raises `LoadError`.
    """
    device = device or default_device()
    dtype = compute_dtype(precision, device)
    _check_source(str(path), trust_remote_code)
    _check_weights(Path(path))
    options: dict[str, Any] = {}
    if method == "lora8bit":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
        # It says at every layer of every step that it computes in float16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    elif method == "qlora":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_quant_storage=storage,
        )
    load = partial(
        AutoModelForCausalLM.from_pretrained,
        str(path),
        revision=revision,
        dtype=dtype,
        device_map={"": device},
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
        **options,
    )
    try:
        with as_the_user():
            try:
                model = load(attn_implementation=attention)
            except ValueError as error:
                if attention != "sdpa" or "scaled_dot_product_attention" not in str(error):
                    raise
                model = load(attn_implementation="eager")
    except torch.cuda.OutOfMemoryError as error:
        raise LoadError(
            f"{path} does not fit into the memory of {device}.",
            str(error).splitlines()[0],
            "Use method qlora, which needs about a quarter of the memory, or free the device.",
            FailureCode.CUDA_OUT_OF_MEMORY,
        ) from error
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise _explained(error, "model", str(path), trust_remote_code) from error
    _keep_layout(model)
    model.eval()
    return model


def _keep_layout(model: torch.nn.Module) -> None:
    """Keep bitsandbytes from packing 4-bit weights anew for processors that compute in bf16 (AVX512-BF16).

    Its layers do that for good at their first input in evaluation mode. What they compute from then on has no
    gradient, so that nothing can be trained after the evaluation before step 1; and their scales are rounded.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def count_linear4bit(model: torch.nn.Module) -> int:
    """How many layers hold 4-bit weights; 0 says that nothing is quantised."""
    from bitsandbytes.nn.modules import Linear4bit

    return sum(isinstance(module, Linear4bit) for module in model.modules())


def context_tokens(model: Any) -> int | None:
    """The longest sequence the model was made for, in tokens, or `None` where it does not say."""
    config = model.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def _check_source(path: str, trust_remote_code: bool) -> None:
    """`LoadError` for a path that is no model folder, and for a model that needs code of its own."""
    folder = Path(path).expanduser()
    if not folder.exists():
        if path.startswith(("/", "~", ".")) or path.count("/") > 1:
            raise LoadError(
                f"There is no folder {path}.",
                fix="Give a folder with a config.json, or a hub name such as owner/model.",
            )
        return
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("config.json holds no object")
    except (OSError, ValueError) as error:
        raise LoadError(
            f"{path} is not a model folder.",
            f"Its config.json cannot be read: {error}",
            "Give the folder that holds config.json, the tokenizer and *.safetensors.",
        ) from error
    # Where Transformers has the architecture itself, the folder's own code is never run and need not be allowed.
    if "auto_map" in config and not trust_remote_code and config.get("model_type") not in CONFIG_MAPPING:
        raise _needs_code(path)


def _check_weights(folder: Path) -> None:
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    pickled = sorted(item.name for item in folder.iterdir() if item.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
    if pickled:
        raise _pickled(str(folder), pickled[0])
    raise LoadError(
        f"{folder} holds no weights.",
        "There is no *.safetensors file in it.",
        "Copy the model again, with its weights.",
    )


def _explained(error: BaseException, part: str, name: str, trust_remote_code: bool) -> LoadError:
    """What the libraries said about the `part` of model `name`, as a person needs it."""
    text = str(error)
    what = f"The {part} of {name} cannot be loaded." if part != "model" else f"The model {name} cannot be loaded."
    if ("trust_remote_code" in text or "custom code" in text) and not trust_remote_code:
        return _needs_code(name)
    if "safetensors" in text and "does not appear to have" in text:
        return _pickled(name, "pytorch_model.bin, if any")
    if "gated" in text:
        return LoadError(
            what,
            "The model is gated on the hub.",
            "Ask for access on its page, then run `hf auth login`.",
            FailureCode.GATED,
        )
    if "couldn't connect" in text or "offline mode" in text or "Connection" in type(error).__name__:
        return LoadError(
            what,
            "There is no network, and the model is not in the cache.",
            "Copy the model's folder to this machine and name that folder, or set HF_HOME to the cache that has it.",
            FailureCode.HUB_UNREACHABLE,
        )
    if "not a valid model identifier" in text or "is not a local folder" in text:
        return LoadError(what, "The hub has no model of that name, or it is private.", "Check the name.")
    if "not a valid git identifier" in text:
        return LoadError(what, "The model has no such revision.", "Check `revision`: a branch, a tag or a commit.")
    return LoadError(what, f"{type(error).__name__}: {text}".strip(), "Check that its files are whole.")


def _needs_code(name: str) -> LoadError:
    return LoadError(
        f"{name} needs code that comes with the model.",
        "Its config.json has an auto_map, and Transformers does not know the architecture; nothing of it was run.",
        "Read that code, then set trust_remote_code = true in the recipe if you trust it.",
        FailureCode.NEEDS_REMOTE_CODE,
    )


def _pickled(name: str, found: str) -> LoadError:
    return LoadError(
        f"{name} has no safetensors weights.",
        f"Pickled weights ({found}) can run code when they are read, so they are not.",
        "Get the safetensors version of the model, or convert it on a machine you can spare.",
        FailureCode.PICKLED_WEIGHTS,
    )
