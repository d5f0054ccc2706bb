"""A tokenizer as GGUF's keys: its tokens, how they are put together, what is special about some of them.

All of it is read from the tokenizer's own JSON (`tokenizer.json`), as the `tokenizers` library runs it, so that what is
written is what was trained with. Byte-level BPE (GPT-2, Llama 3, Qwen) becomes llama.cpp's `gpt2`, BPE with bytes to
fall back on (Llama 2, Mistral, Phi-3, Gemma) its `llama`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gguf

from engine.errors import BadInput

SPACE = "\u2581"
"""What stands for a space in SentencePiece's tokens."""
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = _WORDS + r"\p{N}{1,3}" + _REST
QWEN2 = _WORDS + r"\p{N}" + _REST
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SLASH = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
TEKKEN = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}{_SLASH}"
GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SHORT}"
    rf"|\p{{N}}{{1,3}}{_SLASH}"
)
KINDS = {
    (GPT2, False): "gpt-2",
    (rf"\p{{N}}|{GPT2}", False): "smollm",
    (LLAMA3, True): "llama-bpe",
    (LLAMA3, False): "dbrx",
    (QWEN2, False): "qwen2",
    (TEKKEN, True): "tekken",
    (GPT4O, False): "gpt-4o",
}
"""How text is cut before it is merged, and whether whole words are looked up first: llama.cpp's name for both."""
_NOT_MADE = -1000.0
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Written:
    """What became of a tokenizer."""

    model: str
    """`gpt2` or `llama`."""
    pre: str
    """llama.cpp's name for how text is cut first; `default` where nothing is."""
    tokens: int
    notes: tuple[str, ...] = ()
    """What llama.cpp will do differently, in words."""


def write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, vocabulary: int) -> Written:
    """Write the tokenizer, its special tokens and its template. `vocabulary` is how many rows the embedding has.

    Raises `BadInput` for a tokenizer that llama.cpp has no like of.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _unknown("It has no tokenizer.json, and none can be made of what it has.")
    content = json.loads(backend.to_str())
    model = content["model"]
    if model.get("type") != "BPE":
        raise _unknown(f"It is of the kind {model.get('type')}; BPE can be written.")
    added = {entry["id"]: entry for entry in content["added_tokens"]}
    by_id = {number: token for token, number in model["vocab"].items()}
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ", 1)) for merge in model["merges"]]
    if _is_byte_level(content):
        written = _write_byte_level(writer, content, merges, by_id, added, vocabulary)
    else:
        written = _write_pieces(writer, content, merges, by_id, added, vocabulary)
    _write_specials(writer, tokenizer)
    if tokenizer.chat_template:
        writer.add_chat_template(plain_template(tokenizer.chat_template))
    return written


def plain_template(template: Any) -> Any:
    """A chat template without the markers of what is trained, which not every Jinja knows; it writes the same text."""
    if isinstance(template, dict):
        return [{"name": name, "template": plain_template(text)} for name, text in template.items()]
    template = re.sub(r"\{%(-?)\s*generation\s*(-?)%\}", r"{%\1 if true \2%}", template)
    return re.sub(r"\{%(-?)\s*endgeneration\s*(-?)%\}", r"{%\1 endif \2%}", template)


def _is_byte_level(content: dict[str, Any]) -> bool:
    return any(step["type"] == "ByteLevel" for step in _steps(content["pre_tokenizer"]))


def _steps(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A pre-tokenizer or normaliser as the steps that it takes one after the other."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for inner in part.get("pretokenizers") or part.get("normalizers") or [] for step in _steps(inner)]
    return [part]


def cut_of(content: dict[str, Any]) -> str:
    """llama.cpp's name for how a byte-level tokenizer cuts text. Raises `BadInput` where it has none."""
    cuts = []
    for step in _steps(content["pre_tokenizer"]):
        if step["type"] == "ByteLevel":
            if step.get("add_prefix_space"):
                raise _unknown("It puts a space before the text, which llama.cpp does not do for this kind.")
            cuts += [GPT2] if step.get("use_regex", True) else []
        elif step["type"] == "Digits" and step.get("individual_digits"):
            cuts.append(r"\p{N}")
        elif step["type"] == "Split" and step["behavior"] in ("Isolated", "Removed") and "Regex" in step["pattern"]:
            cuts.append(step["pattern"]["Regex"])
        else:
            raise _unknown(f"It cuts text by {step['type']}, for which llama.cpp has no name.")
    key = ("|".join(cuts), bool(content["model"].get("ignore_merges")))
    if key not in KINDS:
        raise _unknown(f"It cuts text by {' then '.join(cuts) or 'nothing'}, for which llama.cpp has no name.")
    if any(step["type"] != "NFC" for step in _steps(content["normalizer"])):
        raise _unknown("It changes text before it cuts it.")
    return KINDS[key]


