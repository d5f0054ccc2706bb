"""What can be counted of one text, or of a text and the one that was expected."""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import regex

# Scripts that are written without spaces: a character is the nearest thing to a word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORDS = regex.compile(rf"[{_UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+(?:['’][\p{{L}}]+)*", regex.V1)
_NUMBER_OR_WORD = regex.compile(r"-?\d+(?:\.\d+)?|[\p{L}\p{M}]+(?:['’]\p{L}+)*")
_THOUSANDS = regex.compile(r"(?<=\d),(?=\d{3}\b)")
_THOUGHTS = regex.compile(r"^\s*<think>.*?</think>", regex.DOTALL)
_SENTENCE_END = regex.compile(r"\n|(?<=[.!?])\s")
_ARTICLES = frozenset({"a", "an", "the"})

BLEU_ORDER = 4


@lru_cache(maxsize=8192)
def words(text: str) -> tuple[str, ...]:
    """The words of a text in small letters, marks aside; of scripts without spaces, the characters."""
    return tuple(found.casefold() for found in _WORDS.findall(text))


def ngrams(parts: Sequence[str], length: int) -> list[tuple[str, ...]]:
    """All runs of `length` neighbouring parts."""
    return [tuple(parts[at : at + length]) for at in range(len(parts) - length + 1)]


def repeated(text: str, length: int = 4) -> float | None:
    """The share of a text's word runs that it had before; `None` where it has none.

    seq-rep-n of Welleck et al. (2020), “Neural text generation with unlikelihood training”, over words.
    """
    runs = ngrams(words(text), length)
    return 1 - len(set(runs)) / len(runs) if runs else None


def same(text: str, expected: str) -> bool:
    """Whether the texts are equal, white space aside."""
    return unicodedata.normalize("NFC", " ".join(text.split())) == unicodedata.normalize(
        "NFC", " ".join(expected.split())
    )


def says(text: str, accepted: Sequence[str]) -> bool:
    """Whether the first sentence of an answer has one of the accepted answers in it, word for word.

    Capitals, marks, articles and the commas of thousands do not count; what a model thinks aloud first does not either.
    """
    said = _parts(_SENTENCE_END.split(_THOUGHTS.sub("", text).strip(), maxsplit=1)[0])
    without = _but_articles(said)
    for answer in accepted:
        wanted = _parts(answer)
        short = _but_articles(wanted)
        if _stands_in(short, without) if short else _stands_in(wanted, said):
            return True
    return False


def _parts(text: str) -> list[str]:
    """Words and numbers, written alike."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("−", "-").replace("’", "'")
    found: list[str] = _NUMBER_OR_WORD.findall(_THOUSANDS.sub("", folded))
    return found


def _but_articles(parts: Sequence[str]) -> list[str]:
    return [part for part in parts if part not in _ARTICLES]


def _stands_in(wanted: Sequence[str], said: Sequence[str]) -> bool:
    return bool(wanted) and tuple(wanted) in ngrams(said, len(wanted))


def rouge_l(text: str, expected: str) -> float:
    """ROUGE-L's F as `rouge_score` has it without stemming, by the same words and a quicker common sequence.

    Only Latin letters without accents and digits count as words there.
    """
    from rouge_score.scoring import fmeasure
    from rouge_score.tokenize import tokenize

    said, wanted = tokenize(text, None), tokenize(expected, None)
    if not said or not wanted:
        return 0.0
    common = common_sequence(wanted, said)
    return float(fmeasure(common / len(said), common / len(wanted)))


def common_sequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row of the table at a time as the bits of one number.

    Hyyrö (2004), “Bit-parallel LCS-length computation revisited”.
    """
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        match = row & places.get(word, 0)
        row = ((row + match) | (row - match)) & full
    return len(one) - row.bit_count()


def bleu_counts(texts: Sequence[str], expected: Sequence[str]) -> list[tuple[float, ...]]:
    """What corpus BLEU is made of, row by row, by sacrebleu: both lengths, then n-grams found and n-grams in all."""
    scorer = _bleu()
    counts: list[list[int]] = scorer._extract_corpus_statistics(list(texts), [list(expected)])
    return [tuple(map(float, row)) for row in counts]


def bleu_of(counts: Sequence[float], *, sentence: bool = False) -> float:
    """BLEU, 0 to 100, from sums of `bleu_counts`, as sacrebleu counts it; one `sentence` by its effective order."""
    found, order = list(counts), BLEU_ORDER
    score = _bleu().compute_bleu(
        correct=found[2 : 2 + order],
        total=found[2 + order :],
        sys_len=int(found[0]),
        ref_len=int(found[1]),
        smooth_method="exp",
        effective_order=sentence,
        max_ngram_order=order,
    )
    return float(score.score)


@lru_cache(maxsize=1)
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(force=True)  # it would warn of texts that look tokenised already


def distinct_parts(texts: Sequence[str], length: int) -> list[tuple[float, float]]:
    """Distinct-n of all texts together, as numbers whose mean over the texts is it: (number, 1) for each text.

    Distinct-n (Li et al. 2016, “A diversity-promoting objective function”) is the different n-grams over all of them.
    It is no sum over texts: one drawn twice brings nothing new the second time; plain resamples come out too low. So
    a text's number is the figure plus the text's influence on it (the jackknife's: how much leaving it out takes away,
    times the other texts), which may be resampled as any mean; Efron and Tibshirani (1993), chapter 11.
    """
    found = [ngrams(words(text), length) for text in texts]
    holders = Counter(run for runs in found for run in set(runs))
    total, different = sum(map(len, found)), len(holders)
    if not total:
        return []
    whole = different / total
    influences = []
    for runs in found:
        alone = sum(holders[run] == 1 for run in set(runs))
        rest = total - len(runs)
        without = (different - alone) / rest if rest else whole
        influences.append((len(found) - 1) * (whole - without))
    centre = math.fsum(influences) / len(influences)
    return [(whole + influence - centre, 1.0) for influence in influences]
