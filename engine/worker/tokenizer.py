"""Writes down a model's tokenizer for the app, which has none of the training libraries: once for each model.

`python -m engine.worker.tokenizer MODEL FOLDER [--revision R]` loads it as a run does and writes into FOLDER:
tokenizer.json, own.jinja (the model's chat template), training.jinja (what TRL takes instead where the loss is on the
assistant's words only), special.json. What went wrong is the last line of stdout, as JSON: what, why, fix.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from engine.errors import FinetuiError
from engine.runs.rundir import write_json

# What the app reads is named in one place.
from engine.tokens.tokenizer import OWN, OWN_WITH_TOOLS, SPECIAL, TOKENIZER, TRAINING

NO_LIMIT = 10**9
"""Tokenizers without a limit say a number beyond any."""


def prepare_tokenizer(
    model: str | Path, folder: Path, *, revision: str | None = None, trust_remote_code: bool = False
) -> None:
    """Write the tokenizer of `model` into `folder`. Raises `LoadError`."""
    from engine.worker.loading import LoadError, load_tokenizer

    tokenizer = load_tokenizer(model, revision=revision, trust_remote_code=trust_remote_code)
    if not getattr(tokenizer, "is_fast", False):
        raise LoadError(
            f"The tokenizer of {model} cannot say where its tokens stand in the text.",
            f"It is a {type(tokenizer).__name__}, which has no fast form (tokenizer.json).",
            "Choose a model with a tokenizer.json, or make one: "
            "AutoTokenizer.from_pretrained(…, use_fast=True).save_pretrained(…).",
        )
    write_tokenizer(tokenizer, folder)


def write_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a fast tokenizer and its templates into `folder`."""
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers, supports_tool_calling

    from engine.worker.versions import library_versions

    folder.mkdir(parents=True, exist_ok=True)
    backend = tokenizer.backend_tokenizer
    (folder / TOKENIZER).write_text(backend.to_str(), encoding="utf-8")
    template = tokenizer.chat_template
    reason = ""
    if isinstance(template, dict):
        if "tool_use" in template:
            (folder / OWN_WITH_TOOLS).write_text(template["tool_use"], encoding="utf-8")
        template = template.get("default")
    if template:
        (folder / OWN).write_text(template, encoding="utf-8")
        if not has_generation_markers(template):
            try:
                training = get_training_chat_template(tokenizer)
                (folder / TRAINING).write_text(training or template, encoding="utf-8")
            except Exception as error:  # it renders the template, which can fail in any way
                reason = str(error) or type(error).__name__
    limit = tokenizer.model_max_length
    write_json(
        folder / SPECIAL,
        {
            "map": tokenizer.special_tokens_map,
            "ids": {
                name: tokenizer.convert_tokens_to_ids(token) for name, token in tokenizer.special_tokens_map.items()
            },
            "vocabulary": len(tokenizer),
            "max_length": int(limit) if limit is not None and limit < NO_LIMIT else None,
            "training": reason,
            "supports_tools": bool(template) and _supports_tools(supports_tool_calling, tokenizer),
            "versions": library_versions(),
        },
    )


def _supports_tools(asked: Any, tokenizer: Any) -> bool:
    try:
        return bool(asked(tokenizer))
    except Exception:  # a template can fail in any way
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--revision")
    parser.add_argument("--trust-remote-code", action="store_true")
    arguments = parser.parse_args()
    try:
        prepare_tokenizer(
            arguments.model,
            arguments.folder,
            revision=arguments.revision,
            trust_remote_code=arguments.trust_remote_code,
        )
    except FinetuiError as error:
        sys.stdout.write(json.dumps({"what": error.what, "why": error.why, "fix": error.fix}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main())
