"""Rows for the answering tests, and their answers."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.worker.adapters import AdapterShelf
from engine.worker.generate import answer_rows
from engine.worker.live_row import LiveRow
from engine.worker.loading import context_tokens
from engine.worker.prompts import Prompts
from engine.worker.rows import RowRequest, RowResult, Sampling

GREEDY = Sampling()
QUESTIONS = ("hi", "how is it on a long way there, my friend?", "ok")


def request(shelf: AdapterShelf, tokenizer: Any, adapter: str | None, place: int = 0, **fields: Any) -> RowRequest:
    """A row that asks one of the questions."""
    prompts = Prompts(tokenizer, context_tokens(shelf.model))
    prompt = prompts.chat([{"role": "user", "content": QUESTIONS[place % 3]}], None)
    return RowRequest(adapter, prompt, **{"max_new_tokens": 16} | fields)


def requests(
    shelf: AdapterShelf, tokenizer: Any, adapters: Sequence[str | None], sampling: Sampling = GREEDY
) -> list[RowRequest]:
    return [request(shelf, tokenizer, adapter, place, sampling=sampling) for place, adapter in enumerate(adapters)]


def live(
    rows: Sequence[RowRequest], tokenizer: Any, on_text: Callable[[int, str], None] | None = None
) -> tuple[list[LiveRow], dict[int, str]]:
    """The rows, ready to be answered, and what will have been streamed of each."""
    streamed: dict[int, str] = {}

    def heard(place: int) -> Callable[[str], None]:
        def hear(text: str) -> None:
            assert text
            streamed[place] = streamed.get(place, "") + text
            if on_text is not None:
                on_text(place, text)

        return hear

    return [LiveRow(row, tokenizer, heard(place), lambda result: None) for place, row in enumerate(rows)], streamed


def results_of(rows: Sequence[LiveRow]) -> list[RowResult]:
    found = [row.result for row in rows]
    assert all(result is not None for result in found)
    return [result for result in found if result is not None]


def ask(shelf: AdapterShelf, tokenizer: Any, rows: Sequence[RowRequest]) -> list[RowResult]:
    """The answers to `rows` in one batch; what was streamed of each is its text."""
    at_work, streamed = live(rows, tokenizer)
    answer_rows(shelf.model, tokenizer, at_work)
    results = results_of(at_work)
    assert [streamed.get(place, "") for place in range(len(rows))] == [result.text for result in results]
    return results


def texts(results: Sequence[RowResult]) -> list[str]:
    return [result.text for result in results]
