"""The supervision gate: before a launch rows are written as the model would see them, to see what would be learnt.

Without the training libraries: the tokenizer is the one the training side prepared. Where none can be there yet, as of
a model that is built or downloaded first, the worker looks at the rows itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from engine.datasets.reader import RowReader
from engine.datasets.rows import Row, kind_of
from engine.datasets.versions import DATA
from engine.errors import BadInput, Cancelled, FinetuiError
from engine.home import Home
from engine.models import ModelInfo
from engine.recipe import Recipe
from engine.tokens import BUILT_IN, Rendered, TemplateProblem, Tokenizer, kept_tokenizer, model_tokenizer, render_row
from engine.tokens.messages import has_answer, is_text
from store.records import Dataset

MOST_ROWS = 1_000
"""Rows looked at, all over the dataset, before it is said that none of it is trained."""
_SHOWN_CHARS = 600


@dataclass(frozen=True)
class Gate:
    """What the rows look like to the model. With a `problem` a launch makes no sense."""

    problem: str = ""
    field: str = "dataset"
    """The recipe's field that the problem is about."""
    warnings: tuple[str, ...] = ()
    template: str = ""
    """The name of the template the rows were written with; empty for plain text."""
    template_hash: str = ""
    """Equal for equal templates; empty for plain text, and where the worker looks."""
    row: int | None = None
    """The number of the row at fault, from 1."""
    shown: str = ""
    """That row as the model would see it, trained words between ▐ and ▌, and what is cut off between ⟦ and ⟧."""
    rows: int = 0
    """Rows looked at."""
    trained_share: float | None = None
    """Share of their tokens that carries loss."""
    later: str = ""
    """Why nothing could be looked at yet; the worker does it then."""

    @property
    def passed(self) -> bool:
        return not self.problem and not self.later


@dataclass
class _Count:
    rows: int = 0
    tokens: int = 0
    trained: int = 0
    untrained_rows: int = 0
    cut_rows: int = 0
    cut_tokens: int = 0


