"""A model's tokenizer without the training libraries: read from what `engine.worker.tokenizer` wrote for it once."""

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.runs.rundir import read_json
from engine.tokens.template import BUILT_IN, ChatTemplate, built_in_template, read_template, with_tools

TOKENIZER = "tokenizer.json"
OWN = "own.jinja"
OWN_WITH_TOOLS = "own.tools.jinja"
TRAINING = "training.jinja"
SPECIAL = "special.json"
"""Written last: a folder without it is not whole."""


@dataclass(frozen=True)
class SpecialTokens:
    """What `special.json` holds."""

    map: dict[str, str]
    """Names that templates use, such as `bos_token`, and the tokens' texts."""
    ids: dict[str, int]
    vocabulary: int
    max_length: int | None
    """Tokens that the tokenizer says the model was made for."""
    training: str
    """Why there is no training template, where the model's own needs one; else empty."""
    supports_tools: bool
    versions: dict[str, str]

    @property
    def eos_token(self) -> str | None:
        return self.map.get("eos_token")


class Tokenizer:
    """The tokenizer of one model, with its templates. Safe to share between threads.

    `key` is equal for equal tokenizers; `folder` is where it is kept.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Raises `FinetuiError` where `folder` holds no tokenizer."""
        self.folder = folder
        self.name = name
        self.key = folder.name
        found = read_json(folder / SPECIAL)
        if not isinstance(found, dict):
            raise _damaged(folder, "special.json is missing or damaged")
        try:
            self.special = SpecialTokens(**found)
        except TypeError as error:
            raise _damaged(folder, str(error)) from error
        self._templates: dict[tuple[str, bool, bool], ChatTemplate] = {}
        self._lock = threading.Lock()

    @property
    def has_template(self) -> bool:
        """Whether the model comes with a chat template."""
        return (self.folder / OWN).is_file()

    def templates(self) -> list[str]:
        """Names that `template` takes, beside the path of a Jinja file; the model's own first, where it has one."""
        own = [name for name, file in (("own", OWN), ("training", TRAINING)) if (self.folder / file).is_file()]
        return [*own, *BUILT_IN]

    def template(self, name: str = "own", *, assistant_only: bool = True, tools: bool = False) -> ChatTemplate:
        """The template of that name, or from that Jinja file.

        `own` is the one that training takes: TRL's training template of the family, where the loss is on the
        assistant's words only and the model's own does not mark them. `tools` says that tools are on offer: some models
        have a template of their own for that. Raises `BadInput`.
        """
        wanted = (name, assistant_only, tools)
        with self._lock:
            if wanted not in self._templates:
                found = self._own(assistant_only, tools) if name == "own" else self._named(name)
                if name not in ("own", "training", *BUILT_IN):
                    return found  # the user may change the file
                self._templates[wanted] = found
            return self._templates[wanted]

    def _own(self, assistant_only: bool, tools: bool) -> ChatTemplate:
        if not self.has_template:
            raise BadInput(
                f"{self.name} has no chat template, so conversations cannot be written the way it reads them.",
                fix=f"Choose a template ({', '.join(BUILT_IN)}, a Jinja file), or a chat model "
                "(its name often ends in -Instruct or -Chat).",
            )
        own = self._read(OWN)
        if assistant_only and not own.marks and (self.folder / TRAINING).is_file():
            return self._read(TRAINING)
        if tools and (self.folder / OWN_WITH_TOOLS).is_file():
            return with_tools(own, self._read(OWN_WITH_TOOLS))
        return own

    def _named(self, name: str) -> ChatTemplate:
        if name == "training" and (self.folder / TRAINING).is_file():
            return self._read(TRAINING)
        if name in BUILT_IN:
            source = built_in_template(
                name,
                eos_token=self.special.eos_token,
                known=lambda token: self.backend.token_to_id(token) is not None,
            )
            return ChatTemplate(source, self.special.map, name)
        if name.endswith((".jinja", ".jinja2", ".j2")) or "/" in name:
            path = Path(name).expanduser()
            return ChatTemplate(read_template(path), self.special.map, path.name)
        raise BadInput(
            f"{self.name} has no template {name[:100]!r}.",
            fix=f"Choose one of {', '.join(self.templates())}, or give a Jinja file.",
        )

    def _read(self, file: str) -> ChatTemplate:
        try:
            source = (self.folder / file).read_text(encoding="utf-8")
        except OSError as error:
            raise _damaged(self.folder, str(error)) from error
        return ChatTemplate(source, self.special.map, "training" if file == TRAINING else "own")

    @cached_property
    def backend(self) -> Any:
        """The `tokenizers.Tokenizer`, which neither cuts nor pads."""
        from tokenizers import Tokenizer as Backend

        try:
            backend = Backend.from_file(str(self.folder / TOKENIZER))
        except Exception as error:  # the library raises nothing more precise
            raise _damaged(self.folder, str(error)) from error
        backend.no_truncation()
        backend.no_padding()
        return backend

    @cached_property
    def added(self) -> dict[int, bool]:
        """Ids of the tokens that were added to the vocabulary, and whether each is special."""
        return {id: bool(token.special) for id, token in self.backend.get_added_tokens_decoder().items()}


def _damaged(folder: Path, why: str) -> FinetuiError:
    return FinetuiError(
        "The tokenizer that was prepared is damaged.",
        why=f"{folder}: {why}",
        fix="Remove that folder; it is made again when it is needed.",
    )
