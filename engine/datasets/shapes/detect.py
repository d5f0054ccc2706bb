"""Which shape the rows of a source have, by which columns, and how sure that is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.datasets.rows import RowError
from engine.datasets.shapes import names
from engine.datasets.shapes.converting import Converter
from engine.datasets.shapes.guess import answering, guess
from engine.datasets.shapes.mapping import mapped_plan, quoted
from engine.datasets.shapes.plan import NEEDS, USUAL, Plan, complete, missing, plan_for
from engine.datasets.shapes.sample import Sample
from engine.errors import BadInput

SURE = 0.8
"""Below it a person is asked."""

ALIKE = 0.9
"""How sure names are that are known but for case and spaces, or lists of messages under an unknown name."""

AMBIGUOUS = 0.75


@dataclass(frozen=True)
class Detection:
    """What was found. `plan` is `None` where no column holds anything to learn from."""

    plan: Plan | None
    confidence: float
    """0 to 1: how sure the columns are, times the share of the sampled rows that they convert."""
    reasons: list[str]
    """Why it is not surer, and what a person may want to know."""
    guessed: bool
    """Whether the columns are a guess that a person should confirm."""
    sample: Sample


def detect(
    rows: Sequence[Mapping[str, Any]], asked: str = "auto", mapping: Mapping[str, str] | None = None, source: str = "it"
) -> Detection:
    """What the first rows of a source are. `asked` is a shape or `auto`, `mapping` is field → column and comes first.

    Raises `BadInput` for a shape or mapping that these rows cannot have.
    """
    if asked not in names.SHAPES:
        raise BadInput(f"There is no shape {asked!r}.", fix=f"The shapes are {', '.join(names.SHAPES)}.")
    sample = Sample(rows)
    if mapping:
        return _judged(mapped_plan(sample, mapping, asked, source), 1.0, [], False, sample)
    plan, sure, reasons = known_plan(sample, asked)
    if plan is None:
        return _guessed(sample, asked, source)
    if asked == "auto" and plan.shape == "prompts" and (column := answering(sample, [*plan.columns.values()])):
        # Prompts beside answers of another name are rather pairs than prompts.
        found = _guessed(sample, asked, source)
        if found.plan is not None and found.plan.columns.get("response") == column:
            return found
        sure, reasons = AMBIGUOUS, [f"{column!r} may hold the answers", *reasons]
    return _judged(plan, sure, reasons, sure < SURE, sample)


def known_plan(sample: Sample, asked: str) -> tuple[Plan | None, float, list[str]]:
    """The plan of the shape that most rows have, by names that are known; how sure that is, and why no surer."""
    counts: Counter[str] = Counter()
    plans: dict[frozenset[str], Plan | None] = {}
    seen: Counter[frozenset[str]] = Counter()
    for row in sample.rows:
        keys = frozenset(row)
        if keys not in plans:
            plans[keys] = plan_for(row.keys(), sample, asked)
        if found := plans[keys]:
            counts[found.shape] += 1
            seen[keys] += 1
    if not counts:
        return None, 0.0, []
    shape = counts.most_common(1)[0][0]
    plan = _fullest([(found, seen[keys]) for keys, found in plans.items() if found and found.shape == shape], sample)
    reasons = []
    if len(counts) > 1:
        shares = ", ".join(f"{count:,} are {shape}" for shape, count in counts.most_common())
        reasons.append(f"of {len(sample.rows):,} rows looked at {shares}")
    return plan, *_surety(plan, sample, asked, reasons)


def _fullest(plans: Sequence[tuple[Plan, int]], sample: Sample) -> Plan:
    """The plan most rows have; of rows with and without a column that may be there, the one with it."""
    usual: Counter[tuple[str, ...]] = Counter()
    for plan, rows in plans:
        usual[tuple(plan.needed)] += rows
    needed = usual.most_common(1)[0][0]
    most = max((plan for plan, _ in plans if tuple(plan.needed) == needed), key=lambda plan: len(plan.columns))
    return complete(most.shape, most.columns, sample, sample.columns.keys())


def _surety(plan: Plan, sample: Sample, asked: str, reasons: list[str]) -> tuple[float, list[str]]:
    sure = 1.0
    for field, column in plan.columns.items():
        if column not in names.KNOWN:
            sure = ALIKE
            usual = names.BY_NORMAL.get(names.normal(column))
            reasons.append(
                f"{column!r} is taken for {usual}" if usual else f"{column!r} holds {field} by what is in it"
            )
    if plan.columns.get("messages") == sample.transcripts and sample.transcripts:
        reasons.append(
            f"every {sample.transcripts!r} is a transcript (Human: …, Assistant: …), so it becomes a conversation; "
            "with the shape text it stays as it is"
        )
    if asked == "auto" and plan.shape == "text":
        other = next((found for name in names.PROMPTS if (found := sample.known(name))), None)
        if other and sample.texts(other):
            sure = min(sure, AMBIGUOUS)
            reasons.append(f"there are a text and {other!r}, which may be its prompt")
    if plan.shape == "prompts":
        reasons.append("there are prompts without answers: a prompt suite, to try models on, not to train on")
    context = sample.known("context")
    if context and context not in plan.columns.values() and "prompt" in plan.columns:
        reasons.append(f"{context!r} stays metadata; --map {quoted(f'context={context}')} puts it into the prompt")
    return sure, reasons


def _guessed(sample: Sample, asked: str, source: str) -> Detection:
    found = guess(sample)
    if found is not None and asked in ("auto", found[0]):
        shape, columns, sure, reasons = found
        plan = complete(shape, columns, sample, set(sample.columns), mapped=True)
        return _judged(plan, sure, reasons, True, sample)
    if asked == "auto":
        return Detection(None, 0.0, ["no column holds text or messages"], True, sample)
    likely, _, _ = known_plan(sample, "auto")
    keys = ", ".join(list(sample.columns)[:12]) or "no fields"
    rows = sample.rows
    raise BadInput(
        f"The rows of {source} lack what the shape {asked} needs: {missing(rows[0].keys() if rows else (), asked)}.",
        why=f"They have {keys}.",
        fix=f"They look like {likely.shape}: leave out --shape."
        if likely
        else f"Name the columns: {' '.join(f'--map {name}=COLUMN' for name in NEEDS[asked][0])}.",
    )


def _judged(plan: Plan, sure: float, reasons: list[str], guessed: bool, sample: Sample) -> Detection:
    """With the share of rows that the plan converts."""
    converter = Converter(plan)
    bad = 0
    for row in sample.rows:
        try:
            converter.convert(row)
        except RowError:
            bad += 1
    share = 1 - bad / max(1, len(sample.rows))
    if bad:
        reasons = [*reasons, f"{bad:,} of {len(sample.rows):,} rows looked at cannot be used"]
    return Detection(plan, round(sure * share, 2), reasons, guessed, sample)


def needs() -> str:
    """The shapes and the columns of each, for a person who has none of them."""
    return "Known shapes: " + ", ".join(f"{shape} ({' and '.join(usual[0])})" for shape, usual in USUAL.items()) + "."