def check_supervision(
    home: Home,
    recipe: Recipe,
    model: ModelInfo,
    dataset: Dataset,
    *,
    rows: int = 64,
    prepare: bool = True,
    progress: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Gate:
    """Look at the first `rows` training rows of `dataset` as `model` would see them in a run of `recipe`.

    `prepare` may start the training side once to read the model's tokenizer, which takes seconds; `progress` is told.
    Raises `Cancelled`.
    """
    kind = _kind_problem(recipe, dataset)
    if kind:
        return Gate(kind)
    if model.problem or not model.ready:
        how = "is built" if model.kind == "starter" else "is on this machine"
        return Gate(later=f"the rows are checked by the run, once the model {how}")
    if not model.has_template and not recipe.chat_template and kind_of(dataset.shape) != "text":
        return Gate(
            f"the model has no chat template to write conversations with; take one of {', '.join(BUILT_IN)}, "
            "a Jinja file, or a chat model",
            "chat_template",
        )
    try:
        tokenizer = kept_tokenizer(home, model, recipe.revision)
        if tokenizer is None and not prepare:
            return Gate(later="the rows are not checked yet: the model's tokenizer was not read")
        if tokenizer is None:
            tokenizer = model_tokenizer(
                home,
                recipe.model,
                revision=recipe.revision,
                trust_remote_code=recipe.trust_remote_code,
                progress=progress,
                cancelled=cancelled,
            )
    except Cancelled:
        raise
    except FinetuiError as error:
        return Gate(" ".join(part for part in (error.what, error.why) if part), "model")
    if progress is not None:
        progress("looking at the first rows")
    return _look(Path(dataset.dir) / DATA, recipe, tokenizer, rows, cancelled)


def _kind_problem(recipe: Recipe, dataset: Dataset) -> str:
    """Why rows of this kind cannot be trained on as the recipe wants."""
    kind = kind_of(dataset.shape)
    if kind == "prompts":
        return "it is a prompt suite: its prompts have no answers to learn from"
    if recipe.objective == "dpo" and kind != "preference":
        return (
            "objective = dpo learns from pairs of a chosen and a rejected answer, and it has none; sft learns from it"
        )
    if not dataset.splits.get("train"):
        return "it has no rows to train on: all are kept for validation or testing"
    return ""


def _look(file: Path, recipe: Recipe, tokenizer: Tokenizer, first: int, cancelled: Callable[[], bool] | None) -> Gate:
    name = recipe.chat_template or "own"
    # Of a pair the whole answer is what counts, whether or not the template marks it.
    assistant_only = recipe.assistant_only_loss and recipe.objective == "sft"
    reader = RowReader(file)
    try:
        total = reader.count("train")
        count, warned, template, worst = _Count(), dict[str, int](), "", None
        for row in _chosen(reader, total, first):
            if cancelled is not None and cancelled():
                raise Cancelled
            if count.rows >= first and count.trained:
                break
            try:
                rendered = _rendered(row, recipe, tokenizer, name, assistant_only)
            except TemplateProblem as problem:
                said = f"the chat template refuses row {row.index + 1:,}: {problem.why or problem.what}"
                return Gate(said, "chat_template", row=row.index + 1, shown=_plain(row))
            except BadInput as error:  # no template, or no such file
                return Gate(f"{error.what} {error.fix}", "chat_template", row=row.index + 1, shown=_plain(row))
            template = rendered.template or template
            _add(count, rendered)
            worst = worst or (row, rendered)
            for warning in rendered.warnings:
                warned.setdefault(warning, row.index + 1)
    finally:
        reader.close()
    return _verdict(recipe, tokenizer, name, template, assistant_only, count, warned, worst)


def _chosen(reader: RowReader, total: int, first: int) -> "chain[Row]":
    """The first training rows, then more of them from all over the dataset, should those carry no loss."""

    def spread() -> "Sequence[int]":
        every = max(1, (total - first) // MOST_ROWS)
        return range(first, total, every)[:MOST_ROWS]

    def read(places: Sequence[int]) -> "chain[Row]":
        return chain.from_iterable(reader.rows("train", place, 1) for place in places)

    return chain(reader.rows("train", 0, first), read(spread()))


def _rendered(row: Row, recipe: Recipe, tokenizer: Tokenizer, name: str, assistant_only: bool) -> Rendered:
    """The row with what is trained of it. Of a pair that is what comes after the prompt, of the better answer."""
    limit = None if recipe.max_length == "auto" else int(recipe.max_length)
    rendered = render_row(row, tokenizer, template=name, max_length=limit, assistant_only=assistant_only)
    if recipe.objective == "sft":
        return rendered if has_answer(row) or is_text(row) else replace(rendered, trained=0)
    alone = replace(row, chosen=(), rejected=())
    prompt = render_row(alone, tokenizer, template=name, max_length=None, assistant_only=False).total
    kept = rendered.total - rendered.cut
    return replace(rendered, trained=max(0, kept - prompt), warnings=[])


def _add(count: _Count, rendered: Rendered) -> None:
    count.rows += 1
    count.tokens += rendered.total - rendered.cut
    count.trained += rendered.trained
    count.untrained_rows += rendered.trained == 0
    count.cut_rows += rendered.cut > 0
    count.cut_tokens += rendered.cut


def _verdict(
    recipe: Recipe,
    tokenizer: Tokenizer,
    name: str,
    template: str,
    assistant_only: bool,
    count: _Count,
    warned: dict[str, int],
    worst: tuple[Row, Rendered] | None,
) -> Gate:
    chosen = tokenizer.template(name, assistant_only=assistant_only) if template else None
    found = Gate(
        template=template,
        template_hash=chosen.hash if chosen else "",
        rows=count.rows,
        trained_share=count.trained / count.tokens if count.tokens else None,
    )
    if not count.trained and worst is not None:
        row, rendered = worst
        why, field = _untrained(rendered, recipe)
        looked = "its only row" if count.rows == 1 else f"{count.rows:,} rows looked at"
        said = f"nothing would be learnt: no token of {looked} carries loss. Row {row.index + 1:,}: {why}"
        return replace(found, problem=said, field=field, row=row.index + 1, shown=_shown(rendered))
    warnings = []
    if count.cut_rows:
        warnings.append(
            f"max_length {recipe.max_length:,} cuts {count.cut_rows:,} of the first {count.rows:,} rows "
            f"({count.cut_tokens:,} tokens)"
        )
    if count.untrained_rows:
        warnings.append(f"{count.untrained_rows:,} of the first {count.rows:,} rows carry no loss")
    warnings += [f"row {number:,}: {words}" for words, number in warned.items() if not _counted(words)][:3]
    return replace(found, warnings=tuple(warnings))


def _untrained(rendered: Rendered, recipe: Recipe) -> tuple[str, str]:
    """Why nothing of a row is trained, and the field to change."""
    if rendered.cut and (recipe.objective == "dpo" or any(token.trained for token in rendered.tokens)):
        said = f"its answer begins beyond max_length ({recipe.max_length:,}), and is cut off; raise max_length"
        return said, "max_length"
    words = " ".join(rendered.warnings) or "the template marks no word of the assistant's"
    return words, "assistant_only_loss" if "does not mark" in words else "dataset"


def _counted(words: str) -> bool:
    """Whether a row's warning is about what the counts tell already."""
    return "max_length" in words or "Nothing of this row" in words or "no answer in this row" in words


def _shown(rendered: Rendered) -> str:
    """The row's text with marks around what is trained and what is cut off, shortened."""
    pieces: list[str] = []
    state = ""
    marks = {"": "", "trained": "▌", "cut": "⟧"}
    opening = {"": "", "trained": "▐", "cut": "⟦"}
    for token in rendered.tokens:
        now = "cut" if token.truncated else "trained" if token.trained else ""
        if now != state:
            pieces += [marks[state], opening[now]]
            state = now
        pieces.append(token.text)
    return _shortened("".join([*pieces, marks[state]]))


def _plain(row: Row) -> str:
    """The row as it is in the dataset, shortened."""
    turns = (*row.messages, *row.chosen)
    return _shortened("\n".join(f"{turn.role}: {turn.content}" for turn in turns))


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN_CHARS:
        return text
    half = _SHOWN_CHARS // 2
    return f"{text[:half]} … {text[-half:]}"
