"""What can be typed next in a filter of runs: keys, operators, and values that the store knows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from store.errors import QueryError
from store.language import OPERATORS, TOKEN, Compare, comparisons, parse
from store.query import Key, Names, close_to, key_of
from store.run_language import FIGURE, PARTS, RUNS, SETTING, metric_of


@dataclass(frozen=True)
class Completion:
    """One thing that can take the place of `text[start:end]`; the cursor goes behind it."""

    insert: str
    """`status:`, `eval/loss`, `>=`, `"two words"`: quoted where it has to be."""
    start: int
    end: int
    kind: str
    """`key` (more follows: its value, or an operator), `operator`, `value`, or `join` (AND, OR, NOT)."""
    detail: str
    """What it is or does, in a few words: `what the run is doing`, `12 runs`."""


class Known(Protocol):
    """What there is to choose from: `store.known.KnownRuns`."""

    def names(self) -> Names: ...
    def values(self, key: str, part: str = "") -> list[tuple[str, str]]: ...
    def setting(self, name: str) -> list[tuple[str, str]]: ...
    def figures(self, metric: str, column: str) -> list[tuple[str, str]]: ...


def completed(text: str, completion: Completion) -> tuple[str, int]:
    """The filter with a completion taken, and where the cursor is then."""
    whole = text[: completion.start] + completion.insert + text[completion.end :]
    return whole, completion.start + len(completion.insert)


OPERATOR_WORDS = {
    "<": "less than",
    "<=": "at most",
    ">": "more than",
    ">=": "at least",
    "=": "exactly",
    "!=": "anything but",
    "~": "contains",
    "!~": "does not contain",
}
JOINS = {"OR": "one or the other", "NOT": "the opposite of what follows", "AND": "both, as without it"}
_PART_WORDS = {
    "min": "its lowest value",
    "max": "its highest value",
    "last": "its last value",
    "step": "the step of its last value",
    "min_step": "the step of its lowest value",
}
_AGES = {"1h": "an hour", "1d": "a day", "7d": "a week", "30d": "a month"}
_STRETCHES = ("today", "yesterday", "this-week", "last-week", "this-month", "last-month")
_DIRECT = ("tag", "model", "dataset", "method")
"""Keys whose values are found by typing the value alone."""

_KEY_REST = re.compile(r"[\w./@-]*:?")
_VALUE_REST = re.compile(r"[^\s()]*")
Found = tuple[str, str, str]
"""What is put in, its kind, and what to say of it."""


def complete(text: str, cursor: int, known: Known) -> list[Completion]:
    """What can stand at `cursor`, the likeliest first. Never raises for what is typed."""
    cursor = max(0, min(cursor, len(text)))
    before = text[:cursor]
    matches = list(TOKEN.finditer(before))
    last = matches[-1] if matches and matches[-1].end() == cursor else None
    if last is not None and (last["colon"] or last["operator"]):
        return _values(text, cursor, last, known)
    if last is not None and last["quoted"] is not None:
        # An open quote is text that is looked for; one that is closed is done with.
        return []
    word = last["word"] if last is not None and last["word"] else ""
    start = cursor - len(word)
    if word.startswith("-") and len(word) > 1:
        start, word = start + 1, word[1:]
    first = start == 0 or not before[:start].strip(" (-")
    rest = _KEY_REST.match(text, cursor)
    end = rest.end() if rest is not None else cursor
    return [
        Completion(insert, start, end if insert.endswith(":") else end - text[cursor:end].endswith(":"), kind, detail)
        for insert, kind, detail in _keys(word, known, joins=not first, alone=end == cursor)
        if insert != text[start:end]
    ]


# keys


def _keys(word: str, known: Known, *, joins: bool, alone: bool) -> list[Found]:
    """What begins with the word, then what has a part that does, then what contains it.

    `alone` where no more of a key follows the cursor.
    """
    names = known.names()
    candidates: dict[str, tuple[str, str]] = {
        (name if key.ordered else f"{name}:"): ("key", key.about) for name, key in RUNS.keys.items()
    }
    candidates |= dict.fromkeys(_by_use(names.metrics), ("key", "a metric"))
    candidates |= {f"{FIGURE}{name}": ("key", "measured in an evaluation") for name in names.figures}
    if word:
        candidates |= {f"{SETTING}{name}": ("key", "a setting") for name in names.settings}
    else:
        candidates[SETTING] = ("key", "a setting: cfg.lora_r, cfg.learning_rate, …")
    ranks = _ranked(word, candidates)
    begin = [(insert, *candidates[insert]) for insert in ranks[0]]
    contain = [(insert, *candidates[insert]) for insert in (*ranks[1], *ranks[2])]
    after = _after_key(word, names) if alone else []
    direct = _direct(word, known) if alone else []
    # `status:` before `status=`, but `step<` before `step`, which is there already.
    found = (
        [*begin, *after, *direct, *contain] if f"{word.lower()}:" in candidates else [*after, *begin, *direct, *contain]
    )
    joined = [(f"{join} ", "join", words) for join, words in JOINS.items() if joins and join.startswith(word)]
    return [*joined, *found] if word else [*found, *joined]


def _by_use(metrics: Iterable[str]) -> list[str]:
    """Losses first: they are asked for most."""
    return sorted(
        metrics, key=lambda name: (not name.endswith("/loss"), not name.startswith(("eval/", "train/")), name)
    )


def _ranked(word: str, names: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Names that begin with the word, those with a part that does, and those that contain it elsewhere."""
    wanted = word.lower()
    ranks: tuple[list[str], list[str], list[str]] = ([], [], [])
    for name in names:
        lowered = name.lower()
        if lowered.startswith(wanted):
            ranks[0].append(name)
        elif any(part.startswith(wanted) for part in re.split(r"[./_]", lowered)):
            ranks[1].append(name)
        elif wanted in lowered:
            ranks[2].append(name)
    return ranks