def _write_byte_level(
    writer: gguf.GGUFWriter,
    content: dict[str, Any],
    merges: list[tuple[str, ...]],
    by_id: dict[int, str],
    added: dict[int, dict[str, Any]],
    vocabulary: int,
) -> Written:
    pre = cut_of(content)
    tokens, types = [], []
    for number in range(vocabulary):
        token, kind = _token(number, by_id, added)
        tokens.append(token)
        types.append(kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    # A space within a token is never in its byte-level spelling; the two parts are kept apart by one.
    writer.add_token_merges([" ".join(merge) for merge in merges])
    notes = ("Text is not brought into Unicode's composed form (NFC) first.",) if content["normalizer"] else ()
    return Written("gpt2", pre, len(tokens), notes)


def _write_pieces(
    writer: gguf.GGUFWriter,
    content: dict[str, Any],
    merges: list[tuple[str, ...]],
    by_id: dict[int, str],
    added: dict[int, dict[str, Any]],
    vocabulary: int,
) -> Written:
    model = content["model"]
    if not model.get("byte_fallback"):
        raise _unknown("It is neither byte-level nor falls back on bytes.")
    rank: dict[str, int] = {}
    for place, parts in enumerate(merges):
        rank.setdefault("".join(parts), place)
    unknown = model.get("unk_token")
    tokens, scores, types = [], [], []
    for number in range(vocabulary):
        token, kind = _token(number, by_id, added)
        if token == unknown:
            kind = gguf.TokenType.UNKNOWN
        elif kind == gguf.TokenType.NORMAL and _BYTE.fullmatch(token):
            kind = gguf.TokenType.BYTE
        elif kind == gguf.TokenType.USER_DEFINED:
            token = token.replace(SPACE, " ")
        tokens.append(token)
        # llama.cpp merges the pair whose result has the highest score; the tokenizer the one that was learnt first.
        scores.append(-float(rank[token]) if token in rank else _NOT_MADE if number in added else 0.0)
        types.append(kind)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    prefix = puts_space_first(content)
    writer.add_add_space_prefix(prefix is not None)
    return Written("llama", "default", len(tokens), tuple(_piece_notes(content, merges, prefix)))


def puts_space_first(content: dict[str, Any]) -> str | None:
    """`always` where a space goes before all text between special tokens, `first` where only before the whole text."""
    if any(step["type"] == "Prepend" for step in _steps(content["normalizer"])):
        return "always"
    for step in _steps(content["pre_tokenizer"]):
        if step["type"] == "Metaspace":
            scheme = step.get("prepend_scheme", "always")
            return None if scheme == "never" else str(scheme)
    return None


def _piece_notes(content: dict[str, Any], merges: list[tuple[str, ...]], prefix: str | None) -> Iterator[str]:
    if prefix == "first":
        yield "Behind a special token llama.cpp puts a space before text; this tokenizer does at the beginning only."
    known, normal = set(merges), content["model"]["vocab"]
    special = {entry["content"] for entry in content["added_tokens"]}
    missing = sum(
        (token[:cut], token[cut:]) not in known
        for token in normal
        if token not in special and not _BYTE.fullmatch(token)
        for cut in range(1, len(token))
        if token[:cut] in normal and token[cut:] in normal
    )
    if missing:
        yield f"llama.cpp joins {missing:,} pairs of pieces that this tokenizer keeps apart: some words differ."


def _token(number: int, by_id: dict[int, str], added: dict[int, dict[str, Any]]) -> tuple[str, gguf.TokenType]:
    if number in added:
        entry = added[number]
        return entry["content"], gguf.TokenType.CONTROL if entry["special"] else gguf.TokenType.USER_DEFINED
    if number in by_id:
        return by_id[number], gguf.TokenType.NORMAL
    return f"[PAD{number}]", gguf.TokenType.UNUSED


def _write_specials(writer: gguf.GGUFWriter, tokenizer: Any) -> None:
    for name in ("bos", "eos", "unk", "pad"):
        number = getattr(tokenizer, f"{name}_token_id")
        if number is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    before, behind = adds_specials(tokenizer)
    writer.add_add_bos_token(before)
    writer.add_add_eos_token(behind)


def adds_specials(tokenizer: Any) -> tuple[bool, bool]:
    """Whether the tokenizer puts its first token before every text by itself, and its last one behind it."""
    plain, whole = (tokenizer("a", add_special_tokens=added)["input_ids"] for added in (False, True))
    if len(whole) == len(plain):
        return False, False
    return whole[0] == tokenizer.bos_token_id, whole[-1] == tokenizer.eos_token_id


def _unknown(why: str) -> BadInput:
    return BadInput(
        "The tokenizer cannot be written as GGUF.",
        why=why,
        fix="Export the model as merged; transformers and vLLM read its tokenizer as it is.",
    )
