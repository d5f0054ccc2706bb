"""A guess at columns that nobody has named yet: by words in their names, and by what their texts look like."""

import re
from collections.abc import Sequence
from statistics import fmean

from engine.datasets.shapes.plan import Columns
from engine.datasets.shapes.sample import Sample

WORDS = {
    "prompt": (
        "prompt|question|query|instruction|input|user|human|request|ask|problem|task|q|source|customer|inquiry|client"
        "|utterance|intent"
    ),
    "response": (
        "response|answer|completion|output|reply|assistant|gpt|bot|a|target|result|solution|agent|generated|generation"
        "|resolution"
    ),
    "chosen": "chosen|accepted|accept|preferred|better|best|winner|win|winning|positive|good",
    "rejected": "rejected|reject|dispreferred|worse|worst|loser|lose|losing|negative|bad",
    "text": "text|content|body|document|article|passage|story|paragraph|sentence",
}
_WORDS = {field: frozenset(words.split("|")) for field, words in WORDS.items()}
_NO_TEXTS = frozenset({"id", "uuid", "url", "link", "date", "time", "timestamp", "hash", "lang", "language", "split"})

NAMED, HALF_NAMED, UNNAMED = 0.75, 0.55, 0.4
"""How sure a guess is whose columns are all, in part or not at all named by a known word. All are to be asked about."""


def guess(sample: Sample) -> tuple[str, Columns, float, list[str]] | None:
    """The likeliest shape, its columns, how sure that is, and why. `None` where no column holds text."""
    texts = {name: found for name in _candidates(sample) if (found := _texts(sample, name))}
    return (
        (_answers(texts) or _pair(texts) if texts else None)
        or _taking_turns(sample)
        or (_alone(texts) if texts else None)
    )


def answering(sample: Sample, without: Sequence[str]) -> str | None:
    """A column that holds answers by a word in its name."""
    return next((name for name in sample.columns if name not in without and _words(name) & _WORDS["response"]), None)


def _candidates(sample: Sample) -> list[str]:
    return [*sample.columns, *sample.inner()]


def _texts(sample: Sample, name: str) -> list[str]:
    """The texts of a column that mostly holds texts; nothing for identifiers, dates and links."""
    values = sample.columns.get(name)
    values = sample.inner()[name] if values is None else values
    texts = [value for value in values if isinstance(value, str) and not value.isspace() and value]
    if not texts or len(texts) * 2 < len(values) or _words(name) & _NO_TEXTS:
        return []
    return texts


def _answers(texts: dict[str, list[str]]) -> tuple[str, Columns, float, list[str]] | None:
    better, worse = _named(texts, "chosen"), _named(texts, "rejected")
    if len(better) != 1 or len(worse) != 1:
        return None
    rest = {name: found for name, found in texts.items() if name not in (better[0], worse[0])}
    prompts = _named(rest, "prompt")
    if not prompts:
        return None
    columns = {"prompt": prompts[0], "chosen": better[0], "rejected": worse[0]}
    return "preference", columns, NAMED, _reasons(columns, texts, named=set(columns.values()))


def _pair(texts: dict[str, list[str]]) -> tuple[str, Columns, float, list[str]] | None:
    """Two columns of which one asks and the other answers."""
    asking, answering = set(_named(texts, "prompt")), set(_named(texts, "response"))
    best: tuple[float, str, str] | None = None
    for prompt in texts:
        for response in texts:
            if prompt == response:
                continue
            score = 2.0 * (prompt in asking) + 2.0 * (response in answering)
            score -= 2.0 * (prompt in answering and prompt not in asking)
            score -= 2.0 * (response in asking and response not in answering)
            score += _questions(texts[prompt]) - _questions(texts[response])
            score += 0.5 * (_length(texts[response]) > _length(texts[prompt]))
            if best is None or score > best[0]:
                best = (score, prompt, response)
    if best is None or best[0] < (0.5 if len(texts) == 2 else 1.0):
        return None
    _, prompt, response = best
    columns = {"prompt": prompt, "response": response}
    named = {name for name, known in ((prompt, asking), (response, answering)) if name in known}
    sure = (UNNAMED, HALF_NAMED, NAMED)[len(named)]
    return "prompt-response", columns, sure, _reasons(columns, texts, named)


def _taking_turns(sample: Sample) -> tuple[str, Columns, float, list[str]] | None:
    """A column of lists of texts, of which the user says the first, the assistant the second, and so on."""
    for name, values in sample.columns.items():
        if sample.holds_strings(name) and all(isinstance(value, list) and len(value) % 2 == 0 for value in values):
            return (
                "messages",
                {"messages": name},
                HALF_NAMED,
                [f"the texts of {name!r} may be user and assistant in turn"],
            )
    return None


def _alone(texts: dict[str, list[str]]) -> tuple[str, Columns, float, list[str]]:
    """One column: text, or prompts where it asks."""
    longest = max(texts, key=lambda name: (name in _named(texts, "text"), _length(texts[name])))
    asks = longest in _named(texts, "prompt") or _questions(texts[longest]) > 0.5
    field, shape = ("prompt", "prompts") if asks else ("text", "text")
    named = {longest} if longest in _named(texts, field) else set()
    return shape, {field: longest}, HALF_NAMED if named else UNNAMED, _reasons({field: longest}, texts, named)


def _named(texts: dict[str, list[str]], field: str) -> list[str]:
    """Columns with a word of `field` in their name, those that are nothing but that word first."""
    found = [name for name in texts if _words(name) & _WORDS[field]]
    return sorted(found, key=lambda name: len(_words(name)))


def _words(name: str) -> frozenset[str]:
    """`userQuestion_text 2` is user, question, text; plurals lose their s."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[a-z]+", spaced.lower())
    return frozenset(words) | {word[:-1] for word in words if word.endswith("s")}


def _questions(texts: Sequence[str]) -> float:
    return sum(text.rstrip().endswith("?") for text in texts) / len(texts)


def _length(texts: Sequence[str]) -> float:
    return fmean(len(text) for text in texts)


def _reasons(columns: Columns, texts: dict[str, list[str]], named: set[str]) -> list[str]:
    reasons = []
    for field, column in columns.items():
        if column in named:
            why = "by a word in its name"
        elif field == "prompt" and _questions(texts[column]) > 0.3:
            why = f"{_questions(texts[column]):.0%} of it ends with a question mark"
        else:
            why = f"by what is in it, about {_length(texts[column]):,.0f} characters a row"
        reasons.append(f"{column!r} may be the {field}: {why}")
    return reasons