def _after_key(word: str, names: Names) -> list[Found]:
    """The operators and parts that can follow where a whole key is typed already."""
    name = word.rstrip(".@")
    key = key_of(RUNS, name)
    if key is not None:
        return [(f"{name}{sign}", "operator", OPERATOR_WORDS[sign]) for sign in _signs(key)] if name == word else []
    if name.lower().startswith(SETTING):
        there = name[len(SETTING) :] in names.settings and name == word
        signs = ("=", "!=", ">=", "<=", ">", "<", "~", "!~") if there else ()
        return [(f"{name}{sign}", "operator", OPERATOR_WORDS[sign]) for sign in signs]
    if name.lower().startswith(FIGURE) and name[len(FIGURE) :] in names.figures:
        return _order_signs(name) if name == word else []
    before, _, ending = word.rpartition(".")
    if before in names.metrics and word not in names.metrics:
        parts = [part for part in PARTS if part.startswith(ending) and part != ending]
        found: list[Found] = [(f"{before}.{part}", "key", _PART_WORDS[part]) for part in parts]
        return found + (_order_signs(word) if ending in PARTS else [])
    if name in names.metrics:
        parts = [part for part in ("min", "max", "last", "step", "min_step") if name == word]
        found = [(f"{name}.{part}", "key", _PART_WORDS[part]) for part in parts]
        at: list[Found] = [(f"{name}@", "key", "its value at a step: @100")] if name == word else []
        return [*(_order_signs(name) if name == word else []), *found, *at]
    return _order_signs(word) if re.fullmatch(r".+@\d+", word) and word.rpartition("@")[0] in names.metrics else []


def _order_signs(name: str) -> list[Found]:
    return [(f"{name}{sign}", "operator", OPERATOR_WORDS[sign]) for sign in ("<", ">", "<=", ">=", "=", "!=")]


def _signs(key: Key) -> tuple[str, ...]:
    return ("<", ">", "<=", ">=", "=", "!=") if key.ordered else ("=", "!=", "~", "!~")


def _direct(word: str, known: Known) -> list[Found]:
    """Values that are typed without their key: `night` finds `tag:nightly`."""
    if len(word) < 2:
        return []
    wanted = word.lower()
    states = {f"status:{value}": about for value, about in (RUNS.keys["status"].values or {}).items()}
    found = [(insert, "value", about) for insert, about in states.items() if insert[7:].startswith(wanted)]
    for key in _DIRECT:
        found += [
            (f"{key}:{_quoted(value)}", "value", detail)
            for value, detail in known.values(key)
            if '"' not in value and any(part.startswith(wanted) for part in re.split(r"[\W_]+", value.lower()))
        ][:5]
    return found


# values


