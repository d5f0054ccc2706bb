"""In which languages the rows are, told by py3langid on a sample."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from engine.datasets.quality.findings import LISTED, Found, Outcome
from engine.datasets.rows import Row, answer_text, prompt_text

SAMPLED = 5_000
"""Telling a language takes as long as all other checks of a row: a few thousand rows tell the mix."""

SURE = 0.9
"""Least probability at which a single row is told to be in a language."""

RARE = 0.05
"""A language below this share of the rows is a minority, and its rows are named."""

_READ_CHARS = 600
_LEAST_LETTERS = 40
_LEAST_DENSE_LETTERS = 12  # where a letter is a syllable or a word

# The models of close relatives (Cantonese and Mandarin, Galician and Asturian, creoles) take each other's short texts,
# so languages that are told reliably from a paragraph are enough.
_TOLD = [
    *("af", "ar", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi"),
    *("fr", "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "kk", "km", "kn", "ko", "ky"),
    *("lo", "lt", "lv", "mk", "ml", "mn", "mr", "ms", "my", "ne", "nl", "no", "or", "pa", "pl", "ps", "pt", "ro", "ru"),
    *("si", "sk", "sl", "so", "sq", "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "zh"),
]

_ALIKE = tuple(
    frozenset(group.split())
    for group in (
        "bs hr sr",
        "no da sv",
        "id ms",
        "cs sk",
        "es pt gl ca",
        "ru uk be bg mk",
        "af nl",
        "hi mr ne",
        "fa ar ur",
    )
)
"""Languages that are easily taken for each other: a difference within a group tells nothing of one row."""

_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+|[<{\[][^<>{}\[\]\n]{0,80}[>}\]]", re.DOTALL)
_LETTERS = re.compile(r"[^\W\d_]")
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f]")

_LANGUAGE_ASKED = re.compile(
    r"translat|übersetz|traduc|traduis|traduir|tradu[zç]|перев|(?:what|which) language|翻译|翻譯|翻訳|번역|"
    r"\b(?:Arabic|Bengali|Bulgarian|Catalan|Chinese|Croatian|Czech|Danish|Dutch|English|Finnish|French|German|Greek|Hebrew|Hindi|Hungarian|"
    r"Indonesian|Italian|Japanese|Korean|Latin|Mandarin|Norwegian|Marathi|Persian|Polish|Portuguese|Punjabi|Romanian|Russian|Serbian|"
    r"Spanish|Swahili|Swedish|Thai|Turkish|Ukrainian|Urdu|Vietnamese)\b",
    re.IGNORECASE,
)
"""Where a row speaks of a language, another one may be what is wanted."""


class Spoken(NamedTuple):
    """What the prompt and the answer of a row are in, and how surely; an empty code where it cannot be told.

    `asked` is whether the prompt speaks of a language or a translation: then another one is what is wanted.
    """

    position: int
    prompt: str
    prompt_sure: float
    answer: str
    answer_sure: float
    asked: bool


def sample(rows: int, seed: int = 42) -> frozenset[int]:
    """The indices of the rows to look at: all, or a seeded choice of `SAMPLED`."""
    return frozenset(range(rows) if rows <= SAMPLED else random.Random(seed).sample(range(rows), SAMPLED))


def languages_of(row: Row, kind: str) -> Spoken:
    prompt = prompt_text(row)
    prompt_is, prompt_sure = _told(prompt) if kind != "text" else ("", 0.0)
    answer_is, answer_sure = _told(answer_text(row)) if kind != "prompts" else ("", 0.0)
    system = " ".join(turn.content for turn in row.messages if turn.role == "system")
    asked = bool(_LANGUAGE_ASKED.search(f"{system} {prompt}"))
    return Spoken(row.index, prompt_is, prompt_sure, answer_is, answer_sure, asked)


def _told(text: str) -> tuple[str, float]:
    """The language of the prose in `text` with its probability, or nothing where there is too little of it."""
    prose = " ".join(_NO_PROSE.sub(" ", text[: 4 * _READ_CHARS]).split())[:_READ_CHARS]
    letters = len(_LETTERS.findall(prose))
    if letters < _LEAST_LETTERS and len(_DENSE.findall(prose)) < _LEAST_DENSE_LETTERS:
        return "", 0.0
    if letters < len(prose) / 2:  # figures, tables, formulas
        return "", 0.0
    language, sure = _identifier().classify(prose)
    return str(language), float(sure)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """Half a second, so once a process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_TOLD)
    return identifier


def shares(codes: Sequence[str]) -> dict[str, float]:
    """The share of each language among the rows where it could be told, the greatest first."""
    told = Counter(code for code in codes if code)
    return {code: round(count / told.total(), 4) for code, count in told.most_common()}


def check_languages(spoken: Sequence[Spoken], kind: str, rows: int) -> list[Outcome]:
    """Rows in a rare language, and answers in another language than their prompts."""
    main = [(one.prompt, one.prompt_sure) if kind == "prompts" else (one.answer, one.answer_sure) for one in spoken]
    sure = Counter(code for code, probability in main if code and probability >= SURE)
    sampled = "" if len(spoken) == rows else f" (in a sample of {len(spoken):,})"
    outcomes = []
    rare = {code for code, count in sure.items() if count < RARE * sure.total()}
    usual = next(iter(sure.most_common(1)), ("", 0))[0]
    found = [
        Found(
            one.position, "messages", f"is probably in {language_name(code)}, most rows are in {language_name(usual)}"
        )
        for one, (code, probability) in zip(spoken, main, strict=True)
        if code in rare and probability >= SURE and not one.asked and not alike(code, usual)
    ]
    if found:
        outcomes.append(_outcome("rare-language", found, len(spoken), sampled, "in a language that few rows are in"))
    switched = [
        Found(
            one.position, "messages", f"asks in {language_name(one.prompt)} and answers in {language_name(one.answer)}"
        )
        for one in spoken
        if one.prompt and one.answer and one.prompt_sure >= SURE and one.answer_sure >= SURE
        if not one.asked and not alike(one.prompt, one.answer)
    ]
    if switched:
        said = "answered in another language than asked in"
        outcomes.append(_outcome("language-switch", switched, len(spoken), sampled, said))
    return outcomes


def alike(one: str, other: str) -> bool:
    return one == other or any(one in group and other in group for group in _ALIKE)


def _outcome(code: str, found: list[Found], looked_at: int, sampled: str, said: str) -> Outcome:
    count = len(found)
    verb = "is" if count == 1 else "are"
    sentence = f"{count:,} of {looked_at:,} rows {verb} {said}{sampled}"
    return Outcome(code, count, count / looked_at, found[:LISTED], sentence)


_NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sr": "Serbian", "sv": "Swedish", "ta": "Tamil", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def language_name(code: str) -> str:
    """The name of a common language; of others the code."""
    return _NAMES.get(code, code)
