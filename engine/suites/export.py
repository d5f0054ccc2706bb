"""The answers of a suite run as a file: JSONL, a spreadsheet's CSV, or Markdown."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.figures import NONE
from engine.private import share
from engine.suites.figures import ModelFigures, figures_by_category, figures_of
from engine.suites.reading import Suite, SuitePrompt
from engine.text import clean, clean_line
from store.talk_records import SuiteAnswer, SuiteRun

ENDINGS = (".jsonl", ".csv", ".md")
_FORMULA = ("=", "+", "-", "@")
"""A text that begins so is a formula to a spreadsheet, which would run it."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#!|~@&$])")
_COLUMNS = (
    *("position", "category", "turn", "prompt", "reference", "model", "name", "answer"),
    *("tokens", "first_token_s", "tokens_per_s", "error"),
)


def export_suite_run(
    suite: Suite,
    run: SuiteRun,
    labels: Sequence[str],
    answers: Sequence[SuiteAnswer],
    path: Path,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the answers to `path`, whose ending says how; whole or not at all. `labels` are the models' names.

    Raises `BadInput` for a path that cannot be, `FinetuiError` where the system refuses.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(f"{path.name} does not say what to write.", fix=f"Let it end in {', '.join(ENDINGS)}.")
    if path.exists() and (path.is_dir() or not overwrite):
        raise BadInput(f"{path} exists.", why="Nothing is overwritten unasked.", fix="Choose another name.")
    write = {".jsonl": _jsonl, ".csv": _csv, ".md": _markdown}[ending]
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.writelines(write(suite, run, labels, answers))
        share(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FinetuiError(
            f"The answers cannot be written to {path}.", why=f"The system says: {error.strerror or error}."
        ) from error
    return path


def prompt_document(
    prompt: SuitePrompt, run: SuiteRun, labels: Sequence[str], answers: Sequence[SuiteAnswer]
) -> dict[str, Any]:
    """One prompt with all answers to it, for JSON. `answers` of other prompts are left out."""
    own = [one for one in answers if one.position == prompt.position]
    return {
        "position": prompt.position,
        "category": prompt.category,
        "turns": list(prompt.turns),
        "references": list(prompt.references),
        "answers": [
            {"model": model, "name": labels[place], "turns": [_answer(one) for one in own if one.model == place]}
            for place, model in enumerate(run.models)
        ],
    }


def _answer(answer: SuiteAnswer) -> dict[str, Any]:
    known = {
        "turn": answer.turn,
        "text": answer.text,
        "tokens": answer.tokens,
        "first_token_s": answer.first_token_s,
        "tokens_per_s": answer.tokens_per_s,
    }
    return known | ({"error": answer.error} if answer.error else {})


def _by_prompt(answers: Sequence[SuiteAnswer]) -> dict[int, list[SuiteAnswer]]:
    found: dict[int, list[SuiteAnswer]] = {}
    for answer in answers:
        found.setdefault(answer.position, []).append(answer)
    return found


def _jsonl(suite: Suite, run: SuiteRun, labels: Sequence[str], answers: Sequence[SuiteAnswer]) -> Iterator[str]:
    own = _by_prompt(answers)
    for prompt in suite.prompts:
        document = prompt_document(prompt, run, labels, own.get(prompt.position, []))
        yield json.dumps(document, ensure_ascii=False) + "\n"


def _csv(suite: Suite, run: SuiteRun, labels: Sequence[str], answers: Sequence[SuiteAnswer]) -> Iterator[str]:
    """One line an answer."""
    yield csv_line(_COLUMNS)
    own = _by_prompt(answers)
    for prompt in suite.prompts:
        for one in own.get(prompt.position, []):
            about = [prompt.position, prompt.category, one.turn + 1, prompt.turns[one.turn], prompt.reference(one.turn)]
            said = [run.models[one.model], labels[one.model], one.text]
            yield csv_line([*about, *said, one.tokens, one.first_token_s, one.tokens_per_s, one.error])


def csv_line(cells: Sequence[Any]) -> str:
    """A line of CSV in which no text is a formula."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        text = clean(value)
        return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
    return "" if value is None else value


def _markdown(suite: Suite, run: SuiteRun, labels: Sequence[str], answers: Sequence[SuiteAnswer]) -> Iterator[str]:
    """The figures as a table, then prompt by prompt. Nothing in it is live: all that was said is escaped."""
    yield f"# {escaped(run.name)}\n\n{len(suite.prompts)} prompts of {escaped(suite.name)} v{suite.version}.\n\n"
    yield from _figure_table(zip(labels, figures_of(suite, len(labels), answers), strict=True))
    for part in figures_by_category(suite, len(labels), answers):
        prompts = f"{part.prompts} prompt{'s' * (part.prompts != 1)}"
        yield f"\n{escaped(part.category) or 'without a category'}, {prompts}:\n\n"
        yield from _figure_table(zip(labels, part.models, strict=True))
    own = _by_prompt(answers)
    for prompt in suite.prompts:
        category = f" · {escaped(prompt.category)}" if prompt.category else ""
        yield f"\n## {prompt.position + 1}{category}\n"
        for turn, asked in enumerate(prompt.turns):
            yield f"\n{quoted(asked)}\n"
            if reference := prompt.reference(turn):
                yield f"\n**Reference**\n\n{fenced(reference)}\n"
            for one in own.get(prompt.position, []):
                if one.turn == turn:
                    said = fenced(one.text) if not one.error else f"*Not answered: {escaped(one.error)}*"
                    yield f"\n**{escaped(labels[one.model])}**\n\n{said}\n"


def _figure_table(rows: Iterable[tuple[str, ModelFigures]]) -> Iterator[str]:
    yield "| model | answers | errors | mean tokens | tokens/s | length of the reference |\n"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |\n"
    for label, figures in rows:
        numbers = ((figures.mean_tokens, 1), (figures.tokens_per_s, 1), (figures.length_ratio, 2))
        cells = [escaped(label), str(figures.answered), str(figures.errors)]
        cells += [NONE if value is None else f"{value:,.{digits}f}" for value, digits in numbers]
        yield f"| {' | '.join(cells)} |\n"


def quoted(text: str) -> str:
    """A text as a quotation in Markdown, none of it live."""
    return "\n".join(f"> {escaped(line)}" for line in clean(text).splitlines())


def fenced(text: str) -> str:
    """A text as it is, in a fence that nothing in it closes."""
    text = clean(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def escaped(text: str) -> str:
    """A line of text in Markdown, none of it live."""
    return _SPECIAL.sub(r"\\\1", clean_line(text))