def _values(text: str, cursor: int, at: re.Match[str], known: Known) -> list[Completion]:
    """The values that go on from what is typed of one, the operators that may replace the one before it."""
    key = at["key"] or f"{at['quoted_key']}{at['suffix']}"
    quoted = at["quoted_value"] is not None
    part = (at["quoted_value"] if quoted else at["value"]) or ""
    if quoted and at[0].endswith('"') and at.end() - at.start("quoted_value") > len(part):
        return []  # the quote is closed
    start = at.start("quoted_value") - 1 if quoted else at.start("value")
    sign = "".join(re.findall(r"^[<>=!~]+", part)) if at["colon"] and not quoted else ""
    operator, part, start = sign or at["operator"] or ":", part[len(sign) :], start + len(sign)
    # What is left of the value behind the cursor goes too.
    rest = _VALUE_REST.match(text, cursor) if not quoted else re.compile(r'[^"]*"?').match(text, cursor)
    end = rest.end() if rest is not None else cursor
    found = _values_of(key, operator, part, known)
    wanted = part.lower()
    begins = [one for one in found if one[0].lower().startswith(wanted)]
    inside = [one for one in found if wanted in one[0].lower() and one not in begins]
    return [
        Completion(_quoted(value), start, end, "value", detail)
        for value, detail in (*begins, *inside)
        if '"' not in value and _quoted(value) != text[start:end]
    ]


def _values_of(name: str, operator: str, part: str, known: Known) -> list[tuple[str, str]]:
    lowered = name.lower()
    lowered = RUNS.aliases.get(lowered, lowered)
    key = RUNS.keys.get(lowered)
    if lowered == "has":
        return [*(key.values or {}).items(), *((metric, "a metric") for metric in known.names().metrics)] if key else []
    if key is not None and key.values is not None:
        return list(key.values.items())
    if lowered in ("started", "ended", "created"):
        return _times(operator, lowered)
    if key is not None and key.ordered:
        return [(re.split(f"[{''.join(OPERATORS)}:]+", key.example)[-1], "for example")]
    if key is not None:
        return known.values(lowered, part)
    if lowered.startswith(SETTING):
        there = known.names().settings
        setting = next((one for one in there if one.lower() == lowered[len(SETTING) :]), "")
        return known.setting(setting)
    try:
        metric = metric_of(name, known.names())
    except QueryError:
        return []
    if metric is None:
        return []
    return known.figures(metric[0], PARTS[metric[1]])


def _times(operator: str, key: str) -> list[tuple[str, str]]:
    ages = [
        (age, f"more than {words} ago" if operator in (">", ">=") else f"within {words}")
        for age, words in _AGES.items()
    ]
    stretches = [(word, word.replace("-", " ")) for word in _STRETCHES]
    never = [("never", f"not {key} yet")] if operator in (":", "=", "!=") and key != "created" else []
    return [*stretches, *ages, *never] if operator in (":", "=", "!=") else [*ages, *stretches]


def _quoted(value: str) -> str:
    return f'"{value}"' if not value or re.search(r"[\s()]", value) else value


# what may be wrong with a filter that finds nothing


def hint(query: str, known: Known) -> str:
    """A metric, a setting or a tag of the filter that no run has, and what may be meant; empty where all are there."""
    try:
        terms = [term for term in comparisons(parse(query)) if term.value]
    except QueryError:
        return ""
    names = known.names()
    for term in terms:
        what, name, there = _named(term, known, names)
        if what and name.lower() not in {one.lower() for one in there}:
            meant = close_to(name, there)
            return f"No run has {what} {name}." + (f" Did you mean {' or '.join(meant)}?" if meant else "")
    return ""


def _named(term: Compare, known: Known, names: Names) -> tuple[str, str, list[str]]:
    """What a comparison takes for granted: what it is, its name, and those that there are."""
    key = RUNS.aliases.get(term.key.lower(), term.key.lower())
    if key == "tag" and term.operator in (":", "="):
        return "the tag", term.value, [value for value, _ in known.values("tag")]
    if key.startswith(SETTING):
        return "the setting", term.key[len(SETTING) :], list(names.settings)
    if key in RUNS.keys:
        return "", "", []
    if key.startswith(FIGURE) and term.key not in names.metrics:
        return "a figure", term.key[len(FIGURE) :], list(names.figures)
    try:
        metric = metric_of(term.key, names)
    except QueryError:
        metric = None
    return ("the metric", metric[0], list(names.metrics)) if metric is not None else ("", "", [])
