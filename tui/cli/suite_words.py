"""Suite runs in words and as JSON: figures by model, prompts with their answers, two models word by word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import NotFound
from engine.suites.export import prompt_document
from engine.suites.figures import CategoryFigures, ModelFigures, figures_by_category, figures_of
from engine.suites.kept import shown_suite
from engine.suites.reading import Suite
from engine.suites.seating import labels_of
from engine.suites.state import SuiteState, states_of
from store.talk_records import SuiteAnswer, SuiteRun
from tui.cli.command import Session
from tui.cli.output import fields, paint, table
from tui.format import NONE, fmt_duration, fmt_when
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from textual.content import Content


@dataclass(frozen=True)
class Taken:
    """A suite run with all that is said of it."""

    state: SuiteState
    suite: Suite
    labels: list[str]
    answers: list[SuiteAnswer]
    figures: list[ModelFigures]
    categories: list[CategoryFigures]


@dataclass(frozen=True)
class Difference:
    """The answers of two models to one turn; `alike` is 0 to 1."""

    position: int
    turn: int
    before: str
    after: str
    alike: float


def states(session: Session, runs: Sequence[SuiteRun]) -> list[SuiteState]:
    return states_of(session.store, session.home, runs)


def read(session: Session, run: SuiteRun) -> Taken:
    [state] = states(session, [run])
    answers = session.store.suites.answers(run.id)
    suite = shown_suite(session.library, run, answers)
    figures = figures_of(suite, len(run.models), answers)
    categories = figures_by_category(suite, len(run.models), answers)
    return Taken(state, suite, labels_of(session.store, run.models), answers, figures, categories)


def answer_run(session: Session, made: "SuiteRun", *, prompt: int | None = None, prompts: int) -> None:
    """The result of a command: the suite run with `prompts` of its prompts, or that one alone."""
    taken = read(session, made)
    if prompt is not None and prompt not in {one.position + 1 for one in taken.suite.prompts}:
        raise NotFound(f"{made.name} has no prompt {prompt}.", fix=f"It has {len(taken.suite.prompts)}.")
    session.answer(show_document(taken, prompt), lambda: show_text(taken, prompt, prompts))


def run_document(session: Session, state: SuiteState) -> dict[str, Any]:
    """A suite run in short. Times are unix seconds; counts are turns of all models."""
    labels = labels_of(session.store, state.run.models)
    return _short(state, labels)


def _short(state: SuiteState, labels: Sequence[str]) -> dict[str, Any]:
    run = state.run
    return {
        "id": run.id,
        "name": run.name,
        "suite": run.suite,
        "created": run.created,
        "ended": run.ended,
        "state": str(state.stage),
        "problem": state.problem,
        "models": [{"model": model, "name": name} for model, name in zip(run.models, labels, strict=True)],
        "prompts": run.prompts,
        "answered": state.answered,
        "errors": state.errors,
        "total": state.total,
        "eta_s": state.eta_s,
        "sampling": run.sampling,
    }


def show_document(taken: Taken, prompt: int | None) -> dict[str, Any]:
    """All of it; with `prompt`, counted from 1, only that one."""
    document = _short(taken.state, taken.labels)
    for model, figures in zip(document["models"], taken.figures, strict=True):
        model |= figures.document()
    document |= {
        "suite_name": taken.suite.name,
        "suite_removed": taken.suite.removed,
        "categories": [
            {"category": one.category, "prompts": one.prompts, "models": [figures.document() for figures in one.models]}
            for one in taken.categories
        ],
    }
    shown = [one for one in taken.suite.prompts if prompt is None or one.position + 1 == prompt]
    return document | {"results": [prompt_document(one, taken.state.run, taken.labels, taken.answers) for one in shown]}


def show_text(taken: Taken, prompt: int | None, prompts: int) -> str:
    state, run = taken.state, taken.state.run
    left = f", {fmt_duration(state.eta_s)} left" if state.eta_s is not None else ""
    head = fields(
        [
            ("name", run.name),
            ("id", run.id),
            ("suite", _suite_words(taken)),
            ("state", f"{state.stage}" + (f": {state.problem}" if state.problem else "")),
            ("answers", f"{state.done} of {state.total}{left}"),
            ("started", fmt_when(run.created)),
        ]
    )
    rows = [
        (place, label, one.answered, one.errors or "", *_figures(one), _same(one))
        for place, (label, one) in enumerate(zip(taken.labels, taken.figures, strict=True), 1)
    ]
    columns = ("#", "MODEL", "ANSWERS", "ERRORS", "TOKENS", "TOKENS/S", "FIRST S", "× REFERENCE", "SAME AS 1")
    shown = table(columns, rows, right=columns[2:], optional=("SAME AS 1", "FIRST S"))
    parts = [head, shown]
    if taken.categories:
        parts.append(_category_table(taken))
    if prompts:
        wanted = [one for one in taken.suite.prompts if prompt is None or one.position + 1 == prompt]
        parts += [_prompt_text(taken, one.position) for one in wanted[:prompts]]
        if len(wanted) > prompts:
            parts.append(f"and {len(wanted) - prompts} more prompts")
    return "\n\n".join(parts)


def _suite_words(taken: Taken) -> str:
    count = f"{taken.state.run.prompts} prompts"
    if taken.suite.removed:
        return f"{taken.suite.name}, {count}; its dataset was removed"
    return f"{taken.suite.name} v{taken.suite.version}, {count}"


def _category_table(taken: Taken) -> str:
    """A line for each category and model."""
    rows = [
        (one.category or NONE, one.prompts, place, label, figures.errors or "", *_figures(figures), _same(figures))
        for one in taken.categories
        for place, (label, figures) in enumerate(zip(taken.labels, one.models, strict=True), 1)
    ]
    columns = ("CATEGORY", "PROMPTS", "#", "MODEL", "ERRORS", "TOKENS", "TOKENS/S", "FIRST S", "× REFERENCE")
    optional = ("SAME AS 1", "FIRST S", "TOKENS/S")
    return table((*columns, "SAME AS 1"), rows, right=("PROMPTS", *columns[4:], "SAME AS 1"), optional=optional)


def _figures(one: ModelFigures) -> list[str]:
    numbers = ((one.mean_tokens, 1), (one.tokens_per_s, 1), (one.first_token_s, 2), (one.length_ratio, 2))
    return [NONE if value is None else f"{value:,.{digits}f}" for value, digits in numbers]


def _same(one: ModelFigures) -> str:
    return NONE if one.same_as_first is None else str(one.same_as_first)


def _prompt_text(taken: Taken, position: int) -> str:
    prompt = next(one for one in taken.suite.prompts if one.position == position)
    category = f"  {clean_line(prompt.category)}" if prompt.category else ""
    lines = [paint(f"{position + 1}", "bold") + paint(category, "dim")]
    for turn, asked in enumerate(prompt.turns):
        lines.append(paint(f"> {clean(asked)}", "bold"))
        if reference := prompt.reference(turn):
            lines.append(paint("reference: ", "dim") + clean(reference))
        for one in taken.answers:
            if (one.position, one.turn) == (position, turn):
                said = paint(clean_line(one.error), "red") if one.error else clean(one.text)
                lines.append(paint(f"{clean_line(taken.labels[one.model])}: ", "bold") + said)
    return "\n".join(lines)


def differences(taken: Taken, first: int, second: int, prompt: int | None) -> list[Difference]:
    """Turns that both models answered, the least alike first."""
    from tui.widgets.word_diff import likeness

    by_model = {
        model: {(one.position, one.turn): one.text for one in taken.answers if one.model == model and not one.error}
        for model in (first, second)
    }
    found = [
        Difference(*key, before, by_model[second][key], likeness(before, by_model[second][key]))
        for key, before in by_model[first].items()
        if key in by_model[second] and prompt in (None, key[0] + 1)
    ]
    return sorted(found, key=lambda one: (one.alike, one.position, one.turn))


def diff_document(taken: Taken, first: int, second: int, found: Sequence[Difference]) -> dict[str, Any]:
    models = taken.state.run.models
    return {
        "id": taken.state.id,
        "from": {"model": models[first], "name": taken.labels[first]},
        "to": {"model": models[second], "name": taken.labels[second]},
        "same": sum(one.before == one.after for one in found),
        "compared": len(found),
        "turns": [
            {"prompt": one.position + 1, "turn": one.turn + 1, "alike": one.alike, "from": one.before, "to": one.after}
            for one in found
        ],
    }


def diff_text(taken: Taken, first: int, second: int, found: Sequence[Difference]) -> str:
    """Words that only the first has in `[-…-]`, words that only the second has in `{+…+}`."""
    from tui.widgets.word_diff import word_diff

    same = sum(one.before == one.after for one in found)
    names = f"{clean_line(taken.labels[first])} → {clean_line(taken.labels[second])}"
    lines = [f"{names}: {len(found)} turns both answered, {same} of them the same"]
    prompts = {prompt.position: prompt for prompt in taken.suite.prompts}
    for one in found:
        if one.before == one.after:
            continue
        asked = clean_line(prompts[one.position].turns[one.turn])
        lines += [
            "",
            paint(f"{one.position + 1}  {one.alike:.0%} alike  {asked}", "bold"),
            marked(word_diff(one.before, one.after)),
        ]
    return "\n".join(lines)


def marked(content: "Content") -> str:
    """A `word_diff` as plain text: `[-gone-]{+come+}`."""
    from tui.widgets.word_diff import CAME, GONE

    signs = {GONE: ("[-", "-]", "red"), CAME: ("{+", "+}", "green")}
    parts, at = [], 0
    for span in content.spans:
        if (known := signs.get(str(span.style))) is not None:
            opened, closed, colour = known
            text = paint(f"{opened}{content.plain[span.start : span.end]}{closed}", colour)
            parts += [content.plain[at : span.start], text]
            at = span.end
    return "".join([*parts, content.plain[at:]])
